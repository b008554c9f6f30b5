// A network that lets no UDP through: media comes over the TCP port that the page came from.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { after, test } from "node:test";
import { chromiumWithoutUdp, end, picture, place, press, shownFrames, stateOf } from "./browsers.mjs";
import { psnr, screen, share, tk, until, xserver } from "./harness.mjs";

after(end);

const desk = `
wm overrideredirect . 1
wm geometry . 1280x720+0+0
. configure -background #205080
label .text -text "The quick brown fox 0123456789" -background white -foreground black
place .text -x 100 -y 100
bind . <KeyPress> {puts "KeyPress %K"; flush stdout; . configure -background #802020}
bind . <ButtonPress> {puts "ButtonPress %b %X %Y"; flush stdout}
focus -force .
`;

test("without UDP the session is live by TCP: the picture is right and input arrives", async (t) => {
  const x = await xserver(t);
  const shown = tk(t, x, desk);
  await shown.shown();
  const farpane = share(t, ["--display", x.display, "--accept"]);
  const page = await chromiumWithoutUdp.view(t, (await farpane.event("ready")).url, "live");
  const { route, codec, chroma } = await farpane.event("connected");
  assert.deepEqual([route, codec, chroma], ["direct, TCP, IPv4", "H264", "4:4:4"]);
  const right = (what) =>
    until(what, async () => Math.min(...psnr(await screen(x), await picture(page))) > 36);
  await right("the page shows the X screen");
  const at = await place(page, 640, 360);
  await page.mouse.click(at.x, at.y);
  await until("the click arrives", () => shown.lines.includes("ButtonPress 1 640 360"));
  await press(page, "KeyF");
  await until("the key arrives", () => shown.lines.includes("KeyPress f"));
  await right("the page shows what the key did");
});

/** Runs in the page, ahead of it: TCP to the host goes by another port of this machine. */
function byPort(port) {
  const candidate = /^(a=candidate:\S+ 1 tcp \d+) (\S+) (\d+) (typ host tcptype passive.*)$/gim;
  window.RTCPeerConnection = class extends RTCPeerConnection {
    setRemoteDescription({ type, sdp }) {
      const moved = sdp.replace(candidate, (_, start, address, own, rest) => `${start} ${address} ${port} ${rest}`);
      return super.setRemoteDescription({ type, sdp: moved });
    }
  };
}

test("a connection that breaks is followed by another, through a tunnel as well", async (t) => {
  const farpane = share(t, ["--display", "synthetic:clock", "--accept"]);
  const { url } = await farpane.event("ready");
  const tunnels = [];
  const tunnel = createServer((near) => {
    const far = connect(new URL(url).port, "127.0.0.1");
    tunnels.push(near);
    near.pipe(far).pipe(near);
    for (const end of [near, far]) end.on("error", () => {}).on("close", () => [near, far].map((end) => end.destroy()));
  });
  tunnel.listen(0, "127.0.0.1");
  await once(tunnel, "listening");
  t.after(() => tunnel.close());
  const first = `(${byPort})(${tunnel.address().port})`;
  const page = await chromiumWithoutUdp.view(t, url, "live", { first });
  assert.match((await farpane.event("connected")).route, /TCP/);
  const before = await shownFrames(page);
  await until("pictures come", async () => (await shownFrames(page)) > before + 10);
  const had = tunnels.length;
  for (const near of tunnels) near.destroy();
  await until("the page connects again", () => tunnels.length > had);
  const then = await shownFrames(page);
  await until("pictures go on", async () => (await shownFrames(page)) > then + 10);
  assert.equal(await stateOf(page), "live");
});
