// What pictures are coded in: sharp colour where the browser shows it, AV1 where it has no H.264, and what was asked for.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { end, firefox, picture, place, program, psnr, run, screen, share, tk, until, view, xserver } from "./harness.mjs";

after(end);

/** Lines a pixel wide, red beside blue: where colour has half the resolution they become one purple. */
const stripes = `
wm overrideredirect . 1
wm geometry . 240x120+200+100
canvas .c -width 240 -height 120 -highlightthickness 0 -borderwidth 0
for {set x 0} {$x < 240} {incr x} {
    .c create rectangle $x 0 [expr {$x + 1}] 120 -width 0 -fill [expr {$x % 2 ? "#0000ff" : "#ff0000"}]
}
pack .c
`;

/** How far the pixels of the pattern are from what they should be at most. */
async function farthest(page) {
  const { width, rgb } = await picture(page);
  let most = 0;
  for (let y = 110; y < 210; y++) {
    for (let x = 202; x < 438; x++) {
      const wanted = x % 2 ? [0, 0, 255] : [255, 0, 0];
      for (let c = 0; c < 3; c++) most = Math.max(most, Math.abs(rgb[(y * width + x) * 3 + c] - wanted[c]));
    }
  }
  return most;
}

async function session(t, options, open = view) {
  const x = await xserver(t, "800x600");
  await tk(t, x, stripes).shown();
  const farpane = share(t, ["--display", x.display, "--accept", ...options]);
  const page = await open(t, (await farpane.event("ready")).url, "live");
  return { x, farpane, page, connected: await farpane.event("connected") };
}

test("red and blue lines a pixel wide survive", async (t) => {
  for (const codec of ["H264", "AV1"]) {
    const { page, connected } = await session(t, ["--codec", codec.toLowerCase()]);
    assert.deepEqual([connected.codec, connected.chroma], [codec, "4:4:4"]);
    let most;
    await until(`the ${codec} picture is sharp`, async () => (most = await farthest(page)) <= 24).catch((error) => {
      throw new Error(`${error.message}: off by ${most}`);
    });
  }
});

test("half the colour is what was asked for", async (t) => {
  for (const codec of ["H264", "AV1"]) {
    const { x, page, connected } = await session(t, ["--codec", codec.toLowerCase(), "--chroma", "420"]);
    assert.deepEqual([connected.codec, connected.chroma], [codec, "4:2:0"]);
    // Everything else is as sharp as it gets; the lines are purple.
    await until("the picture rests", async () => psnr(await screen(x), await picture(page))[1] > 20);
    assert.ok((await farthest(page)) > 90);
  }
});

test("a codec that the browser lacks is refused by name", async (t) => {
  const x = await xserver(t, "320x240");
  const farpane = share(t, ["--display", x.display, "--accept", "--codec", "h264"]);
  const page = await firefox(t, (await farpane.event("ready")).url);
  await until("the page gives up", () => page.evaluate(() => document.body.dataset.state === "failed"));
  const words = await page.evaluate(() => document.body.innerText);
  assert.match(words, /no video codec/);
  assert.equal((await farpane.event("refused")).reason, "no_codec");
});

test("Firefox shows the desktop and controls it", async (t) => {
  const { x, farpane, page, connected } = await session(t, [], firefox);
  assert.equal(connected.codec, "AV1");
  const xterm = program(t, x, "xterm", ["-geometry", "60x10+10+300", "-e", "cat"]);
  await until("the xterm is there", async () => (await run(x, "xdotool", ["search", "--class", "xterm"]).catch(() => "")).length > 0);
  await until("the page shows the X screen", async () => psnr(await screen(x), await picture(page))[1] >= 34);
  const before = await screen(x);
  const at = await place(page, 100, 380);
  await page.mouse.click(at.x, at.y);
  await page.keyboard.type("hello");
  await until("what was typed shows", async () => {
    const now = await screen(x);
    return !now.rgb.equals(before.rgb) && psnr(now, await picture(page))[1] >= 34;
  });
  assert.equal(farpane.events().filter((event) => event.event === "disconnected").length, 0);
  assert.equal(xterm.child.exitCode, null);
});
