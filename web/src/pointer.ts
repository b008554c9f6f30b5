// Mouse, pen, wheel and touch on the picture, as pointer input.
import type { Position } from "./fit";
import { ButtonName } from "./gen/farpane_pb";
import { BUTTON_BITS, type Input } from "./input";

/** The picture as the pointer sees it; points are CSS pixels of the window. */
export interface Target {
  contains(x: number, y: number): boolean;
  position(x: number, y: number): Position;
}

/** A finger that moves less than this many CSS pixels is tapping. */
const TAP_SLOP = 8;
/** A finger that rests this long without a second one is pressing. */
const PRESS_MS = 120;
/** One line of a wheel that counts in lines, in CSS pixels: three of them are a notch of 100. */
const LINE_PX = 100 / 3;

interface Point {
  readonly x: number;
  readonly y: number;
}

/** Sends what happens on `stage` until the signal says stop; `moved` is told of every move of a mouse or pen. */
export function sendPointer(
  stage: HTMLElement,
  target: Target,
  input: Input,
  moved: () => void,
  signal: AbortSignal,
): void {
  const fingers = new Fingers(target, input);
  const raw = "onpointerrawupdate" in window;
  let held = 0;

  const on = <Name extends keyof HTMLElementEventMap>(
    name: Name,
    take: (event: HTMLElementEventMap[Name]) => void,
  ) => stage.addEventListener(name, take, { signal, passive: false });

  const at = (event: MouseEvent) => target.position(event.clientX, event.clientY);

  /** Sends the buttons that changed: only the first press and the last release have events of their own. */
  const press = (buttons: number, position: Position) => {
    for (const [bit, button] of BUTTON_BITS) {
      if ((buttons ^ held) & bit) input.button(button, (buttons & bit) !== 0, position);
    }
    held = buttons;
  };
  const move = (event: PointerEvent) => {
    if (event.pointerType === "touch") return;
    moved();
    input.move(at(event));
  };

  on("pointerdown", (event) => {
    stage.focus({ preventScroll: true });
    if (!target.contains(event.clientX, event.clientY)) return;
    event.preventDefault();
    // A drag goes on outside the window.
    stage.setPointerCapture(event.pointerId);
    if (event.pointerType === "touch") return fingers.down(event);
    moved();
    press(event.buttons, at(event));
  });
  on("pointermove", (event) => {
    if (event.pointerType === "touch") return fingers.move(event);
    // A press that began beside the picture is none of the host's business.
    const began = held !== 0 || stage.hasPointerCapture(event.pointerId);
    if (event.buttons !== held && began) press(event.buttons, at(event));
    else if (!raw) move(event);
  });
  // Comes as soon as the device speaks, not with the next frame; its type is missing from the DOM library.
  if (raw) on("pointerrawupdate" as "pointermove", move);
  on("pointerup", (event) => {
    if (event.pointerType === "touch") return fingers.up(event);
    if (held !== 0) press(event.buttons, at(event));
  });
  on("pointercancel", (event) => {
    if (event.pointerType === "touch") return fingers.cancel(event);
    press(0, at(event));
  });
  on("wheel", (event) => {
    event.preventDefault();
    if (!target.contains(event.clientX, event.clientY)) return;
    const unit = [1, LINE_PX, stage.clientHeight][event.deltaMode] ?? 1;
    input.wheel(event.deltaX * unit, event.deltaY * unit, at(event));
  });
  // Buttons are the host's: no menu, no going back in the page's history, no automatic scrolling.
  for (const name of ["contextmenu", "mousedown", "mouseup", "auxclick", "dragstart"] as const) {
    on(name, (event) => event.preventDefault());
  }
  signal.addEventListener("abort", () => fingers.stop());
}

/** Touch: one finger is the left button, two scroll, a tap of two is the right button. */
class Fingers {
  readonly #target: Target;
  readonly #input: Input;
  readonly #down = new Map<number, Point>();
  #first: Point = { x: 0, y: 0 };
  #firstId = -1;
  #doing: "nothing" | "deciding" | "pressing" | "two" | "scrolling" = "nothing";
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(target: Target, input: Input) {
    this.#target = target;
    this.#input = input;
  }

  down(event: PointerEvent): void {
    this.#down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.#down.size === 1) {
      this.#first = { x: event.clientX, y: event.clientY };
      this.#firstId = event.pointerId;
      this.#doing = "deciding";
      this.#timer = setTimeout(() => this.#press(), PRESS_MS);
    } else if (this.#doing === "deciding") {
      clearTimeout(this.#timer);
      this.#doing = "two";
    }
  }

  move(event: PointerEvent): void {
    const before = this.#down.get(event.pointerId);
    if (before === undefined) return;
    const now = { x: event.clientX, y: event.clientY };
    const travel = Math.hypot(now.x - this.#first.x, now.y - this.#first.y);
    switch (this.#doing) {
      case "deciding":
        if (travel > TAP_SLOP) this.#press();
        break;
      case "pressing":
        // A palm that touches down meanwhile does not drag.
        if (event.pointerId !== this.#firstId) break;
        this.#input.move(this.#position(now));
        break;
      case "two":
        if (Math.hypot(now.x - before.x, now.y - before.y) <= TAP_SLOP) return;
        this.#doing = "scrolling";
        break;
      case "scrolling":
        // The content follows the fingers; each of the two contributes half.
        this.#input.wheel((before.x - now.x) / 2, (before.y - now.y) / 2, this.#position(this.#first));
        break;
    }
    this.#down.set(event.pointerId, now);
  }

  up(event: PointerEvent): void {
    const at = this.#position({ x: event.clientX, y: event.clientY });
    this.#down.delete(event.pointerId);
    if (this.#doing === "pressing" && event.pointerId !== this.#firstId) return;
    if (this.#doing === "deciding") this.#press();
    if (this.#doing === "pressing") this.#input.button(ButtonName.BUTTON_LEFT, false, at);
    if (this.#doing === "two" && this.#down.size === 0) {
      this.#input.button(ButtonName.BUTTON_RIGHT, true, this.#position(this.#first));
      this.#input.button(ButtonName.BUTTON_RIGHT, false, this.#position(this.#first));
    }
    if (this.#down.size === 0) this.#doing = "nothing";
    else if (this.#doing === "pressing") this.#doing = "scrolling";
  }

  cancel(event: PointerEvent): void {
    this.#down.delete(event.pointerId);
    if (this.#doing === "pressing") {
      this.#input.button(ButtonName.BUTTON_LEFT, false, this.#position(this.#first));
    }
    this.stop();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#doing = "nothing";
    this.#down.clear();
  }

  #press(): void {
    clearTimeout(this.#timer);
    this.#doing = "pressing";
    this.#input.button(ButtonName.BUTTON_LEFT, true, this.#position(this.#first));
  }

  #position({ x, y }: Point): Position {
    return this.#target.position(x, y);
  }
}
