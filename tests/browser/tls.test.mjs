// The page by https.
import assert from "node:assert/strict";
import { after } from "node:test";
import { end, inBrowsers, reach, shownFrames } from "./browsers.mjs";
import { scratch, share } from "./harness.mjs";

after(end);

inBrowsers("whoever comes by http is sent to https, code and all", async (t, browser) => {
  const env = { ...process.env, XDG_DATA_HOME: scratch(t) };
  const start = () => share(t, ["--display", "synthetic:clock", "--accept", "--tls"], { env });
  const farpane = start();
  const { url, fingerprint } = await farpane.event("ready");
  assert.match(url, /^https:/);
  const page = await browser.view(t, url.replace("https:", "http:"));
  await reach(page, "live");
  assert.match(page.url(), /^https:/);
  assert.ok(await page.evaluate(() => isSecureContext));
  assert.ok((await shownFrames(page)) > 0);
  // What a browser was told of this machine stays true.
  assert.equal((await start().event("ready")).fingerprint, fingerprint);
});
