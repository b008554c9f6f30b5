// Pictures of a stream on a canvas. A browser converts all of a picture to draw any of it, some 6 ms at 1080p without a
// graphics card, so where little has changed only that is converted.
import type { Size } from "./fit";
import type { Area } from "./gen/farpane_pb";

/** Of a picture, what is drawn in pieces at most, and in how many. */
const MOST = 1 / 4;
const MOST_PIECES = 32;
/** Whole pictures drawn in less time than this, in milliseconds, are not worth saving: a graphics card does it. */
const FAST_MS = 2;
/** So many pictures are a proof. */
const PROOF = 3;

export interface Picture {
  readonly frame: VideoFrame;
  /** All that may differ from the picture before it, if that is known. */
  readonly changed: readonly Area[] | undefined;
  /** Called when it is on the canvas, which may have another size now. */
  painted(resized: boolean): void;
}

export class Painter {
  readonly canvas = document.createElement("canvas");
  readonly #context = this.canvas.getContext("2d", { alpha: false, desynchronized: true });
  #waiting: Picture | undefined;
  #painting = false;
  /** What the last whole pictures took, in milliseconds. */
  #wholes: number[] = [];
  /** So often in a row pieces took longer. */
  #slower = 0;

  get size(): Size {
    const { width, height } = this.canvas;
    return { width, height };
  }

  /** Paints a picture, and closes it. While another is being painted only the last that comes waits. */
  paint(picture: Picture): void {
    const skipped = this.#waiting;
    skipped?.frame.close();
    const changed = skipped ? together(skipped.changed, picture.changed) : picture.changed;
    this.#waiting = { ...picture, changed };
    if (!this.#painting) void this.#paintAll();
  }

  /** Gives back the memory; whatever was to be painted is not. */
  clear(): void {
    this.#waiting?.frame.close();
    this.#waiting = undefined;
    this.canvas.width = this.canvas.height = 0;
  }

  async #paintAll(): Promise<void> {
    this.#painting = true;
    try {
      for (let picture = this.#take(); picture !== undefined; picture = this.#take()) {
        const { frame, changed, painted } = picture;
        try {
          const resized = this.#fit(frame);
          const pieces =
            !resized && changed && this.#pays(frame, changed) && (await this.#cut(frame, changed));
          // Meanwhile all may have been cleared.
          if (this.canvas.width === 0) continue;
          if (pieces) for (const { pixels, x, y } of pieces) this.#context?.putImageData(pixels, x, y);
          else this.#drawWhole(frame);
          painted(resized);
        } finally {
          frame.close();
        }
      }
    } finally {
      this.#painting = false;
    }
  }

  #take(): Picture | undefined {
    const picture = this.#waiting;
    this.#waiting = undefined;
    return picture;
  }

  /** Gives the canvas a picture's size; returns whether it had another. */
  #fit({ displayWidth, displayHeight }: VideoFrame): boolean {
    const { width, height } = this.canvas;
    if (width === displayWidth && height === displayHeight) return false;
    // Takes what is on it away.
    this.canvas.width = displayWidth;
    this.canvas.height = displayHeight;
    return true;
  }

  /** Whether to draw no more than this of a picture. */
  #pays({ format, displayWidth, displayHeight }: VideoFrame, changed: readonly Area[]): boolean {
    // Where colour is sampled less densely it may reach beyond a piece.
    if (format !== "I444" || changed.length > MOST_PIECES) return false;
    const area = changed.reduce((sum, { width, height }) => sum + width * height, 0);
    const slow = this.#wholes.length === PROOF && Math.min(...this.#wholes) >= FAST_MS;
    return slow && this.#slower < PROOF && area <= displayWidth * displayHeight * MOST;
  }

  #drawWhole(frame: VideoFrame): void {
    const began = performance.now();
    this.#context?.drawImage(frame, 0, 0);
    this.#wholes = [...this.#wholes.slice(1 - PROOF), performance.now() - began];
  }

  /** These parts of a picture; nothing if the browser does not convert parts. */
  async #cut(frame: VideoFrame, areas: readonly Area[]): Promise<Piece[] | undefined> {
    const began = performance.now();
    const pieces = await Promise.all(areas.map((area) => cut(frame, area))).catch(() => undefined);
    const slower = pieces === undefined || performance.now() - began > Math.min(...this.#wholes);
    this.#slower = slower ? this.#slower + 1 : 0;
    return pieces;
  }
}

interface Piece {
  readonly pixels: ImageData;
  readonly x: number;
  readonly y: number;
}

async function cut(frame: VideoFrame, { x, y, width, height }: Area): Promise<Piece> {
  const pixels = new ImageData(width, height);
  const layout = [{ offset: 0, stride: width * 4 }];
  await frame.copyTo(pixels.data, { rect: { x, y, width, height }, format: "RGBA", layout });
  return { pixels, x, y };
}

function together(one: readonly Area[] | undefined, other: readonly Area[] | undefined) {
  return one && other && [...one, ...other];
}
