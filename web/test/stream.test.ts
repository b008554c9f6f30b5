// A stream against a host made of node's own cryptography.
import { createCipheriv, createDecipheriv } from "node:crypto";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { StreamChannel, type StreamMessage, StreamMessageSchema } from "../src/gen/farpane_pb";
import { Stream } from "../src/stream";

const OPENING = Uint8Array.of(1, 2, 3);
const VIEWER_KEY = new Uint8Array(32).fill(1);
const HOST_KEY = new Uint8Array(32).fill(2);

function nonce(number: number): Buffer {
  const iv = Buffer.alloc(12);
  iv.writeBigUInt64BE(BigInt(number), 4);
  return iv;
}

/** The WebSocket, and the host at its other end. */
class Host {
  binaryType = "";
  bufferedAmount = 0;
  closed = false;
  readonly raw: Uint8Array[] = [];
  onopen = () => {};
  onclose = () => {};
  onmessage: ((event: { data: unknown }) => void) | null = null;
  #sent = 0;

  send(data: Uint8Array): void {
    this.raw.push(data);
  }

  close(): void {
    this.closed = true;
  }

  seal(message: MessageInitShape<typeof StreamMessageSchema>, number = this.#sent++): Uint8Array {
    const cipher = createCipheriv("aes-256-gcm", HOST_KEY, nonce(number));
    const plain = toBinary(StreamMessageSchema, create(StreamMessageSchema, message));
    return Uint8Array.from(Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]));
  }

  say(message: MessageInitShape<typeof StreamMessageSchema>): void {
    this.onmessage?.({ data: this.seal(message).buffer });
  }

  /** What the viewer has said after the opening. */
  get heard(): StreamMessage[] {
    return this.raw.slice(1).map((sealed, number) => {
      const decipher = createDecipheriv("aes-256-gcm", VIEWER_KEY, nonce(number));
      decipher.setAuthTag(sealed.subarray(-16));
      const plain = Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
      return fromBinary(StreamMessageSchema, Uint8Array.from(plain));
    });
  }
}

function begin() {
  const host = new Host();
  const events: unknown[] = [];
  const opening = () => ({ message: OPENING, sendKey: VIEWER_KEY, receiveKey: HOST_KEY });
  const stream = new Stream(host as unknown as WebSocket, opening, {
    opened: () => events.push("opened"),
    fragments: (fragments) => events.push(fragments.map(({ payload }) => payload.length)),
    letter: ({ message }) => events.push(message[0]),
    lost: () => events.push("lost"),
  });
  host.onopen();
  return { host, stream, events };
}

const letter = (text: number) => ({ letters: [{ message: Uint8Array.of(text) }] });
const fragment = (length: number) => ({ payload: new Uint8Array(length) });
const settled = (done: () => void) => vi.waitFor(done, { interval: 1 });

beforeEach(() => {
  vi.stubGlobal("document", { hidden: false });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a stream", () => {
  it("begins with the opening, and is there when the host answers", async () => {
    const { host, stream, events } = begin();
    expect(host.raw).toEqual([OPENING]);
    expect(stream.opened).toBe(false);
    host.say({});
    await settled(() => expect(events).toEqual(["opened"]));
    expect(stream.opened).toBe(true);
    stream.close();
  });

  it("says what another implementation of AES-GCM reads, in order", async () => {
    const { host, stream } = begin();
    // The first takes longest to encrypt.
    const messages = [60_000, 30_000, 1, 0].map((length) => new Uint8Array(length).fill(length));
    for (const message of messages) stream.send(StreamChannel.CHANNEL_CONTROL, message);
    await settled(() => expect(host.heard).toHaveLength(4));
    expect(host.heard.map(({ letters }) => letters[0]?.message)).toEqual(messages);
    expect(host.heard[0]?.letters[0]?.channel).toBe(StreamChannel.CHANNEL_CONTROL);
    stream.close();
  });

  it("hears in order, and tells what arrived when", async () => {
    vi.useFakeTimers({ toFake: ["performance", "setTimeout"] });
    const { host, stream, events } = begin();
    const now = () => BigInt(Math.round(performance.now() * 1000));
    const at = now();
    host.say({ fragments: [fragment(60_000), fragment(3)], ...letter(7) });
    await settled(() => expect(host.heard).toHaveLength(1));
    vi.advanceTimersByTime(5);
    host.say(letter(8));
    const later = now();
    host.say({ fragments: [fragment(1)] });
    await settled(() => expect(host.heard).toHaveLength(2));
    expect(events).toEqual(["opened", [60_000, 3], 7, 8, [1]]);
    expect(host.heard.map(({ arrivals }) => arrivals)).toMatchObject([
      [{ next: 2n, atUs: at }],
      [{ next: 3n, atUs: later }],
    ]);
    stream.close();
  });

  it("acknowledges what comes at short intervals together", async () => {
    vi.useFakeTimers({ toFake: ["performance", "setTimeout"] });
    const { host, stream, events } = begin();
    const at = Math.round(performance.now() * 1000);
    for (let number = 0; number < 3; number++) {
      host.say({ fragments: [fragment(number)] });
      vi.advanceTimersByTime(1);
    }
    await settled(() => expect(events).toEqual(["opened", [0], [1], [2]]));
    vi.advanceTimersByTime(5);
    await settled(() => expect(host.heard).toHaveLength(2));
    const arrival = (number: number) => ({ next: BigInt(number + 1), atUs: BigInt(at + number * 1_000) });
    expect(host.heard.map(({ arrivals }) => arrivals)).toMatchObject([
      [arrival(0)],
      [arrival(1), arrival(2)],
    ]);
    stream.close();
  });

  it.each<[string, (host: Host) => unknown]>([
    ["forged", (host) => host.seal({}).fill(0, 3).buffer],
    ["too short", () => new ArrayBuffer(3)],
    ["too long", (host) => host.seal({ fragments: [fragment(70_000)] }).buffer],
    ["out of order", (host) => host.seal({}, 5).buffer],
    ["text", () => "refused"],
  ])("ends by a message that is %s, once", async (_, bad) => {
    const { host, events } = begin();
    host.say(letter(1));
    host.onmessage?.({ data: bad(host) });
    host.say(letter(2));
    await settled(() => expect(events).toContain("lost"));
    await new Promise((resolve) => setImmediate(resolve));
    expect(events.filter((event) => event === "lost")).toHaveLength(1);
    expect(events).not.toContain(2);
    expect(host.closed).toBe(true);
  });

  it("sends no position behind much else", async () => {
    const { host, stream } = begin();
    host.bufferedAmount = 5_000;
    stream.send(StreamChannel.CHANNEL_POINTER, Uint8Array.of(1));
    stream.send(StreamChannel.CHANNEL_INPUT, Uint8Array.of(2));
    host.bufferedAmount = 0;
    stream.send(StreamChannel.CHANNEL_POINTER, Uint8Array.of(3));
    await settled(() => expect(host.heard).toHaveLength(2));
    expect(host.heard.map(({ letters }) => letters[0]?.message[0])).toEqual([2, 3]);
    stream.close();
  });

  it("is lost when nothing comes any more, unless the page is hidden", () => {
    vi.useFakeTimers();
    const { events } = begin();
    vi.stubGlobal("document", { hidden: true });
    vi.advanceTimersByTime(60_000);
    expect(events).toEqual([]);
    vi.stubGlobal("document", { hidden: false });
    vi.advanceTimersByTime(10_000);
    expect(events).toEqual(["lost"]);
  });

  it("says nothing after it has been closed", async () => {
    const { host, stream, events } = begin();
    host.say(letter(1));
    stream.send(StreamChannel.CHANNEL_INPUT, Uint8Array.of(1));
    stream.close();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(events).toEqual([]);
    expect(host.raw).toHaveLength(1);
  });
});
