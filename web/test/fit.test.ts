// The picture's place in the window and the way between window and picture.
import { describe, expect, it } from "vitest";
import { fromPosition, onPicture, place, toPosition } from "../src/fit";

const HD = { width: 1920, height: 1080 };

describe("the picture", () => {
  it("is shown pixel for pixel where it fits", () => {
    expect(place(HD, { width: 2000, height: 1200 }, 1, false)).toEqual({
      left: 40,
      top: 60,
      ...HD,
      scale: 1,
    });
  });

  it("is enlarged by whole multiples only", () => {
    const { scale, width } = place({ width: 640, height: 360 }, { width: 2000, height: 1200 }, 1, false);
    expect([scale, width]).toEqual([3, 1920]);
  });

  it("covers device pixels, not CSS pixels", () => {
    expect(place(HD, { width: 1280, height: 800 }, 1.5, false)).toEqual({
      left: 0,
      top: 40,
      width: 1280,
      height: 720,
      scale: 1,
    });
  });

  it("is shrunk with bars above and below, or at the sides", () => {
    expect(place(HD, { width: 960, height: 960 }, 1, false)).toMatchObject({ left: 0, top: 210, scale: 0.5 });
    expect(place(HD, { width: 1920, height: 540 }, 1, false)).toMatchObject({
      left: 480,
      top: 0,
      scale: 0.5,
    });
  });

  it("fills the window when asked to", () => {
    expect(place(HD, { width: 2880, height: 1700 }, 1, true)).toMatchObject({ scale: 1.5, left: 0, top: 40 });
  });
});

describe("a pointer", () => {
  const placement = place(HD, { width: 960, height: 960 }, 1, false);

  it("is told from one beside the picture", () => {
    expect(onPicture(placement, 0, 210)).toBe(true);
    expect(onPicture(placement, 0, 209)).toBe(false);
    expect(onPicture(placement, 959, 749)).toBe(true);
    expect(onPicture(placement, 959, 750)).toBe(false);
  });

  it("reaches the first and the last pixel, and no further", () => {
    expect(toPosition(placement, HD, 0, 210)).toEqual({ x: 0, y: 0 });
    expect(toPosition(placement, HD, 959.9, 749.9)).toEqual({ x: 65535, y: 65535 });
    expect(toPosition(placement, HD, -50, 5000)).toEqual({ x: 0, y: 65535 });
  });

  it("finds every pixel again on the other side", () => {
    const whole = place(HD, HD, 1, false);
    for (let pixel = 0; pixel < HD.width; pixel++) {
      const { x } = toPosition(whole, HD, pixel + 0.5, 0);
      expect(Math.round((x / 65535) * (HD.width - 1))).toBe(pixel);
      expect(fromPosition(whole, HD, { x, y: 0 }).x).toBeCloseTo(pixel + 0.5, 6);
    }
  });

  it("survives a picture of one pixel", () => {
    const dot = { width: 1, height: 1 };
    expect(toPosition(place(dot, HD, 1, false), dot, 500, 500)).toEqual({ x: 0, y: 0 });
  });
});
