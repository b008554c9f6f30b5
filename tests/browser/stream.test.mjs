// The way over the WebSocket: without WebRTC, with nothing but TCP, and back.
import assert from "node:assert/strict";
import { after } from "node:test";
import { end, inBrowsers, picture, place, press, reach } from "./browsers.mjs";
import { addMode, program, psnr, screen, setMode, share, tk, until, xserver } from "./harness.mjs";
import { viewByRelay } from "./lossy.mjs";

after(end);

/** Runs in the page, ahead of it. */
const withoutWebRtc = "delete window.RTCPeerConnection";

const shownBy = (page) => page.evaluate(() => document.querySelector("#screen").tagName);

async function sharp(x, page) {
  let best = [0];
  await until("the page shows what is there", async () => {
    best = psnr(await screen(x), await picture(page));
    return Math.min(...best) > 40;
  }).catch((error) => {
    throw new Error(`${error.message}; PSNR of red, green, blue is ${best}`);
  });
}

inBrowsers("a page without WebRTC gets picture and input by the WebSocket", { needs: ["H.264 by WebCodecs"] }, async (t, browser) => {
  const x = await xserver(t, "1280x1024");
  await addMode(x, "1024x768");
  const keys = tk(t, x, 'wm geometry . 400x200+50+50; bind . <KeyPress> {puts "key %K"; flush stdout}; focus -force .');
  await keys.shown();
  program(t, x, "xterm", ["-geometry", "80x30+500+50", "-e", "sh", "-c", "seq 1 2000; exec sleep 999"]);
  const farpane = share(t, ["--display", x.display, "--accept"]);
  const page = await browser.view(t, (await farpane.event("ready")).url, "live", { first: withoutWebRtc });
  assert.match((await farpane.event("connected")).route, /WebSocket/);
  assert.equal(await shownBy(page), "CANVAS");
  await sharp(x, page);
  const at = await place(page, 100, 100);
  await page.mouse.move(at.x, at.y);
  await press(page, "KeyA");
  await until("the key is there", () => keys.lines.includes("key a"));
  await setMode(x, "1024x768");
  await until("the picture has the new size", async () => (await picture(page)).width === 1024);
  await sharp(x, page);
  await page.click("#handle");
  await page.click("#disconnect");
  await reach(page, "ended");
  assert.equal((await farpane.event("disconnected")).reason, "viewer_left");
});

inBrowsers("what WebRTC does not reach goes by the WebSocket until it does", { needs: ["a way by 127.0.0.1"] }, async (t, browser) => {
  const x = await xserver(t, "1024x768");
  program(t, x, "xterm", ["-geometry", "80x30+50+50", "-e", "sh", "-c", "seq 1 2000; exec sleep 999"]);
  const farpane = share(t, ["--display", x.display, "--accept"]);
  const { page, relay } = await viewByRelay(t, browser, (await farpane.event("ready")).url, { dead: true });
  assert.match((await farpane.event("connected")).route, /WebSocket/);
  assert.equal(await shownBy(page), "CANVAS");
  await sharp(x, page);
  relay.dead = false;
  assert.match((await farpane.event("connected", 2)).route, /UDP/);
  await until("the video is back", async () => (await shownBy(page)) === "VIDEO");
  await sharp(x, page);
  // Datagrams stop, TCP goes on.
  relay.dead = true;
  assert.match((await farpane.event("connected", 3)).route, /WebSocket/);
  await until("the canvas is back", async () => (await shownBy(page)) === "CANVAS");
  await sharp(x, page);
});
