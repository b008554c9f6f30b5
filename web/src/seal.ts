// Messages under a MAC of the session key, so that the meeting point can relay but not alter, drop or replay them.
import { hkdf } from "@noble/hashes/hkdf";
import { hmac } from "@noble/hashes/hmac";
import { sha256 } from "@noble/hashes/sha2";

export interface SealedMessage {
  readonly seq: bigint;
  readonly payload: Uint8Array;
  readonly mac: Uint8Array;
}

const KEY_BYTES = 32;
const encoder = new TextEncoder();

/** Both directions of one line, which is one connection to the meeting point. Pure JavaScript, because `crypto.subtle` is missing on plain-HTTP pages. */
export class Seal {
  readonly #sendKey: Uint8Array;
  readonly #receiveKey: Uint8Array;
  #sendSeq = 0n;
  #receiveSeq = 0n;

  /** `routing` is the four symbols that both sides met under; `side` is whose end this is. No `line` is used twice. */
  constructor(sessionKey: Uint8Array, routing: string, line: number, side: "viewer" | "host" = "viewer") {
    const other = side === "viewer" ? "host" : "viewer";
    this.#sendKey = directionKey(sessionKey, `farpane v1 ${side} ${routing} ${line}`);
    this.#receiveKey = directionKey(sessionKey, `farpane v1 ${other} ${routing} ${line}`);
  }

  seal(payload: Uint8Array): SealedMessage {
    const seq = this.#sendSeq++;
    return { seq, payload, mac: macOf(this.#sendKey, seq, payload) };
  }

  /** The payload, or nothing when the message is forged, altered, repeated or out of order. */
  open(message: SealedMessage): Uint8Array | undefined {
    const expected = macOf(this.#receiveKey, this.#receiveSeq, message.payload);
    if (message.seq !== this.#receiveSeq || !sameBytes(expected, message.mac)) return undefined;
    this.#receiveSeq++;
    return message.payload;
  }
}

/** The key of one direction, named by `info` (RFC 5869, SHA-256, no salt). */
export function directionKey(sessionKey: Uint8Array, info: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(hkdf(sha256, sessionKey, undefined, encoder.encode(info), KEY_BYTES));
}

function macOf(key: Uint8Array, seq: bigint, payload: Uint8Array): Uint8Array {
  const number = new Uint8Array(8);
  new DataView(number.buffer).setBigUint64(0, seq);
  return hmac.create(sha256, key).update(number).update(payload).digest();
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}
