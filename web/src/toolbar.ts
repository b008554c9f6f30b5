// The toolbar above the picture: a small handle until it is wanted by mouse, touch or keyboard.
import { ui } from "./ui";

/** It goes away this long after the pointer and the focus have left it. */
const LINGER_MS = 1500;

export interface ToolbarActions {
  setFill(fill: boolean): void;
  setStats(open: boolean): void;
  disconnect(): void;
}

export class Toolbar {
  readonly #actions: ToolbarActions;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(actions: ToolbarActions, signal: AbortSignal) {
    this.#actions = actions;
    const on = (target: EventTarget, name: string, take: (event: Event) => void) =>
      target.addEventListener(name, take, { signal });

    // A finger neither hovers nor leaves: it taps the handle, and later the picture.
    const mouse = (event: Event) => event instanceof PointerEvent && event.pointerType !== "touch";
    on(ui.toolbar, "pointerenter", (event) => mouse(event) && this.#open());
    on(ui.toolbar, "pointerleave", (event) => mouse(event) && this.#closeSoon());
    on(ui.stage, "pointerdown", () => this.#closeSoon());
    on(ui.toolbar, "focusin", () => this.#open());
    on(ui.toolbar, "focusout", () => this.#closeSoon());
    on(ui.handle, "click", () => this.#open());
    on(ui.toolbar, "keydown", (event) => {
      if (event instanceof KeyboardEvent && event.key === "Escape") this.#leave();
    });
    on(ui.fill, "click", () => this.#toggle(ui.fill, (pressed) => actions.setFill(pressed)));
    on(ui.showStats, "click", () => this.toggleStats());
    // Whoever clicked wants the keyboard back at the picture; whoever tabbed here stays.
    on(ui.tools, "click", (event) => {
      if (event instanceof MouseEvent && event.detail > 0) ui.stage.focus({ preventScroll: true });
    });
    on(ui.disconnect, "click", () => actions.disconnect());
    on(ui.fullscreen, "click", () => void toggleFullScreen().then(() => this.#leave()));
    on(document, "fullscreenchange", () =>
      ui.fullscreen.setAttribute("aria-pressed", String(document.fullscreenElement !== null)),
    );
    // Without the signal: a listener that ends with it is gone before it fires.
    signal.addEventListener("abort", () => this.#close(), { once: true });
    ui.fullscreen.hidden = !document.fullscreenEnabled;
    this.#open();
    this.#closeSoon();
  }

  /** Puts the keyboard into the toolbar; Escape brings it back to the picture. */
  focus(): void {
    this.#open();
    (ui.fullscreen.hidden ? ui.fill : ui.fullscreen).focus();
  }

  toggleStats(): void {
    this.#toggle(ui.showStats, (pressed) => this.#actions.setStats(pressed));
  }

  #toggle(button: HTMLButtonElement, act: (pressed: boolean) => void): void {
    const pressed = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(pressed));
    act(pressed);
  }

  #leave(): void {
    ui.stage.focus({ preventScroll: true });
    this.#close();
  }

  #open(): void {
    clearTimeout(this.#timer);
    ui.toolbar.dataset.open = "";
    ui.handle.setAttribute("aria-expanded", "true");
  }

  #closeSoon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (!ui.toolbar.matches(":hover, :focus-within")) this.#close();
    }, LINGER_MS);
  }

  #close(): void {
    clearTimeout(this.#timer);
    delete ui.toolbar.dataset.open;
    ui.handle.setAttribute("aria-expanded", "false");
  }
}

/** In full screen, with the keyboard locked where the browser offers it, the system's keys reach the host too. */
async function toggleFullScreen(): Promise<void> {
  const keyboard = (navigator as { keyboard?: { lock(): Promise<void>; unlock(): void } }).keyboard;
  try {
    if (document.fullscreenElement) {
      keyboard?.unlock();
      await document.exitFullscreen();
    } else {
      await document.documentElement.requestFullscreen({ navigationUI: "hide" });
      await keyboard?.lock();
    }
  } catch {
    // The browser or the person said no; the window stays as it is.
  }
}
