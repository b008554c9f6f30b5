// The messages against the bytes that the Rust side writes and checks.
import { readFileSync } from "node:fs";
import { createRegistry, type DescMessage, fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { file_farpane } from "../src/gen/farpane_pb";

interface Golden {
  readonly name: string;
  readonly type: string;
  readonly hex: string;
}

const GOLDEN: Golden[] = JSON.parse(
  readFileSync(new URL("../../crates/farpane-wire/golden/messages.json", import.meta.url), "utf8"),
);
const REGISTRY = createRegistry(file_farpane);

function schemaOf(type: string): DescMessage {
  const schema = REGISTRY.getMessage(`farpane.v1.${type}`);
  if (schema === undefined) throw new Error(`the schema has no message ${type}`);
  return schema;
}

/** The message with that name, as its JSON form. */
function read(name: string): unknown {
  const golden = GOLDEN.find((golden) => golden.name === name);
  if (golden === undefined) throw new Error(`no golden message is called ${name}`);
  const schema = schemaOf(golden.type);
  return toJson(schema, fromBinary(schema, Buffer.from(golden.hex, "hex")));
}

describe("golden messages", () => {
  it.each(GOLDEN)("$name is written as it was read", ({ type, hex }) => {
    const schema = schemaOf(type);
    const message = fromBinary(schema, Buffer.from(hex, "hex"));
    expect(message.$unknown).toBeUndefined();
    expect(Buffer.from(toBinary(schema, message)).toString("hex")).toBe(hex);
  });

  it("cover every kind of message", () => {
    const covered = new Set(
      GOLDEN.flatMap(({ type, name }) => Object.keys(read(name) ?? {}).map((kind) => `${type}.${kind}`)),
    );
    for (const type of [
      "Signal",
      "Session",
      "StreamMessage",
      "InputMessage",
      "CursorMessage",
      "ControlMessage",
    ]) {
      for (const { jsonName } of schemaOf(type).fields) expect(covered).toContain(`${type}.${jsonName}`);
    }
  });

  it("mean the same here as there", () => {
    expect(read("refusal_wrong_code")).toEqual({
      refusal: { reason: "REFUSAL_WRONG_CODE", attemptsLeft: 4 },
    });
    expect(read("admitted")).toEqual({ admitted: { viewOnly: true, hostName: "Büro ☕" } });
    expect(read("shown")).toEqual({ shown: { formats: ["STREAM_H264_444", "STREAM_H264", "STREAM_AV1"] } });
    expect(read("stream")).toMatchObject({ stream: { line: 2, opening: { payload: "QgUKAwIBAw==" } } });
    expect(read("fragments")).toEqual({
      fragments: [
        { payload: "Z0I=", format: "STREAM_H264", rtpTime: 4000000000, keyFrame: true },
        { payload: "aA==", format: "STREAM_H264", rtpTime: 4000000000, keyFrame: true, lastOfPicture: true },
        { payload: "EA==", format: "STREAM_AV1_444", lastOfPicture: true },
      ],
    });
    expect(read("changed")).toEqual({
      fragments: [
        {
          payload: "EA==",
          format: "STREAM_AV1_444",
          lastOfPicture: true,
          changed: { areas: [{ x: 1904, y: 16, width: 16, height: 1064 }] },
        },
        { payload: "EA==", format: "STREAM_AV1_444", lastOfPicture: true, changed: {} },
      ],
    });
    expect(read("letters")).toEqual({
      letters: [{ message: "IgA=" }, { channel: "CHANNEL_STATS", message: "EgA=" }],
    });
    expect(read("arrivals")).toEqual({
      arrivals: [
        { next: "3", atUs: "5000000000" },
        { next: "18446744073709551615", atUs: "1" },
      ],
    });
    expect(read("wheel")).toEqual({
      wheel: { dx: -0.5, dy: 53.25, at: { x: 65535, y: 1 }, pointerSeq: 7 },
      number: 1,
    });
    expect(read("button_forward_up")).toEqual({
      button: { button: "BUTTON_FORWARD", at: {}, pointerSeq: 4294967295 },
      number: 1,
    });
    expect(read("pong")).toEqual({ pong: { viewerUs: "1700000000000000", hostUs: "42" } });
    expect(read("stats")).toMatchObject({ frames: [{ rtpTime: 4000000000, changedUs: "5000000000" }, {}] });
  });
});
