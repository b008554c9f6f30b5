// Whole sessions over networks that lose and delay, by tools/netlab.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { scratch, target } from "./harness.mjs";

const inside = join(dirname(fileURLToPath(import.meta.url)), "lab.mjs");

/** Why there can be no such network here. */
function missing() {
  if (process.getuid() !== 0) return "only root may make network namespaces";
  try {
    accessSync("/dev/net/tun");
    return false;
  } catch {
    return "this machine has no /dev/net/tun";
  }
}

for (const [link, way] of [
  ["home", "webrtc"],
  ["lossy", "webrtc"],
  ["home", "stream"],
]) {
  test(`a session over the link "${link}" by ${way} keeps up and becomes sharp`, { skip: missing() }, async (t) => {
    const record = join(scratch(t), "record");
    const options = ["--link", link, "--record", record, "--", process.execPath, inside, way];
    // Of its own, not a part of this run.
    const { NODE_TEST_CONTEXT, ...env } = process.env;
    const lab = spawn(join(target, "debug", "farpane-netlab"), options, { env });
    const said = [];
    for (const output of [lab.stdout, lab.stderr]) output.on("data", (data) => said.push(data));
    t.after(() => lab.kill());
    const [code] = await once(lab, "close");
    assert.equal(code, 0, Buffer.concat(said).toString());
    const last = readFileSync(record, "utf8").trimEnd().split("\n").at(-1);
    assert.ok(JSON.parse(last).down.lost.packets > 0, "the link has lost something");
  });
}
