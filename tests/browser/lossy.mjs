// A way between a page and the host on which a test decides what gets through: a UDP relay on this machine.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { until } from "./harness.mjs";

/**
 * Runs in the page, ahead of it: has all go by the relay's port, and keeps what is opened. The host's candidates are in its
 * descriptions; it sends no others. Those of TCP are left out.
 */
function byRelay(port) {
  const candidate = /^(a=candidate:\S+ 1 (?:ud|tc)p \d+) (\S+) (\d+) (typ host.*)$/gim;
  window.sockets = [];
  window.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      window.sockets.push(this);
    }
  };
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...args) {
      super(...args);
      window.peer = this;
    }
    setRemoteDescription({ type, sdp }) {
      let relayed = false;
      const moved = sdp.replace(candidate, (line, start, address, own, rest) => {
        if (relayed || address !== "127.0.0.1" || / tcp /i.test(start)) return "a=x-elsewhere";
        relayed = true;
        window.hostPort = Number(own);
        window.repeats = Number(/^a=ssrc-group:FID \d+ (\d+)/m.exec(sdp)?.[1]);
        return `${start} ${address} ${window.relayPort ?? port} ${rest}`;
      });
      return super.setRemoteDescription({ type, sdp: moved });
    }
  };
}

/** Whether a datagram is RTP, by its first two bytes (RFC 7983, section 7; RFC 5761, section 4). */
const isRtp = (datagram) => datagram[0] >= 128 && datagram[0] < 192 && !(datagram[1] >= 192 && datagram[1] < 224);

/** The stream that an RTP datagram belongs to (RFC 3550, section 5.1). */
export const ssrc = (datagram) => datagram.readUInt32BE(8);

/** When it was captured, in the stream's own time. */
export const time = (datagram) => datagram.readUInt32BE(4);

/** The value of one of its header extensions, each of which has one byte ahead of it (RFC 8285, section 4.2). */
export function extension(datagram, id) {
  let at = 12 + (datagram[0] & 15) * 4 + 4;
  const end = at + datagram.readUInt16BE(at - 2) * 4;
  while (at < end) {
    const length = datagram[at] === 0 ? 0 : (datagram[at] & 15) + 1;
    if (length > 0 && datagram[at] >> 4 === id) return datagram.subarray(at + 1, at + 1 + length);
    at += 1 + length;
  }
  return undefined;
}

/**
 * A page that is live by way of the relay. What RTP `lost` says yes to never arrives; while it is `dead`, nothing does; and
 * after `move` there is another way in its place, with other addresses, that only a new description tells of. All takes
 * `delay` milliseconds each way. `repeats` is the stream of what is sent again.
 */
export async function viewByRelay(t, browser, url, { dead = false } = {}) {
  const relay = { lost: () => false, dead, delay: 0, seen: new Set() };
  let host;
  const way = async () => {
    const [toHost, toPage] = [createSocket("udp4"), createSocket("udp4")];
    for (const socket of [toHost, toPage]) {
      socket.bind(0, "127.0.0.1");
      await once(socket, "listening");
    }
    let [viewer, closed] = [undefined, false];
    const later = (send) => (relay.delay === 0 ? send() : setTimeout(() => closed || send(), relay.delay));
    toPage.on("message", (datagram, from) => {
      viewer = from.port;
      if (host && !relay.dead) later(() => toHost.send(datagram, host, "127.0.0.1"));
    });
    toHost.on("message", (datagram) => {
      if (relay.dead || (isRtp(datagram) && relay.lost(datagram))) return;
      if (isRtp(datagram)) relay.seen.add(ssrc(datagram));
      later(() => toPage.send(datagram, viewer, "127.0.0.1"));
    });
    const close = () => {
      closed = true;
      toHost.close();
      toPage.close();
    };
    return { port: toPage.address().port, close };
  };
  let current = await way();
  t.after(() => current.close());
  const page = await browser.view(t, url, undefined, { first: `(${byRelay})(${current.port})` });
  relay.move = async () => {
    current.close();
    current = await way();
    await page.evaluate((port) => {
      window.relayPort = port;
    }, current.port);
  };
  host = await until("the host has answered", () => page.evaluate(() => window.hostPort));
  relay.repeats = await page.evaluate(() => window.repeats);
  await until("the page is live", () => page.evaluate(() => document.body.dataset.state === "live"));
  return { page, relay };
}
