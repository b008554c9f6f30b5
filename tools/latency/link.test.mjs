// What is read out of netlab's record, and when a picture counts as current again.

import assert from 'node:assert/strict';
import test from 'node:test';
import { cycle, keptUp, parse, phases, traffic } from './link.mjs';
import { TICKS } from './strip.mjs';

const phase = (lasts_ms, rate_bps) => ({ lasts_ms, rate_bps, delay_ms: 10, jitter_ms: 0, loss: 0, burst: 1 });
const steady = { start_unix_ms: 1000, down: [phase(null, 1e6)] };
const stalls = { start_unix_ms: 1000, down: [phase(4800, 1e6), phase(200, 0)] };

test('a record is parsed up to its last whole line', () => {
  const { plan, counts } = parse('{"link":"home"}\n{"unix_ms":1}\n{"unix_ms":2}\n{"unix');
  assert.equal(plan.link, 'home');
  assert.deepEqual(counts.map((count) => count.unix_ms), [1, 2]);
});

/** Lines every 100 ms from 1000 on, with what the host has sent until then in bytes. */
function counts(sent) {
  const way = (bytes, lost) => ({
    offered: { packets: bytes / 100, bytes },
    dropped: { packets: lost, bytes: lost * 100 },
    lost: { packets: lost, bytes: lost * 100 },
    arrived: { packets: 0, bytes: 0 },
    queued_bytes: 2500,
  });
  return sent.map((bytes, i) => ({ unix_ms: 1000 + i * 100, down: way(bytes, i), up: way(100 * i, 0) }));
}

test('traffic is what crossed the link in the reading', () => {
  // 12,500 bytes in 100 ms are the link's 1 Mb/s.
  const record = { plan: steady, counts: counts([0, 10000, 20000, 40000, 60000, 60000, 80000]) };
  const seen = traffic(record, 1000, 1500);
  assert.equal(seen.downMbps, 0.96);
  assert.equal(seen.mbps, 0.968);
  assert.equal(seen.overMs, 200);
  assert.equal(seen.queueMs, 20);
  assert.equal(seen.linkLoss, 10 / 600);
  assert.throws(() => traffic(record, 1610, 2000), /ended/);
});

test('phases are whole, within the reading, and not dark', () => {
  assert.equal(cycle(steady), 0);
  assert.deepEqual(phases(steady, 0, 1e6), []);
  assert.equal(cycle(stalls), 5000);
  assert.deepEqual(phases(stalls, 3000, 15900), [
    { start: 6000, end: 10800, rises: true },
    { start: 11000, end: 15800, rises: true },
  ]);
  const step = { start_unix_ms: 0, down: [phase(10, 1e7), phase(10, 1e6)] };
  assert.deepEqual(phases(step, 5, 35).map(({ start, rises }) => [start, rises]), [[10, false], [20, true]]);
});

test('a picture is current again when it stays current', () => {
  // Every 20 ms a picture that is 30 ms old, but after 1000 two are 300 ms old, with one in between that is not.
  const old = new Map([[1100, 300], [1120, 30], [1140, 300]]);
  const samples = [];
  for (let now = 500; now <= 2000; now += 20) {
    if (now > 1000 && now < 1100) continue;
    samples.push([now, ((now - (old.get(now) ?? 30)) * 10) % TICKS, 0]);
  }
  const kept = keptUp(samples, [{ start: 1000, end: 2000, rises: true }]);
  assert.equal(kept.freezeMs, 100);
  assert.equal(kept.afterDropMs, null);
  // The picture of 1140 stands until 1160.
  assert.equal(kept.afterRiseMs, 160);
  assert.equal(keptUp(samples, [{ start: 1200, end: 2000, rises: false }]).afterDropMs, 0);
  assert.deepEqual(keptUp([], []), {});
});
