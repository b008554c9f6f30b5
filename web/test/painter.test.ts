// What of a picture is drawn, and in which order.
import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type Area, AreaSchema } from "../src/gen/farpane_pb";
import { Painter } from "../src/painter";

let log: unknown[];
/** Each lets a copy be done, or fail. */
let copies: ((works: boolean) => void)[];

beforeEach(() => {
  log = [];
  copies = [];
  const context = {
    drawImage: ({ name }: FakeFrame) => log.push(`all of ${name}`),
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
afterEach(() => vi.unstubAllGlobals());

class FakeFrame {
  readonly displayWidth = 640;
  readonly displayHeight = 480;
  constructor(readonly name: string) {}
  copyTo(_: unknown, { format }: { format: string }) {
    expect(format).toBe("RGBX");
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
  const paint = (name: string, changed?: Area[]) => {
    const painted = (resized: boolean) => log.push(resized ? `resized for ${name}` : `painted ${name}`);
    painter.paint({ frame: new FakeFrame(name) as unknown as VideoFrame, changed, painted });
  };
  const seen = () => log.splice(0);
  const copied = async (works = true) => {
    for (const copy of copies.splice(0)) copy(works);
    await new Promise((resolve) => setTimeout(resolve));
  };
  paint("the first", [at(0, 0, 16, 16)]);
  expect(seen()).toEqual(["all of the first", "closed the first", "resized for the first"]);
  return { painter, paint, seen, copied };
}

it("converts only what changed, and shows it at once", async () => {
  const { paint, seen, copied } = begin();
  paint("a word", [at(16, 32, 48, 16), at(0, 64, 16, 16)]);
  expect(seen()).toEqual([]);
  await copied();
  expect(seen()).toEqual(["48 x 16 at 16, 32", "16 x 16 at 0, 64", "closed a word", "painted a word"]);
  paint("the same", []);
  await copied();
  expect(seen()).toEqual(["closed the same", "painted the same"]);
});

it("draws the whole where much has changed or that is not known", () => {
  const { paint, seen } = begin();
  paint("a page", [at(0, 0, 640, 240)]);
  expect(seen()).toEqual(["all of a page", "closed a page", "painted a page"]);
  paint("another", undefined);
  expect(seen()).toEqual(["all of another", "closed another", "painted another"]);
});

it("draws the whole in a browser that does not convert parts", async () => {
  const { paint, seen, copied } = begin();
  paint("a word", [at(16, 32, 48, 16)]);
  await copied(false);
  expect(seen()).toEqual(["all of a word", "closed a word", "painted a word"]);
});

it("passes over what came and went while it painted, and loses none of its changes", async () => {
  const { paint, seen, copied } = begin();
  paint("one", [at(0, 0, 16, 16)]);
  paint("two", [at(32, 0, 16, 16)]);
  paint("three", [at(64, 0, 16, 16)]);
  expect(seen()).toEqual(["closed two"]);
  await copied();
  expect(seen()).toEqual(["16 x 16 at 0, 0", "closed one", "painted one"]);
  await copied();
  expect(seen()).toEqual(["16 x 16 at 32, 0", "16 x 16 at 64, 0", "closed three", "painted three"]);
  paint("four", [at(0, 0, 16, 16)]);
  paint("five", undefined);
  paint("six", [at(64, 0, 16, 16)]);
  seen();
  await copied();
  expect(seen().slice(-3)).toEqual(["all of six", "closed six", "painted six"]);
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
  expect(seen()).toEqual(["all of three", "closed three", "resized for three"]);
});
