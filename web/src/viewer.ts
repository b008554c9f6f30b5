// The live picture: one admitted session with its input, cursor, clock and statistics around the screen.
import { HostClock } from "./clock";
import { Cursor } from "./cursor";
import { onPicture, type Placement, place, type Size, toPosition } from "./fit";
import {
  type Admitted,
  type ControlMessage,
  EndReason,
  type Hello,
  type PathReport,
  type StreamFormat,
} from "./gen/farpane_pb";
import { Input } from "./input";
import { sendKeyboard } from "./keyboard";
import { Overlay } from "./overlay";
import { sendPointer } from "./pointer";
import { Screen } from "./screen";
import { Session } from "./session";
import type { Meeting } from "./signal";
import { type BrowserCounts, FrameStats } from "./stats";
import { Toolbar } from "./toolbar";
import { judge, Watch } from "./trouble";
import { showTrouble, ui } from "./ui";
import { troubleWords } from "./words";

export interface ViewerHandlers {
  live(): void;
  interrupted(): void;
  ended(reason: EndReason, detail: string): void;
  failed(why: "no path" | "bad answer"): void;
}

const TICK_MS = 1000;
/** The overlay shows medians over this long, and trouble is looked for in it. */
const RECENT_US = 2_000_000;
/** So many in a row without a frame, although the host sends, and the decoder is stuck. */
const STALLED_TICKS = 2;
/** The first pings follow each other at once, so that the clock is good from the start. */
const FIRST_PINGS = 5;

export class Viewer {
  readonly #session: Session;
  readonly #screen: Screen;
  readonly #input: Input;
  readonly #cursor: Cursor;
  readonly #clock = new HostClock();
  readonly #frames = new FrameStats(this.#clock, RECENT_US);
  readonly #overlay = new Overlay(ui.stats);
  readonly #watch = new Watch();
  readonly #stop = new AbortController();
  readonly #handlers: ViewerHandlers;
  #placement: Placement = { left: 0, top: 0, width: 1, height: 1, scale: 1 };
  #fill = false;
  #shown = false;
  #ticking = false;
  #pongs = 0;
  #framesSinceTick = 0;
  #sentSinceTick = 0;
  #stalledTicks = 0;
  #reported: BrowserCounts | undefined;
  #drawn: { readonly counts: BrowserCounts; readonly us: number } | undefined;
  #hello: Hello | undefined;
  #path: PathReport | undefined;
  /** When the host last told of the path. */
  #pathUs = 0;
  /** Since when the host owes an answer. */
  #askedUs: number | undefined;

  /** Begins to connect through `meeting`; a stream may come in one of `formats`. */
  constructor(meeting: Meeting, formats: StreamFormat[], { viewOnly }: Admitted, handlers: ViewerHandlers) {
    this.#handlers = handlers;
    this.#screen = new Screen(
      ui.video,
      {
        shown: (frame) => {
          this.#framesSinceTick++;
          if (frame !== undefined) this.#frames.shown(frame);
          if (!this.#shown) this.#begin();
        },
        resized: () => this.#layout(),
      },
      this.#stop.signal,
    );
    this.#cursor = new Cursor(ui.stage, ui.remoteCursor, viewOnly);
    this.#session = new Session(meeting, formats, this.#screen, {
      ready: () => this.#ready(),
      leaving: () => this.#input.releaseAll(),
      control: (message) => this.#control(message),
      cursor: (message) => this.#cursor.handle(message),
      stats: ({ frames, path }) => {
        for (const frame of frames) this.#frames.sent(frame);
        this.#sentSinceTick += frames.length;
        this.#path = path ?? this.#path;
        this.#pathUs = nowUs();
      },
      interrupted: () => {
        this.#input.pause();
        handlers.interrupted();
      },
      resumed: () => {
        this.#input.resume();
        if (this.#shown) handlers.live();
      },
      ended: (reason, detail) => this.#finish(() => handlers.ended(reason, detail)),
      failed: (why) => this.#finish(() => handlers.failed(why)),
    });
    this.#input = new Input(this.#session);
    this.#listen(viewOnly);
  }

  /** Whether a picture has been shown. */
  get live(): boolean {
    return this.#shown;
  }

  /** Takes a message that came sealed over the meeting point. */
  handle(body: Parameters<Session["handle"]>[0]): void {
    this.#session.handle(body);
  }

  /** The host says that it does not know of this session. */
  forgotten(): void {
    this.#session.forgotten();
  }

  leave(): void {
    this.#input.releaseAll();
    this.#session.leave();
    this.#finish(() => {});
  }

  #listen(viewOnly: boolean): void {
    const { signal } = this.#stop;
    const toolbar = new Toolbar(
      {
        setFill: (fill) => {
          this.#fill = fill;
          this.#layout();
        },
        setStats: (open) => {
          ui.stats.hidden = !open;
          if (open) void this.#draw();
        },
        disconnect: () => this.#disconnect(),
      },
      signal,
    );
    const shortcuts = { KeyS: () => toolbar.toggleStats(), KeyM: () => toolbar.focus() };
    sendKeyboard(ui.stage, this.#input, shortcuts, viewOnly, signal);
    if (!viewOnly) {
      const target = {
        contains: (x: number, y: number) => this.#shown && onPicture(this.#placement, x, y),
        position: (x: number, y: number) => toPosition(this.#placement, this.#picture(), x, y),
      };
      sendPointer(ui.stage, target, this.#input, () => this.#cursor.movedHere(), signal);
    }
    // Key-ups that happen elsewhere are never seen, so that leaving means letting go.
    const release = () => this.#input.releaseAll();
    ui.stage.addEventListener("blur", release, { signal });
    window.addEventListener("blur", release, { signal });
    document.addEventListener(
      "visibilitychange",
      () => {
        if (document.hidden) release();
        this.#session.sendControl({ case: "visibility", value: { hidden: document.hidden } });
      },
      { signal },
    );
    window.addEventListener("resize", () => this.#layout(), { signal });
  }

  /** The first frame is there. */
  #begin(): void {
    this.#shown = true;
    this.#handlers.live();
    this.#layout();
  }

  #disconnect(): void {
    this.leave();
    this.#handlers.ended(EndReason.END_VIEWER_LEFT, "");
  }

  #layout(): void {
    const picture = this.#picture();
    if (picture.width === 0 || picture.height === 0) return;
    const window = { width: ui.stage.clientWidth, height: ui.stage.clientHeight };
    this.#placement = place(picture, window, devicePixelRatio, this.#fill);
    const { left, top, width, height, scale } = this.#placement;
    const { style } = this.#screen.element;
    style.width = `${width}px`;
    style.height = `${height}px`;
    style.transform = `translate(${left}px, ${top}px)`;
    style.imageRendering = scale > 1 && Number.isInteger(scale) ? "pixelated" : "auto";
    this.#cursor.placed(this.#placement, picture);
  }

  /** The desktop's size. A film may be coded with half its columns and rows, and fills the same place. */
  #picture(): Size {
    const { width, height } = this.#screen.size;
    const desktop = this.#hello;
    const halved = (whole: number, side: number) => Math.abs(whole - 2 * side) < HALVED_SLACK;
    return desktop && halved(desktop.width, width) && halved(desktop.height, height)
      ? desktop
      : { width, height };
  }

  #control({ body }: ControlMessage): void {
    switch (body.case) {
      case "pong": {
        this.#askedUs = undefined;
        const { viewerUs, hostUs } = body.value;
        this.#clock.add(Number(viewerUs), Number(hostUs), nowUs());
        if (++this.#pongs < FIRST_PINGS) this.#ping();
        break;
      }
      case "hello":
        this.#hello = body.value;
        this.#layout();
        break;
    }
  }

  #ping(): void {
    this.#askedUs ??= nowUs();
    this.#session.sendControl({ case: "ping", value: { viewerUs: BigInt(Math.round(nowUs())) } });
  }

  /** A way to the host is there, the first one or another; what was sent on the last one may be lost or late. */
  #ready(): void {
    this.#ping();
    if (this.#ticking || document.hidden) {
      this.#session.sendControl({ case: "visibility", value: { hidden: document.hidden } });
    }
    if (!this.#ticking) this.#startTicking();
  }

  #startTicking(): void {
    this.#ticking = true;
    const timer = setInterval(() => {
      this.#ping();
      void this.#tick();
    }, TICK_MS);
    this.#stop.signal.addEventListener("abort", () => clearInterval(timer));
  }

  /** Once a second: tells the host how its frames arrive, and draws the open overlay. Free while nothing changes. */
  async #tick(): Promise<void> {
    const frames = this.#framesSinceTick;
    this.#framesSinceTick = 0;
    this.#helpDecoder(frames);
    this.#lookForTrouble();
    if (frames > 0) await this.#report();
    if (!ui.stats.hidden) await this.#draw();
  }

  /** Asks for a key frame when the host sends and nothing is shown. A hidden page shows nothing anyway. */
  #helpDecoder(shown: number): void {
    const stalled = shown === 0 && this.#sentSinceTick > 0 && !document.hidden;
    this.#sentSinceTick = 0;
    this.#stalledTicks = stalled ? this.#stalledTicks + 1 : 0;
    if (this.#stalledTicks < STALLED_TICKS) return;
    this.#stalledTicks = 0;
    this.#session.sendControl({ case: "refresh", value: {} });
  }

  #lookForTrouble(): void {
    const now = nowUs();
    // The host tells of the path only along with pictures.
    const path = now - this.#pathUs < RECENT_US ? this.#path : undefined;
    const trouble = judge({
      summary: this.#frames.summary(now - RECENT_US, now),
      silentMs: this.#askedUs === undefined ? 0 : (now - this.#askedUs) / 1000,
      loss: (path?.lossPermille ?? 0) / 1000,
      rttMs: path && path.rttUs / 1000,
      estimateMbps: path && path.estimateKbps / 1000,
    });
    const told = this.#watch.handle(document.hidden ? undefined : trouble);
    showTrouble(told && troubleWords(told));
  }

  async #report(): Promise<void> {
    const counts = await this.#session.counts();
    const before = this.#reported ?? counts;
    this.#reported = counts;
    const now = nowUs();
    const summary = this.#frames.summary(now - TICK_MS * 1000, now);
    this.#session.sendControl({
      case: "report",
      value: {
        fpsX10: Math.round(summary.fps * 10),
        delayUsP50: Math.round(summary.delayP50 ?? 0),
        delayUsP95: Math.round(summary.delayP95 ?? 0),
        decodeUs: Math.round(summary.decodeP50 ?? 0),
        framesDropped: Math.max(counts.dropped - before.dropped, 0),
        freezes: Math.max(counts.freezes - before.freezes, 0),
      },
    });
  }

  async #draw(): Promise<void> {
    const counts = await this.#session.counts();
    const now = nowUs();
    const before = this.#drawn ?? { counts, us: now };
    this.#drawn = { counts, us: now };
    this.#overlay.draw({
      summary: this.#frames.summary(now - RECENT_US, now),
      counts,
      before: before.counts,
      seconds: Math.max((now - before.us) / 1e6, 1e-3),
      hello: this.#hello,
      path: this.#path,
      picture: this.#screen.size,
    });
  }

  #finish(tell: () => void): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#cursor.stop();
    ui.stats.hidden = true;
    showTrouble();
    ui.showStats.setAttribute("aria-pressed", "false");
    ui.fill.setAttribute("aria-pressed", "false");
    if (document.fullscreenElement) void document.exitFullscreen();
    tell();
  }
}

/** Half a side is rounded up, and then up to even. */
const HALVED_SLACK = 4;

function nowUs(): number {
  return performance.now() * 1000;
}
