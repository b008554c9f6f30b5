// One system through all scenes: an X server, the system, a viewer, and for each scene the probe and a reading.

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { browsers, busy, cost, line, loopbackBytes, start, stop } from './host.mjs';
import { enter, keptUp, phases, read, traffic } from './link.mjs';
import { median, psnr, quantile } from './report.mjs';
import { age, SQUARE } from './strip.mjs';
import { SYSTEMS } from './systems.mjs';
import { launch, Viewer } from './viewer.mjs';

const CONNECT_MS = 30_000;
const CLICK_SCENES = ['idle', 'clock', 'typing'];
const MOVING_SCENES = ['clock', 'typing', 'scroll30', 'scroll60', 'video720', 'fullvideo'];
const CLICK_MS = 2000;
const PICTURE_DELAYS_MS = [500, 1000, 5000];
const PICTURE_PERIOD_MS = 8000;

/**
 * Measures `system` in every scene of `plan.scenes`. Returns one object of numbers a scene, plus one called
 * `connect`; a scene (or the whole system) that fails has `{ error }` instead.
 */
export async function measure(system, plan, say) {
  const log = join(plan.cache, 'log', `${system}.log`);
  const children = [];
  let browser;
  try {
    const display = freeDisplay(plan.display);
    const screen = '-screen 0 1920x1080x24 -nolisten tcp -noreset'.split(' ');
    const x = start('Xvfb', [display, ...screen, '-displayfd', '1'], { log, readStdout: true });
    children.push(x);
    await line(x, (text) => text, 10_000);
    const stage = { ...plan, display, log, x };
    // Something to see from the start; `connect` ends with the first readable picture.
    let probe = await showScene('idle', stage);
    children.push(probe);
    const there = plan.link ? enter('host') : [];
    const site = await SYSTEMS[system].start({ ...plan, display, log, enter: there });
    children.push(...site.children);
    browser = await launch(plan.link !== undefined, new URL(site.url).origin);
    const viewer = await Viewer.open(browser, site, CONNECT_MS, join(plan.cache, 'log', `${system}.png`));
    if (!site.viewOnly) {
      await viewer.pointAtSquare();
      await viewer.click(CLICK_MS);
    }

    const results = { connect: { connectMs: viewer.connectMs } };
    for (const scene of plan.scenes) {
      await stop(probe);
      try {
        probe = await showScene(scene, stage);
        children.push(probe);
        results[scene] = await reading(scene, viewer, { ...stage, host: site.children, clicks: site.viewOnly ? 0 : plan.clicks });
        if (scene === 'pageswitch') {
          await stop(probe);
          probe = await showScene(scene, stage, PICTURE_PERIOD_MS);
          children.push(probe);
          Object.assign(results[scene], await pictureError(viewer, stage));
        }
      } catch (e) {
        results[scene] = { error: e.message };
      }
      say(`${scene}: ${brief(results[scene])}`);
    }
    return results;
  } catch (e) {
    say(`failed: ${e.message}`);
    return Object.fromEntries(['connect', ...plan.scenes].map((scene) => [scene, { error: e.message }]));
  } finally {
    await browser?.close();
    for (const child of children.reverse()) await stop(child);
  }
}

async function showScene(scene, { probe, content, display, log }, periodMs) {
  const args = ['show', scene, content, ...(periodMs ? [`${periodMs}`] : [])];
  const child = start(probe, args, { env: { DISPLAY: display }, log, readStdout: true });
  await line(child, (text) => (text === 'ready' ? true : undefined), 10_000);
  return child;
}

async function reading(scene, viewer, { seconds, clicks, host, x, link }) {
  // Time for bit rates to settle and, when idle, for late refinements to end.
  await sleep(scene === 'idle' || link ? 4000 : 2000);
  await viewer.samples();
  const counted = await viewer.received();
  const look = () => ({
    at: performance.now(),
    wall: Date.now(),
    bytes: loopbackBytes(),
    host: cost(host.map((child) => child.pid)),
    x: cost([x.pid]),
    viewer: cost(browsers()),
    all: cost([link ? process.ppid : process.pid]), // Netlab is our parent.
    busy: busy(),
  });
  const before = look();
  await sleep(seconds * 1000);
  const after = look();
  const samples = await viewer.samples();
  const received = await viewer.received();
  const elapsed = (after.at - before.at) / 1000;
  const cores = (who) => (after[who].cpu - before[who].cpu) / elapsed;
  const result = {
    ...spread('delay', samples.map(([now, ticks]) => age(ticks, now))),
    fps: samples.length / elapsed,
    hostCores: cores('host'),
    rssMB: after.host.rss / 1e6,
    mbps: ((after.bytes - before.bytes) * 8) / 1e6 / elapsed,
    xCores: cores('x'),
    viewerCores: cores('viewer'),
    foreignCores: Math.max(0, (after.busy - before.busy) / elapsed - cores('all')),
    ...arrived(counted, received),
  };
  if (link) {
    const record = read(link);
    Object.assign(result, traffic(record, before.wall, after.wall));
    if (MOVING_SCENES.includes(scene)) Object.assign(result, keptUp(samples, phases(record.plan, before.wall, after.wall)));
  }
  if (clicks && CLICK_SCENES.includes(scene)) Object.assign(result, await clickToPhoton(viewer, clicks));
  return result;
}

/** Key frames decoded between two of the browser's counts, and the share of packets that it did without. */
function arrived(before, after) {
  if (!before || !after) return {};
  const [received, lost] = ['received', 'lost'].map((key) => after[key] - before[key]);
  return { keyFrames: after.keyFrames - before.keyFrames, viewerLoss: received + lost > 0 ? lost / (received + lost) : 0 };
}

async function clickToPhoton(viewer, count) {
  await viewer.pointAtSquare();
  const answers = [];
  for (let i = 0; i < count; i++) {
    // Not in step with any frame clock.
    await sleep(100 + Math.random() * 200);
    answers.push(await viewer.click(CLICK_MS));
  }
  const seen = answers.filter((answer) => answer !== null);
  return { ...spread('click', seen), clicksMissed: count - seen.length };
}

/** dB of RGB PSNR against the X screen at each of the delays after a page switch; the median over switches. */
async function pictureError(viewer, { switches, probe, display }) {
  const errors = PICTURE_DELAYS_MS.map(() => []);
  await sleep(1000);
  for (let i = 0; i < switches; i++) {
    await viewer.keepPictures(PICTURE_DELAYS_MS, PICTURE_PERIOD_MS * 2);
    const truth = execFileSync(probe, ['grab'], { env: { DISPLAY: display }, maxBuffer: 2 ** 26 });
    // Above the square only: some systems draw the pointer, which rests there, into the picture.
    const part = SQUARE.y * 1920 * 4;
    const pictures = await viewer.pictures();
    pictures.forEach((picture, n) => errors[n].push(psnr(picture.subarray(0, part), truth.subarray(0, part))));
  }
  return Object.fromEntries(PICTURE_DELAYS_MS.map((ms, n) => [`psnr${ms}`, median(errors[n])]));
}

function spread(name, values) {
  return { [`${name}P50`]: quantile(values, 0.5), [`${name}P95`]: quantile(values, 0.95), [`${name}N`]: values.length };
}

function freeDisplay(first) {
  let number = first;
  while (existsSync(`/tmp/.X11-unix/X${number}`) || existsSync(`/tmp/.X${number}-lock`)) number++;
  return `:${number}`;
}

function brief(result) {
  if (result.error) return `failed: ${result.error}`;
  const number = (value, digits = 0) => value?.toFixed(digits) ?? '-';
  const click = result.clickN === undefined ? '' : `, click ${number(result.clickP50)}/${number(result.clickP95)} ms`;
  const freeze = result.freezeMs === undefined ? '' : `, longest freeze ${number(result.freezeMs)} ms`;
  const picture = result.psnr1000 === undefined ? '' : `, ${PICTURE_DELAYS_MS.map((ms) => number(result[`psnr${ms}`])).join('/')} dB`;
  return (
    `${number(result.delayP50)}/${number(result.delayP95)} ms, ${number(result.fps)} fps, ` +
    `${number(result.hostCores, 3)} cores, ${number(result.mbps, 2)} Mb/s${freeze}${click}${picture}`
  );
}
