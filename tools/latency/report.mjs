// Statistics over rounds, the comparison with peers, and the table.

/** Where two pictures are the same in every channel, in place of an infinite PSNR. */
export const EXACT_DB = 100;

/** The `q` quantile of numbers, linear between neighbours; null of none. */
export function quantile(values, q) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const [low, high] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return low + (high - low) * (at - Math.floor(at));
}

export const median = (values) => quantile(values, 0.5);

/** PSNR in dB over red, green and blue of an RGBA picture against a BGRX one of the same size. */
export function psnr(rgba, bgrx) {
  if (rgba.length !== bgrx.length) throw new Error(`pictures of ${rgba.length} and ${bgrx.length} bytes`);
  let sum = 0;
  for (let i = 0; i < rgba.length; i += 4) {
    const [r, g, b] = [rgba[i] - bgrx[i + 2], rgba[i + 1] - bgrx[i + 1], rgba[i + 2] - bgrx[i]];
    sum += r * r + g * g + b * b;
  }
  if (sum === 0) return EXACT_DB;
  return Math.min(EXACT_DB, 10 * Math.log10((255 * 255 * (rgba.length / 4) * 3) / sum));
}

/** Median of each number over rounds, of the rounds that did not fail. */
export function medians(rounds) {
  const good = rounds.filter((round) => round && !round.error);
  const keys = new Set(good.flatMap(Object.keys));
  return Object.fromEntries(
    [...keys].map((key) => [key, median(good.map((round) => round[key]).filter((value) => value != null))]),
  );
}

/** Ours divided by the peer's, round by round: `{ median, min, max }`, or null when no round has both. */
export function ratio(ours, peers, key) {
  const ratios = ours.flatMap((round, i) => {
    const [a, b] = [round?.[key], peers[i]?.[key]];
    return a != null && b > 0 ? [a / b] : [];
  });
  return ratios.length ? { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) } : null;
}

const COMPARED = ['delayP50', 'hostCores', 'mbps', 'clickP50'];

/** `{ scene: { system: { medians, failed, ratios } } }` from `rounds[i][system][scene]`; ratios are ours/peer. */
export function summarise(rounds, systems, scenes, ours = 'farpane') {
  const of = (system, scene) => rounds.map((round) => round[system]?.[scene]);
  const one = (system, scene) => ({
    medians: medians(of(system, scene)),
    failed: of(system, scene).filter((round) => round?.error).length,
    ...(systems.includes(ours) && system !== ours
      ? { ratios: Object.fromEntries(COMPARED.map((key) => [key, ratio(of(ours, scene), of(system, scene), key)])) }
      : {}),
  });
  return Object.fromEntries(
    ['connect', ...scenes].map((scene) => [scene, Object.fromEntries(systems.map((s) => [s, one(s, scene)]))]),
  );
}

/** The summary as a Markdown table that also reads well as text; `linked` adds what a bad link does. */
export function table(summary, systems, linked = false) {
  const number = (value, digits = 0) => (value == null ? '-' : value.toFixed(digits));
  const pair = (m, key) => (m[`${key}P50`] == null ? '-' : `${number(m[`${key}P50`])}/${number(m[`${key}P95`])}`);
  const times = (r) => (r ? `${number(r.median, 2)} (${number(r.min, 2)}..${number(r.max, 2)})` : '-');
  const compared = Object.values(summary).some((scene) => Object.values(scene).some((s) => s.ratios));
  const head = ['scene', 'system', 'delay p50/p95 ms', 'fps', 'host cores', 'Mb/s', 'RSS MB', 'click p50/p95 ms', 'PSNR dB .5/1/5 s'];
  if (linked) head.push('freeze ms', 'current after rise/drop ms', 'sent Mb/s', 'over link ms', 'lost %', 'viewer lost %', 'key frames', 'clicks missed');
  if (compared) head.push('delay ours/theirs', 'cores ours/theirs', 'Mb/s ours/theirs', 'click ours/theirs');
  const rows = Object.entries(summary)
    .filter(([scene]) => scene !== 'connect')
    .flatMap(([scene, results]) =>
      systems.map((system) => {
        const { medians: m, failed, ratios } = results[system];
        const db = (value) => (value >= EXACT_DB ? 'exact' : number(value));
        const picture = m.psnr500 == null ? '-' : [m.psnr500, m.psnr1000, m.psnr5000].map(db).join('/');
        const name = failed ? `${system} (failed ${failed}x)` : system;
        const row = [scene, name, pair(m, 'delay'), number(m.fps), number(m.hostCores, 3), number(m.mbps, 3), number(m.rssMB), pair(m, 'click'), picture];
        if (linked) {
          const share = (value) => number(value == null ? null : value * 100, 1);
          row.push(number(m.freezeMs), `${number(m.afterRiseMs)}/${number(m.afterDropMs)}`, number(m.downMbps, 2), number(m.overMs));
          row.push(share(m.linkLoss), share(m.viewerLoss), number(m.keyFrames), number(m.clicksMissed));
        }
        return compared ? [...row, ...COMPARED.map((key) => times(ratios?.[key]))] : row;
      }),
    );
  const lines = [head, head.map(() => ''), ...rows];
  const widths = head.map((_, i) => Math.max(...lines.map((l) => l[i].length)));
  const text = lines.map((l, n) => `| ${l.map((c, i) => (n === 1 ? '-'.repeat(widths[i]) : c.padEnd(widths[i]))).join(' | ')} |`);
  const connect = systems.map((s) => `${s} ${number(summary.connect[s].medians.connectMs)} ms`).join(', ');
  return `${text.join('\n')}\n\nURL opened to first picture: ${connect}\n`;
}
