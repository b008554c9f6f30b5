// What is lost on the way: the picture goes on without a new start, and the person is told when much is.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after } from "node:test";
import { end, inBrowsers, picture, stateOf } from "./browsers.mjs";
import { program, psnr, scratch, screen, share, until, xserver } from "./harness.mjs";
import { extension, ssrc, time, viewByRelay } from "./lossy.mjs";

after(end);

const counts = (page) =>
  page.evaluate(async () => {
    const stats = [...(await peer.getStats()).values()];
    const inbound = stats.find(({ type }) => type === "inbound-rtp");
    const { keyFramesDecoded, framesDecoded, packetsLost, fecPacketsReceived = 0 } = inbound;
    return { keyFrames: keyFramesDecoded, frames: framesDecoded, lost: packetsLost, parity: fecPacketsReceived };
  });

const costsNoKeyFrame = (codec, scene) => async (t, browser) => {
  const farpane = share(t, ["--display", `synthetic:${scene}`, "--accept", "--codec", codec]);
  const { page, relay } = await viewByRelay(t, browser, (await farpane.event("ready")).url);
  await until("pictures come", async () => (await counts(page)).frames > 60);
  const [stream] = relay.seen;
  const before = await counts(page);
  for (let time = 0; time < 5; time++) {
    // Some packets in a row, and nothing is ever sent again with success.
    let left = 5;
    relay.lost = (datagram) => ssrc(datagram) !== stream || left-- > 0;
    const { frames } = await counts(page);
    await until("pictures go on", async () => (await counts(page)).frames > frames + 30);
    assert.ok(left < 0, "something was lost");
  }
  const { keyFrames, lost } = await counts(page);
  assert.ok(lost >= before.lost + 25, `${lost} packets`);
  assert.equal(keyFrames, before.keyFrames);
};

for (const [codec, needed, scene, name] of [
  ["h264", "H264", "clock", "H264"],
  ["h264", "H264", "video,size=640x480", "a film in H264"],
  ["av1", "AV1", "clock", "AV1"],
]) {
  const needs = { needs: [needed, "a way by 127.0.0.1"] };
  inBrowsers(`what is lost for good costs no key frame: ${name}`, needs, costsNoKeyFrame(codec, scene));
}

inBrowsers("a lost picture of the upper layer is not missed", { needs: ["AV1", "a way by 127.0.0.1"] }, async (t, browser) => {
  const layered = ["--codec", "av1", "--temporal-layers", "2"];
  const farpane = share(t, ["--display", "synthetic:clock", "--accept", ...layered]);
  const { page, relay } = await viewByRelay(t, browser, (await farpane.event("ready")).url);
  const id = await page.evaluate(() =>
    Number(/^a=extmap:(\d+)\S* .*#dependency-descriptor/m.exec(peer.remoteDescription.sdp)[1]),
  );
  await until("pictures come", async () => (await counts(page)).frames > 60);
  const [stream] = relay.seen;
  const before = await counts(page);
  let [upper, lower, lost, elsewhere] = [0, 0, 0, 0];
  relay.lost = (datagram) => {
    // Nothing is ever repaired.
    if (ssrc(datagram) !== stream) return true;
    const descriptor = extension(datagram, id);
    const template = descriptor[0] & 63;
    if (template === 3) {
      const gone = upper++ % 4 === 0;
      lost += Number(gone);
      return gone;
    }
    lower++;
    // A start, or a reference that no template has.
    elsewhere += Number(template === 0 || descriptor.length > 3);
    return false;
  };
  await until("some are lost", () => lost >= 20);
  const { frames, keyFrames } = await counts(page);
  assert.equal(keyFrames, before.keyFrames);
  assert.equal(elsewhere, 0, "nobody had to go back for them");
  const shown = frames - before.frames;
  assert.ok(shown >= 0.9 * (lower + upper - lost), `${shown} of ${lower} and ${upper - lost}`);
});

inBrowsers("where nothing is lost there is no parity", async (t, browser) => {
  const farpane = share(t, ["--display", "synthetic:scroll", "--accept"]);
  const first = "RTCPeerConnection = class extends RTCPeerConnection { peer = (window.peer = this); }";
  const page = await browser.view(t, (await farpane.event("ready")).url, "live", { first });
  await until("pictures come", async () => (await counts(page)).frames > 60);
  assert.equal((await counts(page)).parity, 0);
});

inBrowsers("where nothing is lost hardly anything is sent again", { needs: ["H264", "a way by 127.0.0.1"] }, async (t, browser) => {
  const farpane = share(t, ["--display", "synthetic:typing,size=1920x1080", "--accept"]);
  const { page, relay } = await viewByRelay(t, browser, (await farpane.event("ready")).url);
  let repeats = 0;
  relay.lost = (datagram) => {
    repeats += Number(ssrc(datagram) === relay.repeats);
    return false;
  };
  await until("pictures come", async () => (await counts(page)).frames > 400);
  // A busy machine may lose one.
  assert.ok(repeats < 20, `${repeats} packets`);
});

inBrowsers("parity makes good what is lost on a long way", { needs: ["a way by 127.0.0.1"] }, async (t, browser) => {
  const farpane = share(t, ["--display", "synthetic:scroll", "--accept"]);
  const { page, relay } = await viewByRelay(t, browser, (await farpane.event("ready")).url);
  relay.delay = 50;
  await page.evaluate(() => {
    window.shown = [];
    const video = document.querySelector("video#screen");
    const next = (_, { rtpTimestamp }) => {
      shown.push(rtpTimestamp);
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  });
  await until("pictures come", () => page.evaluate(() => shown.length > 60));
  const [pictures] = relay.seen;
  const { repeats } = relay;
  const holed = new Set();
  let sent = 0;
  relay.lost = (datagram) => {
    // Nothing is ever sent again with success.
    if (ssrc(datagram) === repeats) return true;
    const lost = sent++ % 12 === 0;
    if (lost && ssrc(datagram) === pictures) holed.add(time(datagram));
    return lost;
  };
  const repaired = async () => (await page.evaluate(() => shown)).filter((time) => holed.has(time)).length;
  await until("pictures with a hole are shown", async () => (await repaired()) >= 2);
  assert.ok((await counts(page)).parity >= 2);
});

inBrowsers("what got lost again is asked for after a round trip, not before", { needs: ["H264"] }, async (t, browser) => {
  const farpane = share(t, ["--display", "synthetic:clock", "--accept"]);
  const { page, relay } = await viewByRelay(t, browser, (await farpane.event("ready")).url);
  relay.delay = 150;
  const { frames } = await counts(page);
  await until("the browser has had time to measure", async () => (await counts(page)).frames > frames + 150);
  const [stream] = relay.seen;
  let sent = 0;
  const repeats = [];
  relay.lost = (datagram) => {
    if (ssrc(datagram) === relay.repeats) repeats.push(performance.now());
    return ssrc(datagram) !== stream || sent++ % 60 === 0;
  };
  const gaps = () => repeats.slice(1).map((at, index) => at - repeats[index]);
  // What is further apart was asked for after another loss.
  await until("something is asked for again and again", () => gaps().filter((ms) => ms < 700).length >= 3);
  assert.ok(Math.min(...gaps()) > 200, `${gaps().map(Math.round)} ms`);
});

inBrowsers("after losses the picture is right again", { needs: ["a way by 127.0.0.1"] }, async (t, browser) => {
  const x = await xserver(t, "1024x768");
  const farpane = share(t, ["--display", x.display, "--accept"]);
  const { page, relay } = await viewByRelay(t, browser, (await farpane.event("ready")).url);
  let sent = 0;
  // Every fifth packet, repeats as well.
  relay.lost = () => sent++ % 5 === 0;
  const { frames } = await counts(page);
  const over = join(scratch(t), "over");
  const busy = 'seq 1 150 | while read n; do seq $n 7 2000 | head -30; sleep 0.03; done; touch "$1"; exec sleep 999';
  program(t, x, "xterm", ["-geometry", "120x50+20+20", "-e", "sh", "-c", busy, "sh", over]);
  await until("the terminal rests", () => existsSync(over));
  assert.ok((await counts(page)).frames > frames + 30);
  let best = [0];
  await until("the page shows what is at rest", async () => {
    best = psnr(await screen(x), await picture(page));
    return Math.min(...best) > 40;
  }).catch((error) => {
    throw new Error(`${error.message}; PSNR of red, green, blue is ${best}`);
  });
});

inBrowsers("a poor connection is said to be one, and why", { needs: ["a way by 127.0.0.1"] }, async (t, browser) => {
  const farpane = share(t, ["--display", "synthetic:clock", "--accept"]);
  const { page, relay } = await viewByRelay(t, browser, (await farpane.event("ready")).url);
  const told = () => page.evaluate(() => document.querySelector("#trouble:not([hidden])")?.textContent ?? "");
  let sent = 0;
  relay.lost = () => sent++ % 4 === 0;
  const loss = await until("loss is spoken of", async () => /(\d+) % of what is sent gets lost/.exec(await told()));
  assert.ok(loss[1] >= 10 && loss[1] <= 50, loss[0]);
  relay.lost = () => false;
  await until("it is over", async () => (await told()) === "");
  relay.dead = true;
  await until("silence is spoken of", async () => /nothing has come through for \d s/.test(await told()));
  relay.dead = false;
  await until("it is over", async () => (await told()) === "" && (await stateOf(page)) === "live");
});

inBrowsers("a session goes on by another way, without a code", { needs: ["a way by 127.0.0.1"] }, async (t, browser) => {
  const farpane = share(t, ["--display", "synthetic:clock"]);
  const { url } = await farpane.event("ready");
  farpane.event("asked").then(() => farpane.child.stdin.write("y\n"));
  const { page, relay } = await viewByRelay(t, browser, url);
  const { frames } = await counts(page);
  // The network is another one: datagrams go nowhere, and the WebSocket is open in name only.
  await page.evaluate(() => {
    for (const socket of window.sockets) socket.send = () => {};
  });
  await relay.move();
  await farpane.event("reconnecting");
  await until("the picture is back", async () => (await stateOf(page)) === "live" && (await counts(page)).frames > frames + 60);
  // A WebSocket that is gone is opened again, and the session could do without.
  const opened = () => page.evaluate(() => window.sockets.filter(({ readyState }) => readyState === WebSocket.OPEN).length);
  await page.evaluate(() => window.sockets.at(-1).close());
  await until("there is a WebSocket again", async () => (await opened()) === 1);
  await relay.move();
  await farpane.event("reconnecting", 2);
  const later = (await counts(page)).frames;
  await until("the picture is back", async () => (await stateOf(page)) === "live" && (await counts(page)).frames > later + 60);
  const names = farpane.events().map(({ event }) => event);
  assert.equal(names.filter((name) => name === "asked").length, 1);
  assert.equal(names.filter((name) => name === "disconnected").length, 0);
});
