// What a viewer does arrives on the desktop as it was done: buttons, drags, wheel, keys in the host's layout.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after } from "node:test";
import { end, inBrowsers, place, press } from "./browsers.mjs";
import { program, run, scratch, share, tk, until, xserver } from "./harness.mjs";

after(end);

/** A full-screen Tk window that reports every event on a line of its own. */
const reporter = `
wm overrideredirect . 1
wm geometry . 1280x720+0+0
foreach event {ButtonPress ButtonRelease} { bind . <$event> "puts \\"$event %b %X %Y\\"; flush stdout" }
bind . <Motion> {puts "Motion %X %Y %s"; flush stdout}
bind . <KeyPress> {puts "KeyPress %K"; flush stdout}
bind . <KeyRelease> {puts "KeyRelease %K"; flush stdout}
focus -force .
`;

async function session(t, browser, script, { args = [], viewport } = {}) {
  const x = await xserver(t);
  const desk = tk(t, x, script);
  await desk.shown();
  const farpane = share(t, ["--display", x.display, "--accept", ...args]);
  const page = await browser.view(t, (await farpane.event("ready")).url, "live", { viewport });
  const said = (pattern) => until(`the desktop reports ${pattern} (it said ${desk.lines.slice(-8)})`, () => desk.lines.find((line) => pattern.test(line)));
  return { x, desk, farpane, page, said };
}

inBrowsers("buttons land on the pixel that was clicked", async (t, browser) => {
  const { page, said } = await session(t, browser, reporter);
  for (const [button, number, x, y] of [["left", 1, 100, 100], ["middle", 2, 640, 360], ["right", 3, 1279, 719], ["left", 1, 0, 0], ["left", 1, 3, 716]]) {
    const at = await place(page, x, y);
    await page.mouse.move(at.x, at.y);
    await page.mouse.down({ button });
    const line = await said(new RegExp(`^ButtonPress ${number} ${x} ${y}$`));
    await page.mouse.up({ button });
    await said(new RegExp(line.replace("ButtonPress", "ButtonRelease")));
  }
});

/** Drags from the middle of the picture to a place on the page beyond its lower right corner. */
async function dragTo(t, browser, x, y) {
  const { page, said } = await session(t, browser, reporter, { viewport: { width: 1400, height: 800 } });
  const from = await place(page, 600, 300);
  await page.mouse.move(from.x, from.y);
  await page.mouse.down();
  await said(/^ButtonPress 1 600 300$/);
  await page.mouse.move(from.x + 50, from.y + 50, { steps: 5 });
  await page.mouse.move(x, y, { steps: 5 });
  await said(/^Motion 1279 719 256$/);
  await page.mouse.up();
  await said(/^ButtonRelease 1 1279 719$/);
}

inBrowsers("a drag that leaves the picture ends at its edge and is released", (t, browser) => dragTo(t, browser, 1399, 799));

inBrowsers("so does one that leaves the window", { needs: ["a pointer beyond the window"] }, (t, browser) =>
  dragTo(t, browser, 2000, 1500),
);

inBrowsers("the wheel turns both ways and sideways", async (t, browser) => {
  const x = await xserver(t);
  // Tk does not tell of the buttons that turn sideways; xev tells of all.
  const xev = program(t, x, "xev", ["-geometry", "1280x720+0+0", "-event", "button"]);
  await run(x, "xdotool", ["search", "--sync", "--onlyvisible", "--name", "Event Tester"]);
  const farpane = share(t, ["--display", x.display, "--accept"]);
  const page = await browser.view(t, (await farpane.event("ready")).url, "live");
  const at = await place(page, 400, 400);
  await page.mouse.move(at.x, at.y);
  for (const [dx, dy, button] of [[0, 240, 5], [0, -240, 4], [240, 0, 7], [-240, 0, 6]]) {
    await page.mouse.wheel({ deltaX: dx, deltaY: dy });
    await until(`button ${button} turns (xev said ${xev.lines.slice(-6).join(" ")})`, () =>
      xev.lines.some((line) => line.includes(`button ${button},`)),
    );
  }
});

inBrowsers("text arrives as typed, with shift and AltGr, in the host's German layout", async (t, browser) => {
  const x = await xserver(t);
  await run(x, "setxkbmap", ["de"]);
  const desk = tk(t, x, "wm geometry . 600x80+0+0\nentry .e -width 60\npack .e\nfocus -force .e\nbind .e <KeyRelease> {puts \"text [.e get]\"; flush stdout}");
  await desk.shown();
  const farpane = share(t, ["--display", x.display, "--accept"]);
  const page = await browser.view(t, (await farpane.event("ready")).url, "live");
  // By their places on the keyboard: a German host reads KeyY as z, Semicolon as ö, AltGr with KeyQ as @.
  await press(page, "KeyY");
  await press(page, "KeyA", "ShiftLeft");
  await press(page, "Semicolon");
  await press(page, "KeyQ", "AltRight");
  await press(page, "Digit7", "AltRight");
  await press(page, "Minus");
  await press(page, "Digit1", "ShiftLeft");
  await until(`the text is right (it is ${desk.lines.at(-1)})`, () => desk.lines.at(-1) === "text zAö@{ß!");
});

inBrowsers("typing reaches an xterm", async (t, browser) => {
  const x = await xserver(t);
  const text = "Hello, World! (42)";
  const file = join(scratch(t), "line");
  const xterm = program(t, x, "xterm", ["-e", "sh", "-c", 'IFS= read -r line; printf %s "$line" > "$1"', "sh", file]);
  await run(x, "xdotool", ["search", "--sync", "--onlyvisible", "--class", "xterm", "windowfocus"]);
  const farpane = share(t, ["--display", x.display, "--accept"]);
  const page = await browser.view(t, (await farpane.event("ready")).url, "live");
  const at = await place(page, 100, 100);
  await page.mouse.move(at.x, at.y);
  // The test's keyboard types characters without the shift key that a person would hold.
  const shifted = { "!": "1", "(": "9", ")": "0" };
  for (const character of text) {
    const plain = shifted[character] ?? character.toLowerCase();
    await press(page, plain, ...(plain === character ? [] : ["ShiftLeft"]));
  }
  await page.keyboard.press("Enter");
  // The shell reads one line and ends, and with it the xterm.
  await xterm.exited;
  assert.equal(readFileSync(file, "utf8"), text);
});

inBrowsers("a key that is down when the page loses focus is released", async (t, browser) => {
  const { page, said } = await session(t, browser, reporter);
  await page.keyboard.down("ShiftLeft");
  await said(/^KeyPress Shift_L$/);
  await page.evaluate(() => window.dispatchEvent(new Event("blur")));
  await said(/^KeyRelease Shift_L$/);
});

inBrowsers("a key that is down when the viewer vanishes is released", async (t, browser) => {
  const { page, said } = await session(t, browser, reporter);
  await page.keyboard.down("ControlLeft");
  await said(/^KeyPress Control_L$/);
  await page.browserContext().close();
  await said(/^KeyRelease Control_L$/);
});

inBrowsers("view only: nothing the viewer does arrives", async (t, browser) => {
  const { page, desk, x } = await session(t, browser, reporter, { args: ["--view-only"] });
  const at = await place(page, 300, 300);
  await page.mouse.click(at.x, at.y);
  await page.keyboard.press("KeyA");
  // What the host's own hand does arrives after it, so that the absence of the rest is no matter of time.
  await run(x, "xdotool", ["mousemove", "50", "60", "click", "1"]);
  await until("the local click is reported", () => desk.lines.some((line) => /^ButtonPress 1 50 60/.test(line)));
  assert.equal(desk.lines.filter((line) => /^ButtonPress 1 30\d 30\d|^KeyPress/.test(line)).length, 0);
});
