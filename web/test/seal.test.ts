// Sealed messages between the two ends of one exchange.
import { createHmac, hkdfSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { Seal } from "../src/seal";

const KEY = Uint8Array.from({ length: 64 }, (_, i) => i);
const text = (payload: string) => new TextEncoder().encode(payload);

function pair(line = 0): [viewer: Seal, host: Seal] {
  return [new Seal(KEY, "AB0D", line), new Seal(KEY, "AB0D", line, "host")];
}

describe("a sealed message", () => {
  it("is what another implementation of RFC 5869 and RFC 2104 makes of it", () => {
    const [viewer] = pair();
    viewer.seal(text("first"));
    const key = Buffer.from(hkdfSync("sha256", KEY, "", "farpane v1 viewer AB0D 0", 32));
    const mac = createHmac("sha256", key)
      .update(Buffer.from([0, 0, 0, 0, 0, 0, 0, 1]))
      .update("second")
      .digest();
    expect(viewer.seal(text("second"))).toEqual({
      seq: 1n,
      payload: text("second"),
      mac: new Uint8Array(mac),
    });
  });

  it("opens at the other end, in order", () => {
    const [viewer, host] = pair();
    for (const word of ["one", "two", "three"])
      expect(host.open(viewer.seal(text(word)))).toEqual(text(word));
    expect(viewer.open(host.seal(text("back")))).toEqual(text("back"));
  });

  it("does not open again, out of order, altered, under another code, on another line or towards its sender", () => {
    const [viewer, host] = pair();
    const first = viewer.seal(text("one"));
    const second = viewer.seal(text("two"));
    expect(host.open(second)).toBeUndefined();
    expect(host.open({ ...first, payload: text("One") })).toBeUndefined();
    expect(host.open({ ...first, mac: first.mac.slice(0, 31) })).toBeUndefined();
    expect(host.open({ ...first, seq: 1n })).toBeUndefined();
    expect(viewer.open(first)).toBeUndefined();
    expect(new Seal(KEY, "AB0E", 0, "host").open(first)).toBeUndefined();
    expect(new Seal(KEY, "AB0D", 1, "host").open(first)).toBeUndefined();
    expect(host.open(first)).toEqual(text("one"));
    expect(host.open(first)).toBeUndefined();
  });
});
