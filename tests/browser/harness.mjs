// The host's side of the tests: an X server, programs in it, the farpane command, and ways to look at each.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
export const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
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
export function start(test, command, args, options = {}) {
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

/** Gives the display another mode; its own is the largest. */
export async function addMode(x, mode) {
  const [width, height] = mode.split("x").map(Number);
  const timings = [30, width, width + 1, width + 2, width + 3, height, height + 1, height + 2, height + 3].map(String);
  await run(x, "xrandr", ["--newmode", mode, ...timings]);
  await run(x, "xrandr", ["--addmode", "screen", mode]);
}

export const setMode = (x, mode) => run(x, "xrandr", ["--output", "screen", "--mode", mode]);

/** A Tk program from a script; its standard output is its log. */
export function tk(test, x, script) {
  const wish = program(test, x, "wish", []);
  wish.child.stdin.write(`${script}\nupdate\nputs shown\nflush stdout\n`);
  return { ...wish, shown: () => until("the Tk program is shown", () => wish.lines.includes("shown")) };
}

/** `farpane share --json`, on any free port. */
export function share(test, args, options = {}) {
  const { listen = "127.0.0.1:0", ...rest } = options;
  return command(test, ["share", "--json", "--listen", listen, ...args], rest);
}

/** `farpane stream --json`. */
export const stream = (test, args) => command(test, ["stream", "--json", ...args]);

function command(test, args, { before = [], ...rest } = {}) {
  if (!existsSync(farpane)) throw new Error(`${farpane} is not there: run cargo build -p farpane`);
  const line = [...before, farpane, ...args];
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

/** Peak signal-to-noise ratio of each channel, in dB. */
export function psnr(a, b) {
  if (a.width !== b.width || a.height !== b.height) return [0, 0, 0];
  const error = [0, 0, 0];
  for (let at = 0; at < a.rgb.length; at++) error[at % 3] += (a.rgb[at] - b.rgb[at]) ** 2;
  return error.map((sum) => (sum === 0 ? 99 : 10 * Math.log10((255 * 255 * a.width * a.height) / sum)));
}

export function scratch(test) {
  const folder = mkdtempSync(join(tmpdir(), "farpane-"));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
