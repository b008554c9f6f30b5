// Command line of the latency measurement: rounds over systems, then a table and JSON.

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CONTENT } from './content.mjs';
import { cycle, read } from './link.mjs';
import { measure } from './measure.mjs';
import { median, summarise, table } from './report.mjs';
import { SYSTEMS } from './systems.mjs';

const SCENES = ['idle', 'clock', 'typing', 'scroll30', 'scroll60', 'video720', 'fullvideo', 'pageswitch'];
const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(HERE, '../..');

const USAGE = `usage: tools/latency/run [options]
  --systems LIST   of ${Object.keys(SYSTEMS).join(',')} (default: all)
  --scenes LIST    of ${SCENES.join(',')} (default: all)
  --rounds N       times that each system takes its turn (default 5)
  --seconds N      length of each reading (default 8, or as long as it takes a link to go through its changes)
  --link NAME      host and viewer at the two ends of a link of tools/netlab (as root); tools/netlab/run --list has names
  --quick          one round, 4 s readings, fewer clicks: to see that it works, not for figures
  --json FILE      write everything that was measured
  --farpane FILE   the binary to measure (default: target/release/farpane)
  --display N      first X display to try (default 70)
  --port N         TCP port to use (default 7000)`;

const { values: options } = parse();
if (options.help) {
  console.log(USAGE);
  process.exit(0);
}
const systems = list('systems', Object.keys(SYSTEMS));
const scenes = list('scenes', SCENES);
const link = linked();
const changes = link ? changesTake(link.plan) : 0;
const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
const cache = join(HERE, 'cache');
const plan = {
  scenes,
  cache,
  content: join(cache, CONTENT),
  probe: join(target, 'release/farpane-probe'),
  farpane: resolve(options.farpane ?? join(target, 'release/farpane')),
  seconds: whole('seconds', Math.max(options.quick ? 4 : 8, changes)),
  // The tail of few says nothing where some get lost.
  clicks: options.quick ? 8 : link ? 30 : 20,
  switches: options.quick ? 1 : 2,
  display: whole('display', 70),
  port: whole('port', 7000),
  address: link?.plan.host ?? '127.0.0.1',
  link: link?.file,
};
if (plan.seconds < changes) usage(`--seconds: link ${options.link} takes ${changes} to go through its changes`);
const count = whole('rounds', options.quick ? 1 : 5);

const about = {
  date: new Date().toISOString(),
  command: `tools/latency/run ${process.argv.slice(2).join(' ')}`.trim(),
  commit: git('rev-parse', 'HEAD') + (git('status', '--porcelain', '--untracked-files=no') ? ' with local changes' : ''),
  machine: { cpu: cpus()[0].model, cores: cpus().length, memoryMB: Math.round(totalmem() / 1e6), kernel: release() },
  network: network(),
  ...(link ? { link: link.plan } : {}),
  versions: { chromium: version('/usr/bin/chromium', ['--version']), node: process.version },
};
for (const system of systems) about.versions[system] = attempt(() => SYSTEMS[system].version(plan));

const rounds = [];
for (let round = 0; round < count; round++) {
  rounds.push({});
  // Each round starts with another system, so that none always comes first.
  for (let turn = 0; turn < systems.length; turn++) {
    const system = systems[(turn + round) % systems.length];
    const say = (text) => console.error(`round ${round + 1}/${count} ${system} ${text}`);
    rounds[round][system] = await measure(system, plan, say);
  }
  // Whatever ends the run early, the rounds so far are there.
  if (options.json) save(options.json);
}
console.log(`${about.machine.cpu}, ${about.machine.cores} cores, ${about.date}, commit ${about.commit.slice(0, 12)}`);
console.log(`${count} rounds of ${plan.seconds} s; medians over rounds, ratios as median (min..max); ${about.network}\n`);
console.log(table(summarise(rounds, systems, scenes), systems, link !== undefined));
const cells = rounds.flatMap((round) => Object.values(round).flatMap(Object.values));
const foreign = median(cells.flatMap((cell) => cell.foreignCores ?? []));
if (foreign > 0.1) console.error(`Other programs used ${foreign.toFixed(2)} cores: the figures are worse than they should be.`);
process.exit(cells.some((cell) => cell.error) ? 1 : 0);

/** The record of the link that this runs over, if it does. */
function linked() {
  const file = process.env.LINK_RECORD;
  if (options.link === undefined) return undefined;
  if (!file) return usage('--link works through tools/latency/run only');
  return { file, plan: read(file).plan };
}

/** Seconds in which each phase of a link is seen from start to end, wherever they begin. */
function changesTake(plan) {
  return Math.ceil((cycle(plan) + Math.max(0, ...plan.down.map((phase) => phase.lasts_ms ?? 0))) / 1000);
}

function network() {
  if (link) return `link ${link.plan.link}`;
  return readFileSync('/proc/self/net/dev', 'latin1').includes('measure0:') ? 'own namespace' : 'shared loopback';
}

function save(file) {
  mkdirSync(dirname(resolve(file)), { recursive: true });
  writeFileSync(file, `${JSON.stringify({ ...about, summary: summarise(rounds, systems, scenes), rounds }, null, 2)}\n`);
}

function parse() {
  const text = ['systems', 'scenes', 'rounds', 'seconds', 'json', 'link', 'farpane', 'display', 'port'];
  const flags = ['quick', 'help'];
  const kinds = [...text.map((name) => [name, { type: 'string' }]), ...flags.map((name) => [name, { type: 'boolean' }])];
  try {
    return parseArgs({ options: Object.fromEntries(kinds) });
  } catch (e) {
    return usage(e.message);
  }
}

function list(name, known) {
  const chosen = options[name]?.split(',') ?? known;
  const unknown = chosen.filter((one) => !known.includes(one));
  return unknown.length ? usage(`--${name}: no ${unknown.join(', ')}`) : chosen;
}

function whole(name, otherwise) {
  const value = Number(options[name] ?? otherwise);
  return Number.isInteger(value) && value > 0 ? value : usage(`--${name} takes a whole number above 0`);
}

function usage(problem) {
  console.error(`${problem}\n${USAGE}`);
  process.exit(2);
}

function git(...args) {
  return version('git', ['-C', ROOT, ...args]);
}

function version(command, args) {
  return attempt(() => execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim());
}

function attempt(read) {
  try {
    return read();
  } catch {
    return '';
  }
}
