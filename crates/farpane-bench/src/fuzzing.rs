//! What fuzz targets run: each body takes any bytes and panics when a promise of this crate is broken.
//!
//! The one door for `fuzz/` and for the test that replays its corpus.

use std::io::Cursor;

use farpane_media::Size;

use crate::y4m::{Header, MAX_HEADER, MAX_SIDE, skip_parameters};

/// What is parsed is within its limits, and says the same after it was written and parsed again.
pub fn y4m_header(data: &[u8]) {
    let Ok(header) = Header::parse(data) else { return };
    assert!(header.length <= data.len().min(MAX_HEADER));
    let Size { width, height } = header.size;
    assert!((1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height));
    assert!((1.0..=240.0).contains(&header.fps.value()));
    let text = header.write();
    assert_eq!(Header::parse(text.as_bytes()), Ok(Header { length: text.len(), ..header }));
    // A picture's own line ends within its limit or is refused.
    let mut rest = Cursor::new(&data[header.length..]);
    if skip_parameters(&mut rest).is_ok() {
        assert!(rest.position() <= MAX_HEADER as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_passes() {
        for seed in [
            include_bytes!("../../../fuzz/corpus/y4m_header/seed-420").as_slice(),
            include_bytes!("../../../fuzz/corpus/y4m_header/seed-444-parameters"),
            include_bytes!("../../../fuzz/corpus/y4m_header/seed-endless"),
        ] {
            y4m_header(seed);
        }
    }
}
