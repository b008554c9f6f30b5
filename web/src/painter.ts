// Pictures of a stream on a canvas. A browser converts all of a picture to draw any of it, some 6 ms at 1080p without a
// graphics card, so where little has changed only that is converted.
import type { Size } from "./fit";
import type { Area } from "./gen/farpane_pb";

/** Of a picture, what is drawn in pieces at most: a graphics card draws the whole faster than much of it. */
const MOST = 1 / 4;

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
    for (let picture = this.#take(); picture !== undefined; picture = this.#take()) {
      const { frame, changed, painted } = picture;
      const resized = this.#fit(frame);
      const few = !resized && changed && area(changed) <= frame.displayWidth * frame.displayHeight * MOST;
      const pieces = few ? await cut(frame, changed) : undefined;
      const cleared = this.canvas.width === 0;
      if (pieces === undefined) this.#context?.drawImage(frame, 0, 0);
      else if (!cleared) for (const { pixels, x, y } of pieces) this.#context?.putImageData(pixels, x, y);
      frame.close();
      if (!cleared) painted(resized);
    }
    this.#painting = false;
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
}

interface Piece {
  readonly pixels: ImageData;
  readonly x: number;
  readonly y: number;
}

/** These parts of a picture; nothing if the browser cannot, as not all convert. */
function cut(frame: VideoFrame, areas: readonly Area[]): Promise<Piece[] | undefined> {
  const piece = async ({ x, y, width, height }: Area) => {
    const pixels = new ImageData(width, height);
    const layout = [{ offset: 0, stride: width * 4 }];
    await frame.copyTo(pixels.data, { rect: { x, y, width, height }, format: "RGBX", layout });
    return { pixels, x, y };
  };
  return Promise.all(areas.map(piece)).catch(() => undefined);
}

function area(areas: readonly Area[]): number {
  return areas.reduce((sum, { width, height }) => sum + width * height, 0);
}

function together(one: readonly Area[] | undefined, other: readonly Area[] | undefined) {
  return one && other && [...one, ...other];
}
