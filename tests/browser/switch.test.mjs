// The coding follows the content, the machine and the display within a session: the panel says so, and pictures go on.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after } from "node:test";
import { end, inBrowsers, stateOf } from "./browsers.mjs";
import { addMode, setMode, share, tk, until, xserver } from "./harness.mjs";
import { isPurple, PLACE, pattern, untilSharp } from "./pattern.mjs";

after(end);

/** A display that counts, in twelve squares along its top edge, and while `film` is set shows noise below them. */
const counting = (width, height) => `
wm overrideredirect . 1
wm geometry . ${width}x${height}+0+0
canvas .c -width ${width} -height ${height} -background white -highlightthickness 0 -borderwidth 0
pack .c
for {set f 0} {$f < 5} {incr f} {
    image create photo small
    set rows {}
    for {set y 0} {$y < ${height / 8}} {incr y} {
        set row {}
        for {set x 0} {$x < ${width / 8}} {incr x} { lappend row [format #%06x [expr {int(rand() * 16777216)}]] }
        lappend rows $row
    }
    small put $rows
    image create photo noise$f
    noise$f copy small -zoom 8
    image delete small
}
.c create image 0 16 -anchor nw -tags noise
for {set bit 0} {$bit < 12} {incr bit} {
    .c create rectangle [expr {$bit * 16}] 0 [expr {$bit * 16 + 16}] 16 -width 0 -fill black -tags bit$bit
}
${pattern}
.c create image ${PLACE.join(" ")} -anchor nw -image pattern
set film 0
set count 0
proc step {} {
    global film count next
    incr count
    for {set bit 0} {$bit < 12} {incr bit} {
        .c itemconfigure bit$bit -fill [expr {$count >> $bit & 1 ? "white" : "black"}]
    }
    .c itemconfigure noise -image [expr {$film ? "noise[expr {$count % 5}]" : ""}]
    update idletasks
    # Not before: drawing may take longer, and then nothing would ever be read.
    set next [after 50 step]
}
step
`;

/** Runs in the page, ahead of it: keeps hold of what connects it, and counts what is negotiated. */
function keepPeer() {
  window.negotiations = 0;
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...args) {
      super(...args);
      window.peer = this;
      this.addEventListener("signalingstatechange", () => negotiations++);
    }
  };
}

/** Runs in the page: reads the count off each frame that is presented, some of which have half the size of `display`. */
function readCounts(display) {
  const video = document.querySelector("video#screen");
  const context = new OffscreenCanvas(192, 16).getContext("2d", { willReadFrequently: true });
  window.counts = [];
  const read = () => {
    const scale = video.videoWidth * 2 === display ? 0.5 : 1;
    context.drawImage(video, 0, 0, 192 * scale, 16 * scale, 0, 0, 192, 16);
    const { data } = context.getImageData(0, 8, 192, 1);
    let count = 0;
    for (let bit = 0; bit < 12; bit++) count |= (data[(bit * 16 + 8) * 4 + 1] > 127) << bit;
    counts.push(count);
    video.requestVideoFrameCallback(read);
  };
  video.requestVideoFrameCallback(read);
}

/** Waits until so many more counts have been presented, each after the one before it. */
async function countsGoOn(page, more) {
  const from = await page.evaluate(() => counts.length);
  const later = () => page.evaluate((from) => counts.slice(from), from);
  const presented = await until(`${more} more counts are shown`, async () => {
    const counts = await later();
    return new Set(counts).size > more && counts;
  });
  assert.deepEqual(presented, presented.toSorted((a, b) => a - b), "no picture is older than the one before it");
}

/** What the statistics panel says about the coding, which is opened for that. */
async function told(page, codec, why, patience) {
  let found;
  await until(`the panel says ${codec}: ${why}`, async () => {
    found = await page.evaluate(() => {
      const panel = document.querySelector("#stats");
      if (panel.hidden) document.querySelector("#show-stats").click();
      const figures = [...panel.querySelectorAll("dt")].map((name) => [name.innerText, name.nextSibling.innerText]);
      return Object.fromEntries(figures);
    });
    return found.codec?.startsWith(codec) && found["chosen as"] === why;
  }, patience).catch((error) => {
    throw new Error(`${error.message}; it says ${JSON.stringify(found)}`);
  });
}

/** What a new connection would leave behind, and a decoder that needed help. */
const traces = (page) =>
  page.evaluate(async () => {
    const inbound = [...(await peer.getStats()).values()].find(({ type }) => type === "inbound-rtp");
    const { keyFramesDecoded, pliCount, firCount } = inbound;
    return { negotiations, keyFrames: keyFramesDecoded, asked: pliCount + firCount };
  });

async function session(t, browser, { display, mode = display, options = [], before }) {
  const x = await xserver(t, display);
  if (mode !== display) {
    await addMode(x, mode);
    await setMode(x, mode);
  }
  const desk = tk(t, x, counting(...mode.split("x")));
  await desk.shown();
  const farpane = share(t, ["--display", x.display, "--accept", ...options], { before });
  const page = await browser.view(t, (await farpane.event("ready")).url, "live", { first: keepPeer });
  await page.evaluate(readCounts, Number(display.split("x")[0]));
  const tell = (command) => desk.child.stdin.write(`${command}\n`);
  return { x, page, tell };
}

/** What starts a program that has one CPU to itself, or shares it. */
function onOneCpu() {
  const [, cpu] = /^Cpus_allowed_list:\s*(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"));
  return ["taskset", "-c", cpu];
}

const SHARPEST = "the sharpest that the browser shows";

inBrowsers("a page becomes a film and a page again", { needs: ["H264", "4:4:4"] }, async (t, browser) => {
  const { page, tell } = await session(t, browser, { display: "800x600" });
  await told(page, "H264, 4:4:4", SHARPEST);
  await untilSharp(page);
  const before = await traces(page);
  tell("set film 1");
  await told(page, "H264, 4:2:0", "best for a film");
  await countsGoOn(page, 20);
  assert.ok(await isPurple(page));
  tell("set film 0");
  await told(page, "H264, 4:4:4", SHARPEST);
  await countsGoOn(page, 20);
  await untilSharp(page);
  // One key frame each way, and nobody asked for one.
  assert.deepEqual(await traces(page), { ...before, keyFrames: before.keyFrames + 2 });
  assert.equal(await stateOf(page), "live");
});

inBrowsers("a film that takes too long is coded at half its size", { needs: ["H264", "4:4:4"] }, async (t, browser) => {
  const { page, tell } = await session(t, browser, { display: "3840x2160", before: onOneCpu() });
  await told(page, "H264, 4:4:4", SHARPEST);
  const seen = () =>
    page.evaluate(() => {
      const video = document.querySelector("video#screen");
      const { x, y, width, height } = video.getBoundingClientRect();
      return { coded: [video.videoWidth, video.videoHeight], place: [x, y, width, height] };
    });
  const { place } = await seen();
  tell("set film 1");
  await told(page, "H264, 4:2:0", "best for a film, at half size to keep up", 240_000);
  await countsGoOn(page, 10);
  assert.deepEqual(await seen(), { coded: [1920, 1080], place });
  tell("set film 0");
  await told(page, "H264, 4:4:4", SHARPEST, 60_000);
  await countsGoOn(page, 10);
  assert.deepEqual(await seen(), { coded: [3840, 2160], place });
  const { negotiations } = await traces(page);
  assert.equal(negotiations, 2, "one offer and one answer");
});

inBrowsers("what takes too long to code gives way to what takes less", { needs: ["4:4:4"] }, async (t, browser) => {
  // Noise of this size takes some 200 ms a picture.
  const slow = { display: "2048x1152", options: ["--codec", "av1"], before: onOneCpu() };
  const { page, tell } = await session(t, browser, slow);
  await told(page, "AV1, 4:4:4", SHARPEST);
  tell("set film 1");
  // After 25 pictures that are late; each may take seconds where others are at work too.
  await told(page, "AV1, 4:2:0", "sharper ones are too slow here", 240_000);
  await countsGoOn(page, 10);
  const { negotiations } = await traces(page);
  assert.equal(negotiations, 2, "one offer and one answer");
  assert.equal(await stateOf(page), "live");
});

inBrowsers("a display that outgrows H.264 goes on in AV1", { needs: ["H264", "4:4:4"] }, async (t, browser) => {
  const { x, page, tell } = await session(t, browser, { display: "4096x640", mode: "800x600" });
  await told(page, "H264, 4:4:4", SHARPEST);
  const before = await traces(page);
  await setMode(x, "4096x640");
  await told(page, "AV1, 4:4:4", "a better one failed");
  await countsGoOn(page, 20);
  tell("after cancel $next");
  await untilSharp(page);
  assert.deepEqual(await traces(page), { ...before, keyFrames: before.keyFrames + 1 });
  assert.equal(await stateOf(page), "live");
});
