// What the browser tests share: an X server, programs in it, the farpane command, a Chromium, and ways to look at each.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import puppeteer from "puppeteer-core";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
const farpane = process.env.FARPANE_BIN ?? join(target, "debug", "farpane");

/** No single thing in these tests takes longer, even on a busy machine. */
const PATIENCE = 30_000;

/** Asks until the answer is true, at the pace of the page's or the program's own events where there are any. */
export async function until(what, question, patience = PATIENCE) {
  const deadline = Date.now() + patience;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`gave up waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Ends a child, or with its pid made negative its whole group; that it ended by itself just now is fine. */
function kill(child, pid = child.pid) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

/** A child process whose output is kept line by line; ended by pid with the test. */
function start(test, command, args, options = {}) {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], ...options });
  const lines = [];
  const errors = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  createInterface({ input: child.stderr }).on("line", (line) => errors.push(line));
  const exited = once(child, "exit").then(([code, signal]) => ({ code, signal }));
  child.on("error", (error) => errors.push(String(error)));
  test.after(async () => {
    // A wrapper such as faketime does not take its program with it; their group is ended whole.
    kill(child, options.detached ? -child.pid : child.pid);
    await exited;
  });
  return { child, lines, errors, exited };
}

/** An X server of its own, without a window manager. */
export async function xserver(test, size = "1280x720", extra = []) {
  const child = spawn("Xvfb", ["-displayfd", "3", "-screen", "0", `${size}x24`, "-nolisten", "tcp", "-noreset", ...extra], {
    stdio: ["ignore", "ignore", "ignore", "pipe"],
  });
  const exited = once(child, "exit");
  test.after(async () => {
    kill(child);
    await exited;
  });
  const [number] = await once(createInterface({ input: child.stdio[3] }), "line");
  return { display: `:${number}`, child, exited };
}

/** A program on that display. */
export function program(test, x, command, args, options = {}) {
  return start(test, command, args, { ...options, env: { ...process.env, DISPLAY: x.display } });
}

/** Runs a program on that display to its end and returns what it printed. */
export async function run(x, command, args) {
  const child = spawn(command, args, { env: { ...process.env, DISPLAY: x.display }, stdio: ["ignore", "pipe", "pipe"] });
  const out = [];
  const errors = [];
  child.stdout.on("data", (data) => out.push(data));
  child.stderr.on("data", (data) => errors.push(data));
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} failed: ${Buffer.concat(errors)}`);
  return Buffer.concat(out);
}

/** A Tk program from a script; its standard output is its log. */
export function tk(test, x, script) {
  const wish = program(test, x, "wish", []);
  wish.child.stdin.write(`${script}\nupdate\nputs shown\nflush stdout\n`);
  return { ...wish, shown: () => until("the Tk program is shown", () => wish.lines.includes("shown")) };
}

/** `farpane share --json`, on any free port. */
export function share(test, args, options = {}) {
  const { before = [], listen = "127.0.0.1:0", ...rest } = options;
  if (!existsSync(farpane)) throw new Error(`${farpane} is not there: run cargo build -p farpane`);
  const line = [...before, farpane, "share", "--json", "--listen", listen, ...args];
  const shared = start(test, line[0], line.slice(1), { detached: before.length > 0, ...rest });
  const events = () => shared.lines.map((text) => JSON.parse(text));
  /** The nth (from 1) event of a kind. */
  const event = (kind, nth = 1, patience = PATIENCE) =>
    until(
      `farpane says ${kind} (it said ${shared.lines.join(" ")} ${shared.errors.join(" ")})`,
      () => events().filter((event) => event.event === kind)[nth - 1],
      patience,
    );
  return { ...shared, events, event };
}

let shared;

/** One Chromium for all tests of a file; each gets a context of its own. */
export async function browser(options = {}) {
  shared ??= chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
    ...options,
  });
  return shared;
}

export async function closeBrowser() {
  await (await shared)?.close();
  shared = undefined;
}

/** For the end of a test file. */
export async function end() {
  await closeBrowser();
  // Whatever a killed program left open must not keep this process; everything has been reported by now.
  setTimeout(() => process.exit(), 2_000).unref();
}

/** Opens a page and waits for a state of it, if one is given. */
export async function view(test, url, state, viewport = { width: 1280, height: 720 }) {
  const context = await (await browser()).newContext({ viewport });
  test.after(() => context.close().catch(() => {}));
  const page = await context.newPage();
  await page.goto(url);
  if (state) await reach(page, state);
  return page;
}

/** The same in a Firefox of its own, driven over WebDriver BiDi. */
export async function firefox(test, url, state, viewport = { width: 1280, height: 720 }) {
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr",
    headless: true,
  });
  test.after(() => browser.close());
  const page = await browser.newPage();
  await page.setViewport(viewport);
  await page.goto(url);
  if (state) {
    let found;
    const there = async () => (found = await page.evaluate(() => document.body.dataset.state)) === state;
    await until(`the page is ${state}`, there).catch((error) => {
      throw new Error(`${error.message}; it is ${found}`);
    });
  }
  return page;
}

export async function reach(page, state) {
  await page.waitForFunction((state) => document.body.dataset.state === state, state, { timeout: PATIENCE }).catch(async () => {
    const found = await page.evaluate(() => `${document.body.dataset.state}: ${document.body.innerText}`);
    throw new Error(`the page did not come to be ${state}; it is ${found}`);
  });
}

/** What the page says, as a person reads it. */
export const words = (page) => page.evaluate(() => document.body.innerText);

/** The X screen as packed RGB, by way of xwd. */
export async function screen(x) {
  const dump = await run(x, "xwd", ["-root", "-silent"]);
  const field = (index) => dump.readUInt32BE(index * 4);
  const [header, width, height, lsb, stride, colours] = [field(0), field(4), field(5), field(7) === 0, field(12), field(19)];
  if (field(11) !== 32 || !lsb) throw new Error("xwd wrote a format that this test does not read");
  const rgb = Buffer.alloc(width * height * 3);
  let at = header + colours * 12;
  for (let y = 0, to = 0; y < height; y++, at += stride) {
    for (let from = at; from < at + width * 4; from += 4) {
      rgb[to++] = dump[from + 2];
      rgb[to++] = dump[from + 1];
      rgb[to++] = dump[from];
    }
  }
  return { width, height, rgb };
}

/** The picture that the page shows, as packed RGB in the stream's own size. */
export async function picture(page) {
  const { width, height, data } = await page.evaluate(async () => {
    const video = document.querySelector("video#screen");
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const url = await new Promise((resolve) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.readAsDataURL(new Blob([data]));
    });
    return { width: canvas.width, height: canvas.height, data: url.slice(url.indexOf(",") + 1) };
  });
  const rgba = Buffer.from(data, "base64");
  const rgb = Buffer.alloc(width * height * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from];
    rgb[to++] = rgba[from + 1];
    rgb[to++] = rgba[from + 2];
  }
  return { width, height, rgb };
}

/** Peak signal-to-noise ratio of each channel, in dB. */
export function psnr(a, b) {
  if (a.width !== b.width || a.height !== b.height) return [0, 0, 0];
  const error = [0, 0, 0];
  for (let at = 0; at < a.rgb.length; at++) error[at % 3] += (a.rgb[at] - b.rgb[at]) ** 2;
  return error.map((sum) => (sum === 0 ? 99 : 10 * Math.log10((255 * 255 * a.width * a.height) / sum)));
}

/** Frames shown so far. */
export const shownFrames = (page) => page.evaluate(() => document.querySelector("video#screen").getVideoPlaybackQuality().totalVideoFrames);

/** Where on the page a pixel of the remote picture is. */
export async function place(page, x, y) {
  return page.evaluate(
    ([x, y]) => {
      const video = document.querySelector("video#screen");
      const box = video.getBoundingClientRect();
      const scale = Math.min(box.width / video.videoWidth, box.height / video.videoHeight);
      return {
        x: box.x + (box.width - video.videoWidth * scale) / 2 + (x + 0.5) * scale,
        y: box.y + (box.height - video.videoHeight * scale) / 2 + (y + 0.5) * scale,
      };
    },
    [x, y],
  );
}

export function scratch(test) {
  const folder = mkdtempSync(join(tmpdir(), "farpane-"));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
