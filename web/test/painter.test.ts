// What of a picture is drawn, and in which order.
import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type Area, AreaSchema } from "../src/gen/farpane_pb";
import { Painter } from "../src/painter";

let log: unknown[];
/** What it takes to draw a whole picture, in milliseconds. */
let wholeMs: number;
/** Each lets a copy be done, or fail. */
let copies: ((works: boolean) => void)[];

beforeEach(() => {
  log = [];
  copies = [];
  wholeMs = 6;
  vi.useFakeTimers({ toFake: ["performance"] });
  const context = {
    drawImage: ({ name }: FakeFrame) => {
      log.push(`all of ${name}`);
      vi.advanceTimersByTime(wholeMs);
    },
    putImageData: ({ width, height }: ImageData, x: number, y: number) =>
      log.push(`${width} x ${height} at ${x}, ${y}`),
  };
  const createElement = () => ({ width: 300, height: 150, getContext: () => context });
  vi.stubGlobal("document", { createElement });
  vi.stubGlobal(
    "ImageData",
    class {
      readonly data: Uint8ClampedArray;
      constructor(
        readonly width: number,
        readonly height: number,
      ) {
        this.data = new Uint8ClampedArray(width * height * 4);
      }
    },
  );
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

class FakeFrame {
  readonly displayWidth = 640;
  readonly displayHeight = 480;
  constructor(
    readonly name: string,
    readonly format: string,
  ) {}
  copyTo(_: unknown, { format }: { format: string }) {
    expect(format).toBe("RGBA");
    return new Promise<void>((resolve, reject) =>
      copies.push((works) => (works ? resolve() : reject(new TypeError("cannot")))),
    );
  }
  close() {
    log.push(`closed ${this.name}`);
  }
}

const at = (x: number, y: number, width: number, height: number) =>
  create(AreaSchema, { x, y, width, height });

function begin() {
  const painter = new Painter();
  const paint = (name: string, changed?: Area[], format = "I444") => {
    const frame = new FakeFrame(name, format) as unknown as VideoFrame;
    const painted = (resized: boolean) => log.push(resized ? `resized for ${name}` : `painted ${name}`);
    painter.paint({ frame, changed, painted });
  };
  const seen = () => log.splice(0);
  const copied = async ({ works = true, ms = 0 } = {}) => {
    vi.advanceTimersByTime(ms);
    for (const copy of copies.splice(0)) copy(works);
    await new Promise((resolve) => setTimeout(resolve));
  };
  paint("the first", [at(0, 0, 16, 16)]);
  expect(seen()).toEqual(["all of the first", "resized for the first", "closed the first"]);
  for (const name of ["the second", "the third"]) {
    paint(name, [at(0, 0, 16, 16)]);
    expect(seen()).toEqual(whole(name));
  }
  return { painter, paint, seen, copied };
}

const whole = (name: string) => [`all of ${name}`, `painted ${name}`, `closed ${name}`];

it("converts only what changed, and shows it at once", async () => {
  const { paint, seen, copied } = begin();
  paint("a word", [at(16, 32, 48, 16), at(0, 64, 16, 16)]);
  expect(seen()).toEqual([]);
  await copied();
  expect(seen()).toEqual(["48 x 16 at 16, 32", "16 x 16 at 0, 64", "painted a word", "closed a word"]);
  paint("the same", []);
  await copied();
  expect(seen()).toEqual(["painted the same", "closed the same"]);
});

it("draws the whole where much has changed or it is not known what", () => {
  const { paint, seen } = begin();
  paint("a page", [at(0, 0, 640, 240)]);
  expect(seen()).toEqual(whole("a page"));
  paint("another", undefined);
  expect(seen()).toEqual(whole("another"));
  const dust = Array.from({ length: 40 }, (_, index) => at(index * 16, 0, 1, 1));
  paint("a third", dust);
  expect(seen()).toEqual(whole("a third"));
  // Its colours reach beyond the pieces.
  paint("a film", [at(0, 0, 16, 16)], "I420");
  expect(seen()).toEqual(whole("a film"));
});

it("draws the whole where that is fast", () => {
  wholeMs = 1;
  const { paint, seen } = begin();
  paint("a word", [at(16, 32, 48, 16)]);
  expect(seen()).toEqual(whole("a word"));
});

it("draws the whole where pieces take longer, or cannot be had", async () => {
  for (const way of [{ ms: 7 }, { works: false }]) {
    const { paint, seen, copied } = begin();
    for (const name of ["one", "two", "three"]) {
      paint(name, [at(16, 32, 48, 16)]);
      await copied(way);
      expect(seen().slice(-2)).toEqual([`painted ${name}`, `closed ${name}`]);
    }
    paint("a word", [at(16, 32, 48, 16)]);
    expect(seen()).toEqual(whole("a word"));
  }
});

it("passes over what came and went while it painted, and loses none of its changes", async () => {
  const { paint, seen, copied } = begin();
  paint("one", [at(0, 0, 16, 16)]);
  paint("two", [at(32, 0, 16, 16)]);
  paint("three", [at(64, 0, 16, 16)]);
  expect(seen()).toEqual(["closed two"]);
  await copied();
  expect(seen()).toEqual(["16 x 16 at 0, 0", "painted one", "closed one"]);
  await copied();
  expect(seen()).toEqual(["16 x 16 at 32, 0", "16 x 16 at 64, 0", "painted three", "closed three"]);
  paint("four", [at(0, 0, 16, 16)]);
  paint("five", undefined);
  paint("six", [at(64, 0, 16, 16)]);
  seen();
  await copied();
  expect(seen().slice(-3)).toEqual(whole("six"));
});

it("paints nothing more after it was cleared", async () => {
  const { painter, paint, seen, copied } = begin();
  paint("one", [at(0, 0, 16, 16)]);
  paint("two", [at(0, 0, 16, 16)]);
  painter.clear();
  expect(seen()).toEqual(["closed two"]);
  await copied();
  expect(seen()).toEqual(["closed one"]);
  expect(painter.size).toEqual({ width: 0, height: 0 });
  paint("three", [at(0, 0, 16, 16)]);
  expect(seen()).toEqual(["all of three", "resized for three", "closed three"]);
});
