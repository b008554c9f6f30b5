// Media and messages over a WebSocket, encrypted, where WebRTC finds no way.
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type ArrivalSchema,
  type Fragment,
  type Letter,
  StreamChannel,
  StreamMessageSchema,
} from "./gen/farpane_pb";

export interface StreamHandlers {
  /** The host has answered. */
  opened(): void;
  /** Fragments came, all in one message, at this time of `performance.now()`. */
  fragments(fragments: readonly Fragment[], receivedUs: number): void;
  letter(letter: Letter): void;
  /** It is gone, or the host would not have it. */
  lost(): void;
}

/** What a stream begins with. */
export interface Opening {
  /** The one message that is not encrypted. */
  readonly message: Uint8Array<ArrayBuffer>;
  readonly sendKey: Uint8Array<ArrayBuffer>;
  readonly receiveKey: Uint8Array<ArrayBuffer>;
}

/** The longest message that a host sends: a cursor of 128 x 128 pixels, beyond its 64 KiB of anything else. */
const MAX_MESSAGE_BYTES = 68 * 1024;
/** A pointer that waits behind this much is stale before it is sent. */
const MAX_POINTER_BACKLOG = 4 * 1024;
/** What arrives within this long is acknowledged together: the meeting point takes 1,000 messages a second. */
const ACKNOWLEDGE_MS = 5;
/** The host answers a ping every second; TCP would not notice for minutes that nothing comes any more. */
const SILENCE_MS = 10_000;

export class Stream {
  readonly #socket: WebSocket;
  readonly #handlers: StreamHandlers;
  #sending: Direction | undefined;
  #receiving: Direction | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #fragments = 0;
  #arrivals: MessageInitShape<typeof ArrivalSchema>[] = [];
  #acknowledging: ReturnType<typeof setTimeout> | undefined;
  #opened = false;
  #over = false;

  /** Takes a WebSocket that is being opened; `open` is asked for the opening once it is. */
  constructor(socket: WebSocket, open: () => Opening, handlers: StreamHandlers) {
    this.#socket = socket;
    this.#handlers = handlers;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      const { message, sendKey, receiveKey } = open();
      this.#sending = new Direction(sendKey, "encrypt");
      this.#receiving = new Direction(receiveKey, "decrypt");
      socket.send(message);
    };
    socket.onmessage = ({ data }) => this.#receive(data, performance.now() * 1000);
    socket.onclose = () => this.#lose();
    this.#heard();
  }

  /** Whether the host has answered. */
  get opened(): boolean {
    return this.#opened;
  }

  /** Sends what would go over the data channel of this name. */
  send(channel: StreamChannel, message: Uint8Array<ArrayBuffer>): void {
    const stale = this.#socket.bufferedAmount > MAX_POINTER_BACKLOG;
    if (channel === StreamChannel.CHANNEL_POINTER && stale) return;
    this.#transmit({ letters: [{ channel, message }] });
  }

  close(): void {
    this.#over = true;
    clearTimeout(this.#silence);
    clearTimeout(this.#acknowledging);
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
  }

  #transmit(message: MessageInitShape<typeof StreamMessageSchema>): void {
    const plain = toBinary(StreamMessageSchema, create(StreamMessageSchema, message));
    this.#sending
      ?.pass(plain, (sealed) => {
        if (!this.#over) this.#socket.send(sealed);
      })
      .catch(() => this.#lose());
  }

  #receive(data: unknown, receivedUs: number): void {
    if (!(data instanceof ArrayBuffer) || data.byteLength > MAX_MESSAGE_BYTES) return this.#lose();
    this.#receiving
      ?.pass(new Uint8Array(data), (plain) => {
        const message = fromBinary(StreamMessageSchema, plain);
        if (!this.#over) this.#take(message.fragments, message.letters, receivedUs);
      })
      .catch(() => this.#lose());
  }

  #take(fragments: readonly Fragment[], letters: readonly Letter[], receivedUs: number): void {
    this.#heard();
    if (!this.#opened) {
      this.#opened = true;
      this.#handlers.opened();
    }
    if (fragments.length > 0) {
      this.#fragments += fragments.length;
      this.#arrivals.push({ next: BigInt(this.#fragments), atUs: BigInt(Math.round(receivedUs)) });
      if (this.#acknowledging === undefined) this.#acknowledge();
      this.#handlers.fragments(fragments, receivedUs);
    }
    for (const letter of letters) this.#handlers.letter(letter);
  }

  /** At once, unless something was acknowledged just before. */
  #acknowledge(): void {
    this.#acknowledging = undefined;
    if (this.#arrivals.length === 0) return;
    this.#transmit({ arrivals: this.#arrivals.splice(0) });
    this.#acknowledging = setTimeout(() => this.#acknowledge(), ACKNOWLEDGE_MS);
  }

  #heard(): void {
    clearTimeout(this.#silence);
    // A hidden page may be let ping only once a minute.
    const silent = () => (document.hidden ? this.#heard() : this.#lose());
    this.#silence = setTimeout(silent, SILENCE_MS);
  }

  #lose(): void {
    if (this.#over) return;
    this.close();
    this.#handlers.lost();
  }
}

/** One direction: several messages are worked on at once, and come out in order. */
class Direction {
  readonly #key: Promise<CryptoKey>;
  readonly #use: "encrypt" | "decrypt";
  #number = 0n;
  #last: Promise<void> = Promise.resolve();

  constructor(key: Uint8Array<ArrayBuffer>, use: "encrypt" | "decrypt") {
    this.#key = crypto.subtle.importKey("raw", key, "AES-GCM", false, [use]);
    this.#use = use;
  }

  /** Hands over the result, after those before it. Fails, as all that follow do, if it cannot be had or taken. */
  pass(data: Uint8Array<ArrayBuffer>, take: (result: Uint8Array<ArrayBuffer>) => void): Promise<void> {
    const iv = nonce(this.#number++);
    const result = this.#key.then((key) => crypto.subtle[this.#use]({ name: "AES-GCM", iv }, key, data));
    this.#last = Promise.all([result, this.#last]).then(([result]) => take(new Uint8Array(result)));
    return this.#last;
  }
}

/** The number of a message as 96 bits, big endian. */
function nonce(number: bigint): Uint8Array<ArrayBuffer> {
  const iv = new Uint8Array(12);
  new DataView(iv.buffer).setBigUint64(4, number);
  return iv;
}
