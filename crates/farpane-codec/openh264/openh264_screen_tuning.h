// Compiled in front of each C++ file of OpenH264 (by /.cargo/config.toml): two costs of its screen mode that no
// parameter turns off.
#if defined(__cplusplus)

// Off: the feature search. When a picture scrolls, the encoder hashes every 8x8 block position of the reference
// picture, on one thread, to look for what moved some other way; and from then on searches whole rows and columns for
// each block that moved. That is half of the time of a picture and saves about 1 kB of one that scrolls.
#if __has_include("svc_motion_estimate.h")
#include "svc_motion_estimate.h"
#define CalcFMESwitchFlag(...) false
#endif

// Faster, with the same answer: the scroll detector's search for a row that it can tell from others. It counts the
// values of row after row, byte by byte, until one has enough of them; on a page with empty margins that was 2.5 ms a
// picture, 29 % of what typing costs. Here what is even is passed over by words, and counting stops at four values.
#if __has_include("WelsFrameWork.h")
#include <stdint.h>
#include <string.h>

// As `CheckLine` of OpenH264 2.7.0: a row of 2 or 3 values qualifies when it changes more than 3 times, a row of more
// values always.
static inline int32_t farpane_check_line (const uint8_t* row, int32_t width) {
  uint8_t values[3] = {row[0]};
  int32_t count = 1, changes = 0;
  for (int32_t i = 1; i < width;) {
    uint64_t here, before;
    if (i + 8 <= width && (memcpy (&here, row + i, 8), memcpy (&before, row + i - 1, 8), here == before)) {
      i += 8;
      continue;
    }
    const uint8_t value = row[i++];
    if (value == row[i - 2]) continue;
    changes++;
    int32_t known = 0;
    while (known < count && values[known] != value) known++;
    if (known < count) continue;
    if (count == 3) return 1;
    values[count++] = value;
  }
  return changes > 3;
}

// The definition, `CheckLine (uint8_t* pData, int32_t iWidth)`, keeps its body under another name; the calls,
// `CheckLine (pTmp, iWidth)`, come here. The last parameter tells one from the other.
#define CheckLine(row, width) FARPANE_CHECK_##width)
#define FARPANE_CHECK_int32_t CheckLineByteByByte (uint8_t* pData, int32_t
#define FARPANE_CHECK_iWidth farpane_check_line (pTmp, iWidth

// Off: scrolls by no row. The detector looks at nine places, the verdict of the last one stands, and where nothing moves
// it reads "scrolled by 0".
#define ScrollDetectionCore(src, ref, width, height, x, y, found) FARPANE_SCROLL_##found)
#define FARPANE_SCROLL_SScrollDetectionParam                                                                       \
  ScrollDetectionByAnyRows (SPixMap* pSrcPixMap, SPixMap* pRefPixMap, int32_t iWidth, int32_t iHeight,              \
                            int32_t iOffsetX, int32_t iOffsetY, SScrollDetectionParam
#define FARPANE_SCROLL_m_sScrollDetectionParam                                                                     \
  ScrollDetectionByAnyRows (pSrcPixMap, pRefPixMap, iWidth, iHeight, iStartX, iStartY, m_sScrollDetectionParam),    \
    (void) (m_sScrollDetectionParam.bScrollDetectFlag &= m_sScrollDetectionParam.iScrollMvY != 0
#endif

#endif
