// When a connection is called poor, and what is held to be the cause.
import { describe, expect, it } from "vitest";
import { STAGES, type Summary } from "../src/stats";
import { type Condition, judge, type Trouble, Watch } from "../src/trouble";
import { troubleWords } from "../src/words";

/** Pictures whose stages take so many milliseconds. */
function pictures(stages: Partial<Record<(typeof STAGES)[number], number>>, fps = 20): Summary {
  const times = STAGES.map((stage) => (stages[stage] ?? 0) * 1_000);
  const delay = times.reduce((sum, time) => sum + time, 0);
  return { fps, stages: times, delayP50: delay, delayP95: delay };
}

function cause(condition: Partial<Condition>): Trouble["cause"] | undefined {
  return judge({ summary: pictures({ network: 30 }), silentMs: 0, loss: 0, ...condition })?.cause;
}

describe("a connection", () => {
  it("is not poor while pictures come in time, at rest, or for one large picture", () => {
    expect(cause({})).toBeUndefined();
    expect(cause({ loss: 0.05, rttMs: 180 })).toBeUndefined();
    expect(cause({ summary: { fps: 0, stages: [] } })).toBeUndefined();
    expect(cause({ summary: pictures({ network: 900 }, 0.5) })).toBeUndefined();
  });

  it.each<[Trouble["cause"], Partial<Condition>]>([
    ["silence", { silentMs: 2_000 }],
    ["loss", { loss: 0.2 }],
    ["loss", { loss: 0.05, summary: pictures({ buffer: 300 }) }],
    ["distance", { rttMs: 600, summary: pictures({ network: 320, encode: 5 }) }],
    ["bandwidth", { rttMs: 600, summary: pictures({ network: 900 }) }],
    ["bandwidth", { rttMs: 40, summary: pictures({ send: 200, network: 200, encode: 20 }) }],
    ["host", { summary: pictures({ wait: 100, encode: 300, network: 50 }) }],
    ["viewer", { summary: pictures({ decode: 300, network: 50 }) }],
  ])("suffers from %s", (expected, condition) => {
    expect(cause(condition)).toBe(expected);
  });

  it("is called poor once that lasts, and until it is over for a while", () => {
    const watch = new Watch();
    const late: Trouble = { cause: "bandwidth", amount: 0.5 };
    const told = [late, undefined, late, late, undefined, undefined, late, undefined, undefined, undefined];
    const answers = told.map((now) => watch.handle(now)?.cause);
    expect(answers).toEqual([
      ...[undefined, undefined, undefined, "bandwidth"],
      ...["bandwidth", "bandwidth", "bandwidth", "bandwidth", "bandwidth", undefined],
    ]);
    expect(watch.handle({ cause: "silence", amount: 1_600 })?.cause).toBe("silence");
  });

  it("is spoken of in words with a figure", () => {
    expect(troubleWords({ cause: "loss", amount: 0.123 })).toBe(
      "Poor connection: 12 % of what is sent gets lost.",
    );
    expect(troubleWords({ cause: "silence", amount: 2_400 })).toContain("for 2 s");
    expect(troubleWords({ cause: "bandwidth", amount: 0.44 })).toContain("0.4 Mb/s");
  });
});
