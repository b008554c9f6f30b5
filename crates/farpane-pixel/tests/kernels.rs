//! Every CPU level of the row kernel against a per-pixel oracle: odd widths, odd addresses, guard bytes.

use farpane_pixel::{Kernel, Level, TILE, UnknownLevel};
use proptest::prelude::*;

const GUARD: u8 = 0xa5;

/// Pixels of a row, with the bytes of `old` to flip: (byte in the row, mask).
fn rows() -> impl Strategy<Value = (usize, Vec<u8>, Vec<(usize, u8)>)> {
    (0usize..200).prop_flat_map(|pixels| {
        let bytes = pixels * 4;
        let flips = prop::collection::vec((0..bytes.max(1), 1u8..), 0..6);
        (Just(pixels), prop::collection::vec(any::<u8>(), bytes), flips)
    })
}

proptest! {
    #[test]
    fn every_level_agrees_with_the_pixels(
        (pixels, new, flips) in rows(),
        new_offset in 0usize..64,
        old_offset in 0usize..64,
    ) {
        let mut old = new.clone();
        for (at, mask) in flips {
            old.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= mask);
        }
        let tiles = pixels.div_ceil(TILE as usize);
        let differs = |tile: usize| {
            let range = tile * 64..old.len().min(tile * 64 + 64);
            range.into_iter().any(|at| at % 4 != 3 && new[at] != old[at])
        };
        let expected_flags: Vec<bool> = (0..tiles).map(differs).collect();
        let mut expected = old.clone();
        for tile in (0..tiles).filter(|tile| expected_flags[*tile]) {
            let range = tile * 64..old.len().min(tile * 64 + 64);
            expected[range.clone()].copy_from_slice(&new[range]);
        }

        let mut padded_new = vec![GUARD ^ 0xff; new_offset];
        padded_new.extend_from_slice(&new);
        for level in Level::ALL {
            let Some(kernel) = Kernel::new(level) else { continue };
            let mut padded_old = vec![GUARD; old_offset];
            padded_old.extend_from_slice(&old);
            padded_old.extend([GUARD; 64]);
            let row = old_offset..old_offset + old.len();
            let mut flags = vec![false; tiles];
            kernel.update_row(&padded_new[new_offset..], &mut padded_old[row.clone()], &mut flags);
            prop_assert_eq!(&flags, &expected_flags, "{:?}", level);
            prop_assert_eq!(&padded_old[row.clone()], &expected, "{:?}", level);
            prop_assert!(padded_old[..row.start].iter().all(|byte| *byte == GUARD), "{:?}", level);
            prop_assert!(padded_old[row.end..].iter().all(|byte| *byte == GUARD), "{:?}", level);
        }
    }
}

#[test]
fn flags_are_set_and_never_cleared() {
    for level in Level::ALL {
        let Some(kernel) = Kernel::new(level) else { continue };
        let mut flags = [true, false];
        kernel.update_row(&[1; 128], &mut [1; 128], &mut flags);
        assert_eq!(flags, [true, false], "{level:?}");
    }
}

#[test]
fn levels_have_names_and_can_be_lowered() {
    assert_eq!("avx2".parse(), Ok(Level::Avx2));
    assert!("AVX-2".parse::<Level>().is_err_and(|e: UnknownLevel| e.to_string().contains("avx2")));
    assert!(Level::detect().is_available());
    Level::limit(Level::Scalar);
    Level::limit(Level::Avx2);
    assert_eq!(Level::detect(), Level::Scalar, "a limit is never raised");
}
