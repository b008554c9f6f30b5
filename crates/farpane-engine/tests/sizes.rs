//! Pictures of every size, and sizes that change at any frame, through the whole engine: a picture or a clear end.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use farpane_codec::decode;
use farpane_desktop::{CaptureError, CaptureHandle, Captured, Capturer, Source};
use farpane_engine::{Engine, Event};
use farpane_media::{
    Bitrate, Chroma, Clock, Codec, Frame, FrameBody, FramePool, Rect, Size, Time, VideoFormat,
};
use farpane_pixel::{Planes, convert, quality};
use farpane_proto::depacketize::{self, Depacketizer};
use farpane_proto::rtp::Header;
use farpane_transport::memory::{Far, Sent, pair};
use farpane_wire::v1::EndReason;

const PATIENCE: Duration = Duration::from_secs(60);

const H264: VideoFormat = VideoFormat::new(Codec::H264, Chroma::Yuv420);
const AV1: VideoFormat = VideoFormat::new(Codec::Av1, Chroma::Yuv420);

/// A desktop that at each tick of the drawn one shows the next picture of a list, and at the end the last of them for ever.
struct Slides {
    ticks: Box<dyn Capturer>,
    pool: FramePool,
    /// Never empty.
    slides: VecDeque<Slide>,
    shown: u64,
}

#[derive(Clone, Copy)]
struct Slide {
    size: Size,
    /// Another one is another picture.
    seed: u32,
}

impl Slide {
    fn draw(self, frame: &mut FrameBody) {
        let whole = Rect::of(self.size);
        let mut noise = self.seed.wrapping_mul(0x9e37_79b9) | 1;
        for y in 0..whole.h {
            for (x, pixel) in (0..).zip(frame.row_mut(&whole, y).as_chunks_mut().0) {
                noise = noise.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
                let grain = (noise >> 29) as u8;
                let step = |by: u32| ((x * by + y * 2 + self.seed * 5) / 4 % 200) as u8 + grain;
                *pixel = [step(1), step(2), step(3), 0];
            }
        }
        frame.damage.set(whole);
    }

    fn picture(self) -> FrameBody {
        let stride = self.size.width as usize * 4;
        let pixels = vec![0; stride * self.size.height as usize];
        let mut frame = FrameBody { size: self.size, stride, pixels, ..FrameBody::default() };
        self.draw(&mut frame);
        frame
    }
}

impl Slides {
    /// `None` while all buffers are in use.
    fn next_frame(&mut self) -> Option<Frame> {
        let slide = self.slides[0];
        let mut frame = self.pool.acquire(slide.size)?;
        slide.draw(&mut frame);
        if self.slides.len() > 1 {
            self.slides.pop_front();
        }
        self.shown += 1;
        frame.seq = self.shown;
        Some(frame)
    }
}

impl Capturer for Slides {
    fn size(&self) -> Size {
        self.slides[0].size
    }

    fn next(&mut self, deadline: Time) -> Result<Captured, CaptureError> {
        Ok(match self.ticks.next(deadline)? {
            Captured::Frame(tick) => match self.next_frame() {
                Some(mut frame) => {
                    frame.stamps = tick.stamps;
                    Captured::Frame(frame)
                }
                None => Captured::Nothing,
            },
            other => other,
        })
    }

    fn rest(&mut self) -> Result<Captured, CaptureError> {
        self.ticks.rest()
    }

    fn handle(&self) -> CaptureHandle {
        self.ticks.handle()
    }
}

struct Session {
    _engine: Engine,
    far: Far,
    events: Receiver<Event>,
}

impl Session {
    fn start(slides: Vec<Slide>, formats: &[VideoFormat], estimate: Bitrate) -> Session {
        let clock = Clock::start();
        let source: Source = "synthetic:clock,size=320x240,fps=60".parse().unwrap();
        let mut desktop = source.open(clock).unwrap();
        let (ticks, pool) = (desktop.capturer, FramePool::new(3));
        desktop.capturer = Box::new(Slides { ticks, pool, slides: slides.into(), shown: 0 });
        let (near, far) = pair(clock).unwrap();
        // The path comes first, so that no picture is displaced before there is somebody to see it.
        far.connect_showing(formats.to_vec(), estimate);
        let (told, events) = channel();
        let builder = Engine::builder().on_event(move |event| {
            let _ = told.send(event);
        });
        let engine = builder.start(desktop, near, clock);
        Session { _engine: engine, far, events }
    }

    /// Decodes what comes until it shows `slide` sharply.
    fn see(&self, format: VideoFormat, slide: Slide) {
        let picture = slide.picture();
        let mut depacketizer = Depacketizer::new(format.codec);
        let mut decoder = decode::open(format.codec).unwrap();
        let mut sequence = 0u16;
        let mut closest = 0.0f64;
        loop {
            let Some(sent) = self.far.recv(PATIENCE) else {
                let end = self.events.try_iter().last();
                panic!("{}: only {closest:.1} dB, and then nothing: {end:?}", slide.size);
            };
            let Sent::Video { payload, meta } = sent else { continue };
            if meta.format != format {
                continue;
            }
            let header = Header {
                marker: meta.marker,
                payload_type: 96,
                sequence,
                time: meta.rtp_time,
                ssrc: 1,
            };
            sequence = sequence.wrapping_add(1);
            depacketizer.handle_packet(&header, &payload).unwrap();
            while let Some(depacketize::Event::Unit(unit)) = depacketizer.poll_event() {
                let shown = decoder.decode(unit.data).unwrap().expect("a picture without delay");
                let close = closeness(&picture, shown);
                closest = closest.max(close);
                if close >= 38.0 {
                    return;
                }
            }
        }
    }

    fn ended(&self) -> (EndReason, String) {
        loop {
            if let Event::Ended { reason, detail } =
                self.events.recv_timeout(PATIENCE).expect("an end")
            {
                return (reason, detail);
            }
        }
    }
}

/// Of the luma within the picture, in dB; 0 when the sizes do not belong together.
fn closeness(picture: &FrameBody, shown: &Planes) -> f64 {
    if !decode::fits(shown.size, picture.size) {
        return 0.0;
    }
    let mut source = Planes::new(picture.size, shown.chroma);
    convert::update(&mut source, picture, &Rect::of(picture.size).into());
    quality::luma(&source, shown)
}

fn slide(width: u32, height: u32, seed: u32) -> Slide {
    Slide { size: Size::new(width, height), seed }
}

#[test]
fn pictures_of_any_size_arrive() {
    for (width, height) in
        [(1, 1), (1, 2), (15, 17), (16, 16), (17, 2_160), (1_023, 767), (3_840, 2_160)]
    {
        let picture = slide(width, height, 1);
        Session::start(vec![picture], &[H264], Bitrate::mbps(50)).see(H264, picture);
    }
    // Beyond H.264, and not too long for AV1.
    for (width, height) in [(1, 1), (15, 17), (17, 4_097)] {
        let picture = slide(width, height, 1);
        Session::start(vec![picture], &[AV1], Bitrate::mbps(50)).see(AV1, picture);
    }
}

#[test]
fn the_size_may_change_at_every_frame() {
    let sizes = [(1, 1), (640, 480), (641, 479), (15, 17), (300, 2), (1, 400), (320, 240)];
    let slides: Vec<Slide> = (0..60)
        .map(|at| {
            let (width, height) = sizes[at * 3 % sizes.len()];
            slide(width, height, at as u32)
        })
        .collect();
    let last = *slides.last().unwrap();
    for format in [H264, AV1] {
        Session::start(slides.clone(), &[format], Bitrate::mbps(8)).see(format, last);
    }
}

/// On a link where one picture takes a second, so that it is still to be refined when the next one comes.
#[test]
fn the_size_may_change_while_a_picture_is_coarse() {
    let slides = vec![slide(640, 480, 1), slide(323, 241, 2)];
    for format in [H264, AV1] {
        Session::start(slides.clone(), &[format], Bitrate::kbps(600)).see(format, slides[1]);
    }
}

#[test]
fn the_size_may_change_during_a_film() {
    // Long enough to be taken for one, and on in another size.
    let film = |width, height| (1..70).map(move |at| slide(width, height, at));
    let slides: Vec<Slide> = film(320, 240).chain(film(399, 301)).collect();
    let last = *slides.last().unwrap();
    for format in [H264, AV1] {
        Session::start(slides.clone(), &[format], Bitrate::mbps(8)).see(format, last);
    }
}

#[test]
fn a_picture_too_large_for_one_codec_goes_to_the_next() {
    let (small, wide) = (slide(320, 240, 1), slide(3_841, 40, 2));
    Session::start(vec![small, wide], &[H264, AV1], Bitrate::mbps(8)).see(AV1, wide);
}

#[test]
fn a_picture_too_large_for_every_codec_ends_the_session_with_the_limit() {
    let wide = |width| vec![slide(320, 240, 1), slide(width, 16, 2)];
    for (formats, width, limit) in
        [(vec![H264], 3_841, "3840x2160"), (vec![H264, AV1], 8_193, "8192x4352")]
    {
        let session = Session::start(wide(width), &formats, Bitrate::mbps(8));
        let (reason, detail) = session.ended();
        assert_eq!(reason, EndReason::EndHostError);
        assert!(detail.contains(limit) && detail.contains(&width.to_string()), "{detail}");
    }
}
