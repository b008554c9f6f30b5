// Publishing by WHIP (RFC 9725): to a small server, whose pictures go to a page, and by Janus to several.
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { after } from "node:test";
import { end, inBrowsers } from "./browsers.mjs";
import { scratch, stream, until } from "./harness.mjs";
import { Handle, janus, whip } from "./janus.mjs";

after(end);

/** Answers offers by `take`, once it has sent elsewhere who comes to /whip, to whoever has the token; counts goodbyes. */
async function server(t, take) {
  const heard = { deleted: 0 };
  const http = createServer(async (request, response) => {
    const say = (status, headers = {}, body = "") => response.writeHead(status, headers).end(body);
    let body = "";
    for await (const chunk of request) body += chunk;
    if (request.headers.authorization !== "Bearer open sesame") return say(401, {}, "who are you?");
    if (request.url === "/whip") return say(307, { location: "rooms/1" });
    if (request.method === "DELETE") heard.deleted += request.url === "/rooms/1/me";
    if (request.method !== "POST") return say(200);
    assert.equal(request.headers["content-type"], "application/sdp");
    say(201, { "content-type": "application/sdp", location: "1/me" }, await take(body));
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  t.after(() => http.close());
  return { url: `http://127.0.0.1:${http.address().port}/whip`, heard };
}

/** Runs in the page: shows what is offered. */
async function answer(sdp) {
  const peer = new RTCPeerConnection();
  window.video = Object.assign(document.createElement("video"), { muted: true });
  peer.ontrack = ({ track }) => {
    video.srcObject = new MediaStream([track]);
    void video.play();
  };
  await peer.setRemoteDescription({ type: "offer", sdp });
  await peer.setLocalDescription();
  while (peer.iceGatheringState !== "complete") await new Promise((done) => (peer.onicegatheringstatechange = done));
  return peer.localDescription.sdp;
}

inBrowsers("a server that asks for a token gets the desktop", { needs: ["H264"] }, async (t, browser) => {
  const page = await browser.view(t, "about:blank");
  const { url, heard } = await server(t, (sdp) => page.evaluate(answer, sdp));
  const scene = ["--whip", url, "--display", "synthetic:clock,size=640x480"];
  const refused = stream(t, scene);
  const { code, message, hint } = await refused.event("error");
  assert.equal(code, "whip_refused");
  assert.match(message, /401.*who are you/);
  assert.match(hint, /--whip-token/);
  assert.equal((await refused.exited).code, 1);
  const token = join(scratch(t), "token");
  writeFileSync(token, "open sesame\n");
  const farpane = stream(t, [...scene, "--whip-token", token]);
  assert.equal((await farpane.event("ready")).to, url);
  await until("the page shows it", () => page.evaluate(() => video.videoWidth === 640 && video.currentTime > 1));
  farpane.child.kill("SIGTERM");
  assert.equal((await farpane.exited).code, 0);
  assert.equal(heard.deleted, 1);
});

inBrowsers("Janus passes one publication on to several pages", { needs: ["H264"] }, async (t, browser) => {
  const api = await janus(t);
  const url = await whip(t, api);
  const farpane = stream(t, ["--whip", url, "--display", "synthetic:clock,size=640x480"]);
  await farpane.event("ready");
  const room = await Handle.open(api);
  const publisher = async () => (await room.ask({ request: "listparticipants" })).participants[0];
  const { id } = await until("the room has a publisher", publisher);
  // The later ones need a key frame, for which the server asks.
  for (let viewer = 0; viewer < 3; viewer++) {
    const page = await browser.view(t, "about:blank");
    const handle = await Handle.open(api);
    const { sdp } = await handle.request({ request: "join", ptype: "subscriber", streams: [{ feed: id }] });
    await handle.request({ request: "start" }, { type: "answer", sdp: await page.evaluate(answer, sdp) });
    await until("the page shows it", () => page.evaluate(() => video.videoWidth === 640 && video.currentTime > 1));
  }
  farpane.child.kill("SIGTERM");
  assert.equal((await farpane.exited).code, 0);
  assert.deepEqual((await room.ask({ request: "listparticipants" })).participants, []);
});
