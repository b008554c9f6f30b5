// Several viewers of one share: all see the same, one of them controls, and none depends on another.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { chromium, chromiumWithoutUdp, end, firefox, inBrowsers, picture, press, reach, shownFrames, stateOf, words } from "./browsers.mjs";
import { psnr, screen, share, tk, until, xserver } from "./harness.mjs";

after(end);

const desk = `
wm overrideredirect . 1
wm geometry . 1280x720+0+0
. configure -background #205080
label .text -text "nothing yet" -background white -foreground black -font {Helvetica 40}
place .text -x 100 -y 100
bind . <KeyPress> {.text configure -text "%K was pressed"; puts "KeyPress %K"; flush stdout}
focus -force .
`;

async function shared(t, viewers) {
  const x = await xserver(t);
  const desktop = tk(t, x, desk);
  await desktop.shown();
  const farpane = share(t, ["--display", x.display, "--accept", "--viewers", String(viewers)]);
  let codes = 0;
  /** Each viewer has a code of its own. */
  const join = async (browser, state = "live") =>
    browser.view(t, (await farpane.event("ready", ++codes)).url, state);
  const right = (page) =>
    until("the page shows the X screen", async () => Math.min(...psnr(await screen(x), await picture(page))) > 33);
  const pressed = (key) => until(`${key} arrives`, () => desktop.lines.includes(`KeyPress ${key}`));
  return { farpane, desktop, join, right, pressed };
}

inBrowsers("all see the desktop, and whoever came first controls it", async (t, browser) => {
  const { farpane, desktop, join, right, pressed } = await shared(t, 3);
  const first = await join(browser);
  const others = [await join(browser), await join(browser)];
  for (const page of [first, ...others]) await right(page);
  await press(others[0], "KeyB");
  await press(first, "KeyA");
  await pressed("a");
  for (const page of [first, ...others]) await right(page);
  assert.equal(farpane.events().filter(({ event }) => event === "ready").length, 3, "there is room for no fourth");

  // The others stay, and whoever comes next controls.
  await first.close();
  assert.equal((await farpane.event("disconnected")).reason, "viewer_left");
  const next = await join(browser);
  await press(others[0], "KeyB");
  await press(next, "KeyC");
  await pressed("c");
  for (const page of [next, ...others]) await right(page);
  assert.deepEqual(desktop.lines, ["shown", "KeyPress a", "KeyPress c"], "whoever watches only watches");

  farpane.child.kill("SIGINT");
  assert.equal((await farpane.exited).code, 0);
  for (const page of [next, ...others]) {
    await reach(page, "ended");
    assert.match(await words(page), /stopped/i);
  }
  assert.equal(farpane.events().filter(({ event }) => event === "disconnected").length, 4);
});

test("a browser that shows less gets what it shows, and the others get that as well", async (t) => {
  const { farpane, join, right, pressed } = await shared(t, 3);
  const first = await join(chromium);
  assert.equal((await farpane.event("connected")).codec, "H264");
  const second = await join(firefox);
  for (const page of [first, second]) await right(page);
  // Another way as well.
  const third = await join(chromiumWithoutUdp);
  assert.match((await farpane.event("connected", 3)).route, /TCP/);
  await press(first, "KeyA");
  await pressed("a");
  for (const page of [first, second, third]) await right(page);
});

test("wrong codes keep others out and leave those who view alone", async (t) => {
  const farpane = share(t, ["--display", "synthetic:clock", "--accept", "--viewers", "2"]);
  const page = await chromium.view(t, (await farpane.event("ready")).url, "live");
  const { url, code } = await farpane.event("ready", 2);
  const wrong = `${code.slice(0, 5)}${code.slice(5).replace(/[0-9A-Z]/g, (symbol) => (symbol === "7" ? "8" : "7"))}`;
  for (let attempt = 1; attempt <= 5; attempt++) {
    await chromium.view(t, `${url.slice(0, url.indexOf("#"))}#${wrong}`, "failed");
  }
  assert.match((await farpane.event("note")).text, /nobody else/);
  const before = await shownFrames(page);
  await until("the picture goes on", async () => (await shownFrames(page)) > before + 10);
  assert.equal(await stateOf(page), "live");
  await page.close();
  assert.equal((await farpane.event("error")).code, "locked");
  assert.equal((await farpane.exited).code, 1);
});
