// Which way a session goes, when WebRTC and streams come and go.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { DecoderHandlers } from "../src/decoder";
import {
  ControlMessageSchema,
  EndReason,
  InputMessageSchema,
  PointerMessageSchema,
  StreamChannel,
  StreamFormat,
} from "../src/gen/farpane_pb";
import type { PeerHandlers } from "../src/peer";
import type { Screen } from "../src/screen";
import { Session } from "../src/session";
import type { Meeting } from "../src/signal";
import type { StreamHandlers } from "../src/stream";

const { CHANNEL_CONTROL, CHANNEL_INPUT, CHANNEL_POINTER } = StreamChannel;

let log: string[];
let webRtc: boolean;
let peer: PeerHandlers;
let decoder: DecoderHandlers;
/** How often what comes was to be shown from a key frame on. */
let begins: number;
let streams: (StreamHandlers & { opened(): void })[];

/** Notes what is sent by a way. */
function sender(name: string) {
  return (channel: StreamChannel, data: Uint8Array) => {
    if (channel === CHANNEL_POINTER) {
      const { copies } = fromBinary(PointerMessageSchema, data);
      log.push(`${name}: again ${copies.map(({ number }) => number).join(" ")}`);
      return;
    }
    const schema = channel === CHANNEL_INPUT ? InputMessageSchema : ControlMessageSchema;
    log.push(`${name}: ${fromBinary(schema, data).body.case}`);
  };
}

vi.mock("../src/peer", () => ({
  canReceiveVideo: () => webRtc,
  Peer: class {
    send = sender("peer");
    constructor(handlers: PeerHandlers) {
      peer = handlers;
    }
    handle() {}
    restart = () => log.push("restart");
    close = () => log.push("peer closed");
    getStats = async () => new Map([["v", { type: "inbound-rtp", kind: "video", bytesReceived: 100 }]]);
  },
}));

vi.mock("../src/decoder", () => ({
  Decoder: class {
    counts = { bytes: 10, packets: 2, dropped: 1 };
    constructor(handlers: DecoderHandlers) {
      decoder = handlers;
    }
    restart = () => begins++;
    take() {}
    close() {}
  },
}));

const picture = () => {
  const frame = { close: () => log.push("late picture") };
  const decoded = { rtpTime: 0, receivedUs: 0, decodeUs: 0, changed: undefined };
  decoder.picture(frame as unknown as VideoFrame, decoded);
};

function begin({ formats = [StreamFormat.STREAM_H264] } = {}) {
  let kept = () => {};
  const meeting = {
    send: () => {},
    keep: (resumed: () => void) => {
      kept = resumed;
    },
    reopen: () => {
      log.push("reopen");
      kept();
    },
    stream: (_: StreamFormat[], handlers: StreamHandlers) => {
      const number = streams.length + 1;
      let opened = false;
      const open = () => {
        opened = true;
        handlers.opened();
      };
      log.push(`stream ${number}`);
      streams.push({ ...handlers, opened: open });
      return {
        send: sender(`stream ${number}`),
        close: () => log.push(`stream ${number} closed`),
        get opened() {
          return opened;
        },
      };
    },
  };
  const screen = {
    onvideo: () => {},
    play: () => {},
    draw: () => log.push("canvas"),
    showVideo: () => log.push("video"),
  };
  const session = new Session(meeting as unknown as Meeting, formats, screen as unknown as Screen, {
    control: ({ body }) => log.push(`control: ${body.case}`),
    ready: () => session.sendControl({ case: "ping", value: {} }),
    leaving: () => session.sendInput({ case: "releaseAll", value: {} }),
    cursor: () => {},
    stats: () => {},
    interrupted: () => log.push("interrupted"),
    resumed: () => log.push("resumed"),
    ended: (reason) => log.push(`ended: ${EndReason[reason]}`),
    failed: (why) => log.push(`failed: ${why}`),
  });
  return { session, present: () => screen.onvideo() };
}

/** What has happened since the last question. */
const happened = () => log.splice(0);

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal(
    "window",
    Object.assign(new EventTarget(), { setTimeout, clearTimeout, setInterval, clearInterval }),
  );
  vi.stubGlobal("document", { hidden: false });
  log = [];
  streams = [];
  begins = 0;
  webRtc = true;
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a session", () => {
  it("goes by WebRTC alone where that finds a way in time", () => {
    const { present } = begin();
    vi.advanceTimersByTime(3_900);
    peer.found();
    present();
    vi.advanceTimersByTime(120_000);
    expect(happened()).toEqual(["peer: ping", "video"]);
  });

  it("goes by a stream where WebRTC finds no way, and by WebRTC once it has", () => {
    const { session, present } = begin();
    vi.advanceTimersByTime(4_000);
    expect(happened()).toEqual(["stream 1"]);
    streams[0]?.opened();
    picture();
    expect(happened()).toEqual(["stream 1: ping", "canvas"]);
    vi.advanceTimersByTime(60_000);
    session.sendInput({ case: "key", value: {} });
    expect(happened()).toEqual(["stream 1: key"]);
    peer.found();
    session.sendInput({ case: "key", value: {} });
    picture();
    expect(happened()).toEqual(["stream 1: releaseAll", "peer: ping", "peer: key", "canvas"]);
    present();
    picture();
    vi.advanceTimersByTime(4_999);
    // Its number goes on from the stream's two; only this way can lose it.
    const again = Array(5).fill("peer: again 3");
    expect(happened()).toEqual(["video", "late picture", ...again]);
    vi.advanceTimersByTime(1);
    expect(happened()).toEqual(["stream 1 closed"]);
  });

  it("goes by a stream at once without WebRTC, and by nothing without both", () => {
    webRtc = false;
    begin();
    expect(happened()).toEqual(["stream 1"]);
    begin({ formats: [] });
    vi.advanceTimersByTime(30_000);
    expect(happened().filter((event) => event.startsWith("failed"))).toHaveLength(2);
  });

  it("fails when neither comes about", () => {
    begin();
    vi.advanceTimersByTime(4_000);
    for (const after of [1_000, 2_000, 4_000, 8_000]) {
      streams.at(-1)?.lost();
      vi.advanceTimersByTime(after - 1);
      log.push(`${after}`);
      vi.advanceTimersByTime(1);
    }
    expect(happened()).toEqual([
      "stream 1",
      "1000",
      "stream 2",
      "2000",
      "stream 3",
      "4000",
      "stream 4",
      "8000",
      "stream 5",
    ]);
    vi.advanceTimersByTime(11_000);
    expect(happened()).toEqual(["peer closed", "stream 5 closed", "failed: no path"]);
  });

  it("takes a stream when its path is lost, and looks for another path meanwhile", () => {
    const { present } = begin();
    peer.found();
    present();
    vi.advanceTimersByTime(60_000);
    happened();
    peer.lost();
    expect(happened()).toEqual(["interrupted", "reopen", "restart"]);
    vi.advanceTimersByTime(4_000);
    streams[0]?.opened();
    picture();
    expect(happened()).toEqual(["stream 1", "stream 1: ping", "canvas", "resumed"]);
    vi.advanceTimersByTime(5_000);
    expect(happened()).toEqual(["reopen", "restart"]);
    vi.advanceTimersByTime(120_000);
    happened();
    peer.found();
    present();
    expect(happened()).toEqual(["stream 1: releaseAll", "peer: ping", "video"]);
    // Lost again before the stream has been closed; what it brings next may refer to what went by WebRTC.
    const before = begins;
    peer.lost();
    expect(begins).toBe(before + 1);
    expect(happened()).toEqual(["interrupted", "reopen", "restart", "stream 1: ping"]);
    picture();
    vi.advanceTimersByTime(4_999);
    expect(happened()).toEqual(["canvas", "resumed"]);
  });

  it("goes on looking for a path that never was there", () => {
    begin();
    vi.advanceTimersByTime(4_000);
    streams[0]?.opened();
    picture();
    happened();
    for (let time = 0; time < 3; time++) {
      peer.unreachable();
      vi.advanceTimersByTime(30_000);
    }
    expect(happened()).toEqual(["restart", "restart", "restart"]);
    peer.unreachable();
    peer.found();
    vi.advanceTimersByTime(4_000);
    expect(happened()).toEqual(["stream 1: releaseAll", "peer: ping"]);
  });

  it("asks for what was lost when its path is back before there is a stream", () => {
    begin();
    peer.found();
    peer.lost();
    happened();
    vi.advanceTimersByTime(3_000);
    peer.found();
    vi.advanceTimersByTime(60_000);
    expect(happened()).toEqual(["peer: ping", "peer: refresh", "resumed"]);
  });

  it("opens a lost stream again, for a minute", () => {
    webRtc = false;
    begin();
    streams[0]?.opened();
    picture();
    happened();
    streams[0]?.lost();
    vi.advanceTimersByTime(1_000);
    expect(happened()).toEqual(["interrupted", "stream 2"]);
    streams[1]?.opened();
    picture();
    expect(happened()).toEqual(["stream 2: ping", "canvas", "resumed"]);
    streams[1]?.lost();
    vi.advanceTimersByTime(60_000);
    expect(happened()).toEqual(["interrupted", "stream 3", "stream 3 closed", "ended: END_PATH_LOST"]);
  });

  it("is not harmed by a stream that is refused while WebRTC works", () => {
    const { present } = begin();
    vi.advanceTimersByTime(4_000);
    peer.found();
    present();
    happened();
    streams[0]?.lost();
    vi.advanceTimersByTime(120_000);
    expect(happened()).toEqual([]);
  });

  it("is not harmed by WebRTC that fails while a stream works", () => {
    begin();
    vi.advanceTimersByTime(4_000);
    streams[0]?.opened();
    picture();
    happened();
    peer.failed();
    vi.advanceTimersByTime(120_000);
    expect(happened()).toEqual(["peer closed"]);
  });

  it("ends when the host closes WebRTC while it goes by that", () => {
    begin();
    peer.found();
    happened();
    peer.closed();
    vi.advanceTimersByTime(500);
    expect(happened()).toEqual(["peer closed", "ended: END_UNSPECIFIED"]);
  });

  it("changes nothing for a browser that knows no streams", () => {
    begin({ formats: [] });
    vi.advanceTimersByTime(20_000);
    peer.found();
    peer.lost();
    vi.advanceTimersByTime(59_999);
    expect(streams).toEqual([]);
    expect(happened()).not.toContain("ended: END_PATH_LOST");
    vi.advanceTimersByTime(1);
    expect(happened()).toEqual(expect.arrayContaining(["ended: END_PATH_LOST"]));
    begin({ formats: [] });
    peer.failed();
    expect(happened()).toEqual(["peer closed", "failed: bad answer"]);
  });

  it("is there for a hidden page without a picture", () => {
    begin();
    peer.found();
    peer.lost();
    vi.advanceTimersByTime(4_000);
    happened();
    vi.stubGlobal("document", { hidden: true });
    streams[0]?.opened();
    expect(happened()).toEqual(["stream 1: ping", "resumed"]);
  });

  it("takes letters as messages of the channel, and counts what came by all ways", async () => {
    const { session } = begin();
    vi.advanceTimersByTime(4_000);
    streams[0]?.opened();
    happened();
    const say = (message: Uint8Array) =>
      streams[0]?.letter({ $typeName: "farpane.v1.Letter", channel: CHANNEL_CONTROL, message });
    say(Uint8Array.of(255));
    say(toBinary(ControlMessageSchema, create(ControlMessageSchema, { body: { case: "pong", value: {} } })));
    expect(await session.counts()).toMatchObject({ bytes: 110, packets: 2, dropped: 1, route: "" });
    const reason = EndReason.END_STOPPED;
    say(
      toBinary(
        ControlMessageSchema,
        create(ControlMessageSchema, { body: { case: "ended", value: { reason } } }),
      ),
    );
    expect(happened()).toEqual(["control: pong", "peer closed", "stream 1 closed", "ended: END_STOPPED"]);
  });

  it("tells the host that the viewer leaves", () => {
    const { session } = begin();
    peer.found();
    happened();
    session.leave();
    vi.advanceTimersByTime(100);
    expect(happened()).toEqual(["peer: ended", "peer closed"]);
  });

  it("does not look for the host that hangs up on its goodbye", () => {
    webRtc = false;
    const { session } = begin();
    streams[0]?.opened();
    picture();
    session.leave();
    happened();
    streams[0]?.lost();
    vi.advanceTimersByTime(120_000);
    expect(happened().filter((event) => !event.endsWith("closed"))).toEqual([]);
  });
});
