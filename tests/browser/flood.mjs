// Hostile WebSockets: garbage messages, ten-megabyte messages, half-open handshakes. Bounded, loopback only.
import { randomBytes } from "node:crypto";
import { connect } from "node:net";

function frame(payload) {
  const head = Buffer.alloc(14);
  head[0] = 0x82;
  head[1] = 0x80 | 127;
  head.writeBigUInt64BE(BigInt(payload.length), 2);
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([head, payload]);
}

/** One connection: what it does depends on its number. Resolves when the server has hung up or it has given up. */
function hostile({ hostname, port }, routingId, number) {
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    const done = () => {
      socket.destroy();
      resolve();
    };
    socket.setTimeout(3_000, done);
    socket.on("error", done);
    socket.on("close", done);
    socket.on("connect", () => {
      if (number % 10 === 0) return void socket.write("GET /signal/");
      socket.write(
        `GET /signal/${number % 3 ? routingId : "ZZZZ"} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\n` +
          `Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n\r\n`,
      );
      socket.once("data", () => {
        if (number % 7 === 0) socket.write(frame(Buffer.alloc(10_000_000, number)));
        else socket.write(frame(randomBytes(1 + (number % 5_000))));
      });
    });
  });
}

/** Opens `count` hostile connections, up to 50 at a time. */
export async function flood(url, count) {
  const routingId = url.hash.slice(1, 5);
  let next = 0;
  const lane = async () => {
    while (next < count) await hostile(url, routingId, next++);
  };
  await Promise.all(Array.from({ length: 50 }, lane));
}
