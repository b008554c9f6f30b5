// Physical keys: KeyboardEvent.code to USB HID usages of page 7 (HID Usage Tables 1.5, section 10).

const RANGES: ReadonlyArray<readonly [first: number, codes: string]> = [
  [0x04, "KeyA KeyB KeyC KeyD KeyE KeyF KeyG KeyH KeyI KeyJ KeyK KeyL KeyM"],
  [0x11, "KeyN KeyO KeyP KeyQ KeyR KeyS KeyT KeyU KeyV KeyW KeyX KeyY KeyZ"],
  [0x1e, "Digit1 Digit2 Digit3 Digit4 Digit5 Digit6 Digit7 Digit8 Digit9 Digit0"],
  [0x28, "Enter Escape Backspace Tab Space Minus Equal BracketLeft BracketRight Backslash"],
  [0x33, "Semicolon Quote Backquote Comma Period Slash CapsLock"],
  [0x3a, "F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 F11 F12"],
  [0x46, "PrintScreen ScrollLock Pause Insert Home PageUp Delete End PageDown"],
  [0x4f, "ArrowRight ArrowLeft ArrowDown ArrowUp NumLock"],
  [0x54, "NumpadDivide NumpadMultiply NumpadSubtract NumpadAdd NumpadEnter"],
  [0x59, "Numpad1 Numpad2 Numpad3 Numpad4 Numpad5 Numpad6 Numpad7 Numpad8 Numpad9 Numpad0 NumpadDecimal"],
  [0x64, "IntlBackslash ContextMenu Power NumpadEqual"],
  [0x68, "F13 F14 F15 F16 F17 F18 F19 F20 F21 F22 F23 F24"],
  [0x74, "Open Help Props Select"],
  [0x79, "Again Undo Cut Copy Paste Find AudioVolumeMute AudioVolumeUp AudioVolumeDown"],
  [0x85, "NumpadComma"],
  [0x87, "IntlRo KanaMode IntlYen Convert NonConvert"],
  [0x90, "Lang1 Lang2 Lang3 Lang4 Lang5"],
  [0x9b, "Abort"],
  [0xb6, "NumpadParenLeft NumpadParenRight"],
  [0xbb, "NumpadBackspace"],
  [0xd0, "NumpadMemoryStore NumpadMemoryRecall NumpadMemoryClear NumpadMemoryAdd NumpadMemorySubtract"],
  [0xd8, "NumpadClear NumpadClearEntry"],
  [0xe0, "ControlLeft ShiftLeft AltLeft MetaLeft ControlRight ShiftRight AltRight MetaRight"],
];

/** Every key that can be sent, by its `KeyboardEvent.code`. */
export const USAGES: ReadonlyMap<string, number> = new Map(
  RANGES.flatMap(([first, codes]) =>
    codes.split(" ").map((code, index): [string, number] => [code, first + index]),
  ),
);

/** Whether the key only changes what other keys mean. */
export function isModifier(code: string): boolean {
  return /^(Control|Shift|Alt|Meta)(Left|Right)$/.test(code);
}
