//! Lock-free hand-off between the pipeline's threads.
