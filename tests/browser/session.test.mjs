// Who gets in, who does not and why, and how a session ends.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { after, test } from "node:test";
import { end, inBrowsers, reach, shownFrames, stateOf, words } from "./browsers.mjs";
import { flood } from "./flood.mjs";
import { run, share, until, xserver } from "./harness.mjs";

after(end);

const scene = ["--display", "synthetic:clock"];

inBrowsers("a code works once, and says so the second time", async (t, browser) => {
  const farpane = share(t, [...scene, "--accept"]);
  const { url } = await farpane.event("ready");
  const page = await browser.view(t, url, "live");
  const second = await browser.view(t, url, "failed");
  assert.match(await words(second), /already|one viewer|somebody else/i);
  assert.equal(await stateOf(page), "live");
  await page.close();
  assert.equal((await farpane.event("disconnected")).reason, "viewer_left");
  const third = await browser.view(t, url, "failed");
  assert.match(await words(third), /used/i);
  // A new code is there for the next viewer.
  await browser.view(t, (await farpane.event("ready", 2)).url, "live");
});

inBrowsers("five wrong codes end the share", async (t, browser) => {
  const farpane = share(t, [...scene, "--accept"]);
  const { url, code } = await farpane.event("ready");
  const wrong = `${code.slice(0, 5)}${code.slice(5).replace(/[0-9A-Z]/g, (symbol) => (symbol === "7" ? "8" : "7"))}`;
  const base = url.slice(0, url.indexOf("#"));
  for (let attempt = 1; attempt <= 5; attempt++) {
    const page = await browser.view(t, `${base}#${wrong}`, "failed");
    assert.match(await words(page), attempt < 5 ? /wrong|not right|incorrect/i : /too many|ended/i);
  }
  const { code: error, hint } = await farpane.event("error");
  assert.equal(error, "locked");
  assert.ok(hint.length > 10);
  assert.equal((await farpane.exited).code, 1);
});

inBrowsers("a mistyped code is forgiven, an unknown one is explained", async (t, browser) => {
  const farpane = share(t, [...scene, "--accept"]);
  const { url, code } = await farpane.event("ready");
  const page = await browser.view(t, url.slice(0, url.indexOf("#")), "entering");
  await page.type("#code", "2222-2222-2222");
  await page.click("#connect");
  await reach(page, "failed");
  assert.match(await words(page), /no |not |nobody/i);
  const again = await browser.view(t, url.slice(0, url.indexOf("#")), "entering");
  await again.type("#code", ` ${code.toLowerCase().replaceAll("-", " ").replaceAll("0", "o").replaceAll("1", "l")} `);
  await again.keyboard.press("Enter");
  await reach(again, "live");
});

inBrowsers("an expired code says that it has expired, and a new one is there", async (t, browser) => {
  // Five minutes pass in forty seconds for the host, which is as much less patient.
  const farpane = share(t, [...scene, "--accept"], { before: ["faketime", "-f", "+0 x8"] });
  const { url } = await farpane.event("ready");
  await farpane.event("ready", 2, 60_000);
  const page = await browser.view(t, url, "failed");
  assert.match(await words(page), /expired/i);
});

inBrowsers("the person at the host is asked, and may say no", async (t, browser) => {
  const farpane = share(t, scene);
  const page = await browser.view(t, (await farpane.event("ready")).url, "waiting");
  assert.equal((await farpane.event("asked")).who, "127.0.0.1");
  const other = await browser.view(t, (await farpane.event("ready")).url, "failed");
  assert.match(await words(other), /already|somebody|one viewer/i);
  farpane.child.stdin.write("n\n");
  await reach(page, "failed");
  assert.match(await words(page), /declined/i);
  const next = await browser.view(t, (await farpane.event("ready", 2)).url, "waiting");
  await farpane.event("asked", 2);
  farpane.child.stdin.write("y\n");
  await reach(next, "live");
});

inBrowsers("nobody to ask is a no", async (t, browser) => {
  const farpane = share(t, scene, { stdio: ["ignore", "pipe", "pipe"] });
  await browser.view(t, (await farpane.event("ready")).url, "failed");
  assert.equal((await farpane.event("answered")).admitted, false);
});

inBrowsers("stopping ends at once and the page says so", async (t, browser) => {
  const farpane = share(t, [...scene, "--accept"]);
  const page = await browser.view(t, (await farpane.event("ready")).url, "live");
  farpane.child.kill("SIGINT");
  assert.equal((await farpane.exited).code, 0);
  await reach(page, "ended");
  assert.match(await words(page), /stopped/i);
  const buttons = await page.evaluate(() =>
    [...document.querySelectorAll("button")].filter((button) => button.checkVisibility()).map(({ innerText }) => innerText),
  );
  assert.ok(buttons.some((text) => /code/i.test(text)), "there is a way back");
});

inBrowsers("a viewer that vanishes without a word is noticed and everything is freed", async (t, browser) => {
  const farpane = share(t, [...scene, "--accept"]);
  const { url } = await farpane.event("ready");
  await browser.view(t, url, "live");
  const threads = async () => {
    const ps = spawn("ps", ["-T", "-o", "comm=", "-p", String(farpane.child.pid)]);
    const out = [];
    ps.stdout.on("data", (data) => out.push(data));
    await once(ps, "close");
    return Buffer.concat(out).toString().split("\n").filter((name) => name.startsWith("farpane-")).length;
  };
  assert.ok((await threads()) >= 4, "the pipeline's threads run");
  await browser.kill();
  assert.match((await farpane.event("disconnected", 1, 90_000)).reason, /path_lost|viewer_left/);
  assert.equal(await threads(), 0);
  await browser.view(t, url, "failed");
});

inBrowsers("an X server that dies ends the session in words", async (t, browser) => {
  const x = await xserver(t);
  const farpane = share(t, ["--display", x.display, "--accept"]);
  const page = await browser.view(t, (await farpane.event("ready")).url, "live");
  x.child.kill("SIGKILL");
  await reach(page, "ended");
  assert.match(await words(page), /desktop|display/i);
  assert.equal((await farpane.event("error")).code, "display_lost");
  assert.equal((await farpane.exited).code, 1);
});

inBrowsers("an X server that dies while the page is hidden is noticed", async (t, browser) => {
  const x = await xserver(t);
  const farpane = share(t, ["--display", x.display, "--accept"]);
  const page = await browser.view(t, (await farpane.event("ready")).url, "live");
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { value: true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  // A picture that is under way at that moment; what changes later is not captured.
  await run(x, "xsetroot", ["-solid", "red"]);
  x.child.kill("SIGKILL");
  assert.equal((await farpane.event("error")).code, "display_lost");
  assert.equal((await farpane.exited).code, 1);
});

inBrowsers("a flood of garbage changes nothing for the live session", async (t, browser) => {
  const farpane = share(t, [...scene, "--accept"]);
  const { url } = await farpane.event("ready");
  const page = await browser.view(t, url, "live");
  const before = await shownFrames(page);
  await flood(new URL(url), 1_000);
  await until("frames go on", async () => (await shownFrames(page)) > before + 30);
  assert.equal(await stateOf(page), "live");
  assert.equal(farpane.events().filter((event) => event.event === "disconnected").length, 0);
});

test("what cannot be shared is said with what to do", async (t) => {
  const cases = [
    [["--display", ":4711"], {}, 1, "cannot_open_display"],
    [[], { env: { PATH: process.env.PATH } }, 1, "no_display"],
    [["--display", "replay:/nonexistent"], {}, 1, "cannot_replay"],
  ];
  for (const [args, options, status, code] of cases) {
    const farpane = share(t, args, options);
    const error = await farpane.event("error");
    assert.equal(error.code, code);
    assert.ok(error.message.length > 10 && error.hint.length > 10);
    assert.equal((await farpane.exited).code, status);
  }
  assert.equal((await share(t, ["--display", "nowhere"]).exited).code, 2);
  assert.equal((await share(t, ["--nonsense"]).exited).code, 2);
});

test("a busy port offers the next", async (t) => {
  const busy = createServer().listen(0, "127.0.0.1");
  await once(busy, "listening");
  t.after(() => busy.close());
  const { port } = busy.address();
  const farpane = share(t, scene, { listen: `127.0.0.1:${port}` });
  const { code, hint } = await farpane.event("error");
  assert.equal(code, "port_busy");
  const offered = /--listen (127\.0\.0\.1:\d+)/.exec(hint)[1];
  await share(t, scene, { listen: offered }).event("ready");
});

inBrowsers("a browser that has nothing to show the picture with is told so", async (t, browser) => {
  const farpane = share(t, [...scene, "--accept"]);
  const { url } = await farpane.event("ready");
  for (const [first, expected] of [
    [
      () => {
        delete window.VideoDecoder;
        delete window.RTCPeerConnection;
      },
      /WebRTC/,
    ],
    [
      () => {
        delete window.VideoDecoder;
        RTCRtpReceiver.getCapabilities = () => ({ codecs: [{ mimeType: "video/VP8" }], headerExtensions: [] });
      },
      /H\.264/,
    ],
  ]) {
    const page = await browser.view(t, url, "failed", { first });
    assert.match(await words(page), expected);
  }
  // Neither used the code up.
  await browser.view(t, url, "live");
});
