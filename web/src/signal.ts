// The way to the host through the meeting point: key exchange over a WebSocket, then sealed session messages.
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Login, startLogin } from "./auth";
import type { Code } from "./code";
import { RefusalReason, type Session, SessionSchema, type Signal, SignalSchema } from "./gen/farpane_pb";
import { Seal } from "./seal";

export type SessionBody = NonNullable<MessageInitShape<typeof SessionSchema>["body"]>;

export interface MeetingHandlers {
  /** A message that is provably from the host. */
  session(body: Session["body"]): void;
  /** The exchange is over before it was admitted. */
  refused(reason: RefusalReason, attemptsLeft: number): void;
  /** The WebSocket is gone; `opened` tells whether it ever was there. */
  lost(opened: boolean): void;
}

const PROTOCOL_VERSION = 1;
const MAX_SIGNAL_BYTES = 64 * 1024;

export class Meeting {
  readonly #code: Code;
  readonly #socket: WebSocket;
  readonly #login: Promise<Login>;
  readonly #handlers: MeetingHandlers;
  #seal: Seal | undefined;
  #opened = false;
  #over = false;

  /** Knocks at the share that `code` names, and goes on until it is admitted or refused. */
  constructor(code: Code, handlers: MeetingHandlers) {
    this.#code = code;
    this.#handlers = handlers;
    this.#login = startLogin(code);
    const url = new URL(`/signal/${code.routing}`, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.#socket = new WebSocket(url);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => this.#start();
    this.#socket.onmessage = (event) => this.#receive(event.data);
    this.#socket.onclose = () => this.#finish(() => handlers.lost(this.#opened));
    // A page that cannot load its key-exchange module, or may not run it, cannot prove anything.
    this.#login.catch(() => this.#refuse(RefusalReason.REFUSAL_UNSPECIFIED));
  }

  /** Whether a message could still reach the host. */
  get open(): boolean {
    return this.#seal !== undefined && this.#socket.readyState === WebSocket.OPEN;
  }

  /** Sends to the host, sealed; without effect while the key exchange has not passed or the WebSocket is gone. */
  send(body: SessionBody): void {
    if (this.#seal === undefined || this.#socket.readyState !== WebSocket.OPEN) return;
    const payload = toBinary(SessionSchema, create(SessionSchema, { body }));
    this.#transmit({ case: "sealed", value: this.#seal.seal(payload) });
  }

  /** Leaves without another word to the handlers. */
  close(): void {
    this.#finish(() => {});
  }

  async #start(): Promise<void> {
    this.#opened = true;
    const login = await this.#login.catch(() => undefined);
    if (login === undefined) return;
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
    if (result !== undefined) this.#seal = new Seal(result.sessionKey, this.#code.routing);
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
    this.#socket.onmessage = null;
    this.#socket.close();
    tell();
  }
}
