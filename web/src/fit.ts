// Where the picture goes inside the window, and where on the picture a pointer is.

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** A place for the picture, in CSS pixels from the window's corner. */
export interface Placement extends Size {
  readonly left: number;
  readonly top: number;
  /** Device pixels per pixel of the picture. */
  readonly scale: number;
}

/** A position as the messages carry it: 0 is the first column or row, 65535 the last. */
export interface Position {
  readonly x: number;
  readonly y: number;
}

/**
 * Centres the picture on whole device pixels. One that fits is shown pixel for pixel, or at a whole multiple, so that
 * text stays sharp, unless it is to `fill` the window; one that does not fit is shrunk.
 * @param viewport the window in CSS pixels
 * @param ratio device pixels per CSS pixel
 */
export function place(picture: Size, viewport: Size, ratio: number, fill: boolean): Placement {
  const room = { width: viewport.width * ratio, height: viewport.height * ratio };
  const largest = Math.min(room.width / picture.width, room.height / picture.height);
  const scale = fill || largest < 1 ? largest : Math.floor(largest);
  const width = picture.width * scale;
  const height = picture.height * scale;
  return {
    left: Math.floor((room.width - width) / 2) / ratio,
    top: Math.floor((room.height - height) / 2) / ratio,
    width: width / ratio,
    height: height / ratio,
    scale,
  };
}

/** Whether a point of the window, in CSS pixels, lies on the picture and not beside it. */
export function onPicture(placement: Placement, x: number, y: number): boolean {
  const { left, top, width, height } = placement;
  return x >= left && y >= top && x < left + width && y < top + height;
}

/** The pixel under a point of the window, as a fraction; points beside the picture count as its nearest edge. */
export function toPosition(placement: Placement, picture: Size, x: number, y: number): Position {
  return {
    x: toFraction((x - placement.left) / placement.width, picture.width),
    y: toFraction((y - placement.top) / placement.height, picture.height),
  };
}

/** The middle of a pixel, in CSS pixels of the window. */
export function fromPosition(placement: Placement, picture: Size, at: Position): Position {
  return {
    x: placement.left + ((toPixel(at.x, picture.width) + 0.5) / picture.width) * placement.width,
    y: placement.top + ((toPixel(at.y, picture.height) + 0.5) / picture.height) * placement.height,
  };
}

const LAST = 65535;

function toFraction(share: number, pixels: number): number {
  if (pixels < 2) return 0;
  const pixel = Math.min(Math.max(Math.floor(share * pixels), 0), pixels - 1);
  return Math.round((pixel / (pixels - 1)) * LAST);
}

function toPixel(fraction: number, pixels: number): number {
  return Math.round((Math.min(fraction, LAST) / LAST) * (pixels - 1));
}
