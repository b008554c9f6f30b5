// What the viewer's hands do, as messages: keys, buttons, wheel, moves, and letting go of everything.

import type { Position } from "./fit";
import { ButtonName } from "./gen/farpane_pb";
import type { Session } from "./session";

/** Moves closer together than this are merged; a display shows no more of them. */
const MOVE_INTERVAL_MS = 4;

/** Numbers and paces the input of one session, and knows what is held down. */
export class Input {
  readonly #session: Pick<Session, "sendInput" | "sendPointer">;
  readonly #keys = new Set<number>();
  readonly #buttons = new Set<ButtonName>();
  #paused = false;
  #seq = 0;
  #movedAt = Number.NEGATIVE_INFINITY;
  #waiting: Position | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(session: Pick<Session, "sendInput" | "sendPointer">) {
    this.#session = session;
  }

  key(usage: number, down: boolean): void {
    if (this.#paused || this.#keys.has(usage) === down) return;
    if (down) this.#keys.add(usage);
    else this.#keys.delete(usage);
    this.#session.sendInput({ case: "key", value: { usage, down } });
  }

  holds(usage: number): boolean {
    return this.#keys.has(usage);
  }

  button(button: ButtonName, down: boolean, at: Position): void {
    if (this.#paused || this.#buttons.has(button) === down) return;
    if (down) this.#buttons.add(button);
    else this.#buttons.delete(button);
    this.#settle();
    this.#session.sendInput({ case: "button", value: { button, down, at, pointerSeq: this.#seq } });
  }

  wheel(dx: number, dy: number, at: Position): void {
    if (this.#paused) return;
    this.#settle();
    this.#session.sendInput({ case: "wheel", value: { dx, dy, at, pointerSeq: this.#seq } });
  }

  /** Sends a position now, or the newest one as soon as the pace allows. */
  move(at: Position): void {
    if (this.#paused) return;
    this.#waiting = at;
    if (this.#timer !== undefined) return;
    const rest = this.#movedAt + MOVE_INTERVAL_MS - performance.now();
    if (rest <= 0) this.#flush();
    else this.#timer = setTimeout(() => this.#flush(), rest);
  }

  /** Lets go of everything, here and at the host. */
  releaseAll(): void {
    this.#settle();
    this.#keys.clear();
    this.#buttons.clear();
    this.#session.sendInput({ case: "releaseAll", value: {} });
  }

  /** Lets go of everything, and takes no more: what is typed blind must not arrive minutes later. */
  pause(): void {
    this.releaseAll();
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  #flush(): void {
    const at = this.#waiting;
    this.#settle();
    if (at === undefined) return;
    this.#movedAt = performance.now();
    this.#session.sendPointer({ seq: ++this.#seq, at });
  }

  /** Forgets a move that waits: what is about to be sent says where the pointer is. */
  #settle(): void {
    clearTimeout(this.#timer);
    this.#timer = this.#waiting = undefined;
  }
}

/** Bits of `MouseEvent.buttons`. */
export const BUTTON_BITS: ReadonlyArray<readonly [bit: number, button: ButtonName]> = [
  [1, ButtonName.BUTTON_LEFT],
  [2, ButtonName.BUTTON_RIGHT],
  [4, ButtonName.BUTTON_MIDDLE],
  [8, ButtonName.BUTTON_BACK],
  [16, ButtonName.BUTTON_FORWARD],
];
