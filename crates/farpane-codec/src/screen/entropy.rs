//! How macroblocks become bits: by one of the two entropy codings of H.264, for which the rest of a slice is the same.

use super::macroblock::Levels;
use super::motion::Vector;
use super::samples::Samples;

/// A macroblock as the stream says it (macroblock_layer, clause 7.3.5), without its levels.
#[derive(Clone, Copy, Debug)]
pub(super) enum Syntax {
    /// P_L0_16x16: how its vector differs from the one that its neighbours lead to expect.
    Inter { difference: Vector },
    /// Intra_16x16.
    Square { mode: u8, chroma: Option<u8> },
    /// Intra_4x4: the modes that are not the likely one, which is not counted (clause 8.3.1.1).
    Blocks { modes: [Option<u8>; 16], chroma: Option<u8> },
}

/// Writes the macroblocks of one slice, of which `N` components are coded as luma is.
pub(super) trait Entropy<const N: usize> {
    /// What a macroblock's neighbours to the right and below need to know of it.
    type Edge: Copy;
    /// Where writing may return to.
    type Mark;
    /// Of a macroblock that is left out.
    const SKIPPED: Self::Edge;

    /// Leaves a macroblock out: P_Skip.
    fn skip(&mut self, left: Option<&Self::Edge>, above: Option<&Self::Edge>);

    /// Writes a macroblock; returns its edges to the right and at the bottom.
    fn write(
        &mut self,
        syntax: &Syntax,
        levels: &Levels<N>,
        left: Option<&Self::Edge>,
        above: Option<&Self::Edge>,
    ) -> [Self::Edge; 2];

    /// Writes a macroblock that is not compressed: I_PCM.
    fn write_samples(
        &mut self,
        samples: &Samples<N>,
        left: Option<&Self::Edge>,
        above: Option<&Self::Edge>,
    ) -> [Self::Edge; 2];

    /// Bits written.
    fn len(&self) -> usize;

    fn mark(&self) -> Self::Mark;

    /// Forgets what was written since `mark`.
    fn rewind(&mut self, mark: Self::Mark);

    /// Ends the slice.
    fn end(self);
}

/// All samples in the order of I_PCM.
pub(super) fn all<const N: usize>(samples: &Samples<N>) -> impl Iterator<Item = u8> {
    let chroma = samples.chroma.iter().flatten().flatten().filter(|_| N == 1);
    samples.luma.iter().flatten().flatten().chain(chroma).copied()
}
