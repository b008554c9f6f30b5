// The viewer's side of the tests: the browsers, what each of them lacks, and what a page in them shows.
import { once } from "node:events";
import { test } from "node:test";
import puppeteer from "puppeteer-core";
import { until } from "./harness.mjs";

/** One browser for all tests of a file, started when it is first wanted; each page gets a context of its own. */
export class Browser {
  #running;

  /** `format` is what it is shown when nobody asks for another; `lacks` says why it cannot do what others can. */
  constructor(name, format, lacks, options) {
    Object.assign(this, { name, lacks, options, codec: format[0], chroma: format[1] });
  }

  /** Opens a page, runs `first` in it ahead of its own scripts, and waits for a state of it, if one is given. */
  async view(t, url, state, { viewport = { width: 1280, height: 720 }, first } = {}) {
    this.#running ??= puppeteer.launch({ headless: true, acceptInsecureCerts: true, ...this.options });
    const context = await (await this.#running).createBrowserContext();
    t.after(() => context.close().catch(() => {}));
    // In a window of its own, as a tab would hide those before it.
    const page = await context.newPage({ type: "window" });
    await page.setViewport(viewport);
    if (first) await page.evaluateOnNewDocument(first);
    await page.goto(url);
    if (state) await reach(page, state);
    return page;
  }

  /** Ends it without a chance to say goodbye to anybody. */
  async kill() {
    const child = (await this.#running).process();
    const exited = once(child, "exit");
    // It leads a group of all its processes.
    process.kill(-child.pid, "SIGKILL");
    await exited;
    await this.close();
  }

  async close() {
    const running = this.#running;
    this.#running = undefined;
    await (await running)?.close().catch(() => {});
  }
}

export const chromium = new Browser("Chromium", ["H264", "4:4:4"], {}, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  pipe: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-component-update"],
});

/** The same in a network that lets no UDP through: it opens no UDP sockets, and its TCP connections are for passive ends only. */
export const chromiumWithoutUdp = new Browser("Chromium without UDP", ["H264", "4:4:4"], {}, {
  ...chromium.options,
  args: [...chromium.options.args, "--webrtc-ip-handling-policy=disable_non_proxied_udp"],
});

export const firefox = new Browser(
  "Firefox",
  ["AV1", "4:2:0"],
  {
    H264: "takes H.264 by a plugin that it would have to download",
    "H.264 by WebCodecs": "takes H.264 by a plugin that it would have to download",
    "4:4:4": "shows AV1 in 4:2:0 only",
    "a way by 127.0.0.1": "does not connect by it",
    "a pointer beyond the window": "refuses to be driven beyond the window",
  },
  { browser: "firefox", executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr" },
);

const browsers = [chromium, firefox];

/** A test of its own in each browser; one that lacks what the test needs says so. */
export function inBrowsers(name, options, body = options) {
  const { needs = [] } = options;
  for (const browser of browsers) {
    const missing = needs.find((need) => need in browser.lacks);
    const skip = missing && `${browser.name} ${browser.lacks[missing]}`;
    test(`${name} (${browser.name})`, { skip }, (t) => body(t, browser));
  }
}

/** For the end of a test file. */
export async function end() {
  await Promise.all([...browsers, chromiumWithoutUdp].map((browser) => browser.close()));
  // Whatever a killed program left open must not keep this process; everything has been reported by now.
  setTimeout(() => process.exit(), 2_000).unref();
}

export async function reach(page, state) {
  let found;
  const there = async () => (found = await stateOf(page)) === state;
  await until(`the page is ${state}`, there).catch(async (error) => {
    throw new Error(`${error.message}; it is ${found}: ${await words(page)}`);
  });
}

export const stateOf = (page) => page.evaluate(() => document.body.dataset.state);

/** What the page says, as a person reads it. */
export const words = (page) => page.evaluate(() => document.body.innerText);

/** The picture that the page shows, or a part of it, as packed RGB in the stream's own size. */
export async function picture(page, part) {
  const { width, height, data } = await page.evaluate(async (part) => {
    const screen = document.querySelector("#screen");
    // A video, or the canvas of a stream.
    const [x, y, width, height] = part ?? [0, 0, screen.videoWidth ?? screen.width, screen.videoHeight ?? screen.height];
    const context = new OffscreenCanvas(width, height).getContext("2d");
    context.drawImage(screen, x, y, width, height, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    const url = await new Promise((resolve) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.readAsDataURL(new Blob([data]));
    });
    return { width, height, data: url.slice(url.indexOf(",") + 1) };
  }, part);
  const rgba = Buffer.from(data, "base64");
  const rgb = Buffer.alloc(width * height * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from];
    rgb[to++] = rgba[from + 1];
    rgb[to++] = rgba[from + 2];
  }
  return { width, height, rgb };
}

/** How many frames have been shown, once there is another. Firefox's playback quality counts none of a stream. */
export const shownFrames = (page) =>
  page.evaluate(
    () =>
      new Promise((resolve) => {
        const video = document.querySelector("video#screen");
        video.requestVideoFrameCallback((_, { presentedFrames }) => resolve(presentedFrames));
      }),
  );

/** Where on the page a pixel of the remote picture is; whole, as WebDriver points at nothing finer. */
export async function place(page, x, y) {
  return page.evaluate(
    ([x, y]) => {
      const screen = document.querySelector("#screen");
      const [width, height] = [screen.videoWidth ?? screen.width, screen.videoHeight ?? screen.height];
      const box = screen.getBoundingClientRect();
      const scale = Math.min(box.width / width, box.height / height);
      return {
        x: Math.floor(box.x + (box.width - width * scale) / 2 + (x + 0.5) * scale),
        y: Math.floor(box.y + (box.height - height * scale) / 2 + (y + 0.5) * scale),
      };
    },
    [x, y],
  );
}

/** Presses a key, named by its place or its character, while modifiers are held. */
export async function press(page, key, ...modifiers) {
  for (const modifier of modifiers) await page.keyboard.down(modifier);
  await page.keyboard.press(key);
  for (const modifier of modifiers) await page.keyboard.up(modifier);
}
