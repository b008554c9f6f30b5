// Codes as people type and paste them.
import { describe, expect, it } from "vitest";
import { parseCode } from "../src/code";

const CODE = { code: { routing: "AB0D", secret: "EF1H1KMN" } };

describe("a code is read", () => {
  it.each([
    "AB0D-EF1H-1KMN",
    "ab0def1h1kmn",
    "  abod efih lkmn\n",
    "ABOD–EFLH—IKMN",
    "AB0D-EF1H%201KMN",
    "http://192.168.1.5:8080/#AB0D-EF1H-1KMN",
    "ＡＢ０Ｄ ＥＦ１Ｈ １ＫＭＮ",
  ])("from %j", (text) => {
    expect(parseCode(text)).toEqual(CODE);
  });
});

describe("what is not a code is explained", () => {
  it.each([
    ["", /Type the code/],
    [" - ", /Type the code/],
    ["AB0D-EF1H", /4 missing/],
    ["AB0D-EF1H-1KMN7", /1 too many/],
    ["AB0D-EF1H-1KMU", /no “U”/],
    ["AB0D-EF1H-1KM!", /no “!”/],
  ])("%j", (text, problem) => {
    expect(parseCode(text)).toEqual({ problem: expect.stringMatching(problem) });
  });
});
