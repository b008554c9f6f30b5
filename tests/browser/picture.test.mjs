// The page shows what the X screen shows, and goes on doing so when the screen changes size.
import assert from "node:assert/strict";
import { after } from "node:test";
import { end, inBrowsers, picture, shownFrames } from "./browsers.mjs";
import { addMode, program, psnr, screen, setMode, share, tk, until, xserver } from "./harness.mjs";

after(end);

/**
 * Per channel, on a still page. Text is black on white and coloured areas are large; 4:2:0 halves the colour resolution
 * at their edges, which is what keeps red and blue below green.
 */
const SHARP = { red: 32, green: 36, blue: 30 };

const patches = `
wm overrideredirect . 1
wm geometry . 500x400+700+40
foreach {colour row} {red 0 green 1 blue 2 white 3 black 4 #808080 5} {
    frame .c$row -background $colour -width 160 -height 60
    grid .c$row -row $row -column 0
    label .t$row -text "The quick brown fox 0123456789" -background white -foreground black
    grid .t$row -row $row -column 1
}
`;

async function sharp(x, page, limits = SHARP) {
  let best;
  await until(
    `the page shows the X screen (best so far: ${best})`,
    async () => {
      best = psnr(await screen(x), await picture(page));
      return best[0] >= limits.red && best[1] >= limits.green && best[2] >= limits.blue;
    },
  ).catch((error) => {
    throw new Error(`${error.message}; PSNR of red, green, blue is ${best?.map((db) => db.toFixed(1))}`);
  });
}

const pictureSize = (page) =>
  page.evaluate(() => {
    const { videoWidth, videoHeight } = document.querySelector("video#screen");
    return `${videoWidth}x${videoHeight}`;
  });

inBrowsers("a still desktop with an xterm and a Tk program", async (t, browser) => {
  const x = await xserver(t);
  program(t, x, "xterm", ["-geometry", "100x40+10+10", "-e", "sh", "-c", "seq 1 2000; exec cat"]);
  await tk(t, x, patches).shown();
  const farpane = share(t, ["--display", x.display, "--accept"]);
  const { url } = await farpane.event("ready");
  const page = await browser.view(t, url, "live");
  const { codec, chroma, route } = await farpane.event("connected");
  assert.deepEqual([codec, chroma], [browser.codec, browser.chroma]);
  assert.match(route, /direct, UDP/);
  await sharp(x, page);
  assert.equal(await page.evaluate(() => location.hash), "", "the code is gone from the address bar");
});

inBrowsers("a display that changes size is followed without reconnecting", async (t, browser) => {
  const x = await xserver(t, "1280x1024");
  program(t, x, "xterm", ["-geometry", "60x20+10+10", "-e", "sh", "-c", "seq 1 2000; exec cat"]);
  const farpane = share(t, ["--display", x.display, "--accept"]);
  const page = await browser.view(t, (await farpane.event("ready")).url, "live");
  for (const mode of ["800x600", "640x480"]) await addMode(x, mode);
  for (const size of ["800x600", "1280x1024", "640x480"]) {
    await setMode(x, size);
    await until(`the picture is ${size}`, async () => (await pictureSize(page)) === size);
    await sharp(x, page);
  }
  assert.equal(farpane.events().filter((event) => event.event === "connected").length, 1);
});

inBrowsers("without DAMAGE and without MIT-SHM it says so and still works", async (t, browser) => {
  const x = await xserver(t, "640x480", ["-extension", "DAMAGE", "-extension", "MIT-SHM"]);
  const farpane = share(t, ["--display", x.display, "--accept"]);
  const { url } = await farpane.event("ready");
  const notes = farpane.events().filter((event) => event.event === "note").map((event) => event.text).join(" ");
  assert.match(notes, /DAMAGE/);
  assert.match(notes, /SHM/);
  const page = await browser.view(t, url, "live");
  await tk(t, x, patches.replace("+700+40", "+20+20")).shown();
  await sharp(x, page);
});

inBrowsers("a drawn scene needs no X server", async (t, browser) => {
  const farpane = share(t, ["--display", "synthetic:scroll", "--accept"], { env: { PATH: process.env.PATH } });
  const page = await browser.view(t, (await farpane.event("ready")).url, "live");
  const before = await shownFrames(page);
  await until("the scene moves", async () => (await shownFrames(page)) > before + 20);
});

inBrowsers("an idle desktop sends next to nothing", async (t, browser) => {
  const x = await xserver(t);
  const farpane = share(t, ["--display", x.display, "--accept"]);
  const page = await browser.view(t, (await farpane.event("ready")).url, "live");
  await sharp(x, page);
  const { captured } = await farpane.event("stats");
  // Refinements end by themselves; then no frame is captured and none is sent.
  const still = await until("a second passes without a frame", () => {
    const stats = farpane.events().filter((event) => event.event === "stats");
    return stats.length > 2 && stats.at(-1).fps === 0 && stats.at(-1);
  });
  assert.ok(still.captured - captured <= 2, "nothing was captured while nothing changed");
});
