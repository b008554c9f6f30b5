// The way to the host through the meeting point: key exchange over a WebSocket, then sealed session messages, which go
// on over another one when that is gone.
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Login, startLogin } from "./auth";
import type { Code } from "./code";
import {
  RefusalReason,
  type Session,
  SessionSchema,
  type Signal,
  SignalSchema,
  type StreamFormat,
} from "./gen/farpane_pb";
import { directionKey, Seal } from "./seal";
import { type Opening, Stream, type StreamHandlers } from "./stream";

export type SessionBody = NonNullable<MessageInitShape<typeof SessionSchema>["body"]>;

export interface MeetingHandlers {
  /** A message that is provably from the host. */
  session(body: Session["body"]): void;
  /** The exchange is over before it was admitted, or a kept session is not known any more. */
  refused(reason: RefusalReason, attemptsLeft: number): void;
  /** The WebSocket is gone, and no session is kept; `opened` tells whether it ever was there. */
  lost(opened: boolean): void;
}

const PROTOCOL_VERSION = 1;
const MAX_SIGNAL_BYTES = 64 * 1024;
/** A WebSocket that is gone is opened again after this long, and after a failure after twice as long, up to the second. */
const RETRY_MS = [500, 4_000] as const;
/** What is no longer so a little later. */
const TRANSIENT = [RefusalReason.REFUSAL_BUSY, RefusalReason.REFUSAL_OVERLOADED];

export class Meeting {
  readonly #code: Code;
  readonly #login: Promise<Login>;
  readonly #handlers: MeetingHandlers;
  #socket: WebSocket;
  /** Says when messages can be sent again, for a session that is kept. */
  #resumed: (() => void) | undefined;
  #sessionKey: Uint8Array | undefined;
  #line = 0;
  #seal: Seal | undefined;
  #retryMs: number = RETRY_MS[0];
  #retry: number | undefined;
  #opened = false;
  /** The host has been spoken to. */
  #asked = false;
  #over = false;

  /** Knocks at the share that `code` names, and goes on until it is admitted or refused. */
  constructor(code: Code, handlers: MeetingHandlers) {
    this.#code = code;
    this.#handlers = handlers;
    this.#login = startLogin(code);
    this.#socket = this.#dial(() => this.#start());
    // A page that cannot load its key-exchange module, or may not run it, cannot prove anything.
    this.#login.catch(() => this.#refuse(RefusalReason.REFUSAL_UNSPECIFIED));
  }

  /** Whether a message could still reach the host. */
  get open(): boolean {
    return this.#seal !== undefined && this.#socket.readyState === WebSocket.OPEN;
  }

  /** Sends to the host, sealed; without effect while the key exchange has not passed or the WebSocket is gone. */
  send(body: SessionBody): void {
    if (!this.open) return;
    this.#transmit({ case: "sealed", value: this.#sealed({ body }) });
  }

  /** From now on a WebSocket that is gone is opened again, for the session that has come about. */
  keep(resumed: () => void): void {
    this.#resumed = resumed;
  }

  /** Gives up a WebSocket that may be one in name only, and opens another. */
  reopen(): void {
    if (this.#over || this.#resumed === undefined || this.#sessionKey === undefined) return;
    this.#hangUp();
    this.#seal = undefined;
    this.#socket = this.#dial(() => this.#resume());
  }

  /** Opens a WebSocket beside this one, for media in one of the `formats`; none before the host has admitted. */
  stream(formats: StreamFormat[], handlers: StreamHandlers): Stream | undefined {
    const sessionKey = this.#sessionKey;
    if (this.#over || sessionKey === undefined) return undefined;
    return new Stream(new WebSocket(this.#url), () => this.#openStream(sessionKey, formats), handlers);
  }

  /** Leaves without another word to the handlers. */
  close(): void {
    this.#finish(() => {});
  }

  get #url(): URL {
    const url = new URL(`/signal/${this.#code.routing}`, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return url;
  }

  #dial(opened: () => void): WebSocket {
    const socket = new WebSocket(this.#url);
    socket.binaryType = "arraybuffer";
    socket.onopen = opened;
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = () => this.#lost();
    return socket;
  }

  #hangUp(): void {
    window.clearTimeout(this.#retry);
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
  }

  #lost(): void {
    if (this.#resumed === undefined) {
      // What the key exchange needs may load for longer than a server waits for one who says nothing.
      if (this.#opened && !this.#asked) return;
      return this.#finish(() => this.#handlers.lost(this.#opened));
    }
    this.#retry = window.setTimeout(() => this.reopen(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS[1]);
  }

  /** Lines are numbered once their WebSockets are open, so that the host hears of them in order. */
  #resume(): void {
    if (this.#sessionKey === undefined) return;
    this.#retryMs = RETRY_MS[0];
    const line = ++this.#line;
    this.#seal = new Seal(this.#sessionKey, this.#code.routing, line);
    this.#transmit({ case: "resume", value: { line, opening: this.#sealed({}) } });
    this.#resumed?.();
  }

  #openStream(sessionKey: Uint8Array, formats: StreamFormat[]): Opening {
    const line = ++this.#line;
    const { routing } = this.#code;
    const shown = toBinary(
      SessionSchema,
      create(SessionSchema, { body: { case: "shown", value: { formats } } }),
    );
    const opening = new Seal(sessionKey, routing, line).seal(shown);
    const key = (side: string) => directionKey(sessionKey, `farpane v1 ${side} media ${routing} ${line}`);
    return {
      message: toBinary(
        SignalSchema,
        create(SignalSchema, { body: { case: "stream", value: { line, opening } } }),
      ),
      sendKey: key("viewer"),
      receiveKey: key("host"),
    };
  }

  async #start(): Promise<void> {
    this.#opened = true;
    const login = await this.#login.catch(() => undefined);
    if (login === undefined || this.#over) return;
    if (this.#socket.readyState !== WebSocket.OPEN) {
      this.#opened = false;
      this.#socket = this.#dial(() => this.#start());
      return;
    }
    this.#asked = true;
    this.#transmit({ case: "authStart", value: { version: PROTOCOL_VERSION, ke1: login.ke1 } });
  }

  async #receive(data: unknown): Promise<void> {
    if (!(data instanceof ArrayBuffer) || data.byteLength > MAX_SIGNAL_BYTES) return this.#broken();
    let body: Signal["body"];
    try {
      body = fromBinary(SignalSchema, new Uint8Array(data)).body;
    } catch {
      return this.#broken();
    }
    switch (body.case) {
      case "authReply":
        return this.#reply(body.value.ke2);
      case "refusal":
        // A kept session is tried for again when this WebSocket has been closed.
        if (this.#line > 0 && TRANSIENT.includes(body.value.reason)) return;
        return this.#refuse(body.value.reason, body.value.attemptsLeft);
      case "sealed":
        return this.#openSealed(body.value);
      case undefined:
        // Something that a later version says.
        return;
      default:
        return this.#broken();
    }
  }

  async #reply(ke2: Uint8Array): Promise<void> {
    if (this.#seal !== undefined) return this.#broken();
    const login = await this.#login;
    let result: ReturnType<Login["finish"]>;
    try {
      result = login.finish(ke2);
    } catch {
      return this.#broken();
    }
    if (result !== undefined) {
      this.#sessionKey = result.sessionKey;
      this.#seal = new Seal(result.sessionKey, this.#code.routing, this.#line);
    }
    // With a wrong secret there is no proof to send; the empty one asks the host how many attempts are left.
    this.#transmit({ case: "authFinish", value: { ke3: result?.ke3 ?? new Uint8Array() } });
  }

  #openSealed(message: Parameters<Seal["open"]>[0]): void {
    const payload = this.#seal?.open(message);
    if (payload === undefined) return this.#broken();
    let body: Session["body"];
    try {
      body = fromBinary(SessionSchema, payload).body;
    } catch {
      return this.#broken();
    }
    if (body.case === "refused") return this.#refuse(body.value.reason, body.value.attemptsLeft);
    this.#handlers.session(body);
  }

  #sealed(message: MessageInitShape<typeof SessionSchema>) {
    if (this.#seal === undefined) throw new Error("nothing to seal with");
    return this.#seal.seal(toBinary(SessionSchema, create(SessionSchema, message)));
  }

  #transmit(body: NonNullable<MessageInitShape<typeof SignalSchema>["body"]>): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(toBinary(SignalSchema, create(SignalSchema, { body })));
  }

  #broken(): void {
    this.#refuse(RefusalReason.REFUSAL_PROTOCOL);
  }

  #refuse(reason: RefusalReason, attemptsLeft = 0): void {
    this.#finish(() => this.#handlers.refused(reason, attemptsLeft));
  }

  #finish(tell: () => void): void {
    if (this.#over) return;
    this.#over = true;
    this.#hangUp();
    tell();
  }
}
