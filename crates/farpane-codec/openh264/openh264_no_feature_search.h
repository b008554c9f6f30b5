// Compiled in front of each C++ file of OpenH264 (by /.cargo/config.toml): turns its feature search off.
//
// When a picture scrolls, the encoder's screen mode hashes every 8x8 block position of the reference picture, on one
// thread, to look for what moved some other way; and from then on searches whole rows and columns for each block that
// moved. That is half of the time of a picture and saves about 1 kB of one that scrolls. No parameter turns it off.
#if defined(__cplusplus) && __has_include("svc_motion_estimate.h")
#include "svc_motion_estimate.h"
#define CalcFMESwitchFlag(...) false
#endif
