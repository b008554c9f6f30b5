// What is lost on the way: the picture goes on without a new start.
import assert from "node:assert/strict";
import { after } from "node:test";
import { end, inBrowsers } from "./browsers.mjs";
import { share, until } from "./harness.mjs";
import { ssrc, viewByRelay } from "./lossy.mjs";

after(end);

const counts = (page) =>
  page.evaluate(async () => {
    const stats = [...(await peer.getStats()).values()];
    const { keyFramesDecoded, framesDecoded, packetsLost } = stats.find(({ type }) => type === "inbound-rtp");
    return { keyFrames: keyFramesDecoded, frames: framesDecoded, lost: packetsLost };
  });

inBrowsers("what is lost for good costs no key frame", { needs: ["H264"] }, async (t, browser) => {
  const farpane = share(t, ["--display", "synthetic:clock", "--accept"]);
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
});
