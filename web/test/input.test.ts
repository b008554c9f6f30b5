// Numbering, pacing and letting go.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ButtonName } from "../src/gen/farpane_pb";
import { Input } from "../src/input";

const A = { x: 1, y: 1 };
const B = { x: 2, y: 2 };
const C = { x: 3, y: 3 };

function recorder() {
  const sent: unknown[] = [];
  const input = new Input({
    sendInput: (body) => sent.push(body?.value && { [String(body.case)]: body.value }),
    sendPointer: (message) => sent.push(message),
  });
  return { sent, input };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance", "setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe("moves", () => {
  it("are merged to the newest one within the pace", () => {
    const { sent, input } = recorder();
    input.move(A);
    input.move(B);
    input.move(C);
    expect(sent).toEqual([{ seq: 1, at: A }]);
    vi.advanceTimersByTime(4);
    expect(sent).toEqual([
      { seq: 1, at: A },
      { seq: 2, at: C },
    ]);
  });

  it("that wait are overtaken by a button, which says where it happened", () => {
    const { sent, input } = recorder();
    input.move(A);
    input.move(B);
    input.button(ButtonName.BUTTON_LEFT, true, C);
    vi.advanceTimersByTime(100);
    expect(sent.slice(1)).toEqual([
      { button: { button: ButtonName.BUTTON_LEFT, down: true, at: C, pointerSeq: 1 } },
    ]);
  });
});

describe("keys and buttons", () => {
  it("go down once and up once", () => {
    const { sent, input } = recorder();
    input.key(4, false);
    input.key(4, true);
    input.key(4, true);
    input.key(4, false);
    input.key(4, false);
    expect(sent).toEqual([{ key: { usage: 4, down: true } }, { key: { usage: 4, down: false } }]);
  });

  it("are all let go together, and can be pressed again", () => {
    const { sent, input } = recorder();
    input.key(4, true);
    input.button(ButtonName.BUTTON_LEFT, true, A);
    input.releaseAll();
    expect(input.holds(4)).toBe(false);
    input.button(ButtonName.BUTTON_LEFT, false, A);
    input.key(4, true);
    expect(sent.slice(2)).toEqual([{ releaseAll: {} }, { key: { usage: 4, down: true } }]);
  });

  it("go nowhere while nobody sees what they do", () => {
    const { sent, input } = recorder();
    input.key(4, true);
    input.pause();
    input.key(5, true);
    input.button(ButtonName.BUTTON_LEFT, true, A);
    input.wheel(0, 1, A);
    input.move(B);
    input.resume();
    input.key(5, false);
    expect(sent.slice(1)).toEqual([{ releaseAll: {} }]);
  });
});
