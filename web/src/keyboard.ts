// Keyboard events to physical keys, with care for the key-ups that browsers and systems swallow.
import type { Input } from "./input";
import { isModifier, USAGES } from "./keys";

const IS_MAC = /^(Mac|iP)/.test(navigator.platform);
const IS_WINDOWS = /^Win/.test(navigator.platform);

/** What this page keeps for itself: Ctrl+Alt+Shift with one of these. */
export type Shortcuts = Readonly<Record<string, () => void>>;

/** Sends the keys that reach `stage` until the signal says stop. */
export function sendKeyboard(
  stage: HTMLElement,
  input: Input,
  shortcuts: Shortcuts,
  viewOnly: boolean,
  signal: AbortSignal,
): void {
  const set = (code: string, down: boolean) => {
    const usage = USAGES.get(code);
    if (usage !== undefined) input.key(usage, down);
  };
  const held = (code: string) => input.holds(USAGES.get(code) ?? 0);

  stage.addEventListener(
    "keydown",
    (event) => {
      const shortcut = event.ctrlKey && event.altKey && event.shiftKey ? shortcuts[event.code] : undefined;
      if (shortcut !== undefined) {
        event.preventDefault();
        if (!event.repeat) shortcut();
        return;
      }
      if (viewOnly || !USAGES.has(event.code)) return;
      event.preventDefault();
      // The host repeats held keys by itself.
      if (event.repeat) return;
      if (!isModifier(event.code)) dropStaleModifiers(event);
      // Windows reports AltGr as Ctrl+Alt; the host's layout wants AltGr alone.
      if (IS_WINDOWS && event.code === "AltRight" && event.key === "AltGraph") set("ControlLeft", false);
      set(event.code, true);
      // macOS swallows the key-up of what is pressed with Command, and tells Caps Lock's state, not its presses.
      const noKeyUp = event.code === "CapsLock" || (event.metaKey && !isModifier(event.code));
      if (IS_MAC && noKeyUp) set(event.code, false);
    },
    { signal },
  );

  stage.addEventListener(
    "keyup",
    (event) => {
      if (viewOnly || !USAGES.has(event.code)) return;
      event.preventDefault();
      if (IS_MAC && event.code === "CapsLock") set(event.code, true);
      set(event.code, false);
    },
    { signal },
  );

  /** Lets go of modifiers whose key-up went elsewhere, for example to the system's window switcher. */
  function dropStaleModifiers(event: KeyboardEvent): void {
    for (const name of ["Shift", "Control", "Meta"]) {
      if (event.getModifierState(name)) continue;
      for (const code of [`${name}Left`, `${name}Right`]) if (held(code)) set(code, false);
    }
    if (!event.altKey && held("AltLeft")) set("AltLeft", false);
  }
}
