//! Stage benchmarks, one file a hop.
