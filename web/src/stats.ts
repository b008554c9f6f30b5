// Every frame's way from a change at the host to this display: the host's stamps joined with the browser's.
import type { HostClock } from "./clock";
import type { FrameRecord } from "./gen/farpane_pb";

/** The stages in order; the first seven are the host's, the rest are seen from here. */
export const STAGES = [
  "capture",
  "wait",
  "damage",
  "convert",
  "encode",
  "packetize",
  "send",
  "network",
  "buffer",
  "decode",
  "present",
] as const;

/** What `requestVideoFrameCallback` tells about a frame; microseconds of this page's clock. */
export interface ShownFrame {
  readonly rtpTime: number;
  /** The last packet was here. */
  readonly receivedUs: number;
  readonly decodeUs: number;
  /** Handed over to be drawn. */
  readonly presentedUs: number;
  /** Visible. */
  readonly displayedUs: number;
}

/** Frames shown in a stretch of time. Durations are microseconds. */
export interface Summary {
  readonly fps: number;
  /** From the change at the host to the display; missing while no frame could be matched. */
  readonly delayP50?: number;
  readonly delayP95?: number;
  readonly decodeP50?: number;
  /** The median of each of STAGES, if any frame was matched. */
  readonly stages: readonly number[];
  readonly quantizer?: number;
}

/** Half of a pair waits at most this long, in frames, for the other half. */
const MAX_UNMATCHED = 256;

/** Matches the two halves by RTP time and keeps the last seconds of them. */
export class FrameStats {
  readonly #clock: HostClock;
  readonly #keepUs: number;
  readonly #sent = new Map<number, FrameRecord>();
  readonly #waiting = new Map<number, ShownFrame>();
  #shown: ShownFrame[] = [];
  #pairs: { readonly sent: FrameRecord; readonly shown: ShownFrame }[] = [];

  /** `keepUs` is how far back a summary can reach. */
  constructor(clock: HostClock, keepUs: number) {
    this.#clock = clock;
    this.#keepUs = keepUs;
  }

  shown(frame: ShownFrame): void {
    const oldest = frame.displayedUs - this.#keepUs;
    this.#shown = this.#shown.filter(({ displayedUs }) => displayedUs >= oldest);
    this.#pairs = this.#pairs.filter(({ shown }) => shown.displayedUs >= oldest);
    this.#shown.push(frame);
    const sent = this.#sent.get(frame.rtpTime);
    if (sent === undefined) remember(this.#waiting, frame.rtpTime, frame);
    else this.#match(sent, frame);
  }

  sent(record: FrameRecord): void {
    const shown = this.#waiting.get(record.rtpTime);
    if (shown === undefined) remember(this.#sent, record.rtpTime, record);
    else this.#match(record, shown);
  }

  /** Looks at the frames displayed since `sinceUs`, over the span up to `nowUs`. */
  summary(sinceUs: number, nowUs: number): Summary {
    const shown = this.#shown.filter(({ displayedUs }) => displayedUs >= sinceUs);
    const ways = this.#pairs
      .filter(({ shown }) => shown.displayedUs >= sinceUs)
      .flatMap(({ sent, shown }) => this.#way(sent, shown) ?? []);
    const delays = ways.map(({ delay }) => delay);
    return {
      fps: shown.length / Math.max((nowUs - sinceUs) / 1e6, 1e-6),
      delayP50: quantile(delays, 0.5),
      delayP95: quantile(delays, 0.95),
      decodeP50: quantile(
        shown.map(({ decodeUs }) => decodeUs),
        0.5,
      ),
      stages:
        ways.length === 0
          ? []
          : STAGES.map(
              (_, index) =>
                quantile(
                  ways.map(({ stages }) => stages[index] ?? 0),
                  0.5,
                ) ?? 0,
            ),
      quantizer: this.#pairs.at(-1)?.sent.quantizer,
    };
  }

  #match(sent: FrameRecord, shown: ShownFrame): void {
    this.#sent.delete(sent.rtpTime);
    this.#waiting.delete(sent.rtpTime);
    this.#pairs.push({ sent, shown });
  }

  #way(sent: FrameRecord, shown: ShownFrame): { stages: number[]; delay: number } | undefined {
    const received = this.#clock.toHost(shown.receivedUs);
    const displayed = this.#clock.toHost(shown.displayedUs);
    if (received === undefined || displayed === undefined) return undefined;
    const host = [
      sent.captureUs,
      sent.waitUs,
      sent.damageUs,
      sent.convertUs,
      sent.encodeUs,
      sent.packetizeUs,
      sent.sendUs,
    ];
    const changed = Number(sent.changedUs);
    const left = host.reduce((sum, stage) => sum + stage, changed);
    const viewer = [
      received - left,
      shown.presentedUs - shown.receivedUs - shown.decodeUs,
      shown.decodeUs,
      shown.displayedUs - shown.presentedUs,
    ];
    // The clocks agree to half a round trip only, so that a short stage can come out below nothing.
    return {
      stages: [...host, ...viewer.map((stage) => Math.max(stage, 0))],
      delay: Math.max(displayed - changed, 0),
    };
  }
}

/** The value below which the share `q` of them lies; nothing for no values. */
export function quantile(values: readonly number[], q: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(Math.floor(sorted.length * q), sorted.length - 1)];
}

function remember<Value>(map: Map<number, Value>, key: number, value: Value): void {
  map.set(key, value);
  const oldest = map.keys().next();
  if (map.size > MAX_UNMATCHED && !oldest.done) map.delete(oldest.value);
}

/** What the browser counts, from `getStats`; counters run from the session's start. */
export interface BrowserCounts {
  readonly bytes: number;
  readonly packets: number;
  readonly lost: number;
  readonly dropped: number;
  readonly freezes: number;
  readonly rttMs?: number;
  readonly route: string;
}

export function readCounts(report: RTCStatsReport): BrowserCounts {
  const entries = new Map<string, Record<string, unknown>>();
  report.forEach((entry: Record<string, unknown>, id: string) => {
    entries.set(id, entry);
  });
  const find = (wanted: (entry: Record<string, unknown>) => boolean) => [...entries.values()].find(wanted);
  const inbound = find(({ type, kind }) => type === "inbound-rtp" && kind === "video");
  const transport = find(({ type }) => type === "transport");
  const pair =
    entries.get(String(transport?.selectedCandidatePairId)) ??
    find(
      ({ type, state, nominated }) =>
        type === "candidate-pair" && state === "succeeded" && nominated === true,
    );
  const local = entries.get(String(pair?.localCandidateId));
  const remote = entries.get(String(pair?.remoteCandidateId));
  const rtt = pair?.currentRoundTripTime;
  return {
    bytes: count(inbound?.bytesReceived),
    packets: count(inbound?.packetsReceived),
    lost: count(inbound?.packetsLost),
    dropped: count(inbound?.framesDropped),
    freezes: count(inbound?.freezeCount),
    rttMs: typeof rtt === "number" ? rtt * 1000 : undefined,
    route: describeRoute(local, remote),
  };
}

function describeRoute(local?: Record<string, unknown>, remote?: Record<string, unknown>): string {
  if (local === undefined || remote === undefined) return "";
  const relayed = local.candidateType === "relay" || remote.candidateType === "relay";
  return `${relayed ? "relayed" : "direct"}, ${String(local.protocol ?? "").toUpperCase()}`;
}

function count(value: unknown): number {
  return typeof value === "number" ? value : 0;
}
