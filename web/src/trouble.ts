// Whether the connection is poor and why, judged once a second by what the person at the page feels.
import { STAGES, type Summary } from "./stats";

export type Cause = "silence" | "loss" | "distance" | "bandwidth" | "host" | "viewer";

export interface Trouble {
  readonly cause: Cause;
  /** Milliseconds, but of loss a share of 1, and of bandwidth Mb/s. */
  readonly amount: number;
}

/** The last two seconds. */
export interface Condition {
  readonly summary: Summary;
  /** How long the host has owed an answer. */
  readonly silentMs: number;
  /** Share of packets, 0 to 1. */
  readonly loss: number;
  readonly rttMs?: number;
  readonly estimateMbps?: number;
}

/** What is slower than this is felt. */
const LATE_US = 250_000;
const SILENT_MS = 1_500;
/** One picture in a second may be a large one, which takes its time. */
const LEAST_FPS = 1;
/** Below this, what is sent again comes in time on most ways; when pictures are late, less is worth a word. */
const LOSS = 0.1;
const SOME_LOSS = 0.02;
const FAR_MS = 200;
/** Judgements in a row before the person is told, and before that is taken back. */
const TOLD_AFTER = 2;
const OVER_AFTER = 3;

const HOST = ["capture", "wait", "damage", "convert", "encode", "packetize"];
const VIEWER = ["decode", "present"];

/** What is wrong at this moment. */
export function judge({ summary, silentMs, loss, rttMs = 0, estimateMbps }: Condition): Trouble | undefined {
  if (silentMs >= SILENT_MS) return { cause: "silence", amount: silentMs };
  if (loss >= LOSS) return { cause: "loss", amount: loss };
  if (summary.fps <= LEAST_FPS || (summary.delayP50 ?? 0) < LATE_US) return undefined;
  const time = (names: readonly string[]) =>
    summary.stages.reduce((sum, us, at) => (names.includes(STAGES[at] ?? "") ? sum + us : sum), 0);
  const [host, viewer] = [time(HOST), time(VIEWER)];
  const way = time(STAGES) - host - viewer;
  if (host > Math.max(way, viewer)) return { cause: "host", amount: host / 1000 };
  if (viewer > way) return { cause: "viewer", amount: viewer / 1000 };
  if (loss >= SOME_LOSS) return { cause: "loss", amount: loss };
  // Most of the delay is there whatever is sent.
  if (rttMs >= FAR_MS && rttMs * 1000 >= way) return { cause: "distance", amount: rttMs };
  return { cause: "bandwidth", amount: estimateMbps ?? 0 };
}

/** Tells of trouble that lasts, and of its end once that lasts. */
export class Watch {
  #told: Trouble | undefined;
  #against = 0;

  /** Takes a judgement; returns what the person is to be told now. */
  handle(now: Trouble | undefined): Trouble | undefined {
    if ((now === undefined) === (this.#told === undefined)) {
      this.#against = 0;
      this.#told = now;
      return now;
    }
    this.#against++;
    // Silence has lasted when it is noticed.
    const after = now === undefined ? OVER_AFTER : now.cause === "silence" ? 1 : TOLD_AFTER;
    if (this.#against >= after) {
      this.#against = 0;
      this.#told = now;
    }
    return this.#told;
  }
}
