// The browser's half of the key exchange, with the package that the web client uses, for interop.rs: takes the
// folder of the web client, the routing id and the secret; speaks hex, one message a line.
import { createHmac, hkdfSync } from "node:crypto";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [folder, routing, secret] = process.argv.slice(2);
const opaque = createRequire(`${folder}/`)("@serenity-kit/opaque");
await opaque.ready;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const fromHex = (text) => Buffer.from(text, "hex");

const start = opaque.client.startLogin({ password: secret });
console.log(Buffer.from(start.startLoginRequest, "base64url").toString("hex"));

const ke2 = fromHex((await lines.next()).value);
const result = opaque.client.finishLogin({
  clientLoginState: start.clientLoginState,
  loginResponse: ke2.toString("base64url"),
  password: secret,
  identifiers: { client: routing, server: "farpane host" },
  keyStretching: { "argon2id-custom": { memory: 19456, iterations: 2, parallelism: 1 } },
});
if (result === undefined) {
  console.log("wrong code");
  process.exit();
}
console.log(Buffer.from(result.finishLoginRequest, "base64url").toString("hex"));

const sessionKey = Buffer.from(result.sessionKey, "base64url");
const mac = (side, seq, payload) => {
  const key = Buffer.from(hkdfSync("sha256", sessionKey, "", `farpane v1 ${side} ${routing} 0`, 32));
  const number = Buffer.alloc(8);
  number.writeBigUInt64BE(seq);
  return createHmac("sha256", key).update(number).update(payload).digest("hex");
};
// An offer with the SDP "v=0", then the MAC that the host's first message should have.
const payload = fromHex("1a050a03763d30");
console.log(payload.toString("hex"), mac("viewer", 0n, payload));
const hosts = fromHex((await lines.next()).value);
console.log(mac("host", 0n, hosts));
process.exit();
