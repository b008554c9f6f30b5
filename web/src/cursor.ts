// The host's cursor: as this page's own cursor while the viewer steers, drawn over the picture while the host does.
import { fromPosition, type Placement, type Position, type Size } from "./fit";
import type { CursorMessage, CursorShape } from "./gen/farpane_pb";

/** As many as a session of hours with many programs shows; a host that sends more loses its oldest. */
const MAX_SHAPES = 256;
/** Browsers ignore larger cursors, and so does the wire. */
const MAX_SIDE = 128;
/** A cursor smaller than this share of itself is hard to find. */
const MIN_SCALE = 0.5;

interface Shape {
  readonly image: HTMLCanvasElement;
  readonly hotX: number;
  readonly hotY: number;
}

export class Cursor {
  readonly #stage: HTMLElement;
  readonly #overlay: HTMLCanvasElement;
  readonly #viewOnly: boolean;
  readonly #shapes = new Map<bigint, Shape>();
  #shape: Shape | undefined;
  #hidden = false;
  #remote: Position | undefined;
  #placement: Placement | undefined;
  #picture: Size | undefined;

  constructor(stage: HTMLElement, overlay: HTMLCanvasElement, viewOnly: boolean) {
    this.#stage = stage;
    this.#overlay = overlay;
    this.#viewOnly = viewOnly;
  }

  handle({ body }: CursorMessage): void {
    switch (body.case) {
      case "shape":
        this.#remember(body.value);
        this.#show(body.value.id);
        break;
      case "known":
        this.#show(body.value.id);
        break;
      case "position":
        this.#remote = body.value.at;
        this.#drawOverlay();
        break;
      case "hidden":
        this.#hidden = true;
        this.#draw();
        break;
    }
  }

  /** The picture has moved or changed its size. */
  placed(placement: Placement, picture: Size): void {
    this.#placement = placement;
    this.#picture = picture;
    this.#draw();
  }

  /** The viewer moves the pointer, so that the page's own cursor shows where it is. */
  movedHere(): void {
    if (this.#viewOnly || this.#remote === undefined) return;
    this.#remote = undefined;
    this.#drawOverlay();
  }

  stop(): void {
    this.#stage.style.cursor = "";
    this.#overlay.hidden = true;
  }

  #remember(shape: CursorShape): void {
    const { width, height, rgba } = shape;
    const sane = width >= 1 && height >= 1 && width <= MAX_SIDE && height <= MAX_SIDE;
    if (!sane || rgba.length !== width * height * 4) return;
    const image = document.createElement("canvas");
    image.width = width;
    image.height = height;
    image.getContext("2d")?.putImageData(new ImageData(new Uint8ClampedArray(rgba), width, height), 0, 0);
    this.#shapes.delete(shape.id);
    this.#shapes.set(shape.id, {
      image,
      hotX: Math.min(shape.hotX, width - 1),
      hotY: Math.min(shape.hotY, height - 1),
    });
    const oldest = this.#shapes.keys().next();
    if (this.#shapes.size > MAX_SHAPES && !oldest.done) this.#shapes.delete(oldest.value);
  }

  #show(id: bigint): void {
    this.#hidden = false;
    this.#shape = this.#shapes.get(id) ?? this.#shape;
    this.#draw();
  }

  #draw(): void {
    if (!this.#viewOnly) this.#stage.style.cursor = this.#hidden ? "none" : "default";
    if (!this.#viewOnly && !this.#hidden && this.#shape) this.#setOwn(this.#shape);
    this.#drawOverlay();
  }

  /** Makes the shape the page's cursor, at the picture's scale and the screen's resolution. */
  #setOwn(shape: Shape): void {
    const ratio = window.devicePixelRatio;
    const scale = this.#cssScale(shape);
    const image = document.createElement("canvas");
    image.width = Math.max(1, Math.round(shape.image.width * scale * ratio));
    image.height = Math.max(1, Math.round(shape.image.height * scale * ratio));
    paint(image, shape.image);
    const url = image.toDataURL();
    const hot = `${Math.floor(shape.hotX * scale)} ${Math.floor(shape.hotY * scale)}, default`;
    this.#stage.style.cursor = `url(${url}) ${hot}`;
    // Where it is not understood, the line above stays in force.
    if (ratio !== 1) this.#stage.style.cursor = `image-set(url(${url}) ${ratio}x) ${hot}`;
  }

  #drawOverlay(): void {
    const overlay = this.#overlay;
    const shown = this.#shape && this.#remote && this.#placement && this.#picture && !this.#hidden;
    overlay.hidden = !shown;
    if (!this.#shape || !this.#remote || !this.#placement || !this.#picture) return;
    const { image, hotX, hotY } = this.#shape;
    const scale = this.#cssScale(this.#shape);
    const ratio = window.devicePixelRatio;
    overlay.width = Math.max(1, Math.round(image.width * scale * ratio));
    overlay.height = Math.max(1, Math.round(image.height * scale * ratio));
    paint(overlay, image);
    const { x, y } = fromPosition(this.#placement, this.#picture, this.#remote);
    overlay.style.width = `${image.width * scale}px`;
    overlay.style.height = `${image.height * scale}px`;
    overlay.style.transform = `translate(${x - hotX * scale}px, ${y - hotY * scale}px)`;
  }

  /** CSS pixels per pixel of the shape. */
  #cssScale({ image }: Shape): number {
    const wanted = Math.max((this.#placement?.scale ?? 1) / window.devicePixelRatio, MIN_SCALE);
    return Math.min(wanted, MAX_SIDE / Math.max(image.width, image.height));
  }
}

function paint(to: HTMLCanvasElement, from: HTMLCanvasElement): void {
  const context = to.getContext("2d");
  if (context === null) return;
  context.imageSmoothingEnabled = to.width % from.width !== 0;
  context.drawImage(from, 0, 0, to.width, to.height);
}
