// The lines that a session takes: the one of the key exchange, those that go on with it, and those of streams.
import { createDecipheriv, hkdfSync } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import {
  SessionSchema,
  type Signal,
  SignalSchema,
  StreamChannel,
  StreamFormat,
  StreamMessageSchema,
} from "../src/gen/farpane_pb";
import { Seal } from "../src/seal";
import { Meeting } from "../src/signal";

const KEY = Uint8Array.from({ length: 64 }, (_, i) => i);
const ROUTING = "AB0D";

const LOGIN = { ke1: Uint8Array.of(1), finish: () => ({ ke3: Uint8Array.of(3), sessionKey: KEY }) };
let login: Promise<typeof LOGIN>;
vi.mock("../src/auth", () => ({ startLogin: () => login }));

class FakeSocket {
  static OPEN = 1;
  static all: FakeSocket[] = [];
  readyState = 0;
  bufferedAmount = 0;
  readonly sent: Uint8Array[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  readonly url: URL;

  constructor(url: URL) {
    this.url = url;
    FakeSocket.all.push(this);
  }
  open() {
    this.readyState = FakeSocket.OPEN;
    this.onopen?.();
  }
  send(data: Uint8Array) {
    this.sent.push(data);
  }
  /** By the server. */
  drop() {
    this.readyState = 3;
    this.onclose?.();
  }
  close() {}
}

const said = (socket?: FakeSocket): Signal["body"][] =>
  (socket?.sent ?? []).map((data) => fromBinary(SignalSchema, data).body);

const none = { opened: () => {}, fragments: () => {}, letter: () => {}, lost: () => {} };

beforeEach(() => {
  FakeSocket.all = [];
  login = Promise.resolve(LOGIN);
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("window", { setTimeout, clearTimeout });
  vi.stubGlobal("location", { href: "https://example.org/some/page#code" });
});
afterEach(() => {
  vi.unstubAllGlobals();
});

it("numbers lines as their WebSockets open, and never takes one twice", async () => {
  const handlers = { session: () => {}, refused: () => {}, lost: () => {} };
  const meeting = new Meeting({ routing: ROUTING, secret: "" }, handlers);
  expect(meeting.stream([StreamFormat.STREAM_AV1], none)).toBeUndefined();
  const [first] = FakeSocket.all;
  first?.open();
  await vi.waitFor(() => expect(said(first)).toHaveLength(1));
  const reply = create(SignalSchema, { body: { case: "authReply", value: { ke2: Uint8Array.of(2) } } });
  first?.onmessage?.({ data: toBinary(SignalSchema, reply).buffer });
  await vi.waitFor(() => expect(meeting.open).toBe(true));
  meeting.keep(() => {});

  const formats = [StreamFormat.STREAM_H264, StreamFormat.STREAM_AV1];
  const streams = [meeting.stream(formats, none), meeting.stream(formats, none)];
  meeting.reopen();
  const [, early, late, resumed] = FakeSocket.all;
  expect(FakeSocket.all.map(({ url }) => String(url))).toEqual(
    Array(4).fill(`wss://example.org/signal/${ROUTING}`),
  );
  for (const socket of [late, resumed, early]) socket?.open();
  for (const [socket, kind, line] of [
    [late, "stream", 1],
    [resumed, "resume", 2],
    [early, "stream", 3],
  ] as const) {
    const [body] = said(socket);
    expect(body).toMatchObject({ case: kind, value: { line } });
    if ((body?.case !== "stream" && body?.case !== "resume") || !body.value.opening) throw new Error(kind);
    const opened = new Seal(KEY, ROUTING, line, "host").open(body.value.opening);
    const session = opened && fromBinary(SessionSchema, opened).body;
    expect(session).toMatchObject(
      kind === "stream" ? { case: "shown", value: { formats } } : { case: undefined },
    );
  }

  // What follows on a stream's line is encrypted with its key.
  streams[0]?.send(StreamChannel.CHANNEL_INPUT, Uint8Array.of(0x22, 0));
  await vi.waitFor(() => expect(early?.sent).toHaveLength(2));
  const sealed = early?.sent[1] ?? new Uint8Array();
  const key = Buffer.from(hkdfSync("sha256", KEY, "", `farpane v1 viewer media ${ROUTING} 3`, 32));
  const decipher = createDecipheriv("aes-256-gcm", key, Buffer.alloc(12));
  decipher.setAuthTag(sealed.subarray(-16));
  const plain = Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
  expect(fromBinary(StreamMessageSchema, Uint8Array.from(plain)).letters).toHaveLength(1);
  for (const stream of streams) stream?.close();
});

it("opens the WebSocket again if what it needs to say something took too long to load", async () => {
  let loaded = (_: typeof LOGIN) => {};
  login = new Promise((resolve) => {
    loaded = resolve;
  });
  const lost = vi.fn();
  const handlers = { session: () => {}, refused: () => {}, lost };
  new Meeting({ routing: ROUTING, secret: "" }, handlers);
  FakeSocket.all[0]?.open();
  FakeSocket.all[0]?.drop();
  expect(FakeSocket.all).toHaveLength(1);
  loaded(LOGIN);
  await vi.waitFor(() => expect(FakeSocket.all).toHaveLength(2));
  FakeSocket.all[1]?.open();
  await vi.waitFor(() => expect(said(FakeSocket.all[1])).toMatchObject([{ case: "authStart" }]));
  expect(lost).not.toHaveBeenCalled();
  // Whoever has been spoken to and hangs up has done with it.
  FakeSocket.all[1]?.drop();
  expect(lost).toHaveBeenCalledWith(true);
});

it("tells when there is no server any more to open it again to", async () => {
  let loaded = (_: typeof LOGIN) => {};
  login = new Promise((resolve) => {
    loaded = resolve;
  });
  const lost = vi.fn();
  new Meeting({ routing: ROUTING, secret: "" }, { session: () => {}, refused: () => {}, lost });
  FakeSocket.all[0]?.open();
  FakeSocket.all[0]?.drop();
  loaded(LOGIN);
  await vi.waitFor(() => expect(FakeSocket.all).toHaveLength(2));
  FakeSocket.all[1]?.drop();
  expect(lost).toHaveBeenCalledWith(false);
});
