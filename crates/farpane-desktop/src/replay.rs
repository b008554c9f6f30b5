//! Recorded frames.

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
