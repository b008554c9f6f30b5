// The reading side of the time-code strip against the same golden values as the probe.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { age, decode, STRIP, TICKS } from './strip.mjs';

const golden = readFileSync(new URL('strip.golden', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line && !line.startsWith('#'))
  .map((line) => line.split(' '))
  .map(([ticks, clicks, code]) => ({ ticks: Number(ticks), clicks: Number(clicks), code: parseInt(code, 16) }));

const levels = (code, black = 0, white = 255) =>
  Array.from({ length: STRIP.cells }, (_, i) => (Math.floor(code / 2 ** (STRIP.cells - 1 - i)) % 2 ? white : black));

test('golden codes are read back', () => {
  assert.ok(golden.length >= 6);
  for (const { ticks, clicks, code } of golden) {
    assert.deepEqual(decode(levels(code, 30, 220)), { ticks: ticks % TICKS, clicks: clicks % 16 });
  }
});

test('a strip torn between two frames is refused', () => {
  const [old, young] = [golden[3].code, golden[6].code].map((code) => levels(code));
  const torn = Array.from({ length: STRIP.cells - 1 }, (_, i) => [...young.slice(0, i + 1), ...old.slice(i + 1)]);
  const wrong = torn.filter((t) => String(t) !== String(old) && String(t) !== String(young) && decode(t));
  assert.equal(wrong.length, 0);
});

test('a grey cell, a black and a white strip are refused', () => {
  const grey = levels(golden[3].code);
  grey[7] = 128;
  assert.equal(decode(grey), null);
  assert.equal(decode(Array(STRIP.cells).fill(0)), null);
  assert.equal(decode(Array(STRIP.cells).fill(255)), null);
});

test('age counts over the wrap', () => {
  const now = 1_700_000_000_000.0;
  for (const ms of [-1.5, 0, 0.1, 12.3, 50_000]) {
    const ticks = Math.round(now * 10 - ms * 10) % TICKS;
    assert.ok(Math.abs(age(ticks, now) - ms) < 1e-3);
  }
});
