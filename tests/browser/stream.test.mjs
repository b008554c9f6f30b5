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

/** Runs in the page, ahead of it: counts what is drawn of pictures, and keeps the last. Whole ones are slow to draw. */
function watched() {
  window.pieces = window.wholes = 0;
  const { putImageData, drawImage } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.putImageData = function (...args) {
    window.pieces++;
    return putImageData.apply(this, args);
  };
  CanvasRenderingContext2D.prototype.drawImage = function (...args) {
    if (args[0] instanceof VideoFrame) {
      window.wholes++;
      const began = performance.now();
      while (performance.now() - began < 5);
    }
    return drawImage.apply(this, args);
  };
  window.VideoDecoder = class extends VideoDecoder {
    constructor({ output, error }) {
      super({
        error,
        output(frame) {
          window.last?.close();
          window.last = frame.clone();
          output(frame);
        },
      });
    }
  };
}

inBrowsers("where little changes only that is drawn, and all is as it was decoded", { needs: ["H.264 by WebCodecs"] }, async (t, browser) => {
  const x = await xserver(t, "1280x1024");
  const busy = "seq 1 150 | while read n; do printf '%s words ' $n; [ $((n % 40)) = 0 ] && clear; sleep 0.02; done; exec sleep 999";
  program(t, x, "xterm", ["-geometry", "80x30+500+50", "-e", "sh", "-c", `read wait; ${busy}`]);
  const farpane = share(t, ["--display", x.display, "--accept"]);
  const first = `${withoutWebRtc}; (${watched})()`;
  const page = await browser.view(t, (await farpane.event("ready")).url, "live", { first });
  await sharp(x, page);
  const at = await place(page, 600, 200);
  await page.mouse.move(at.x, at.y);
  await press(page, "Enter");
  await until("much of it has come", () => page.evaluate(() => pieces > 60));
  await sharp(x, page);
  const isExact = () =>
    page.evaluate(() => {
      const screen = document.querySelector("canvas#screen");
      const pixels = (source) => {
        const context = new OffscreenCanvas(screen.width, screen.height).getContext("2d", { alpha: false });
        context.drawImage(source, 0, 0);
        return context.getImageData(0, 0, screen.width, screen.height).data;
      };
      const decoded = pixels(last);
      return pixels(screen).every((value, at) => value === decoded[at]);
    });
  await until("all of the last picture is there", isExact);
  const wholes = await page.evaluate(() => window.wholes);
  assert.ok(wholes < 40, `${wholes} whole pictures`);
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
