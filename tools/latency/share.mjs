// A peer: Chromium's own screen share of $DISPLAY, for whoever opens the page. `node share.mjs ADDRESS PORT`.

import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const CODEC = 'video/AV1';
const [address, port] = process.argv.slice(2);

const args = '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-sync';
// Its window is beside the screen that it shares.
const more = '--disable-component-update --window-position=-3000,-3000';
const pick = '--auto-select-desktop-capture-source=Entire screen';
const options = { executablePath: '/usr/bin/chromium', headless: false, args: [...`${args} ${more}`.split(' '), pick] };
const browser = await chromium.launch(options);
process.once('SIGTERM', () => browser.close().then(() => process.exit(0)));
// Pages that may use a camera are given this machine's addresses, others a name that no other machine can look up.
const page = await browser.newPage({ permissions: ['camera', 'microphone'] });

// Chromium shares screens with secure pages and those of this machine.
const hosts = new Set(['127.0.0.1', address]);
await Promise.all([...hosts].map((host) => new Promise((ready) => createServer(answer).listen(port, host, ready))));
await page.goto(`http://127.0.0.1:${port}/empty`);
console.log('ready');

async function answer(request, response) {
  if (request.method === 'POST') {
    let offer = '';
    for await (const part of request) offer += part;
    return response.end(await page.evaluate(share, offer));
  }
  const style = 'body{margin:0}video{display:block;width:100vw;height:100vh}';
  const player = '<video id="screen" autoplay muted></video>';
  const body = request.url === '/' ? `${player}<script>(${view})('${CODEC}')</script>` : '';
  response.writeHead(200, { 'content-type': 'text/html' }).end(`<!doctype html><style>${style}</style>${body}`);
}

// The functions below run in the two pages.

/** Sends the screen to whoever made this SDP offer; the answer. */
async function share(offer) {
  const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: 60, width: 1920, height: 1080 } });
  const peer = new RTCPeerConnection();
  await peer.setRemoteDescription({ type: 'offer', sdp: offer });
  peer.addTrack(stream.getVideoTracks()[0], stream);
  await peer.setLocalDescription();
  while (peer.iceGatheringState !== 'complete') await new Promise((next) => (peer.onicegatheringstatechange = next));
  return peer.localDescription.sdp;
}

async function view(codec) {
  const peer = new RTCPeerConnection();
  const line = peer.addTransceiver('video', { direction: 'recvonly' });
  const { codecs } = RTCRtpReceiver.getCapabilities('video');
  line.setCodecPreferences(codecs.filter(({ mimeType }) => [codec, 'video/rtx'].includes(mimeType)));
  peer.ontrack = ({ track }) => (document.querySelector('video').srcObject = new MediaStream([track]));
  await peer.setLocalDescription();
  const reply = await fetch('/', { method: 'POST', body: peer.localDescription.sdp });
  await peer.setRemoteDescription({ type: 'answer', sdp: await reply.text() });
}
