// The time-code strip: where it is, and how a frame's moment is read from it. See probe/src/strip.rs.

/** Place and shape of the strip on the 1920x1080 screen, in pixels; one row of square cells. */
export const STRIP = { y: 1056, cell: 16, cells: 32 };
/** Place of the click square on the screen. */
export const SQUARE = { x: 1856, y: 1016, size: 64 };
/** Ticks of 0.1 ms after which a time code repeats. */
export const TICKS = 2 ** 20;

/**
 * Reads cell brightnesses (0 to 255, from the left). Returns `{ ticks, clicks }`, or null when a cell is neither
 * black nor white or the checksum is wrong, as in a torn or blurred picture. Runs in the page: it must not refer
 * to anything outside itself.
 */
export function decode(levels) {
  let code = 0;
  for (const level of levels) {
    if (level > 80 && level < 175) return null;
    code = code * 2 + (level > 127 ? 1 : 0);
  }
  const body = Math.floor(code / 256);
  let crc = 0xff;
  for (const byte of [body >> 16, (body >> 8) & 0xff, body & 0xff]) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x80 ? ((crc << 1) ^ 0x07) & 0xff : crc << 1;
  }
  return crc === code % 256 ? { ticks: body >> 4, clicks: body & 0xf } : null;
}

/** Milliseconds from a time code to `now` (ms since the epoch); right within half a wrap, 52 s, either way. */
export function age(ticks, now) {
  const late = (((now * 10 - ticks) % TICKS) + TICKS) % TICKS;
  return (late < TICKS / 2 ? late : late - TICKS) / 10;
}
