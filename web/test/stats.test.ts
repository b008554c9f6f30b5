// Joining the host's record of a frame with the browser's.
import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { HostClock } from "../src/clock";
import { FrameRecordSchema } from "../src/gen/farpane_pb";
import { FrameStats, quantile, STAGES } from "../src/stats";

/** The host is 1 s ahead. */
function stats(): FrameStats {
  const clock = new HostClock();
  clock.add(0, 1_000_000, 0);
  return new FrameStats(clock, 2_000_000);
}

function record(rtpTime: number, changedUs: number) {
  return create(FrameRecordSchema, {
    rtpTime,
    changedUs: BigInt(changedUs),
    captureUs: 1_000,
    waitUs: 100,
    damageUs: 200,
    convertUs: 300,
    encodeUs: 4_000,
    packetizeUs: 50,
    sendUs: 350,
    quantizer: 27,
  });
}

function shown(rtpTime: number, receivedUs: number) {
  return {
    rtpTime,
    receivedUs,
    decodeUs: 2_000,
    presentedUs: receivedUs + 3_000,
    displayedUs: receivedUs + 10_000,
  };
}

describe("a frame", () => {
  it.each(["record first", "frame first"])("is matched by its RTP time, %s", (order) => {
    const frames = stats();
    const parts = [() => frames.sent(record(90, 2_000_000)), () => frames.shown(shown(90, 1_011_000))];
    for (const part of order === "record first" ? parts : parts.reverse()) part();
    const { stages, delayP50, delayP95, decodeP50, quantizer } = frames.summary(0, 2_000_000);
    const named = Object.fromEntries(STAGES.map((name, index) => [name, stages[index]]));
    expect(named).toEqual({
      capture: 1_000,
      wait: 100,
      damage: 200,
      convert: 300,
      encode: 4_000,
      packetize: 50,
      send: 350,
      network: 5_000,
      buffer: 1_000,
      decode: 2_000,
      present: 7_000,
    });
    expect([delayP50, delayP95, decodeP50, quantizer]).toEqual([21_000, 21_000, 2_000, 27]);
  });

  it("without a record counts for the rate, not for the delay", () => {
    const frames = stats();
    frames.sent(record(1, 2_000_000));
    for (let i = 0; i < 60; i++) frames.shown(shown(100 + i, i * 16_000));
    const summary = frames.summary(0, 1_000_000);
    expect(summary.fps).toBe(60);
    expect(summary.delayP50).toBeUndefined();
    expect(summary.stages).toEqual([]);
  });

  it("is forgotten after its time, matched or not", () => {
    const frames = stats();
    frames.sent(record(1, 1_000_000));
    frames.shown(shown(1, 0));
    frames.shown(shown(2, 5_000_000));
    expect(frames.summary(0, 6_000_000).delayP50).toBeUndefined();
    for (let i = 0; i < 1000; i++) frames.sent(record(1_000 + i, 7_000_000));
    frames.shown(shown(1_000, 6_100_000));
    frames.shown(shown(1_999, 6_100_000));
    expect(frames.summary(6_000_000, 7_000_000).delayP50).toBe(110_000);
  });

  it("never takes less than no time, however wrong the clock", () => {
    const frames = stats();
    frames.sent(record(1, 9_000_000));
    frames.shown(shown(1, 1_000_000));
    const { stages, delayP50 } = frames.summary(0, 2_000_000);
    expect(Math.min(...stages)).toBe(0);
    expect(delayP50).toBe(0);
  });
});

describe("a quantile", () => {
  it("is a value that is there", () => {
    const values = Array.from({ length: 20 }, (_, i) => 20 - i);
    expect([quantile(values, 0.5), quantile(values, 0.95), quantile(values, 1)]).toEqual([11, 20, 20]);
    expect(quantile([], 0.5)).toBeUndefined();
  });
});
