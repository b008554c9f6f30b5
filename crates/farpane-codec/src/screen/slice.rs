//! One slice: a run of macroblock rows that is coded without the others, on a thread of its own.
//!
//! What a macroblock is coded as was planned before ([`Plan`]) as far as it does not need coding; only [`Plan::Code`] is
//! decided here. Costs are sums of absolute differences plus lambda times bits.

use std::ops::Range;

use farpane_pixel::convert::Planes;

use super::entropy::{Entropy, Syntax};
use super::intra::{Around, Canvas, Square, best16};
use super::macroblock::{BLOCKS, Levels, Quantization};
use super::motion::{Reference, Search, Vector};
use super::samples::{self, Chroma, Luma, NO_CHROMA, Samples, difference, square_difference};
use crate::h264::{BLOCK, LIMIT};

/// What becomes of a macroblock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// It stays as the viewer has it.
    Keep,
    /// It is what was at a displacement, one of the picture's, before.
    Move(u8),
    /// It is coded.
    Code,
}

/// What the neighbours to the right and below need to know.
#[derive(Clone, Copy, Debug)]
struct Edge<T> {
    /// How it moved, unless it is intra-coded.
    vector: Option<Vector>,
    /// What writing them takes.
    coded: T,
    /// How its blocks along the edge were predicted.
    modes: [u8; 4],
}

/// The edges to the right and at the bottom.
type Edges<T> = (Edge<T>, Edge<T>);

impl<T> Edge<T> {
    fn moved(vector: Vector, coded: T) -> Edge<T> {
        Edge { vector: Some(vector), coded, modes: [Around::DC; 4] }
    }
}

/// What slices of a picture share.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    pub(super) source: &'a Planes,
    /// None for a key frame.
    pub(super) reference: Option<&'a Reference>,
    /// Whether what is coded may be predicted from it.
    pub(super) inter: bool,
    /// In macroblocks.
    pub(super) width: usize,
    pub(super) displacements: &'a [Vector],
    pub(super) quantization: &'a Quantization,
    /// The quantizer of each macroblock that the viewer has.
    pub(super) before: &'a [u8],
}

/// A slice's own part of the picture.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) first_row: usize,
    pub(super) plans: &'a [Plan],
    /// Y, U and V as the viewer will have them; holds the picture before the last one.
    pub(super) planes: [&'a mut [u8]; 3],
    /// Which macroblocks of `planes` differ from the last picture.
    pub(super) stale: &'a mut [bool],
    pub(super) quantizers: &'a mut [u8],
}

/// How much chroma may differ for having moved by half of a sample: one in two of its samples by one.
const BLURRED: u32 = 64;

/// Macroblocks of the widest picture.
const COLUMNS: usize = LIMIT.width.div_ceil(BLOCK) as usize;

struct Slice<'a, const N: usize, E: Entropy<N>> {
    shared: &'a Shared<'a>,
    part: Part<'a>,
    entropy: E,
    above: [Option<Edge<E::Edge>>; COLUMNS + 1],
    left: Option<Edge<E::Edge>>,
    corner: Option<Edge<E::Edge>>,
}

/// Codes a slice of a picture with `N` components that are coded as luma is.
pub(super) fn code<const N: usize, E: Entropy<N>>(shared: &Shared<'_>, part: Part<'_>, entropy: E) {
    let width = shared.width;
    let rows = part.plans.len() / width;
    let above = [None; COLUMNS + 1];
    let mut slice = Slice { shared, part, entropy, above, left: None, corner: None };
    let mut levels = Levels::new();
    for row in 0..rows {
        let plans = &slice.part.plans[row * width..][..width];
        shared.reference.into_iter().for_each(|reference| slice.copy_runs(reference, row));
        if shared.reference.is_some() && plans.iter().all(|plan| *plan == Plan::Keep) {
            slice.keep_row();
        } else {
            (slice.left, slice.corner) = (None, None);
            (0..width).for_each(|column| slice.macroblock(column, row, &mut levels));
        }
    }
    slice.entropy.end();
}

impl<const N: usize, E: Entropy<N>> Slice<'_, N, E> {
    /// The largest macroblock that the standard allows, in bits: more than the uncompressed one by 128 (A.3.1 and A.3.3).
    const LARGEST: usize = if N == 1 { 3_200 } else { 6_272 };

    /// A row of which all stays as the viewer has it. Skipped macroblocks stand still there, as the first has no left
    /// neighbour and the others one that stands still (clause 8.4.1.1).
    fn keep_row(&mut self) {
        let still = Edge::moved(Vector::ZERO, E::SKIPPED);
        let (skipped, mut left) = (E::SKIPPED, None);
        for above in &mut self.above[..self.shared.width] {
            let above = above.replace(still);
            self.entropy.skip(left, above.as_ref().map(|edge| &edge.coded));
            left = Some(&skipped);
        }
    }

    /// Brings all of a row up to date that is what the viewer has, there or elsewhere: macroblocks side by side together, as
    /// one by one every line of each would be waited for.
    fn copy_runs(&mut self, reference: &Reference, row: usize) {
        let width = self.shared.width;
        let (own, whole) = (row * width, self.picture_row(row) * width);
        let mut column = 0;
        for run in self.part.plans[own..][..width].chunk_by(|one, next| one == next) {
            match run[0] {
                Plan::Keep => {
                    let quantizers = &mut self.part.quantizers[own + column..][..run.len()];
                    quantizers.copy_from_slice(&self.shared.before[whole + column..][..run.len()]);
                    self.refresh(reference, column..column + run.len(), row);
                }
                Plan::Move(to) => {
                    let vector = self.shared.displacements[usize::from(to)];
                    if is_whole::<N>(vector) {
                        self.copy(reference, column, row, run.len(), vector);
                    }
                }
                Plan::Code => {}
            }
            column += run.len();
        }
    }

    /// Brings macroblocks that stay as the viewer has them up to date where that is not what is there.
    fn refresh(&mut self, reference: &Reference, columns: Range<usize>, row: usize) {
        let own = row * self.shared.width;
        let mut column = columns.start;
        while column < columns.end {
            let stale = &mut self.part.stale[own + column..own + columns.end];
            let count = stale.iter().take_while(|stale| **stale).count();
            if count > 0 {
                stale[..count].fill(false);
                self.copy(reference, column, row, count, Vector::ZERO);
            }
            let rest = &self.part.stale[own + column + count..own + columns.end];
            column += count + rest.iter().take_while(|stale| !**stale).count();
        }
    }

    fn macroblock(&mut self, column: usize, row: usize, levels: &mut Levels<N>) {
        levels.pattern = 0;
        let at = row * self.shared.width + column;
        let plan = self.part.plans[at];
        let (right, bottom) = match (plan, self.shared.reference) {
            (Plan::Keep, Some(_)) => self.unchanged(column, Vector::ZERO, levels),
            (Plan::Move(to), Some(reference)) => {
                let vector = self.shared.displacements[usize::from(to)];
                self.moved(reference, column, row, vector, levels)
            }
            _ => {
                self.part.quantizers[at] = self.shared.quantization.quantizer;
                self.coded(column, row, levels)
            }
        };
        self.part.stale[at] = plan != Plan::Keep;
        self.left = Some(right);
        self.corner = self.above[column].replace(bottom);
    }

    /// The row of the picture in macroblocks.
    fn picture_row(&self, row: usize) -> usize {
        self.part.first_row + row
    }

    /// The macroblock by `vector`, which keeps it in the picture.
    fn predict(
        &self,
        reference: &Reference,
        column: usize,
        row: usize,
        vector: Vector,
    ) -> Samples<N> {
        reference.predict(column * 16, self.picture_row(row) * 16, vector)
    }

    /// Makes `count` macroblocks side by side what is at `vector`, whole samples of every component.
    fn copy(
        &mut self,
        reference: &Reference,
        column: usize,
        row: usize,
        count: usize,
        vector: Vector,
    ) {
        let (x, y) = (column * 16, self.picture_row(row) * 16);
        let at = |side: usize| row * side * self.shared.width * side + column * side;
        for (plane, to) in self.part.planes.iter_mut().enumerate() {
            if plane < N {
                reference.copy::<16>(plane, [x, y], count, vector, &mut to[at(16)..]);
            } else {
                reference.copy::<8>(plane, [x, y], count, vector, &mut to[at(8)..]);
            }
        }
    }

    fn store(&mut self, samples: &Samples<N>, column: usize, row: usize) {
        samples.store(&mut self.part.planes, self.shared.width, column, row);
    }

    fn source_planes(&self) -> [(&[u8], usize); 3] {
        let Planes { y, u, v, .. } = self.shared.source;
        [y, u, v].map(|plane| (plane.data.as_slice(), plane.stride))
    }

    fn source(&self, column: usize, row: usize) -> Samples<N> {
        Samples::load(self.source_planes(), column, self.picture_row(row))
    }

    /// The prediction of a vector from those of neighbours (clause 8.4.1.3).
    fn predicted(&self, column: usize) -> Vector {
        let (left, above) = (self.left, self.above[column]);
        let right = if column + 1 < self.shared.width { self.above[column + 1] } else { None };
        let right = right.or(self.corner);
        let vector = |edge: Option<Edge<E::Edge>>| edge.and_then(|edge| edge.vector);
        if above.is_none() && right.is_none() {
            return vector(left).unwrap_or_default();
        }
        let vectors = [left, above, right].map(vector);
        let mut known = vectors.iter().flatten();
        if let (Some(only), None) = (known.next(), known.next()) {
            return *only;
        }
        let [a, b, c] = vectors.map(Option::unwrap_or_default);
        let median = |a: i16, b: i16, c: i16| a.max(b).min(a.min(b).max(c));
        Vector { x: median(a.x, b.x, c.x), y: median(a.y, b.y, c.y) }
    }

    /// How a macroblock moves that is not in the stream (clause 8.4.1.1).
    fn skip_vector(&self, column: usize) -> Vector {
        match (self.left, self.above[column]) {
            (Some(left), Some(above))
                if left.vector != Some(Vector::ZERO) && above.vector != Some(Vector::ZERO) =>
            {
                self.predicted(column)
            }
            _ => Vector::ZERO,
        }
    }

    /// A macroblock that is its prediction by `vector`, without levels.
    fn unchanged(&mut self, column: usize, vector: Vector, levels: &Levels<N>) -> Edges<E::Edge> {
        if self.skip_vector(column) != vector {
            return self.write_inter(column, vector, levels);
        }
        let [left, above] = self.beside(column);
        self.entropy.skip(left.as_ref(), above.as_ref());
        let edge = Edge::moved(vector, E::SKIPPED);
        (edge, edge)
    }

    /// What is to the left and above.
    fn beside(&self, column: usize) -> [Option<E::Edge>; 2] {
        [self.left, self.above[column]].map(|edge| edge.map(|edge| edge.coded))
    }

    fn write(&mut self, column: usize, syntax: &Syntax, levels: &Levels<N>) -> [E::Edge; 2] {
        let [left, above] = self.beside(column);
        self.entropy.write(syntax, levels, left.as_ref(), above.as_ref())
    }

    fn moved(
        &mut self,
        reference: &Reference,
        column: usize,
        row: usize,
        vector: Vector,
        levels: &mut Levels<N>,
    ) -> Edges<E::Edge> {
        let (x, y) = (column * 16, self.picture_row(row) * 16);
        let at = row * self.shared.width + column;
        self.part.quantizers[at] = self.moved_quantizer(reference, x, y, vector);
        if is_whole::<N>(vector) {
            return self.unchanged(column, vector, levels);
        }
        // Between chroma samples: what moves by it blurs a little more each time.
        let mut seen = self.predict(reference, column, row, vector);
        let source = samples::load_chroma(self.source_planes(), column, self.picture_row(row));
        if chroma_difference(&source, &seen.chroma) > BLURRED {
            let quantization = self.shared.quantization;
            levels.chroma(&source, &mut seen.chroma, quantization, false);
            let quantizer = &mut self.part.quantizers[at];
            *quantizer = quantization.quantizer.max(*quantizer);
        }
        self.store(&seen, column, row);
        if levels.pattern == 0 {
            return self.unchanged(column, vector, levels);
        }
        self.write_inter(column, vector, levels)
    }

    /// The coarsest of the macroblocks that it comes from.
    fn moved_quantizer(&self, reference: &Reference, x: usize, y: usize, vector: Vector) -> u8 {
        let (x, y) = (x as i32 + i32::from(vector.x >> 2), y as i32 + i32::from(vector.y >> 2));
        let (left, right) = (x as usize / 16, (x as usize).div_ceil(16));
        let (top, bottom) = (y as usize / 16, (y as usize).div_ceil(16));
        let quantizer = |x: usize, y: usize| self.shared.before[y * reference.width + x];
        [(left, top), (right, top), (left, bottom), (right, bottom)]
            .into_iter()
            .map(|(x, y)| quantizer(x, y))
            .max()
            .expect("four corners")
    }

    fn write_inter(&mut self, column: usize, vector: Vector, levels: &Levels<N>) -> Edges<E::Edge> {
        let predicted = self.predicted(column);
        let difference = Vector { x: vector.x - predicted.x, y: vector.y - predicted.y };
        let edges = self.write(column, &Syntax::Inter { difference }, levels);
        let [right, bottom] = edges.map(|coded| Edge::moved(vector, coded));
        (right, bottom)
    }

    fn coded(&mut self, column: usize, row: usize, levels: &mut Levels<N>) -> Edges<E::Edge> {
        let source = self.source(column, row);
        let lambda = self.shared.quantization.lambda;
        let mut search = self.shared.reference.filter(|_| self.shared.inter).map(|reference| {
            Search::new(
                reference,
                &source.luma,
                column,
                self.picture_row(row),
                lambda,
                self.predicted(column),
            )
        });
        if let Some(search) = &mut search {
            let neighbours = [self.left, self.above[column], self.above[column + 1]];
            let vectors = neighbours.into_iter().flatten().filter_map(|edge| edge.vector);
            search.start(vectors.chain(self.shared.displacements.iter().copied()));
            if search.sum <= 64 + 8 * lambda {
                let vector = search.vector;
                return self.inter(&source, column, row, vector, levels);
            }
        }
        let mut canvases = self.canvases(column, row);
        let (mode, square) = best16(&canvases, &source.luma);
        let square = square + lambda * 5;
        // Blocks of 4x4 with a mode each, where there is enough to gain: they about halve it.
        let blocks = if square > lambda * 48 { square / 2 } else { u32::MAX };
        if let Some(search) = &mut search {
            // What is new looks like nothing before, and the search would go everywhere.
            if search.cost < 2 * square.min(blocks) {
                search.refine();
            }
            if search.cost <= square.min(blocks) {
                let vector = search.vector;
                return self.inter(&source, column, row, vector, levels);
            }
        }
        let (start, length) = (self.entropy.mark(), self.entropy.len());
        let edges = if square <= blocks {
            self.intra_square(&source, column, row, &canvases, mode, levels)
        } else {
            self.intra_blocks(&source, column, row, &mut canvases, levels)
        };
        if self.entropy.len() - length <= Self::LARGEST {
            return edges;
        }
        self.entropy.rewind(start);
        self.uncompressed(&source, column, row)
    }

    fn inter(
        &mut self,
        source: &Samples<N>,
        column: usize,
        row: usize,
        vector: Vector,
        levels: &mut Levels<N>,
    ) -> Edges<E::Edge> {
        let reference = self.shared.reference.expect("the vector points into it");
        let mut seen = self.predict(reference, column, row, vector);
        levels.inter_luma(&source.luma, &mut seen.luma, self.shared.quantization);
        if N == 1 {
            levels.chroma(&source.chroma, &mut seen.chroma, self.shared.quantization, false);
        }
        self.store(&seen, column, row);
        if levels.pattern == 0 {
            return self.unchanged(column, vector, levels);
        }
        let (start, length) = (self.entropy.mark(), self.entropy.len());
        let edges = self.write_inter(column, vector, levels);
        if self.entropy.len() - length <= Self::LARGEST {
            return edges;
        }
        self.entropy.rewind(start);
        self.uncompressed(source, column, row)
    }

    /// One for each component that is coded as luma is.
    fn canvases(&self, column: usize, row: usize) -> [Canvas; N] {
        let mut canvases = [const { Canvas::new(16) }; N];
        for (canvas, plane) in canvases.iter_mut().zip(&self.part.planes) {
            canvas.left = column > 0;
            canvas.above = row > 0;
            canvas.above_right = row > 0 && column + 1 < self.shared.width;
            canvas.surround(plane, self.shared.width * 16, column * 16, row * 16);
        }
        canvases
    }

    /// Predicts and codes U and V of half the density, which intra macroblocks of both kinds do alike, into `seen`; returns
    /// the mode. None where they are coded as luma is, in its mode.
    fn intra_chroma(
        &self,
        source: &Samples<N>,
        seen: &mut Samples<N>,
        column: usize,
        row: usize,
        levels: &mut Levels<N>,
    ) -> Option<u8> {
        if N > 1 {
            return None;
        }
        let canvases = [1, 2].map(|plane| {
            let mut canvas = Canvas::new(8);
            (canvas.left, canvas.above) = (column > 0, row > 0);
            canvas.surround(self.part.planes[plane], self.shared.width * 8, column * 8, row * 8);
            canvas
        });
        let predict = |mode| [canvases[0].predict8(mode), canvases[1].predict8(mode)];
        let (mut mode, mut best) = (0, predict(0));
        let mut least = chroma_difference(&source.chroma, &best);
        for (candidate, allowed) in [(1, column > 0), (2, row > 0)] {
            if allowed && least > 0 {
                let square = predict(candidate);
                let sum = chroma_difference(&source.chroma, &square);
                if sum < least {
                    (mode, best, least) = (candidate, square, sum);
                }
            }
        }
        levels.chroma(&source.chroma, &mut best, self.shared.quantization, true);
        seen.chroma = best;
        Some(mode)
    }

    fn intra_square(
        &mut self,
        source: &Samples<N>,
        column: usize,
        row: usize,
        canvases: &[Canvas; N],
        mode: u8,
        levels: &mut Levels<N>,
    ) -> Edges<E::Edge> {
        let luma = canvases.each_ref().map(|canvas| canvas.predict16(mode));
        let mut seen = Samples { luma, chroma: NO_CHROMA };
        levels.intra_luma(&source.luma, &mut seen.luma, self.shared.quantization);
        let chroma_mode = self.intra_chroma(source, &mut seen, column, row, levels);
        self.store(&seen, column, row);
        let coded = self.write(column, &Syntax::Square { mode, chroma: chroma_mode }, levels);
        intra_edges(coded, [[Around::DC; 4]; 2])
    }

    fn intra_blocks(
        &mut self,
        source: &Samples<N>,
        column: usize,
        row: usize,
        canvases: &mut [Canvas; N],
        levels: &mut Levels<N>,
    ) -> Edges<E::Edge> {
        let mut modes = [[Around::DC; 4]; 4];
        let mut written = [None; 16];
        let (left, above) = (self.left, self.above[column]);
        // What is grey among grey leaves U and V nothing to decide.
        let flat = (1..N).all(|plane| canvases[plane].is_flat(&source.luma[plane]));
        let live = if flat { 1 } else { N };
        (live..N).for_each(|plane| levels.nothing(plane));
        for (at, &(x, y)) in BLOCKS.iter().enumerate() {
            let (bx, by) = (x / 4, y / 4);
            let left =
                if bx > 0 { Some(modes[by][bx - 1]) } else { left.map(|edge| edge.modes[by]) };
            let above =
                if by > 0 { Some(modes[by - 1][bx]) } else { above.map(|edge| edge.modes[bx]) };
            let likely = left.zip(above).map_or(Around::DC, |(left, above)| left.min(above));
            let (mut blocks, mut around) = ([[0; 16]; N], [Around::default(); N]);
            for plane in 0..live {
                blocks[plane] = block(&source.luma[plane], x, y);
                around[plane] = canvases[plane].around4(x, y);
            }
            let (mode, predictions) = self.best4(&blocks, &around, live, likely);
            modes[by][bx] = mode;
            written[at] = (mode != likely).then(|| mode - u8::from(mode > likely));
            for (plane, canvas) in canvases[..live].iter_mut().enumerate() {
                let (block, prediction) = (&blocks[plane], &predictions[plane]);
                let quantization = self.shared.quantization;
                let seen = levels.intra_block(plane, at, block, prediction, quantization);
                for (line, samples) in seen.as_chunks::<4>().0.iter().enumerate() {
                    let to = Canvas::at(x as isize, (y + line) as isize);
                    canvas.data[to..to + 4].copy_from_slice(samples);
                }
            }
        }
        let mut luma = source.luma;
        for (plane, canvas) in luma.iter_mut().zip(&canvases[..live]) {
            for (line, samples) in plane.iter_mut().enumerate() {
                let from = Canvas::at(0, line as isize);
                samples.copy_from_slice(&canvas.data[from..from + 16]);
            }
        }
        let mut seen = Samples { luma, chroma: NO_CHROMA };
        let chroma_mode = self.intra_chroma(source, &mut seen, column, row, levels);
        self.store(&seen, column, row);
        let syntax = Syntax::Blocks { modes: written, chroma: chroma_mode };
        let coded = self.write(column, &syntax, levels);
        intra_edges(coded, [modes.map(|row| row[3]), modes[3]])
    }

    /// The mode in which blocks of 4x4, of the first `live` components, are nearest to their predictions, and those.
    #[inline(always)]
    fn best4(
        &self,
        blocks: &[[u8; 16]; N],
        around: &[Around; N],
        live: usize,
        likely: u8,
    ) -> (u8, [[u8; 16]; N]) {
        let lambda = self.shared.quantization.lambda;
        let mut best = Best { mode: Around::DC, predictions: [[0; 16]; N], cost: u32::MAX };
        let cost = |mode| lambda * if mode == likely { 1 } else { 4 };
        let mut straight = [[[0; 16]; 3]; N];
        for plane in 0..live {
            straight[plane] = around[plane].straight();
        }
        best.attempt(0, &straight, &around[0], &blocks[..live], cost);
        // They serve most of what has edges.
        if best.cost > lambda * 8 {
            let mut slopes = [[[0; 16]; 6]; N];
            for plane in 0..live {
                slopes[plane] = around[plane].slopes();
            }
            best.attempt(Around::FIRST_SLOPE, &slopes, &around[0], &blocks[..live], cost);
        }
        (best.mode, best.predictions)
    }

    /// I_PCM.
    fn uncompressed(&mut self, source: &Samples<N>, column: usize, row: usize) -> Edges<E::Edge> {
        self.store(source, column, row);
        let [left, above] = self.beside(column);
        let coded = self.entropy.write_samples(source, left.as_ref(), above.as_ref());
        intra_edges(coded, [[Around::DC; 4]; 2])
    }
}

/// Whether a vector lies between samples of no component.
fn is_whole<const N: usize>(vector: Vector) -> bool {
    N > 1 || (vector.x | vector.y) & 7 == 0
}

/// How a block of 4x4 is predicted best.
struct Best<const N: usize> {
    mode: u8,
    predictions: [Square; N],
    cost: u32,
}

impl<const N: usize> Best<N> {
    /// Takes the best of `squares`, the predictions of each component by the modes from `first` on, if that is nearer to
    /// `blocks`. All components have the same neighbours, `around`.
    #[inline(always)]
    fn attempt<const M: usize>(
        &mut self,
        first: u8,
        squares: &[[Square; M]; N],
        around: &Around,
        blocks: &[Square],
        price: impl Fn(u8) -> u32,
    ) {
        for at in 0..M {
            let mode = first + at as u8;
            if !around.allows(mode) {
                continue;
            }
            let mut cost = price(mode);
            for (block, squares) in blocks.iter().zip(squares) {
                cost += difference(block, &squares[at]);
            }
            if cost < self.cost {
                let predictions = std::array::from_fn(|plane| squares[plane][at]);
                *self = Best { mode, predictions, cost };
            }
        }
    }
}

fn chroma_difference(a: &[Chroma; 2], b: &[Chroma; 2]) -> u32 {
    a.iter().zip(b).map(|(a, b)| square_difference(a, b)).sum()
}

fn intra_edges<T>([right, bottom]: [T; 2], modes: [[u8; 4]; 2]) -> Edges<T> {
    let edge = |coded, modes| Edge { vector: None, coded, modes };
    (edge(right, modes[0]), edge(bottom, modes[1]))
}

#[inline(always)]
fn block(source: &Luma, x: usize, y: usize) -> [u8; 16] {
    let mut block = [0; 16];
    for at in 0..16 {
        block[at] = source[y + at / 4][x + at % 4];
    }
    block
}
