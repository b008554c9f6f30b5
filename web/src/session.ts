// One session with a host: by WebRTC, or by a stream where that finds no way, and its way back after the network was gone.
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Copies } from "./copies";
import { type Decoded, Decoder } from "./decoder";
import {
  type ControlMessage,
  ControlMessageSchema,
  type CursorMessage,
  CursorMessageSchema,
  EndReason,
  InputMessageSchema,
  PointerMessageSchema,
  type Session as SessionMessage,
  type StatsMessage,
  StatsMessageSchema,
  StreamChannel,
  type StreamFormat,
} from "./gen/farpane_pb";
import { canReceiveVideo, Peer } from "./peer";
import type { Screen } from "./screen";
import type { Meeting } from "./signal";
import { type BrowserCounts, readCounts } from "./stats";
import type { Stream } from "./stream";

export interface SessionHandlers {
  /** Something came over the control channel. */
  control(message: ControlMessage): void;
  /** Messages go to the host, from now on and maybe by another way than before. */
  ready(): void;
  /** Messages will go another way, and may overtake those before: this is the last moment for any by the old way. */
  leaving(): void;
  cursor(message: CursorMessage): void;
  stats(message: StatsMessage): void;
  /** No way is left; one is being looked for. */
  interrupted(): void;
  resumed(): void;
  ended(reason: EndReason, detail: string): void;
  /** No connection came about. */
  failed(why: "no path" | "bad answer"): void;
}

type Way = Pick<Peer | Stream, "send">;

/** No host sends a longer channel message; the largest is a cursor of 128 x 128 pixels. */
const MAX_CHANNEL_BYTES = 68 * 1024;
/** How long a connection may take. */
const CONNECT_PATIENCE_MS = 30_000;
/** How long a way is looked for after the last one was lost; the host waits as long. */
export const PATH_PATIENCE_MS = 60_000;
/** A new set of candidates is tried this often while WebRTC's path is lost. */
const RESTART_MS = 5_000;
/** And so long after a search that came to nothing while a stream does. */
const UNREACHABLE_MS = 30_000;
/** WebRTC is given this long before there is a stream. */
const STREAM_AFTER_MS = 4_000;
/** A lost stream is opened again after this long, and after a failure after twice as long, up to the second. */
const STREAM_RETRY_MS = [1_000, 8_000] as const;
/** A stream goes on for this long after WebRTC is back, which may not last. */
const STREAM_LINGER_MS = 5_000;

/** How long a host that has closed is given to say why. */
const LAST_WORDS_MS = 500;
/** Time for the last message to leave before its connection is torn down. */
const FAREWELL_MS = 100;

export class Session {
  readonly #meeting: Meeting;
  readonly #screen: Screen;
  readonly #handlers: SessionHandlers;
  readonly #formats: StreamFormat[];
  readonly #decoder: Decoder;
  readonly #peer: Peer | undefined;
  readonly #copies = new Copies((copies) => this.sendPointer({ copies }));
  /** How much the viewer has done. */
  #acts = 0;
  #stream: Stream | undefined;
  /** By which messages are sent: WebRTC while it has a path. */
  #way: Way | undefined;
  /** WebRTC has shown a frame since it has a path: what a stream still brings is older. */
  #videoShown = false;
  #begun = false;
  #interrupted = false;
  #patience: number | undefined;
  #restart: number | undefined;
  #looking = new AbortController();
  #later: number | undefined;
  #streamTimer: number | undefined;
  #streamRetryMs: number = STREAM_RETRY_MS[0];
  #over = false;

  /** Begins to connect; `screen` will show the picture, and streams may come in one of `formats`. */
  constructor(meeting: Meeting, formats: StreamFormat[], screen: Screen, handlers: SessionHandlers) {
    this.#meeting = meeting;
    this.#formats = formats;
    this.#screen = screen;
    this.#handlers = handlers;
    this.#decoder = new Decoder({
      picture: (frame, decoded) => this.#draw(frame, decoded),
      stuck: () => this.sendControl({ case: "refresh", value: {} }),
    });
    screen.onvideo = () => this.#presented();
    this.#patience = window.setTimeout(() => this.#fail("no path"), CONNECT_PATIENCE_MS);
    this.#streamSoon(STREAM_AFTER_MS);
    if (canReceiveVideo()) {
      this.#peer = new Peer({
        signal: (body) => meeting.send(body),
        message: (channel, data) => this.#take(channel, data),
        found: () => this.#pathFound(),
        lost: () => this.#pathLost(),
        unreachable: () => this.#unreachable(),
        // Its last words may still be on their way through the meeting point.
        closed: () =>
          window.setTimeout(
            () => this.#peerGone(() => this.#end(EndReason.END_UNSPECIFIED, "")),
            LAST_WORDS_MS,
          ),
        failed: () => this.#peerGone(() => this.#fail("bad answer")),
      });
      screen.play(this.#peer.media);
    } else {
      this.#openStream();
    }
  }

  /** Takes a message that came sealed over the meeting point. */
  handle(body: SessionMessage["body"]): void {
    if (body.case === "ended") this.#end(body.value.reason, body.value.detail);
    else this.#peer?.handle(body);
  }

  sendInput(body: MessageInitShape<typeof InputMessageSchema>["body"]): void {
    const act = create(InputMessageSchema, { body, number: ++this.#acts });
    this.#send(StreamChannel.CHANNEL_INPUT, InputMessageSchema, act);
    // TCP needs none.
    if (this.#way === this.#peer) this.#copies.add(act);
  }

  /** Sends a position, unless older ones still wait: the next one will say more. */
  sendPointer(message: MessageInitShape<typeof PointerMessageSchema>): void {
    this.#send(StreamChannel.CHANNEL_POINTER, PointerMessageSchema, message);
  }

  sendControl(body: MessageInitShape<typeof ControlMessageSchema>["body"]): void {
    this.#send(StreamChannel.CHANNEL_CONTROL, ControlMessageSchema, { body });
  }

  /** What has come by all ways. */
  async counts(): Promise<BrowserCounts> {
    const { bytes, packets, dropped } = this.#decoder.counts;
    // A closed connection may have no more to say.
    const report = await this.#peer?.getStats().catch(() => undefined);
    const counts = readCounts(report ?? new Map());
    const streamed = this.#way === this.#stream;
    return {
      ...counts,
      bytes: counts.bytes + bytes,
      packets: counts.packets + packets,
      dropped: counts.dropped + dropped,
      rttMs: streamed ? undefined : counts.rttMs,
      route: streamed ? "" : counts.route,
    };
  }

  /** Tells the host that the viewer leaves, on all ways because each may be gone, and closes. */
  leave(): void {
    if (this.#over) return;
    const ended = { reason: EndReason.END_VIEWER_LEFT };
    this.sendControl({ case: "ended", value: ended });
    this.#meeting.send({ case: "ended", value: ended });
    this.#close(FAREWELL_MS);
  }

  /** The host does not know of this session any more: without a way there is nothing left of it. */
  forgotten(): void {
    if (this.#way === undefined) this.#end(EndReason.END_PATH_LOST, "");
  }

  // ---- Messages ----

  #send<Desc extends DescMessage>(
    channel: StreamChannel,
    schema: Desc,
    message: MessageInitShape<Desc>,
  ): void {
    (this.#way ?? this.#peer)?.send(channel, toBinary(schema, create(schema, message)));
  }

  #take(channel: StreamChannel, data: Uint8Array): void {
    if (this.#over || data.length > MAX_CHANNEL_BYTES) return;
    switch (channel) {
      case StreamChannel.CHANNEL_CONTROL:
        return read(ControlMessageSchema, data, (message) => {
          if (message.body.case === "ended") this.#end(message.body.value.reason, message.body.value.detail);
          else this.#handlers.control(message);
        });
      case StreamChannel.CHANNEL_CURSOR:
        return read(CursorMessageSchema, data, (message) => this.#handlers.cursor(message));
      case StreamChannel.CHANNEL_STATS:
        return read(StatsMessageSchema, data, (message) => this.#handlers.stats(message));
    }
  }

  // ---- Ways ----

  #switch(way: Way): void {
    if (this.#way === way) return;
    if (this.#way !== undefined) this.#handlers.leaving();
    this.#copies.clear();
    this.#way = way;
    this.#handlers.ready();
  }

  /** Somebody sees the other computer, or would if the page were not hidden. */
  #found(): void {
    window.clearTimeout(this.#patience);
    if (!this.#begun) this.#meeting.keep(() => this.#reached());
    this.#begun = true;
    if (!this.#interrupted) return;
    this.#interrupted = false;
    this.#handlers.resumed();
  }

  #lost(): void {
    if (this.#begun && !this.#interrupted) {
      this.#interrupted = true;
      this.#handlers.interrupted();
      this.#patience = window.setTimeout(() => this.#end(EndReason.END_PATH_LOST, ""), PATH_PATIENCE_MS);
    }
    this.#way = undefined;
  }

  // ---- WebRTC ----

  #pathFound(): void {
    if (this.#over || this.#peer === undefined) return;
    this.#stopLooking();
    window.clearTimeout(this.#later);
    window.clearTimeout(this.#streamTimer);
    this.#switch(this.#peer);
    // What was lost with the path is not sent again by itself.
    if (this.#interrupted) this.sendControl({ case: "refresh", value: {} });
    this.#found();
  }

  #pathLost(): void {
    if (this.#over) return;
    this.#videoShown = false;
    this.#lost();
    this.#looking = new AbortController();
    // What took the path may have taken the WebSocket as well, which would not notice for minutes.
    const look = () => this.#meeting.reopen();
    this.#restart = window.setInterval(look, RESTART_MS);
    window.addEventListener("online", look, { signal: this.#looking.signal });
    look();
    window.clearTimeout(this.#streamTimer);
    if (this.#stream === undefined) this.#streamSoon(STREAM_AFTER_MS);
    else if (this.#stream.opened) {
      // What it still brings from before refers to pictures that went the other way.
      this.#decoder.restart();
      this.#switch(this.#stream);
    }
  }

  /** With a stream there is no hurry, but there may be a way some time. */
  #unreachable(): void {
    if (this.#over || this.#restart !== undefined) return;
    window.clearTimeout(this.#later);
    this.#later = window.setTimeout(() => this.#peer?.restart(), UNREACHABLE_MS);
  }

  /** The host can be spoken to again: asks it for a new path, if there is none. */
  #reached(): void {
    if (this.#restart !== undefined) this.#peer?.restart();
  }

  #stopLooking(): void {
    window.clearInterval(this.#restart);
    this.#looking.abort();
    this.#restart = undefined;
  }

  /** Without WebRTC a stream may do, unless it was WebRTC that the host closed. */
  #peerGone(end: () => void): void {
    if (this.#over) return;
    if (this.#formats.length === 0 || this.#way === this.#peer) return end();
    this.#stopLooking();
    this.#peer?.close();
    if (this.#stream === undefined) this.#openStream();
  }

  /** The video has a frame. */
  #presented(): void {
    if (this.#over || this.#videoShown || this.#way !== this.#peer) return;
    this.#videoShown = true;
    this.#screen.showVideo();
    window.clearTimeout(this.#streamTimer);
    this.#streamTimer = window.setTimeout(() => this.#closeStream(), STREAM_LINGER_MS);
  }

  // ---- Stream ----

  #streamSoon(afterMs: number): void {
    if (this.#formats.length === 0) return;
    this.#streamTimer = window.setTimeout(() => this.#openStream(), afterMs);
  }

  #openStream(): void {
    window.clearTimeout(this.#streamTimer);
    this.#decoder.restart();
    const stream = this.#meeting.stream(this.#formats, {
      opened: () => {
        if (this.#way === undefined && stream !== undefined) this.#switch(stream);
        // The host sends no picture to a page that is hidden.
        if (document.hidden) this.#found();
      },
      fragments: (fragments, receivedUs) => {
        for (const fragment of fragments) this.#decoder.take(fragment, receivedUs);
      },
      letter: ({ channel, message }) => this.#take(channel, message),
      lost: () => this.#streamLost(),
    });
    this.#stream = stream;
  }

  #draw(frame: VideoFrame, decoded: Decoded): void {
    if (this.#over || this.#videoShown) return frame.close();
    this.#screen.draw(frame, decoded);
    this.#streamRetryMs = STREAM_RETRY_MS[0];
    this.#found();
  }

  #streamLost(): void {
    // The host may hang up before the goodbye has gone.
    if (this.#over) return;
    const way = this.#way;
    const lost = this.#stream;
    this.#stream = undefined;
    if (way === lost) this.#lost();
    if (way !== undefined && way === this.#peer) return;
    this.#streamSoon(this.#streamRetryMs);
    this.#streamRetryMs = Math.min(this.#streamRetryMs * 2, STREAM_RETRY_MS[1]);
  }

  #closeStream(): void {
    this.#stream?.close();
    this.#stream = undefined;
    this.#decoder.close();
  }

  // ---- The end ----

  #end(reason: EndReason, detail: string): void {
    if (this.#over) return;
    this.#close();
    this.#handlers.ended(reason, detail);
  }

  #fail(why: "no path" | "bad answer"): void {
    if (this.#over) return;
    if (this.#begun) return this.#end(EndReason.END_HOST_ERROR, "");
    this.#close();
    this.#handlers.failed(why);
  }

  #close(afterMs = 0): void {
    this.#over = true;
    this.#stopLooking();
    this.#copies.clear();
    window.clearTimeout(this.#patience);
    window.clearTimeout(this.#later);
    window.clearTimeout(this.#streamTimer);
    const close = () => {
      this.#peer?.close();
      this.#closeStream();
    };
    if (afterMs === 0) close();
    else window.setTimeout(close, afterMs);
  }
}

/** Hands a message over, unless it is none. */
function read<Desc extends DescMessage>(
  schema: Desc,
  data: Uint8Array,
  take: (message: MessageShape<Desc>) => void,
): void {
  let message: MessageShape<Desc>;
  try {
    message = fromBinary(schema, data);
  } catch {
    return;
  }
  take(message);
}
