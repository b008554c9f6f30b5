// The key table against the HID Usage Tables and the names of the UI Events specification.
import { describe, expect, it } from "vitest";
import { isModifier, USAGES } from "../src/keys";

describe("the key table", () => {
  it("has every code and every usage once, and no gap where keyboards have keys", () => {
    const usages = new Set(USAGES.values());
    expect(usages.size).toBe(USAGES.size);
    const missing = Array.from({ length: 0x68 - 0x04 }, (_, i) => 0x04 + i).filter(
      (usage) => !usages.has(usage),
    );
    // 0x32 is the key that browsers report as Backslash, too.
    expect(missing).toEqual([0x32]);
  });

  it.each([
    ["KeyA", 0x04],
    ["KeyZ", 0x1d],
    ["Digit1", 0x1e],
    ["Digit0", 0x27],
    ["Enter", 0x28],
    ["Backslash", 0x31],
    ["Semicolon", 0x33],
    ["CapsLock", 0x39],
    ["F12", 0x45],
    ["PrintScreen", 0x46],
    ["PageDown", 0x4e],
    ["ArrowRight", 0x4f],
    ["ArrowUp", 0x52],
    ["NumLock", 0x53],
    ["NumpadEnter", 0x58],
    ["Numpad0", 0x62],
    ["NumpadDecimal", 0x63],
    ["IntlBackslash", 0x64],
    ["ContextMenu", 0x65],
    ["F24", 0x73],
    ["AudioVolumeDown", 0x81],
    ["IntlRo", 0x87],
    ["IntlYen", 0x89],
    ["NonConvert", 0x8b],
    ["Lang1", 0x90],
    ["ControlLeft", 0xe0],
    ["AltRight", 0xe6],
    ["MetaRight", 0xe7],
  ])("sends %s as %i", (code, usage) => {
    expect(USAGES.get(code)).toBe(usage);
  });

  it("knows the modifiers", () => {
    const modifiers = [...USAGES.keys()].filter(isModifier);
    expect(modifiers.map((code) => USAGES.get(code))).toEqual([
      0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7,
    ]);
  });
});
