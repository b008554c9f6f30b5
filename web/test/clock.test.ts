// The host's clock from pings.
import { describe, expect, it } from "vitest";
import { HostClock } from "../src/clock";

describe("the host's clock", () => {
  it("is unknown before the first answer", () => {
    expect(new HostClock().toHost(1)).toBeUndefined();
  });

  it("is taken from the exchange that was least delayed", () => {
    const clock = new HostClock();
    clock.add(1_000, 501_000 + 40_000, 91_000); // 10 ms out and 80 ms back: wrong by 35 ms
    clock.add(200_000, 701_000, 202_000);
    clock.add(300_000, 860_000, 390_000);
    expect(clock.best?.rttUs).toBe(2_000);
    expect(clock.toHost(250_000)).toBe(750_000);
  });

  it("forgets, so that drift cannot build up", () => {
    const clock = new HostClock();
    clock.add(0, 500_500, 1_000);
    for (let i = 1; i <= 30; i++) clock.add(i * 1e6, i * 1e6 + 602_000, i * 1e6 + 4_000);
    expect(clock.toHost(0)).toBe(600_000);
  });

  it("passes over an answer from before the question", () => {
    const clock = new HostClock();
    clock.add(2_000, 1_000, 1_000);
    expect(clock.best).toBeUndefined();
  });
});
