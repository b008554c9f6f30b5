//! Keeps an encoder's planes equal to the picture by converting only what changed.
//!
//! BT.709, limited range (ITU-R BT.709-6, section 3), which is what encoders have to signal. Conversion of a region gives the same
//! bytes as conversion of the whole picture.

pub use farpane_media::Chroma;
use farpane_media::{FrameBody, Rect, Region, Size};
use yuv::{BufferStoreMut, YuvConversionMode, YuvPlanarImage, YuvPlanarImageMut};
use yuv::{YuvRange, YuvStandardMatrix};

const RANGE: YuvRange = YuvRange::Limited;
const MATRIX: YuvStandardMatrix = YuvStandardMatrix::Bt709;

/// The largest block that a codec predicts whole at the picture's edge; planes are padded to multiples of it.
const BLOCK: u32 = 16;

/// Samples of one component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plane {
    /// Rows `stride` bytes apart, `padded_height` of them, and one more, which means nothing.
    pub data: Vec<u8>,
    /// Bytes a row, padding included.
    pub stride: usize,
    /// Rows, padding included.
    pub padded_height: usize,
    /// The visible part, in samples.
    pub size: Size,
}

impl Plane {
    fn new(size: Size, padded: Size) -> Plane {
        let (stride, padded_height) = (padded.width as usize, padded.height as usize);
        // The extra row lets any rectangle be written as whole strides from its first sample.
        Plane { data: vec![0; stride * (padded_height + 1)], stride, padded_height, size }
    }

    /// The visible samples of row `y`.
    pub fn row(&self, y: usize) -> &[u8] {
        &self.data[y * self.stride..][..self.size.width as usize]
    }

    /// From the first sample of `rect`, as many strides as it has rows.
    fn strides(&mut self, rect: &Rect) -> &mut [u8] {
        &mut self.data[rect.y as usize * self.stride + rect.x as usize..]
            [..rect.h as usize * self.stride]
    }

    /// Repeats the last column and row into the padding beside and below `rect`.
    fn pad(&mut self, rect: &Rect) {
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        let mut right = rect.right() as usize;
        if right == width {
            for row in self
                .data
                .chunks_exact_mut(self.stride)
                .take(rect.bottom() as usize)
                .skip(rect.y as usize)
            {
                let (visible, padding) = row.split_at_mut(width);
                padding.fill(visible[width - 1]);
            }
            right = self.stride;
        }
        if rect.bottom() as usize == height {
            let columns =
                (height - 1) * self.stride + rect.x as usize..(height - 1) * self.stride + right;
            for y in height..self.padded_height {
                self.data.copy_within(columns.clone(), y * self.stride + rect.x as usize);
            }
        }
    }
}

/// A picture as an encoder reads it: Y, U and V, each padded to whole blocks of 16x16 luma samples by repeating the last
/// column and row.
#[derive(Clone, Debug)]
pub struct Planes {
    pub size: Size,
    pub chroma: Chroma,
    pub y: Plane,
    pub u: Plane,
    pub v: Plane,
    /// The last two rows of a rectangle, where the frame has no whole strides left.
    tail: Vec<u8>,
}

impl Planes {
    /// Planes for pictures of `size`; the samples mean nothing until the first [`update`] with the whole picture.
    pub fn new(size: Size, chroma: Chroma) -> Planes {
        let factor = chroma.factor();
        let padded =
            Size::new(size.width.next_multiple_of(BLOCK), size.height.next_multiple_of(BLOCK));
        let colour = Plane::new(
            Size::new(size.width.div_ceil(factor), size.height.div_ceil(factor)),
            Size::new(padded.width / factor, padded.height / factor),
        );
        Planes {
            size,
            chroma,
            y: Plane::new(size, padded),
            u: colour.clone(),
            v: colour,
            tail: vec![0; size.width as usize * 4 * 2],
        }
    }

    /// Converts `rect`, which starts on an even pixel, from rows of BGRX that are `stride` bytes apart.
    fn convert(&mut self, bgrx: &[u8], stride: usize, rect: &Rect) {
        let factor = self.chroma.factor();
        let colour = colour_rect(rect, factor);
        let mut image = YuvPlanarImageMut {
            y_stride: self.y.stride as u32,
            u_stride: self.u.stride as u32,
            v_stride: self.v.stride as u32,
            y_plane: BufferStoreMut::Borrowed(self.y.strides(rect)),
            u_plane: BufferStoreMut::Borrowed(self.u.strides(&colour)),
            v_plane: BufferStoreMut::Borrowed(self.v.strides(&colour)),
            width: rect.w,
            height: rect.h,
        };
        let convert = match self.chroma {
            Chroma::Yuv420 => yuv::bgra_to_yuv420,
            Chroma::Yuv444 => yuv::bgra_to_yuv444,
        };
        convert(&mut image, bgrx, stride as u32, RANGE, MATRIX, YuvConversionMode::Balanced)
            .expect("the slices were cut to the rectangle");
    }
}

fn colour_rect(rect: &Rect, factor: u32) -> Rect {
    Rect::new(rect.x / factor, rect.y / factor, rect.w.div_ceil(factor), rect.h.div_ceil(factor))
}

/// Makes `planes` equal to `frame` within `region`, which is grown to even pixels and cut to the picture. Does not allocate.
///
/// # Panics
/// If planes and frame differ in size.
pub fn update(planes: &mut Planes, frame: &FrameBody, region: &Region) {
    assert_eq!(planes.size, frame.size, "planes belong to pictures of one size");
    for rect in region.rects() {
        let rect = rect.snapped(2, frame.size);
        if rect.is_empty() {
            continue;
        }
        let start = rect.y as usize * frame.stride + rect.x as usize * 4;
        // The conversion reads whole strides. At the bottom of a frame there may be fewer left: its last rows, two
        // because they share their colour, then go by way of a buffer.
        let direct = match (frame.pixels.len() - start) / frame.stride {
            rows if rows >= rect.h as usize => rect.h,
            _ => (rect.h - 1) / 2 * 2,
        };
        if direct > 0 {
            let strides = &frame.pixels[start..][..direct as usize * frame.stride];
            planes.convert(strides, frame.stride, &Rect { h: direct, ..rect });
        }
        if direct < rect.h {
            let last = Rect { y: rect.y + direct, h: rect.h - direct, ..rect };
            let stride = last.w as usize * 4;
            let mut tail = std::mem::take(&mut planes.tail);
            for (row, y) in tail.chunks_exact_mut(stride).zip(last.y..last.bottom()) {
                row.copy_from_slice(frame.row(&last, y));
            }
            planes.convert(&tail[..last.h as usize * stride], stride, &last);
            planes.tail = tail;
        }
        planes.y.pad(&rect);
        let colour = colour_rect(&rect, planes.chroma.factor());
        planes.u.pad(&colour);
        planes.v.pad(&colour);
    }
}

/// Makes `to`, 4:2:0, the picture in `from`, 4:4:4: luma as it is and the mean of every four samples of chroma, which is
/// within two codes of what [`update`] makes of the frame. Does not allocate.
///
/// # Panics
/// If they differ in size or are sampled otherwise.
pub fn subsample(from: &Planes, to: &mut Planes) {
    assert_eq!(from.size, to.size, "planes are of one picture");
    assert_eq!((from.chroma, to.chroma), (Chroma::Yuv444, Chroma::Yuv420));
    to.y.data.copy_from_slice(&from.y.data);
    let colour = Rect::of(to.u.size);
    halve_plane(&from.u, &mut to.u, &colour);
    halve_plane(&from.v, &mut to.v, &colour);
}

/// The size of a picture with half the columns and rows of one of `size`.
pub fn half(size: Size) -> Size {
    Size::new(size.width.div_ceil(2), size.height.div_ceil(2))
}

/// Makes `to`, of [`half`] the size of `from`, show the same within `region` of `from`: each sample is the mean of four.
/// Does not allocate.
///
/// # Panics
/// If their sizes do not go together or they are sampled otherwise.
pub fn halve(from: &Planes, to: &mut Planes, region: &Region) {
    assert_eq!((half(from.size), from.chroma), (to.size, to.chroma));
    for rect in region.rects() {
        let rect = rect.snapped(2 * from.chroma.factor(), from.size);
        if rect.is_empty() {
            continue;
        }
        let luma = colour_rect(&rect, 2);
        halve_plane(&from.y, &mut to.y, &luma);
        let colour = colour_rect(&luma, from.chroma.factor());
        halve_plane(&from.u, &mut to.u, &colour);
        halve_plane(&from.v, &mut to.v, &colour);
    }
}

/// Makes `rect` of `to` the means of four samples of `from`.
fn halve_plane(from: &Plane, to: &mut Plane, rect: &Rect) {
    let columns = rect.x as usize..rect.right() as usize;
    for y in rect.y as usize..rect.bottom() as usize {
        let row = &mut to.data[y * to.stride..][columns.clone()];
        let [above, below] = [2 * y, 2 * y + 1].map(|y| {
            from.data[y * from.stride..][2 * columns.start..2 * columns.end].as_chunks::<2>().0
        });
        for (sample, (above, below)) in row.iter_mut().zip(above.iter().zip(below)) {
            let sum: u16 = above.iter().chain(below).map(|sample| u16::from(*sample)).sum();
            *sample = ((sum + 2) >> 2) as u8;
        }
    }
    to.pad(rect);
}

/// The picture in `planes` as BGRX, into `frame`, which is resized to it: what a viewer would show.
pub fn to_bgrx(planes: &Planes, frame: &mut FrameBody) {
    frame.size = planes.size;
    frame.stride = planes.size.width as usize * 4;
    frame.pixels.resize(frame.stride * planes.size.height as usize, 0);
    if planes.size.pixels() == 0 {
        return;
    }
    let rows = |plane: &Plane| plane.size.height as usize * plane.stride;
    let image = YuvPlanarImage {
        y_plane: &planes.y.data[..rows(&planes.y)],
        y_stride: planes.y.stride as u32,
        u_plane: &planes.u.data[..rows(&planes.u)],
        u_stride: planes.u.stride as u32,
        v_plane: &planes.v.data[..rows(&planes.v)],
        v_stride: planes.v.stride as u32,
        width: planes.size.width,
        height: planes.size.height,
    };
    let convert = match planes.chroma {
        Chroma::Yuv420 => yuv::yuv420_to_bgra,
        Chroma::Yuv444 => yuv::yuv444_to_bgra,
    };
    convert(&image, &mut frame.pixels, frame.stride as u32, RANGE, MATRIX)
        .expect("planes and frame have one size");
}
