//! Video encoders behind one trait.
