// Child processes, what they cost, and the promise that none outlives this one.

import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const children = new Set();
const TICKS_PER_S = 100; // USER_HZ, fixed in Linux's ABI.
const PAGE = 4096;

process.on('exit', () => children.forEach((child) => signal(child, 'SIGKILL')));
for (const [name, number] of [['SIGINT', 2], ['SIGTERM', 15], ['SIGHUP', 1]]) {
  process.once(name, async () => {
    await Promise.all([...children].map(stop));
    process.exit(128 + number);
  });
}

/**
 * Starts a program as leader of its own process group, its stderr (and unread stdout) in the file `log`. `enter` is a
 * command that runs another one elsewhere.
 */
export function start(command, args, { env = {}, log, readStdout = false, enter = [] }) {
  mkdirSync(dirname(log), { recursive: true });
  const sink = openSync(log, 'a');
  const [program, ...words] = [...enter, command, ...args];
  const child = spawn(program, words, {
    env: { ...process.env, ...env },
    stdio: ['ignore', readStdout ? 'pipe' : sink, sink],
    detached: true,
  });
  Object.assign(child, { command, log });
  child.failed = new Promise((_, reject) => {
    child.once('error', (e) => reject(new Error(`${command}: ${e.message}`)));
    child.once('exit', (status, by) => reject(new Error(`${command} ended (${by ?? status}), see ${log}`)));
  });
  child.failed.catch(() => {
    signal(child, 'SIGKILL'); // What it may have left behind in its group.
    children.delete(child);
  });
  if (readStdout) child.stdout.pipe(createWriteStream(log, { flags: 'a' }));
  children.add(child);
  return child;
}

/** Ends a child and everything in its process group; resolves when the child is gone. */
export async function stop(child) {
  if (!children.has(child)) return;
  const gone = child.failed.catch(() => {});
  signal(child, 'SIGTERM');
  await Promise.race([gone, sleep(3000)]);
  signal(child, 'SIGKILL');
  await gone;
}

function signal(child, name) {
  if (child.pid === undefined) return; // It never started.
  try {
    process.kill(-child.pid, name);
  } catch (e) {
    if (e.code !== 'ESRCH') throw e;
  }
}

/** The first line of a child's stdout for which `accept` returns a value; that value. */
export async function line(child, accept, ms) {
  const lines = createInterface({ input: child.stdout });
  const wanted = new Promise((resolve, reject) => {
    lines.on('line', (text) => {
      try {
        const value = accept(text);
        if (value !== undefined) resolve(value);
      } catch (e) {
        reject(new Error(`${child.command} said ${text}: ${e.message}`));
      }
    });
  });
  return within(ms, Promise.race([wanted, child.failed]), `no answer from ${child.command}, see ${child.log}`);
}

/** Resolves when something listens on TCP `port` in the network of `child`; rejects when `child` ends first. */
export async function listening(port, child, ms) {
  const open = async () => {
    while (!listens(port, child.pid)) await sleep(50);
  };
  await within(ms, Promise.race([open(), child.failed]), `${child.command} did not open port ${port}, see ${child.log}`);
}

/** Read from the kernel's table, as that of another network namespace cannot be reached from here. */
function listens(port, pid) {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const listener = new RegExp(`^ *\\d+: [0-9A-F]+:${hex} [0-9A-F]+:0000 0A `, 'm');
  try {
    return ['tcp', 'tcp6'].some((table) => listener.test(readFileSync(`/proc/${pid}/net/${table}`, 'latin1')));
  } catch (e) {
    if (e.code === 'ENOENT' || e.code === 'EINVAL') return false; // No IPv6, or it has ended.
    throw e;
  }
}

/** `promise`, or an error with `message` after `ms` milliseconds. */
export async function within(ms, promise, message) {
  const timer = new AbortController();
  const late = sleep(ms, undefined, { signal: timer.signal }).then(() => {
    throw new Error(message);
  });
  late.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}

/** CPU seconds (ended children that were waited for included) and resident bytes of process trees. */
export function cost(pids) {
  const all = processes();
  const wanted = new Set(pids);
  // A parent is older than its child but its number need not be smaller: repeat until nothing is added.
  for (let before = -1; before !== wanted.size; ) {
    before = wanted.size;
    for (const p of all) if (wanted.has(p.parent)) wanted.add(p.pid);
  }
  const tree = all.filter((p) => wanted.has(p.pid));
  const sum = (key) => tree.reduce((total, p) => total + p[key], 0);
  return { cpu: sum('ticks') / TICKS_PER_S, rss: sum('pages') * PAGE };
}

/** Process ids of this program's children that run Chromium. */
export function browsers() {
  return processes()
    .filter((p) => p.parent === process.pid && p.name.startsWith('chrom'))
    .map((p) => p.pid);
}

function processes() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
        const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
        // Field numbers of proc(5), less the first two and one for counting from 0.
        const field = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        const ticks = [14, 15, 16, 17].reduce((total, n) => total + Number(field[n - 3]), 0);
        return [{ pid: Number(pid), name, parent: Number(field[1]), ticks, pages: Number(field[24 - 3]) }];
      } catch {
        return []; // It ended while we looked.
      }
    });
}

/** CPU seconds that anything on this machine has used. */
export function busy() {
  const [, user, nice, system, , , irq, softirq, steal] = readFileSync('/proc/stat', 'latin1').split(/\s+/).map(Number);
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_S;
}

/** Bytes received on the loopback interface, all headers included. */
export function loopbackBytes() {
  const lo = readFileSync('/proc/self/net/dev', 'latin1').match(/^\s*lo:\s*(\d+)/m);
  return Number(lo[1]);
}
