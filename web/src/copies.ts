// Copies of what the viewer does, for a way that loses packets: what got lost on a reliable channel is sent again only after
// hundreds of milliseconds, and holds up all that follows. The host does each act once, by its number.

import type { InputMessage } from "./gen/farpane_pb";

/** The first copy comes so long after the act, so as not to be in the same packet. */
const FIRST_MS = 20;
/** The others so far apart, since losses come in runs. */
const APART_MS = 30;
const COPIES = 5;
/** More acts than this in such a time are no hand's. */
const MOST_ACTS = 16;

export class Copies {
  readonly #send: (acts: InputMessage[]) => void;
  #acts: { act: InputMessage; left: number }[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `send` sends acts, the oldest first, in a packet that may get lost. */
  constructor(send: (acts: InputMessage[]) => void) {
    this.#send = send;
  }

  /** An act was sent. */
  add(act: InputMessage): void {
    this.#acts.push({ act, left: COPIES });
    if (this.#acts.length > MOST_ACTS) this.#acts.shift();
    this.#timer ??= setTimeout(() => this.#copy(), FIRST_MS);
  }

  /** What was sent is of no use any more. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#acts = [];
  }

  #copy(): void {
    this.#send(this.#acts.map(({ act }) => act));
    for (const waiting of this.#acts) waiting.left--;
    this.#acts = this.#acts.filter(({ left }) => left > 0);
    this.#timer = this.#acts.length > 0 ? setTimeout(() => this.#copy(), APART_MS) : undefined;
  }
}
