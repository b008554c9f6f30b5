// The RTP payloads of one picture, put together again into what WebCodecs decodes.
import { StreamFormat } from "./gen/farpane_pb";

type Bytes = Uint8Array;

/** One picture as an encoded chunk; nothing if the payloads do not make up one. */
export function depacketize(
  format: StreamFormat,
  payloads: readonly Bytes[],
): Uint8Array<ArrayBuffer> | undefined {
  switch (format) {
    case StreamFormat.STREAM_H264:
    case StreamFormat.STREAM_H264_444:
      return joinH264(payloads);
    case StreamFormat.STREAM_AV1:
    case StreamFormat.STREAM_AV1_444:
      return joinAv1(payloads);
    default:
      return undefined;
  }
}

// ---- H.264: RFC 6184, packetization mode 1, into an Annex B byte stream ----

const START_CODE = Uint8Array.of(0, 0, 0, 1);
const NAL_TYPE = 0x1f;
const LAST_SINGLE = 23;
const STAP_A = 24;
const FU_A = 28;
const FU_START = 0x80;
const FU_END = 0x40;

function joinH264(payloads: readonly Bytes[]): Uint8Array<ArrayBuffer> | undefined {
  const pieces: Bytes[] = [];
  /** The type of the NAL unit of which more fragments have to come. */
  let open: number | undefined;
  for (const payload of payloads) {
    const [header, fu] = payload;
    if (header === undefined) return undefined;
    const type = header & NAL_TYPE;
    if (type === FU_A) {
      if (fu === undefined) return undefined;
      const starts = (fu & FU_START) !== 0;
      const ends = (fu & FU_END) !== 0;
      const kind = fu & NAL_TYPE;
      if ((starts && ends) || open !== (starts ? undefined : kind)) return undefined;
      if (starts) pieces.push(START_CODE, Uint8Array.of((header & ~NAL_TYPE) | kind));
      pieces.push(payload.subarray(2));
      open = ends ? undefined : kind;
    } else if (open !== undefined) {
      return undefined;
    } else if (type === STAP_A) {
      for (let at = 1; at < payload.length; ) {
        const length = ((payload[at] ?? 0) << 8) | (payload[at + 1] ?? 0);
        const nal = payload.subarray(at + 2, at + 2 + length);
        if (length === 0 || nal.length < length) return undefined;
        pieces.push(START_CODE, nal);
        at += 2 + length;
      }
    } else {
      if (type === 0 || type > LAST_SINGLE) return undefined;
      pieces.push(START_CODE, payload);
    }
  }
  return open === undefined && pieces.length > 0 ? join(pieces) : undefined;
}

// ---- AV1: RTP Payload Format For AV1, version 1.0.0, into a temporal unit of the low-overhead format ----

/** Bits of the aggregation header. */
const CONTINUES = 0x80;
const CONTINUED = 0x40;
const COUNT_SHIFT = 4;
const MAX_COUNT = 3;
/** Bits of the OBU header. */
const FORBIDDEN = 0x80;
const EXTENSION = 0x04;
const HAS_SIZE = 0x02;
/** Kinds of OBU that do not travel in RTP: temporal delimiter, tile list, padding. */
const NOT_SENT = [2, 8, 15];
const TEMPORAL_DELIMITER = Uint8Array.of(0x12, 0);

function joinAv1(payloads: readonly Bytes[]): Uint8Array<ArrayBuffer> | undefined {
  const unit: Bytes[] = [TEMPORAL_DELIMITER];
  /** The OBU of which more has to come. */
  let open: Bytes[] = [];
  for (const payload of payloads) {
    const [header] = payload;
    if (header === undefined || payload.length < 2) return undefined;
    const count = (header >> COUNT_SHIFT) & MAX_COUNT;
    let at = 1;
    for (let number = 1; at < payload.length || number <= count; number++) {
      let length = payload.length - at;
      if (number !== count) {
        const field = readLeb128(payload, at);
        if (field === undefined) return undefined;
        ({ value: length, end: at } = field);
      }
      const element = payload.subarray(at, at + length);
      if (length === 0 || element.length < length) return undefined;
      at += length;
      const begins = number > 1 || (header & CONTINUES) === 0;
      if (begins !== (open.length === 0)) return undefined;
      open.push(element);
      const ends = at < payload.length || number < count || (header & CONTINUED) === 0;
      if (!ends) continue;
      if (!addObu(unit, open)) return undefined;
      open = [];
    }
  }
  return open.length === 0 && unit.length > 1 ? join(unit) : undefined;
}

/** Adds an OBU with a size field; says whether it is one. */
function addObu(unit: Bytes[], pieces: readonly Bytes[]): boolean {
  const obu = pieces.length === 1 && pieces[0] ? pieces[0] : join(pieces);
  const [header] = obu;
  if (header === undefined || (header & FORBIDDEN) !== 0) return false;
  const headerLength = (header & EXTENSION) === 0 ? 1 : 2;
  if (obu.length < headerLength) return false;
  let payload = obu.subarray(headerLength);
  if ((header & HAS_SIZE) !== 0) {
    const size = readLeb128(obu, headerLength);
    if (size === undefined || size.end + size.value > obu.length) return false;
    payload = obu.subarray(size.end, size.end + size.value);
  }
  if (NOT_SENT.includes(header >> 3)) return true;
  const sizedHeader = [header | HAS_SIZE, ...obu.subarray(1, headerLength), ...leb128(payload.length)];
  unit.push(Uint8Array.from(sizedHeader), payload);
  return true;
}

/** No length in a payload needs more than four of the eight bytes that are allowed. */
const MAX_LEB128 = 8;

function readLeb128(bytes: Bytes, at: number): { value: number; end: number } | undefined {
  let value = 0;
  for (let i = 0; i < MAX_LEB128; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, end: at + i + 1 };
  }
  return undefined;
}

function leb128(value: number): number[] {
  const low = value & 0x7f;
  return value < 0x80 ? [low] : [low | 0x80, ...leb128(value >>> 7)];
}

function join(pieces: readonly Bytes[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
