// Payloads of RFC 6184 and of the RTP payload format for AV1, made by hand.
import { describe, expect, it } from "vitest";
import { depacketize } from "../src/depacketize";
import { StreamFormat } from "../src/gen/farpane_pb";

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"));

function joined(format: StreamFormat, payloads: readonly string[]): string | undefined {
  const chunk = depacketize(format, payloads.map(bytes));
  return chunk && Buffer.from(chunk).toString("hex");
}

const h264 = (...payloads: string[]) => joined(StreamFormat.STREAM_H264, payloads);
const av1 = (...payloads: string[]) => joined(StreamFormat.STREAM_AV1, payloads);
const hex = (text: string) => text.replaceAll(" ", "");

describe("H.264", () => {
  it("comes as single NAL units, several in one, and one in several", () => {
    expect(h264("67 42 00")).toBe(hex("00000001 674200"));
    expect(h264("78 0003 674200 0002 68ce", "65 88")).toBe(
      hex("00000001 674200 00000001 68ce 00000001 6588"),
    );
    expect(h264("7c 85 0102", "7c 05 03", "7c 45 0405", "7c 81 06", "7c 41 07")).toBe(
      hex("00000001 65 0102030405 00000001 61 0607"),
    );
    expect(joined(StreamFormat.STREAM_H264_444, ["67f4"])).toBe(hex("00000001 67f4"));
  });

  it.each<[string, string[]]>([
    ["no payload", []],
    ["an empty payload", [""]],
    ["a type that has no meaning", ["7e 00"]],
    ["type 0", ["60 00"]],
    ["an aggregate that is empty", ["78"]],
    ["an aggregate with half a length", ["78 00"]],
    ["an aggregate with a NAL unit of no length", ["78 0000"]],
    ["an aggregate with a NAL unit beyond its end", ["78 0003 6742"]],
    ["an aggregate with something left", ["78 0001 67 00"]],
    ["a fragment without its header", ["7c"]],
    ["a fragment that is both first and last", ["7c c5 01"]],
    ["a fragment without the first", ["7c 05 01"]],
    ["a last fragment without the first", ["7c 45 01"]],
    ["fragments without the last", ["7c 85 01", "7c 05 02"]],
    ["a first fragment after another", ["7c 85 01", "7c 85 02", "7c 45 03"]],
    ["fragments of two kinds", ["7c 85 01", "7c 41 02"]],
    ["a NAL unit between fragments", ["7c 85 01", "65 88", "7c 45 02"]],
  ])("is not %s", (_, payloads) => {
    expect(h264(...payloads)).toBeUndefined();
  });
});

describe("AV1", () => {
  it("gets its size fields back, after a temporal delimiter", () => {
    // One OBU, to the end of the payload.
    expect(av1("10 30 aabb")).toBe(hex("1200 32 02 aabb"));
    // Two, the first with its length; then two that both have one.
    expect(av1("28 02 08 01 30 aabb")).toBe(hex("1200 0a 01 01 32 02 aabb"));
    expect(av1("08 02 08 01 03 30 aabb")).toBe(hex("1200 0a 01 01 32 02 aabb"));
    // With an extension, and with a size field of its own, which may be a long one.
    expect(av1("10 34 20 aa")).toBe(hex("1200 36 20 01 aa"));
    expect(av1("10 32 02 aabb")).toBe(hex("1200 32 02 aabb"));
    expect(av1("10 32 8200 aabb")).toBe(hex("1200 32 02 aabb"));
    // Empty but for its header.
    expect(av1("10 30")).toBe(hex("1200 32 00"));
    expect(joined(StreamFormat.STREAM_AV1_444, ["10 30 aa"])).toBe(hex("1200 32 01 aa"));
  });

  it("goes on in the next payload, even within a header", () => {
    expect(av1("50 30 aa", "d0 bb", "90 cc")).toBe(hex("1200 32 03 aabbcc"));
    expect(av1("68 02 08 01 34", "a0 02 20 aa 30 bb")).toBe(hex("1200 0a 01 01 36 20 01 aa 32 01 bb"));
    const long = "ab".repeat(150);
    expect(av1(`50 30 ${long}`, `90 ${long}`)).toBe(hex(`1200 32 ac02 ${long}${long}`));
  });

  it("loses what does not travel", () => {
    expect(av1("30 01 10 02 78 00 30 aa")).toBe(hex("1200 32 01 aa"));
    expect(av1("10 10")).toBeUndefined();
  });

  it.each<[string, string[]]>([
    ["no payload", []],
    ["an empty payload", [""]],
    ["an aggregation header alone", ["10"]],
    ["an element of no length", ["00 00"]],
    ["a length without an end", ["00 80"]],
    ["a length of too many bytes", ["00 8080808080808080 01 30"]],
    ["an element beyond the end", ["20 05 30 aa"]],
    ["fewer elements than announced", ["20 02 30 aa"]],
    ["the rest of nothing", ["90 aa"]],
    ["an OBU without its rest", ["50 30 aa"]],
    ["an OBU that begins where another goes on", ["50 30 aa", "10 30 bb"]],
    ["a forbidden bit", ["10 b0 aa"]],
    ["half a header", ["10 34"]],
    ["a size beyond the end", ["10 32 03 aabb"]],
    ["a size without an end", ["10 32 80"]],
  ])("is not %s", (_, payloads) => {
    expect(av1(...payloads)).toBeUndefined();
  });
});

it("takes any bytes at all", () => {
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  };
  // Headers with a meaning come often enough to lead somewhere.
  const heads = [0x7c, 0x78, 0x65, 0x10, 0x20, 0x50, 0x90, 0xd0, 0x00];
  let whole = 0;
  for (let round = 0; round < 20_000; round++) {
    const payloads = Array.from({ length: random() % 4 }, () => {
      const payload = Uint8Array.from({ length: random() % 12 }, random);
      if (payload.length > 0) payload[0] = heads[random() % heads.length] ?? 0;
      return payload;
    });
    for (const format of [0, 1, 2, 3, 4, 99]) if (depacketize(format, payloads)) whole++;
  }
  expect(whole).toBeGreaterThan(1_000);
});
