//! Pixel kernels and the damage detector.
