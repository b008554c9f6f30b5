// Fragments on their way through a decoder that does as it is told.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { codecOf, Decoder, streamFormats } from "../src/decoder";
import { AreaSchema, FragmentSchema, StreamFormat } from "../src/gen/farpane_pb";

const { STREAM_H264, STREAM_H264_444, STREAM_AV1, STREAM_AV1_444 } = StreamFormat;

class FakeDecoder {
  static all: FakeDecoder[] = [];
  static supported: string[] = [];
  static isConfigSupported = async (config: VideoDecoderConfig) => {
    if (config.codec.startsWith("av01.1")) throw new TypeError("never heard of");
    return { supported: FakeDecoder.supported.includes(config.codec) };
  };
  state = "unconfigured";
  decodeQueueSize = 0;
  codec = "";
  readonly chunks: { type: string; timestamp: number }[] = [];
  readonly #init: VideoDecoderInit;

  constructor(init: VideoDecoderInit) {
    this.#init = init;
    FakeDecoder.all.push(this);
  }
  configure({ codec }: VideoDecoderConfig) {
    this.codec = codec;
    this.state = "configured";
  }
  decode(chunk: { type: string; timestamp: number }) {
    if (this.state !== "configured") throw new Error("not configured");
    this.chunks.push(chunk);
  }
  close() {
    this.state = "closed";
  }
  /** Gives out the picture of a chunk. */
  output(index: number, close = () => {}) {
    const { timestamp } = this.chunks[index] ?? { timestamp: -1 };
    this.#init.output({ timestamp, close } as unknown as VideoFrame);
  }
  fail() {
    this.close();
    this.#init.error(new DOMException("bad"));
  }
}

const SPS = Uint8Array.of(0x67, 0xf4, 0x00, 0x2a, 0x01);

function begin() {
  const events: unknown[] = [];
  const decoder = new Decoder({
    picture: (_, { rtpTime, receivedUs, decodeUs }) => events.push([rtpTime, receivedUs, decodeUs]),
    stuck: () => events.push("stuck"),
  });
  const take = (init: MessageInitShape<typeof FragmentSchema>, receivedUs = 0) =>
    decoder.take(create(FragmentSchema, { format: STREAM_H264, lastOfPicture: true, ...init }), receivedUs);
  const key = (rtpTime = 0, payload = SPS) => take({ payload, keyFrame: true, rtpTime });
  const delta = (rtpTime = 0) => take({ payload: Uint8Array.of(0x61, 1), rtpTime });
  return { decoder, events, take, key, delta };
}

const chunks = (index = 0) => FakeDecoder.all[index]?.chunks.map(({ type }) => type);

beforeEach(() => {
  FakeDecoder.all = [];
  vi.useFakeTimers({ toFake: ["performance"] });
  vi.stubGlobal("VideoDecoder", FakeDecoder);
  vi.stubGlobal("isSecureContext", true);
  vi.stubGlobal(
    "EncodedVideoChunk",
    class {
      constructor(init: EncodedVideoChunkInit) {
        Object.assign(this, init);
      }
    },
  );
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("the formats of streams", () => {
  it("are what the browser decodes, the best first", async () => {
    FakeDecoder.supported = ["av01.0.08M.08", "avc1.F4002A", "avc1.42E02A"];
    expect(await streamFormats()).toEqual([STREAM_H264_444, STREAM_H264, STREAM_AV1]);
  });

  it("are none on a page that anybody could have changed, or without a decoder", async () => {
    vi.stubGlobal("isSecureContext", false);
    expect(await streamFormats()).toEqual([]);
    vi.stubGlobal("isSecureContext", true);
    vi.stubGlobal("VideoDecoder", undefined);
    expect(await streamFormats()).toEqual([]);
  });

  it("are named by profile and level", () => {
    const picture = Uint8Array.of(
      0,
      0,
      0,
      1,
      0x09,
      0x10,
      0,
      0,
      0,
      1,
      0x67,
      0x42,
      0xc0,
      0x1f,
      0,
      0,
      0,
      1,
      0x68,
    );
    expect(codecOf(STREAM_H264, picture)).toBe("avc1.42C01F");
    expect(codecOf(STREAM_H264, picture.subarray(0, 13))).toBe("avc1.42E02A");
    expect(codecOf(STREAM_AV1_444, picture)).toBe("av01.1.08M.08");
  });
});

describe("a decoder", () => {
  it("gets whole pictures, and tells what they took", () => {
    const { decoder, events, take, delta } = begin();
    take({ payload: Uint8Array.of(0x7c, 0x87, 0xf4), keyFrame: true, rtpTime: 90, lastOfPicture: false });
    expect(FakeDecoder.all).toEqual([]);
    take({ payload: Uint8Array.of(0x7c, 0x47, 0, 0x2a), keyFrame: true, rtpTime: 90 }, 1_000);
    expect(FakeDecoder.all[0]?.codec).toBe("avc1.F4002A");
    delta(180);
    expect(chunks()).toEqual(["key", "delta"]);
    vi.advanceTimersByTime(3);
    FakeDecoder.all[0]?.output(0);
    FakeDecoder.all[0]?.output(1);
    expect(events).toEqual([
      [90, 1_000, 3_000],
      [180, 0, 3_000],
    ]);
    expect(decoder.counts).toEqual({ bytes: 9, packets: 3, dropped: 0 });
  });

  it("passes over a picture of which the rest is not sent", () => {
    const { decoder, delta, key, take } = begin();
    key();
    take({ payload: Uint8Array.of(0x7c, 0x81, 1), rtpTime: 90, lastOfPicture: false });
    delta(180);
    expect(chunks()).toEqual(["key", "delta"]);
    expect(decoder.counts.dropped).toBe(1);
  });

  it("tells where a picture differs from the one before it that came out", () => {
    const decoder = new Decoder({ picture: (_, { changed }) => seen.push(changed), stuck: () => {} });
    const seen: unknown[] = [];
    const areas = [create(AreaSchema, { x: 16, y: 32, width: 48, height: 16 })];
    const take = (keyFrame: boolean, changed: typeof areas | undefined) =>
      decoder.take(
        create(FragmentSchema, {
          format: STREAM_H264,
          payload: keyFrame ? SPS : Uint8Array.of(0x61, 1),
          keyFrame,
          lastOfPicture: true,
          ...(changed && { changed: { areas: changed } }),
        }),
        0,
      );
    take(true, areas);
    for (const changed of [areas, undefined, [], areas, areas]) take(false, changed);
    for (const index of [0, 1, 2, 3, 5]) FakeDecoder.all[0]?.output(index);
    expect(seen).toEqual([undefined, areas, undefined, [], undefined]);
  });

  it("begins with a key frame, in each stream", () => {
    const { decoder, delta, key, take } = begin();
    delta();
    key();
    take({ payload: Uint8Array.of(0x7c, 0x81), lastOfPicture: false });
    decoder.restart();
    delta();
    key();
    delta();
    expect(chunks()).toEqual(["key", "key", "delta"]);
    expect(FakeDecoder.all).toHaveLength(1);
  });

  it("is another one for another format or profile", () => {
    const { key, take } = begin();
    key();
    key(0, Uint8Array.of(0x67, 0x42, 0xc0, 0x1f, 1));
    take({ payload: Uint8Array.of(0x10, 0x30, 1), format: STREAM_AV1, keyFrame: true });
    expect(FakeDecoder.all.map(({ codec, state }) => [codec, state])).toEqual([
      ["avc1.F4002A", "closed"],
      ["avc1.42C01F", "closed"],
      ["av01.0.08M.08", "configured"],
    ]);
  });

  it("asks once for a key frame when it fails, and goes on from that", () => {
    const { events, key, delta } = begin();
    key();
    FakeDecoder.all[0]?.fail();
    delta();
    delta();
    expect(events).toEqual(["stuck"]);
    key();
    delta();
    expect(chunks(1)).toEqual(["key", "delta"]);
  });

  it("asks for a key frame after a picture that is none", () => {
    const { decoder, events, take, key, delta } = begin();
    key();
    take({ payload: Uint8Array.of(0x7c, 0x01) });
    delta();
    expect(events).toEqual(["stuck"]);
    expect(chunks()).toEqual(["key"]);
    expect(decoder.counts.dropped).toBe(2);
  });

  it("does not fall behind without end", () => {
    const { events, key, delta } = begin();
    key();
    const [first] = FakeDecoder.all;
    if (first) first.decodeQueueSize = 9;
    delta();
    delta();
    expect(events).toEqual(["stuck"]);
    key();
    expect(first?.state).toBe("closed");
    expect(chunks(1)).toEqual(["key"]);
  });

  it("does not keep a picture that is too large", () => {
    const { events, take, key } = begin();
    key();
    const payload = new Uint8Array(1 << 20).fill(0x61);
    for (let i = 0; i < 9; i++) take({ payload, lastOfPicture: i === 8 });
    expect(events).toEqual(["stuck"]);
    expect(chunks()).toEqual(["key"]);
  });

  it("counts what never came out", () => {
    const { decoder, events, key, delta } = begin();
    key(1);
    delta(2);
    delta(3);
    FakeDecoder.all[0]?.output(2);
    let closed = false;
    FakeDecoder.all[0]?.output(0, () => {
      closed = true;
    });
    expect(events).toEqual([[3, 0, 0]]);
    expect(closed).toBe(true);
    expect(decoder.counts.dropped).toBe(2);
  });
});
