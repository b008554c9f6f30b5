// The page's elements and what they show in each state; texts from peers go in as text, never as HTML.
import type { Words } from "./words";

/** Stable for programs: `document.body.dataset.state`. */
export type State = "entering" | "waiting" | "connecting" | "live" | "ended" | "failed";

export const ui = {
  entry: find("entry", HTMLFormElement),
  code: find("code", HTMLInputElement),
  connect: find("connect", HTMLButtonElement),
  cancel: find("cancel", HTMLButtonElement),
  again: find("again", HTMLButtonElement),
  stage: find("stage", HTMLElement),
  video: find("screen", HTMLVideoElement),
  remoteCursor: find("remote-cursor", HTMLCanvasElement),
  stats: find("stats", HTMLElement),
  showStats: find("show-stats", HTMLButtonElement),
  fill: find("fill", HTMLButtonElement),
  fullscreen: find("fullscreen", HTMLButtonElement),
  disconnect: find("disconnect", HTMLButtonElement),
  toolbar: find("toolbar", HTMLElement),
  handle: find("handle", HTMLButtonElement),
  tools: find("tools", HTMLElement),
};

const parts = {
  card: find("card", HTMLElement),
  hint: find("hint", HTMLElement),
  progress: find("progress", HTMLElement),
  progressTitle: find("progress-title", HTMLElement),
  progressText: find("progress-text", HTMLElement),
  outcome: find("outcome", HTMLElement),
  outcomeTitle: find("outcome-title", HTMLElement),
  outcomeText: find("outcome-text", HTMLElement),
  host: find("host", HTMLElement),
  trouble: find("trouble", HTMLElement),
  announce: find("announce", HTMLElement),
};

/** The code entry, with a word about what is wrong with the code in it. */
export function showEntry(problem = ""): void {
  show("entering", { entry: true });
  parts.hint.textContent = problem;
  ui.code.setAttribute("aria-invalid", String(problem !== ""));
  ui.code.focus();
  if (problem !== "") ui.code.select();
}

/** Something takes time. Over a picture, the picture stays. */
export function showProgress(state: "connecting" | "waiting", words: Words, overPicture = false): void {
  const before = document.body.dataset.state;
  show(state, { progress: true, picture: overPicture });
  parts.progressTitle.textContent = words.title;
  parts.progressText.textContent = words.text;
  // A countdown is not read out every second.
  if (before !== state) announce(words.title);
}

export function showLive(hostName: string): void {
  show("live", { picture: true });
  parts.host.textContent = hostName;
  document.title = hostName ? `${hostName} – Farpane` : "Farpane";
  ui.stage.focus({ preventScroll: true });
  announce(hostName ? `Connected to ${hostName}` : "Connected");
}

/** A word about the connection, for as long as it is true. */
export function showTrouble(text = ""): void {
  const before = parts.trouble.textContent;
  parts.trouble.textContent = text;
  parts.trouble.hidden = text === "";
  // Figures in it change, and are not read out each time.
  if (before === "" && text !== "") announce(text);
}

export function showOutcome(state: "ended" | "failed", words: Words): void {
  show(state, { outcome: true });
  document.title = "Farpane";
  parts.outcomeTitle.textContent = words.title;
  parts.outcomeText.textContent = words.text;
  parts.outcomeTitle.focus();
  announce(`${words.title}. ${words.text}`);
}

function show(
  state: State,
  { entry = false, progress = false, outcome = false, picture = false }: Partial<Record<string, boolean>>,
): void {
  document.body.dataset.state = state;
  parts.card.hidden = !(entry || progress || outcome);
  ui.entry.hidden = !entry;
  parts.progress.hidden = !progress;
  parts.outcome.hidden = !outcome;
  ui.stage.hidden = ui.toolbar.hidden = !picture;
}

function announce(text: string): void {
  parts.announce.textContent = text;
}

function find<Kind extends HTMLElement>(id: string, kind: abstract new () => Kind): Kind {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`the page has no ${kind.name} with the id ${id}`);
  return element;
}
