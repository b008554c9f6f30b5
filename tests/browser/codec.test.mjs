// What pictures are coded in: the sharpest that the browser shows, and what was asked for.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { end, firefox, inBrowsers, picture, words } from "./browsers.mjs";
import { psnr, screen, share, tk, until, xserver } from "./harness.mjs";
import { isPurple, PLACE, pattern, untilSharp } from "./pattern.mjs";

after(end);

const shown = `
${pattern}
wm overrideredirect . 1
wm geometry . +${PLACE.join("+")}
label .l -image pattern -borderwidth 0 -padx 0 -pady 0 -highlightthickness 0
pack .l
`;

async function session(t, browser, options) {
  const x = await xserver(t, "800x600");
  await tk(t, x, shown).shown();
  const farpane = share(t, ["--display", x.display, "--accept", ...options]);
  const page = await browser.view(t, (await farpane.event("ready")).url, "live");
  const { codec, chroma } = await farpane.event("connected");
  return { x, page, format: [codec, chroma] };
}

for (const codec of ["H264", "AV1"]) {
  const options = ["--codec", codec.toLowerCase()];

  inBrowsers(`red and blue a pixel wide survive ${codec}`, { needs: [codec, "4:4:4"] }, async (t, browser) => {
    const { page, format } = await session(t, browser, options);
    assert.deepEqual(format, [codec, "4:4:4"]);
    await untilSharp(page);
  });

  inBrowsers(`half the colour is what was asked for, in ${codec}`, { needs: [codec] }, async (t, browser) => {
    const { x, page, format } = await session(t, browser, [...options, "--chroma", "420"]);
    assert.deepEqual(format, [codec, "4:2:0"]);
    // Everything else is as sharp as it gets; the pattern is purple.
    await until("the picture rests", async () => psnr(await screen(x), await picture(page))[1] > 20);
    assert.ok(await isPurple(page));
  });
}

test("a codec that the browser lacks is refused by name", async (t) => {
  const x = await xserver(t, "320x240");
  const farpane = share(t, ["--display", x.display, "--accept", "--codec", "h264"]);
  const page = await firefox.view(t, (await farpane.event("ready")).url, "failed");
  assert.match(await words(page), /no video codec/);
  assert.equal((await farpane.event("refused")).reason, "no_codec");
});
