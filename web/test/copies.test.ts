// When copies of acts leave, and how many.
import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Copies } from "../src/copies";
import { InputMessageSchema } from "../src/gen/farpane_pb";

const act = (number: number) => create(InputMessageSchema, { number });

let sent: number[][];
let copies: Copies;

beforeEach(() => {
  vi.useFakeTimers();
  sent = [];
  copies = new Copies((acts) => sent.push(acts.map(({ number }) => number)));
});
afterEach(() => {
  vi.useRealTimers();
});

it("sends each act five times, together with those that came after it", () => {
  copies.add(act(1));
  vi.advanceTimersByTime(19);
  expect(sent).toEqual([]);
  vi.advanceTimersByTime(1);
  copies.add(act(2));
  vi.advanceTimersByTime(10_000);
  expect(sent).toEqual([[1], [1, 2], [1, 2], [1, 2], [1, 2], [2]]);
});

it("leaves out the oldest of too many", () => {
  for (let number = 1; number <= 20; number++) copies.add(act(number));
  vi.advanceTimersByTime(20);
  expect(sent[0]?.length).toBe(16);
  expect(sent[0]?.[0]).toBe(5);
});

it("sends nothing that is of no use any more", () => {
  copies.add(act(1));
  copies.clear();
  vi.advanceTimersByTime(10_000);
  expect(sent).toEqual([]);
  copies.add(act(2));
  vi.advanceTimersByTime(20);
  expect(sent).toEqual([[2]]);
});
