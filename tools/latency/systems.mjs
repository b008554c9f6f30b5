// The systems under test: how each is started on a display, and where its page shows the remote screen.
// `start(site)` gets { display, address, port, cache, farpane, log, enter } and resolves to
// { url, selector, children, viewOnly?, webrtc? }; without `webrtc` (false) the page finds none in its browser.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { line, listening, start } from './host.mjs';

const STARTUP_MS = 20_000;

const farpane = {
  version: ({ farpane }) => said(farpane, ['--version']),
  async start({ display, address, port, farpane, log, enter }) {
    if (!existsSync(farpane)) throw new Error(`no ${farpane}: build it with cargo build --release -p farpane`);
    const args = ['share', '--display', display, '--listen', `${address}:${port}`, '--accept', '--json'];
    const host = start(farpane, args, { log, enter, readStdout: true });
    const ready = await line(host, (text) => {
      const event = JSON.parse(text);
      if (event.event === 'error') return { error: `${event.message} ${event.hint ?? ''}` };
      return event.event === 'ready' ? event : undefined;
    }, STARTUP_MS);
    if (ready.error) throw new Error(ready.error);
    return { url: ready.url, selector: 'video#screen, canvas#screen', children: [host] };
  },
};

/** As it comes to viewers whose WebRTC is switched off. */
const farpaneByWebSocket = {
  version: farpane.version,
  start: async (site) => ({ ...(await farpane.start(site)), webrtc: false }),
};

const selkies = (mode, selector) => ({
  version: ({ cache }) => said(join(cache, 'venv/bin/pip'), ['show', 'selkies']).match(/^Version: (.*)$/m)?.[1],
  async start({ display, address, port, cache, log, enter }) {
    // Over WebRTC it signals to itself through localhost.
    const own = [...new Set(['127.0.0.1', address])].join(',');
    const options = `--addr ${own} --port ${port} --mode ${mode} --enable-basic-auth false --audio-enabled false`;
    const args = `${options} --enable-https false --framerate 60 --use-cpu true`.split(' ');
    // A home of its own: it keeps settings, a print spool and downloads there.
    const home = join(cache, 'home');
    mkdirSync(home, { recursive: true });
    const host = start(join(cache, 'venv/bin/selkies'), args, { env: { DISPLAY: display, HOME: home }, log, enter });
    await listening(port, host, STARTUP_MS);
    return { url: `http://${address}:${port}/`, selector, children: [host] };
  },
});

const tigervnc = {
  version: () => said('dpkg-query', ['-Wf', '${Package} ${Version}, ', 'tigervnc-scraping-server', 'novnc', 'websockify']),
  async start({ display, address, port, log, enter }) {
    // A Unix socket between server and proxy, so that only what goes to the viewer crosses the loopback interface.
    const socket = join(socketFolder(), `${++sockets}`);
    const args = ['-display', display, '-SecurityTypes', 'None', '-rfbport', '-1', '-rfbunixpath', socket];
    const server = start('X0tigervnc', args, { log, enter });
    const options = ['--web', '/usr/share/novnc', '--unix-target', socket, `${address}:${port}`];
    const proxy = start('websockify', options, { log, enter });
    await listening(port, proxy, STARTUP_MS);
    const url = `http://${address}:${port}/vnc_lite.html?host=${address}&port=${port}&scale=true`;
    return { url, selector: 'canvas', children: [server, proxy] };
  },
};

const chromium = {
  version: () => said('/usr/bin/chromium', ['--version']),
  async start({ display, address, port, log, enter }) {
    const script = fileURLToPath(new URL('share.mjs', import.meta.url));
    const host = start(process.execPath, [script, address, `${port}`], { env: { DISPLAY: display }, log, enter, readStdout: true });
    await line(host, (text) => (text === 'ready' ? true : undefined), STARTUP_MS);
    return { url: `http://${address}:${port}/`, selector: 'video', children: [host], viewOnly: true };
  },
};

export const SYSTEMS = {
  farpane,
  'farpane-websocket': farpaneByWebSocket,
  'selkies-webrtc': selkies('webrtc', 'video#stream'),
  'selkies-ws': selkies('websockets', '#videoStream'),
  tigervnc,
  chromium,
};

let sockets = 0;
let folder;

/** A short path, as Unix sockets need, that is gone when this program ends. */
function socketFolder() {
  if (!folder) {
    folder = mkdtempSync(join(tmpdir(), 'latency-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  }
  return folder;
}

function said(command, args) {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
}
