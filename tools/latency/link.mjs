// What netlab recorded of the link, and what became of the picture when the link changed.

import { readFileSync } from 'node:fs';
import { quantile } from './report.mjs';
import { age } from './strip.mjs';

/** How a program gets into one of netlab's namespaces. */
export const enter = (side) => ['ip', 'netns', 'exec', side];
/** A picture is current when it is no more than this older than at good times (their first quartile), in ms. */
const SLACK_MS = 50;

/** `{ plan, counts }` of netlab's record: its first line, and all others. The last may be written just now. */
export function parse(text) {
  const lines = text.slice(0, text.lastIndexOf('\n')).split('\n');
  const [plan, ...counts] = lines.map((line) => JSON.parse(line));
  return { plan, counts };
}

export function read(file) {
  return parse(readFileSync(file, 'utf8'));
}

/** Ms after which the phases of `plan` start over; 0 of a link that does not change. */
export function cycle({ down }) {
  return down.every((phase) => phase.lasts_ms !== null) ? down.reduce((sum, phase) => sum + phase.lasts_ms, 0) : 0;
}

/**
 * What crossed the link from `from` to `to`, ms since the epoch. `mbps` is both ways, `downMbps` from the host, both as
 * sent; `linkLoss` the share of the host's packets that the link lost or had no room for; `overMs` the longest time in
 * which the host sent more than the link takes; `queueMs` the longest that the link's queue was.
 */
export function traffic({ plan, counts }, from, to) {
  const within = counts.filter((count) => count.unix_ms >= from && count.unix_ms <= to);
  if (within.length < 2) throw new Error('netlab wrote nothing: has it ended?');
  const [first, last] = [within[0], within.at(-1)];
  const sum = (way, what, unit) => last[way][what][unit] - first[way][what][unit];
  const mbps = (bytes, ms) => (bytes * 8) / 1e3 / ms;
  const elapsed = last.unix_ms - first.unix_ms;
  const down = sum('down', 'offered', 'bytes');
  let [over, longest, queue] = [0, 0, 0];
  for (let i = 1; i < within.length; i++) {
    const [a, b] = [within[i - 1], within[i]];
    const span = b.unix_ms - a.unix_ms;
    const rate = phaseAt(plan, b.unix_ms).rate_bps ?? Infinity;
    const sent = mbps(b.down.offered.bytes - a.down.offered.bytes, span) * 1e6;
    over = sent > rate ? over + span : 0;
    longest = Math.max(longest, over);
    if (rate > 0) queue = Math.max(queue, (b.down.queued_bytes * 8e3) / rate);
  }
  return {
    mbps: mbps(down + sum('up', 'offered', 'bytes'), elapsed),
    downMbps: mbps(down, elapsed),
    linkLoss: (sum('down', 'lost', 'packets') + sum('down', 'dropped', 'packets')) / sum('down', 'offered', 'packets'),
    overMs: longest,
    queueMs: queue,
  };
}

function phaseAt({ start_unix_ms, down }, time) {
  const length = cycle({ down });
  let into = length ? (time - start_unix_ms) % length : time - start_unix_ms;
  return down.find((phase) => phase.lasts_ms === null || (into -= phase.lasts_ms) < 0) ?? down.at(-1);
}

/**
 * `{ start, end, rises }` of each phase in which the link sends that began after `from` and ended before `to`, ms since the
 * epoch; `rises` if its rate is above that of the phase before.
 */
export function phases({ start_unix_ms, down }, from, to) {
  const length = cycle({ down });
  if (!length) return [];
  const found = [];
  for (let start = from - ((from - start_unix_ms) % length); start < to; ) {
    down.forEach((phase, i) => {
      const end = start + phase.lasts_ms;
      const rises = phase.rate_bps > down.at(i - 1).rate_bps;
      if (phase.rate_bps !== 0 && start >= from && end <= to) found.push({ start, end, rises });
      start = end;
    });
  }
  return found;
}

/**
 * How the picture kept up in a scene that always moves, from samples `[ms since the epoch, ticks]` of each new picture:
 * `freezeMs` is the longest that one stood; `afterRiseMs` and `afterDropMs` the longest time from the start of one of
 * `changes` (as `phases` returns) until the picture was current and stayed so to its end.
 */
export function keptUp(samples, changes) {
  const shown = samples.slice(1).map(([now], i) => {
    const [since, ticks] = samples[i];
    return { now, stood: now - since, old: age(ticks, now) };
  });
  if (!shown.length) return {};
  const limit = quantile(shown.map(({ old }) => old), 0.25) + SLACK_MS;
  const lag = ({ start, end }) => {
    const late = shown.filter(({ now, old }) => now > start && now <= end && old > limit);
    return late.length ? late.at(-1).now - start : 0;
  };
  const longest = (which) => (which.length ? Math.max(...which.map(lag)) : null);
  return {
    freezeMs: Math.max(...shown.map(({ stood }) => stood)),
    afterRiseMs: longest(changes.filter(({ rises }) => rises)),
    afterDropMs: longest(changes.filter(({ rises }) => !rises)),
  };
}
