// A session between the two namespaces of tools/netlab, in which netlab.test.mjs runs this: a desktop at one, Chromium at the
// other. The argument says by which way: webrtc, or stream for a WebSocket.
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Browser, chromium, picture, press } from "./browsers.mjs";
import { psnr, scratch, screen, share, tk, until, xserver } from "./harness.mjs";

const [, , way] = process.argv;
const tools = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "tools");
const viewer = new Browser("Chromium at the viewer", ["H264", "4:4:4"], {}, {
  ...chromium.options,
  executablePath: join(tools, "latency", "chromium-at-viewer"),
});
after(() => viewer.close());

test("a session", async (t) => {
  const x = await xserver(t, "1024x768");
  const lines = await tk(
    t,
    x,
    `wm geometry . 600x400+50+50; pack [text .t]; set i 0
     proc tick {} { .t insert end "line [incr ::i] of many\\n"; .t see end; after 33 tick }
     bind . <KeyPress> { puts "key %K"; flush stdout }; focus -force .; tick`,
  );
  await lines.shown();
  const host = ["ip", "netns", "exec", "host"];
  // WebCodecs is for secure pages, and this one is not on the same machine.
  const options = ["--display", x.display, "--accept", ...(way === "stream" ? ["--tls"] : [])];
  const env = { ...process.env, XDG_DATA_HOME: scratch(t) };
  const farpane = share(t, options, { before: host, listen: "192.0.2.1:0", env });
  const first = {
    webrtc: "RTCPeerConnection = class extends RTCPeerConnection { peer = (window.peer = this); }",
    stream: "delete window.RTCPeerConnection",
  };
  const page = await viewer.view(t, (await farpane.event("ready")).url, "live", { first: first[way] });
  const shown = () => farpane.events().reduce((sum, { event, fps }) => sum + (event === "stats" ? fps : 0), 0);
  await until("300 pictures have come", () => shown() >= 300);
  await press(page, "KeyA");
  await until("the key is there", () => lines.lines.includes("key a"));
  // What rests comes to look as it is, whatever got lost.
  lines.child.stdin.write("proc tick {} {}\n");
  await until("the page shows what is there", async () => Math.min(...psnr(await screen(x), await picture(page))) > 40);
  if (way === "stream") {
    assert.match((await farpane.event("connected")).route, /WebSocket/);
    return;
  }
  const { framesDecoded, keyFramesDecoded } = await page.evaluate(async () =>
    [...(await peer.getStats()).values()].find(({ type }) => type === "inbound-rtp"),
  );
  assert.ok(framesDecoded > 250, `${framesDecoded} pictures`);
  assert.equal(keyFramesDecoded, 1);
});
