// Compiled in front of each C++ file of OpenH264 (by /.cargo/config.toml): costs of its screen mode that no parameter
// turns off. Written for OpenH264 2.7.0; a function of another shape does not compile.
//
// A function is replaced by a macro of its name. The macro meets the function's definition too, and pastes one of the
// parameters to tell that from a call: the definition keeps its body under another name, calls come here.
//
// Other C++ code that is compiled meanwhile, such as libFuzzer's, gets nothing of this, not even the includes.
#if defined(__cplusplus) && (__has_include("svc_motion_estimate.h") || __has_include("WelsFrameWork.h"))
#include <stdint.h>
#include <string.h>

// Whether two blocks of 8x8 samples are equal: cheaper than their difference, and most blocks of a desktop are.
static inline bool farpane_same_8x8 (const uint8_t* a, int32_t a_stride, const uint8_t* b, int32_t b_stride) {
  uint64_t differ = 0;
  for (int32_t row = 0; row < 8; row++) {
    uint64_t left, right;
    memcpy (&left, a + row * a_stride, 8);
    memcpy (&right, b + row * b_stride, 8);
    differ |= left ^ right;
  }
  return differ == 0;
}

// The encoder.
#if __has_include("svc_motion_estimate.h")
#include "svc_motion_estimate.h"

// Off: the feature search. When a picture scrolls, it hashes every 8x8 block position of the reference picture, on one
// thread, to look for what moved some other way; and from then on searches whole rows and columns for each block that
// moved. That is half of the time of a picture and saves about 1 kB of one that scrolls.
#define CalcFMESwitchFlag(...) false

// Faster: whether the chroma of a still block stands still. The answer is only compared with 0.
template<typename Functions>
static inline int32_t farpane_chroma_differs (Functions*, const uint8_t* source, int32_t source_stride,
                                              const uint8_t* before, int32_t before_stride) {
  return !farpane_same_8x8 (source, source_stride, before, before_stride);
}
#define CalUVSadCost(functions, source, source_stride, before, before_stride)                                          \
  FARPANE_CHROMA_##functions, source, source_stride, before, before_stride)
#define FARPANE_CHROMA_SWelsFuncPtrList CalUVSadCostBySad (SWelsFuncPtrList
#define FARPANE_CHROMA_pFunc farpane_chroma_differs (pFunc
#endif

// The detectors that run before it.
#if __has_include("WelsFrameWork.h")

// Faster, with the same answer: the difference of two blocks.
#define m_pfSad(a, a_stride, b, b_stride)                                                                              \
  (farpane_same_8x8 (a, a_stride, b, b_stride) ? 0 : (m_pfSad) (a, a_stride, b, b_stride))

// Faster, with the same answer: the search for a row that can be told from others. Row after row has its values counted,
// byte by byte, until one has enough of them; on a page with empty margins that was 2.5 ms a picture, 29 % of what typing
// costs. Here what is even is passed over by words, and counting stops at four values.
//
// A row of 2 or 3 values qualifies when it changes more than 3 times, a row of more values always.
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
#define CheckLine(row, width) FARPANE_CHECK_##width)
#define FARPANE_CHECK_int32_t CheckLineByteByByte (uint8_t* pData, int32_t
#define FARPANE_CHECK_iWidth farpane_check_line (pTmp, iWidth

// Off: scrolls by no row. The detector looks at nine places, the verdict of the last one stands, and where nothing moves
// it reads "scrolled by 0".
#define ScrollDetectionCore(src, ref, width, height, x, y, found) FARPANE_SCROLL_##found)
#define FARPANE_SCROLL_SScrollDetectionParam                                                                           \
  ScrollDetectionByAnyRows (SPixMap* pSrcPixMap, SPixMap* pRefPixMap, int32_t iWidth, int32_t iHeight,                  \
                            int32_t iOffsetX, int32_t iOffsetY, SScrollDetectionParam
#define FARPANE_SCROLL_m_sScrollDetectionParam                                                                         \
  ScrollDetectionByAnyRows (pSrcPixMap, pRefPixMap, iWidth, iHeight, iStartX, iStartY, m_sScrollDetectionParam),        \
    (void) (m_sScrollDetectionParam.bScrollDetectFlag &= m_sScrollDetectionParam.iScrollMvY != 0
#endif

#endif
