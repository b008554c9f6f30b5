// Where the picture is: in the video element, or on a canvas in its place when it comes by a stream.
import type { Decoded } from "./decoder";
import type { Size } from "./fit";
import { Painter } from "./painter";
import type { ShownFrame } from "./stats";

export interface ScreenHandlers {
  /** A frame is shown; what is known of it, if the browser tells. */
  shown(frame?: ShownFrame): void;
  /** The picture has another size, or is in another element. */
  resized(): void;
}

export class Screen {
  /** Told of each frame that the video element has, shown or not. */
  onvideo: () => void = () => {};
  readonly #video: HTMLVideoElement;
  readonly #painter = new Painter();
  readonly #canvas = this.#painter.canvas;
  readonly #handlers: ScreenHandlers;
  readonly #signal: AbortSignal;

  /** Lives until `signal` is aborted. */
  constructor(video: HTMLVideoElement, handlers: ScreenHandlers, signal: AbortSignal) {
    this.#video = video;
    this.#handlers = handlers;
    this.#signal = signal;
    this.#canvas.className = video.className;
    video.addEventListener("resize", () => this.#drawn || handlers.resized(), { signal });
    // A hidden page never presents a frame, so that a decoded one has to do there.
    const tells = "requestVideoFrameCallback" in video;
    const decoded = () => (document.hidden || !tells) && this.#presented();
    video.addEventListener("loadeddata", decoded, { signal });
    video.addEventListener("timeupdate", () => tells || this.#presented(), { signal });
    if (tells) this.#watchVideo();
    signal.addEventListener("abort", () => {
      this.showVideo();
      video.srcObject = null;
    });
  }

  /** The element that is to be placed. */
  get element(): HTMLElement {
    return this.#drawn ? this.#canvas : this.#video;
  }

  /** The size of the pictures that come. */
  get size(): Size {
    const { videoWidth: width, videoHeight: height } = this.#video;
    return this.#drawn ? this.#painter.size : { width, height };
  }

  /** Has the video element play this. */
  play(media: MediaStream): void {
    this.#video.srcObject = media;
  }

  showVideo(): void {
    this.#painter.clear();
    if (!this.#drawn) return;
    this.#canvas.remove();
    this.#canvas.id = "";
    this.#video.id = ID;
    this.#handlers.resized();
  }

  /** Shows a picture of a stream, and closes it. */
  draw(frame: VideoFrame, { rtpTime, receivedUs, decodeUs, changed }: Decoded): void {
    const painted = (resized: boolean) => {
      const presentedUs = performance.now() * 1000;
      const begins = !this.#drawn;
      if (begins) {
        this.#video.id = "";
        this.#canvas.id = ID;
        this.#video.after(this.#canvas);
      }
      if (begins || resized) this.#handlers.resized();
      const shown = (displayedUs: number) => {
        if (this.#signal.aborted) return;
        this.#handlers.shown({ rtpTime, receivedUs, decodeUs, presentedUs, displayedUs });
      };
      if (document.hidden) shown(presentedUs);
      else requestAnimationFrame((ms) => shown(Math.max(ms * 1000, presentedUs)));
    };
    this.#painter.paint({ frame, changed, painted });
  }

  get #drawn(): boolean {
    return this.#canvas.isConnected;
  }

  /** The browser calls back only when there is another frame. */
  #watchVideo(): void {
    this.#video.requestVideoFrameCallback((_, frame) => {
      if (this.#signal.aborted) return;
      this.#presented(shownFrame(frame));
      this.#watchVideo();
    });
  }

  #presented(frame?: ShownFrame): void {
    this.onvideo();
    if (!this.#drawn) this.#handlers.shown(frame);
  }
}

/** Whichever element shows the picture has it. */
const ID = "screen";

function shownFrame(frame: VideoFrameCallbackMetadata): ShownFrame | undefined {
  const { rtpTimestamp, receiveTime, processingDuration = 0, presentationTime } = frame;
  if (rtpTimestamp === undefined || receiveTime === undefined) return undefined;
  return {
    rtpTime: rtpTimestamp,
    receivedUs: receiveTime * 1000,
    decodeUs: processingDuration * 1e6,
    presentedUs: presentationTime * 1000,
    displayedUs: displayTime(frame) * 1000,
  };
}

/** A display shows what it is given within a few refreshes. */
const DISPLAY_LAG_MS = 50;

/** When a frame is on the display: a browser that draws nothing else at the time (or has no display) may tell nonsense. */
function displayTime({ presentationTime, expectedDisplayTime }: VideoFrameCallbackMetadata): number {
  const lag = expectedDisplayTime - presentationTime;
  return lag >= 0 && lag <= DISPLAY_LAG_MS ? expectedDisplayTime : presentationTime;
}
