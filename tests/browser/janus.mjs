// Janus, a WebRTC server that passes pictures on to many: its own API, and WHIP (RFC 9725) in front of its video room,
// which it has not by itself.
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { connect, createServer as listen } from "node:net";
import { join } from "node:path";
import { scratch, start, until } from "./harness.mjs";

const ROOM = 1;

/** Starts it with one room, on ports of its own. */
export async function janus(test) {
  const port = await freePort();
  const folder = join(scratch(test), "janus");
  mkdirSync(folder);
  const write = (name, text) => writeFileSync(join(folder, `janus.${name}jcfg`), text);
  // Sessions live as long as it does: nobody here asks for news all the time.
  write("", 'general: { session_timeout = 0 }\ntransports: { disable = "libjanus_websockets.so,libjanus_pfunix.so" }\n');
  write("transport.http.", `general: { http = true, port = ${port}, ip = "127.0.0.1", base_path = "/janus" }\n`);
  write("plugin.videoroom.", `room-${ROOM}: { publishers = 1, videocodec = "h264", bitrate = 8000000 }\n`);
  const server = start(test, "janus", ["--configs-folder", folder, "--disable-colors", "--ice-enforce-list", "127.0.0.1"]);
  const there = () =>
    new Promise((done) => {
      const socket = connect(port, "127.0.0.1", () => done(true)).on("error", () => done(false));
      socket.unref().destroySoon();
    });
  await until("Janus listens", () => {
    if (server.child.exitCode !== null) throw new Error(server.lines.join("\n"));
    return there();
  });
  return `http://127.0.0.1:${port}/janus`;
}

async function freePort() {
  const holder = listen().listen(0, "127.0.0.1");
  await once(holder, "listening");
  const { port } = holder.address();
  holder.close();
  await once(holder, "close");
  return port;
}

/** A session of its own with a handle to the video room. */
export class Handle {
  static async open(api) {
    const handle = new Handle();
    handle.session = `${api}/${(await post(api, { janus: "create" })).data.id}`;
    const attached = await post(handle.session, { janus: "attach", plugin: "janus.plugin.videoroom" });
    handle.url = `${handle.session}/${attached.data.id}`;
    return handle;
  }

  /** Asks the room for something at once. */
  async ask(body) {
    return (await post(this.url, { janus: "message", body: { room: ROOM, ...body } })).plugindata.data;
  }

  /** Asks for something that takes a while, with a session description or without; what comes of it. */
  async request(body, jsep) {
    await post(this.url, { janus: "message", body: { room: ROOM, ...body }, jsep });
    for (;;) {
      const event = await (await fetch(`${this.session}?maxev=1`)).json();
      const { error } = event.plugindata?.data ?? {};
      if (error) throw new Error(`Janus says ${error}`);
      if (event.janus === "event") return { ...event.plugindata.data, sdp: event.jsep?.sdp };
    }
  }

  close = () => post(this.session, { janus: "destroy" });
}

async function post(url, message) {
  const response = await fetch(url, { method: "POST", body: JSON.stringify({ transaction: "-", ...message }) });
  const answer = await response.json();
  if (answer.error) throw new Error(`Janus says ${answer.error.reason}`);
  return answer;
}

/** WHIP in front of the room: who posts an offer becomes its publisher, until the resource is deleted. */
export async function whip(test, api) {
  const publishers = [];
  const http = createServer(async (request, response) => {
    const say = (status, headers = {}, body = "") => response.writeHead(status, headers).end(body);
    let sdp = "";
    for await (const chunk of request) sdp += chunk;
    if (request.method === "POST" && request.url === "/whip") {
      const publisher = await Handle.open(api);
      const location = `/whip/${publishers.push(publisher) - 1}`;
      const joined = await publisher.request({ request: "joinandconfigure", ptype: "publisher" }, { type: "offer", sdp });
      return say(201, { "content-type": "application/sdp", location }, joined.sdp);
    }
    const publisher = publishers[request.url.slice("/whip/".length)];
    if (request.method !== "DELETE" || !publisher) return say(404);
    await publisher.close();
    say(200);
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  test.after(() => http.close());
  return `http://127.0.0.1:${http.address().port}/whip`;
}
