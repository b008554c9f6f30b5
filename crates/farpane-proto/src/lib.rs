//! Sans-IO RTP: packetizers, headers, rate control.

#![forbid(unsafe_code)]
