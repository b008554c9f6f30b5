// A way between a page and the host on which a test decides what gets through: a UDP relay on this machine.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { until } from "./harness.mjs";

/**
 * Runs in the page, ahead of it: has all go by the relay's port. `candidates` are the host's own, in its descriptions; it
 * sends no others.
 */
function byRelay(port) {
  const candidate = /^(a=candidate:\S+ 1 udp \d+) (\S+) (\d+) (typ host.*)$/gim;
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...args) {
      super(...args);
      window.peer = this;
    }
    setRemoteDescription({ type, sdp }) {
      let relayed = false;
      const moved = sdp.replace(candidate, (line, start, address, own, rest) => {
        if (relayed || address !== "127.0.0.1") return "a=x-elsewhere";
        relayed = true;
        window.hostPort = Number(own);
        return `${start} ${address} ${port} ${rest}`;
      });
      return super.setRemoteDescription({ type, sdp: moved });
    }
  };
}

/** Whether a datagram is RTP, by its first two bytes (RFC 7983, section 7; RFC 5761, section 4). */
const isRtp = (datagram) => datagram[0] >= 128 && datagram[0] < 192 && !(datagram[1] >= 192 && datagram[1] < 224);

/** The stream that an RTP datagram belongs to (RFC 3550, section 5.1). */
export const ssrc = (datagram) => datagram.readUInt32BE(8);

/** A page that is live by way of the relay. What RTP `lost` says yes to never arrives. */
export async function viewByRelay(t, browser, url) {
  const [toHost, toPage] = [createSocket("udp4"), createSocket("udp4")];
  t.after(() => {
    toHost.close();
    toPage.close();
  });
  for (const socket of [toHost, toPage]) {
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
  }
  const relay = { lost: () => false, seen: new Set() };
  let [host, viewer] = [undefined, undefined];
  toPage.on("message", (datagram, from) => {
    viewer = from.port;
    if (host) toHost.send(datagram, host, "127.0.0.1");
  });
  toHost.on("message", (datagram) => {
    if (isRtp(datagram) && relay.lost(datagram)) return;
    if (isRtp(datagram)) relay.seen.add(ssrc(datagram));
    toPage.send(datagram, viewer, "127.0.0.1");
  });
  const first = `(${byRelay})(${toPage.address().port})`;
  const page = await browser.view(t, url, undefined, { first });
  host = await until("the host has answered", () => page.evaluate(() => window.hostPort));
  await until("the page is live", () => page.evaluate(() => document.body.dataset.state === "live"));
  return { page, relay };
}
