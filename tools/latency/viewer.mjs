// The viewer: headless Chromium with a page of the system under test, and the script that reads the strip in it.

import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { decode, SQUARE, STRIP } from './strip.mjs';

const SCREEN = { width: 1920, height: 1080 };

/**
 * Starts Chromium, on netlab's far side if `linked` to `origin`. It talks to us over a pipe, so no byte of that crosses
 * the loopback interface or the link. What browsers allow on secure pages only, as WebCodecs, they allow on 127.0.0.1;
 * so that peers need no certificate, it is allowed on `origin` as well.
 */
export function launch(linked, origin) {
  const args = '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking';
  const more = '--disable-component-update --disable-sync --autoplay-policy=no-user-gesture-required';
  const executablePath = linked ? fileURLToPath(new URL('chromium-at-viewer', import.meta.url)) : '/usr/bin/chromium';
  const trusted = linked ? [`--unsafely-treat-insecure-origin-as-secure=${origin}`] : [];
  return chromium.launch({ executablePath, args: [...`${args} ${more}`.split(' '), ...trusted] });
}

/** One page that shows the remote screen in the element `selector`. */
export class Viewer {
  #page;
  #selector;

  /**
   * Opens `url` and waits for the first readable picture; `connectMs` counts from the start of navigation. Without
   * one, what the page shows instead goes to the PNG file `failure`.
   */
  static async open(browser, { url, selector, webrtc = true }, ms, failure) {
    const viewer = new Viewer();
    viewer.#selector = selector;
    viewer.#page = await browser.newPage({ viewport: SCREEN, ignoreHTTPSErrors: true });
    const script = `(${record})(${JSON.stringify({ selector, strip: STRIP, screen: SCREEN })}, ${decode})`;
    await viewer.#page.addInitScript({ content: script });
    if (!webrtc) await viewer.#page.addInitScript({ content: 'delete window.RTCPeerConnection' });
    await viewer.#page.goto(url, { waitUntil: 'commit' });
    const state = await viewer.#page.evaluate((limit) => window.latencyProbe.connected(limit), ms);
    if (state.connectMs === undefined) {
      await viewer.#page.screenshot({ path: failure });
      throw new Error(`no picture within ${ms / 1000} s (page state ${state.page}), see ${failure}`);
    }
    viewer.connectMs = state.connectMs;
    return viewer;
  }

  /** Everything seen since the last call: `[ms since the epoch, ticks, clicks]` of each new code, oldest first. */
  samples() {
    return this.#page.evaluate(() => window.latencyProbe.take());
  }

  /** What the browser has counted of video over WebRTC: `{ received, lost, keyFrames }`; null without WebRTC. */
  received() {
    return this.#page.evaluate(() => window.latencyProbe.received());
  }

  /** Puts the pointer on the click square. */
  async pointAtSquare() {
    const at = await this.#page.evaluate(place, { selector: this.#selector, square: SQUARE, screen: SCREEN });
    await this.#page.mouse.move(at.x, at.y);
  }

  /**
   * Clicks and waits for the picture to answer. Milliseconds from the time stamp of the page's own pointer event
   * to the callback in which the new click count was read, or null after `ms` without an answer.
   */
  async click(ms) {
    // Input overtakes scripts on its way to the page, so the page must be listening first.
    await this.#page.evaluate((limit) => window.latencyProbe.expectClick(limit), ms);
    await this.#page.mouse.down();
    await this.#page.mouse.up();
    return this.#page.evaluate(() => window.latencyProbe.answer());
  }

  /** Waits for the next new code and keeps the whole picture at each of `delays` (ms, rising) after it. */
  async keepPictures(delays, ms) {
    const done = await this.#page.evaluate(([after, limit]) => window.latencyProbe.keep(after, limit), [delays, ms]);
    if (!done) throw new Error('no new picture after a page switch');
  }

  /** The pictures kept last, RGBA. */
  async pictures() {
    const urls = await this.#page.evaluate(() => window.latencyProbe.kept());
    return urls.map((url) => Buffer.from(url.slice(url.indexOf(',') + 1), 'base64'));
  }

}

/** Where the middle of the square is in the page: the picture may be scaled and centred in its element. */
function place({ selector, square, screen }) {
  const box = document.querySelector(selector).getBoundingClientRect();
  const scale = Math.min(box.width / screen.width, box.height / screen.height);
  const [left, top] = [box.x + (box.width - screen.width * scale) / 2, box.y + (box.height - screen.height * scale) / 2];
  const middle = (from) => (from + square.size / 2) * scale;
  return { x: left + middle(square.x), y: top + middle(square.y) };
}

/**
 * Runs in the page before its own scripts. A video is read in `requestVideoFrameCallback`, a canvas in the animation frame
 * that shows what was drawn on it; both are stamped with the clock then.
 *
 * Frames are asked for only when something was drawn: while a page waits for one, Chromium keeps what comes from the
 * network after a click from it until that frame, so a script that asks for all of them slows clicks down by some 10 ms.
 */
function record({ selector, strip, screen }, decode) {
  const WIDTH = strip.cell * strip.cells;
  const context = (width, height) =>
    Object.assign(document.createElement('canvas'), { width, height }).getContext('2d', { willReadFrequently: true });
  const small = context(WIDTH, strip.cell);
  let samples = [];
  let element = null;
  let last = { ticks: -1, clicks: -1 };
  let connectMs;
  let pressed = null;
  let answer;
  let watchers = [];

  // performance.now() counts evenly from a wall-clock reading at start; put it back on the wall clock of today. Being
  // held up between two readings only ever makes the difference too small.
  const counted = (at = performance.now()) => performance.timeOrigin + at;
  let wallOffset = -Infinity;
  for (let edges = 0; edges < 10; edges++) {
    const edge = Date.now();
    while (Date.now() === edge);
    wallOffset = Math.max(wallOffset, Date.now() - counted());
  }
  const wall = (at) => counted(at) + wallOffset;

  const peers = [];
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...options) {
      super(...options);
      peers.push(this);
    }
  };

  addEventListener('pointerdown', (event) => (pressed = wall(event.timeStamp)), { capture: true });

  /** Mean brightness of the middle half of each cell, so that blur at its edges does not count. */
  function levels(pixels, { stride, step, width, height }) {
    const mean = (x0, x1) => {
      let [sum, count] = [0, 0];
      for (let y = Math.floor(height / 4); y < (height * 3) / 4; y++) {
        for (let x = Math.floor(x0); x < x1; x++, count++) sum += pixels[y * stride + x * step];
      }
      return sum / count;
    };
    const cell = width / strip.cells;
    return Array.from({ length: strip.cells }, (_, i) => mean((i + 0.25) * cell, (i + 0.75) * cell));
  }

  /** Reads the strip's luma out of a video frame: drawing the video would convert all of it, some 5 ms a frame. */
  async function sampleVideo(video) {
    const now = wall();
    const frame = new VideoFrame(video);
    const [sx, sy] = [frame.displayWidth / screen.width, frame.displayHeight / screen.height];
    const even = (value) => Math.round(value / 2) * 2;
    const rect = { x: 0, y: even(strip.y * sy), width: even(WIDTH * sx), height: even(strip.cell * sy) };
    const pixels = new Uint8Array(frame.allocationSize({ rect }));
    const [{ stride }] = await frame.copyTo(pixels, { rect });
    // Planar formats begin with brightness; of packed ones the first channel will do, black and white have all alike.
    const step = /^[INY]/.test(frame.format) ? 1 : 4;
    frame.close();
    seen(now, decode(levels(pixels, { stride, step, ...rect })));
  }

  function sampleCanvas(canvas) {
    const now = wall();
    const [sx, sy] = [canvas.width / screen.width, canvas.height / screen.height];
    if (!sx || !sy) return;
    small.drawImage(canvas, 0, strip.y * sy, WIDTH * sx, strip.cell * sy, 0, 0, WIDTH, strip.cell);
    const { data } = small.getImageData(0, 0, WIDTH, strip.cell);
    seen(now, decode(levels(data, { stride: WIDTH * 4, step: 4, width: WIDTH, height: strip.cell })));
  }

  function seen(now, code) {
    if (!code || (code.ticks === last.ticks && code.clicks === last.clicks)) return;
    connectMs ??= now - performance.timeOrigin - wallOffset;
    last = code;
    samples.push([now, code.ticks, code.clicks]);
    watchers = watchers.filter((watcher) => !watcher(now, code));
  }

  // The element changes when a page goes over to another way.
  setInterval(() => {
    const found = document.querySelector(selector);
    if (found === element) return;
    element = found;
    if (element instanceof HTMLVideoElement) everyVideoFrame(element);
    if (element instanceof HTMLCanvasElement) drawn(element);
  }, 5);

  let inFrame = false;
  let awaited = false;
  const nextFrame = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (callback) =>
    nextFrame((ms) => {
      inFrame = true;
      try {
        callback(ms);
      } finally {
        inFrame = false;
      }
    });

  /** Something was drawn on a canvas: what is drawn within a frame is shown with it, anything else with the next. */
  function drawn(canvas) {
    if (canvas !== element || awaited) return;
    awaited = true;
    const look = () => {
      awaited = false;
      if (canvas === element) sampleCanvas(canvas);
    };
    if (inFrame) queueMicrotask(look);
    else nextFrame(look);
  }

  for (const [type, names] of [
    [CanvasRenderingContext2D, ['drawImage', 'putImageData', 'fillRect']],
    [ImageBitmapRenderingContext, ['transferFromImageBitmap']],
  ]) {
    for (const name of names) {
      const draw = type.prototype[name];
      type.prototype[name] = function (...args) {
        drawn(this.canvas);
        return draw.apply(this, args);
      };
    }
  }

  function everyVideoFrame(video) {
    video.requestVideoFrameCallback(() => {
      if (video !== element) return;
      sampleVideo(video);
      everyVideoFrame(video);
    });
  }

  /** What `watcher` resolves on some later code (it returns whether it has), or `otherwise()` after `limit` ms. */
  function later(limit, otherwise, watcher) {
    return new Promise((resolve) => {
      watchers.push((now, code) => watcher(resolve, now, code));
      setTimeout(() => resolve(otherwise()), limit);
    });
  }

  let kept = [];
  window.latencyProbe = {
    connected(limit) {
      const state = () => ({ connectMs, page: document.body?.dataset.state ?? 'unknown' });
      return connectMs ? state() : later(limit, state, (resolve) => (resolve(state()), true));
    },
    take() {
      const taken = samples;
      samples = [];
      return taken;
    },
    async received() {
      const reports = await Promise.all(peers.map((peer) => peer.getStats()));
      const video = reports.flatMap((report) => [...report.values()]).filter((s) => s.type === 'inbound-rtp' && s.kind === 'video');
      const sum = (key) => video.reduce((total, stats) => total + (stats[key] ?? 0), 0);
      return video.length ? { received: sum('packetsReceived'), lost: sum('packetsLost'), keyFrames: sum('keyFramesDecoded') } : null;
    },
    expectClick(limit) {
      const old = last.clicks;
      pressed = null;
      answer = later(limit, () => null, (resolve, now, code) => {
        if (code.clicks === old || pressed === null) return false;
        resolve(now - pressed);
        return true;
      });
    },
    answer() {
      return answer;
    },
    keep(delays, limit) {
      kept = [];
      return later(limit, () => false, (resolve) => {
        for (const delay of delays) {
          setTimeout(() => {
            const whole = context(screen.width, screen.height);
            whole.drawImage(element, 0, 0, screen.width, screen.height);
            kept.push(whole.getImageData(0, 0, screen.width, screen.height).data);
            if (kept.length === delays.length) resolve(true);
          }, delay);
        }
        return true;
      });
    },
    kept() {
      const read = (bytes) =>
        new Promise((resolve) => {
          const reader = new FileReader();
          reader.onload = () => resolve(reader.result);
          reader.readAsDataURL(new Blob([bytes]));
        });
      return Promise.all(kept.map(read));
    },
  };
}
