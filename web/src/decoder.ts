// A stream's fragments become pictures, by the browser's own decoder.
import { depacketize } from "./depacketize";
import { type Area, type Fragment, StreamFormat } from "./gen/farpane_pb";

/** What is known of a picture when it has been decoded; microseconds of `performance.now()`. */
export interface Decoded {
  readonly rtpTime: number;
  /** The last fragment was here. */
  readonly receivedUs: number;
  readonly decodeUs: number;
  /** All that may differ from the picture before it, if that is known. */
  readonly changed: readonly Area[] | undefined;
}

/** The same of a picture that is being decoded. */
interface Inside extends Omit<Decoded, "decodeUs"> {
  readonly begunUs: number;
}

export interface DecoderHandlers {
  /** A picture, which the taker closes. */
  picture(frame: VideoFrame, decoded: Decoded): void;
  /** Nothing can be decoded until there is a key frame. */
  stuck(): void;
}

/** Counters from the session's start. */
interface Counts {
  bytes: number;
  packets: number;
  dropped: number;
}

/** No host sends a larger picture. */
const MAX_PICTURE_BYTES = 8 << 20;
/** A decoder this many pictures behind does not catch up by itself. */
const MAX_QUEUE = 8;

/** What each format is asked for as, the best first; a stream tells the profile and level that it really has. */
const CODECS: ReadonlyArray<readonly [StreamFormat, string]> = [
  [StreamFormat.STREAM_H264_444, "avc1.F4002A"],
  [StreamFormat.STREAM_H264, "avc1.42E02A"],
  [StreamFormat.STREAM_AV1_444, "av01.1.08M.08"],
  [StreamFormat.STREAM_AV1, "av01.0.08M.08"],
];

/** The formats that this browser decodes, the best first: none but on pages from https or from this computer. */
export async function streamFormats(): Promise<StreamFormat[]> {
  if (!isSecureContext || typeof VideoDecoder === "undefined") return [];
  const supported = await Promise.all(
    CODECS.map(([, codec]) =>
      VideoDecoder.isConfigSupported(configuration(codec)).then(
        ({ supported }) => supported,
        () => false,
      ),
    ),
  );
  return CODECS.filter((_, index) => supported[index]).map(([format]) => format);
}

export class Decoder {
  readonly #handlers: DecoderHandlers;
  readonly counts: Counts = { bytes: 0, packets: 0, dropped: 0 };
  readonly #inside = new Map<number, Inside>();
  #decoder: VideoDecoder | undefined;
  #codec = "";
  #payloads: Uint8Array[] = [];
  #bytes = 0;
  #rtpTime = 0;
  #pictures = 0;
  #waiting = true;

  constructor(handlers: DecoderHandlers) {
    this.#handlers = handlers;
  }

  /** Another stream begins. */
  restart(): void {
    this.#payloads = [];
    this.#bytes = 0;
    this.#waiting = true;
  }

  /** Takes the next fragment of the stream. */
  take(fragment: Fragment, receivedUs: number): void {
    const { payload, format, lastOfPicture } = fragment;
    this.counts.packets++;
    this.counts.bytes += payload.length;
    // The rest of a picture that turned stale is not sent; what follows does without it.
    if (this.#payloads.length > 0 && fragment.rtpTime !== this.#rtpTime) {
      this.counts.dropped++;
      this.#payloads = [];
      this.#bytes = 0;
    }
    this.#rtpTime = fragment.rtpTime;
    this.#bytes += payload.length;
    if (this.#bytes <= MAX_PICTURE_BYTES) this.#payloads.push(payload);
    if (!lastOfPicture) return;
    const data = this.#bytes <= MAX_PICTURE_BYTES ? depacketize(format, this.#payloads) : undefined;
    this.#payloads = [];
    this.#bytes = 0;
    if (data === undefined) this.#stick();
    else this.#decode(data, fragment, receivedUs);
  }

  close(): void {
    if (this.#decoder?.state !== "closed") this.#decoder?.close();
    this.#decoder = undefined;
  }

  #decode(data: Uint8Array<ArrayBuffer>, fragment: Fragment, receivedUs: number): void {
    const { format, keyFrame, rtpTime } = fragment;
    if (keyFrame) this.#prepare(codecOf(format, data));
    const decoder = this.#decoder;
    if (decoder === undefined || (this.#waiting && !keyFrame)) {
      this.counts.dropped++;
      return;
    }
    if (decoder.decodeQueueSize > MAX_QUEUE) return this.#stick();
    this.#waiting = false;
    const timestamp = this.#pictures++;
    const changed = keyFrame ? undefined : fragment.changed?.areas;
    this.#inside.set(timestamp, { rtpTime, receivedUs, begunUs: performance.now() * 1000, changed });
    decoder.decode(new EncodedVideoChunk({ type: keyFrame ? "key" : "delta", timestamp, data }));
  }

  /** Has a decoder for what begins here, with nothing old before it. */
  #prepare(codec: string): void {
    const decoder = this.#decoder;
    const behind = decoder !== undefined && decoder.decodeQueueSize > MAX_QUEUE;
    if (decoder?.state === "configured" && codec === this.#codec && !behind) return;
    this.close();
    this.counts.dropped += this.#inside.size;
    this.#inside.clear();
    this.#codec = codec;
    const made = new VideoDecoder({
      output: (frame) => this.#decoded(frame),
      error: () => {
        if (this.#decoder === made) this.#stick();
      },
    });
    made.configure(configuration(codec));
    this.#decoder = made;
  }

  #decoded(frame: VideoFrame): void {
    const nowUs = performance.now() * 1000;
    const picture = this.#inside.get(frame.timestamp);
    let missed = false;
    // Pictures come out in order; those before it do not come any more.
    for (const timestamp of this.#inside.keys()) {
      if (timestamp > frame.timestamp) break;
      if (timestamp < frame.timestamp) {
        this.counts.dropped++;
        missed = true;
      }
      this.#inside.delete(timestamp);
    }
    if (picture === undefined) return frame.close();
    const { rtpTime, receivedUs, begunUs } = picture;
    const changed = missed ? undefined : picture.changed;
    this.#handlers.picture(frame, { rtpTime, receivedUs, decodeUs: nowUs - begunUs, changed });
  }

  /** Goes on with the next key frame, which it asks for. */
  #stick(): void {
    this.counts.dropped++;
    if (this.#decoder?.state === "closed") this.#decoder = undefined;
    if (this.#waiting) return;
    this.#waiting = true;
    this.#handlers.stuck();
  }
}

function configuration(codec: string): VideoDecoderConfig {
  return { codec, optimizeForLatency: true };
}

const SPS = 7;

/** The codec of a key frame, as RFC 6381 names it. */
export function codecOf(format: StreamFormat, keyFrame: Uint8Array): string {
  const name = CODECS.find(([known]) => known === format)?.[1] ?? "";
  if (!name.startsWith("avc1")) return name;
  for (let at = 0; at + 7 <= keyFrame.length; at++) {
    const startCode = keyFrame[at] === 0 && keyFrame[at + 1] === 0 && keyFrame[at + 2] === 1;
    if (!startCode || ((keyFrame[at + 3] ?? 0) & 0x1f) !== SPS) continue;
    const profile = [...keyFrame.subarray(at + 4, at + 7)];
    return `avc1.${profile.map((byte) => byte.toString(16).padStart(2, "0").toUpperCase()).join("")}`;
  }
  return name;
}
