// The statistics that the published figures rest on.

import assert from 'node:assert/strict';
import test from 'node:test';
import { EXACT_DB, medians, psnr, quantile, ratio, summarise, table } from './report.mjs';

test('quantiles lie between neighbours', () => {
  assert.equal(quantile([], 0.5), null);
  assert.equal(quantile([3], 0.95), 3);
  assert.equal(quantile([4, 1, 3, 2], 0.5), 2.5);
  assert.equal(quantile([10, 0], 0.95), 9.5);
});

test('PSNR compares RGBA with BGRX and ignores the fourth byte', () => {
  assert.equal(psnr(Uint8Array.of(1, 2, 3, 255), Uint8Array.of(3, 2, 1, 0)), EXACT_DB);
  const one = psnr(Uint8Array.of(1, 2, 3, 255), Uint8Array.of(3, 2, 2, 0));
  assert.ok(Math.abs(one - 10 * Math.log10(255 ** 2 * 3)) < 1e-9);
  assert.throws(() => psnr(Uint8Array.of(1, 2, 3, 4), new Uint8Array(8)));
});

test('ratios pair the rounds and skip failures', () => {
  const ours = [{ delayP50: 10 }, { error: 'gone' }, { delayP50: 30 }, { delayP50: 12 }];
  const theirs = [{ delayP50: 20 }, { delayP50: 1 }, { delayP50: 20 }, { delayP50: 12 }];
  assert.deepEqual(ratio(ours, theirs, 'delayP50'), { median: 1, min: 0.5, max: 1.5 });
  assert.equal(ratio([{ error: 'gone' }], theirs, 'delayP50'), null);
});

test('the table shows medians, failures and ratios', () => {
  assert.deepEqual(medians([{ fps: 1 }, { error: 'x' }, { fps: 3 }, undefined]), { fps: 2 });
  const round = { farpane: { clock: { delayP50: 8, delayP95: 9 } }, tigervnc: { clock: { delayP50: 16, delayP95: 20 } } };
  const systems = ['farpane', 'tigervnc'];
  const text = table(summarise([round, { ...round, tigervnc: { clock: { error: 'x' } } }], systems, ['clock']), systems);
  assert.match(text, /clock +\| farpane +\| 8\/9/);
  assert.match(text, /tigervnc \(failed 1x\) \| 16\/20 .* 0\.50 \(0\.50\.\.0\.50\)/);
});

test('over a link the table also says how the picture kept up', () => {
  const clock = { delayP50: 60, delayP95: 90, freezeMs: 210, downMbps: 1.5, overMs: 0, afterRiseMs: 90, afterDropMs: null, linkLoss: 0.01, viewerLoss: 0.002, keyFrames: 0 };
  const text = table(summarise([{ farpane: { clock } }], ['farpane'], ['clock']), ['farpane'], true);
  assert.match(text, /freeze ms \| current after rise\/drop ms/);
  assert.match(text, /210 +\| 90\/- +\| 1\.50 +\| 0 +\| 1\.0 +\| 0\.2 +\| 0 +\| - +\|/);
});
