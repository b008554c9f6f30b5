//! 4:4:4: coloured text is sharp, at bounded cost, and films in between arrive.

use super::*;

/// Longer than anything takes to become sharp.
const LONG: Duration = Duration::from_secs(10);

/// What a viewer sees of the last picture of a stream.
fn last_seen(stream: &[u8], chroma: Chroma, size: Size) -> Seen {
    let (width, height) = (size.width as usize, size.height as usize);
    let (name, colour) = match chroma {
        Chroma::Yuv420 => ("yuv420p", width * height / 4),
        Chroma::Yuv444 => ("yuv444p", width * height),
    };
    let pictures = ffmpeg::decode(stream, name);
    let last = pictures.rchunks_exact(width * height + 2 * colour).next().expect("a picture");
    let (y, colours) = last.split_at(width * height);
    let (u, v) = colours.split_at(colour);
    Seen { width, height, y: y.into(), u: u.into(), v: v.into() }
}

/// Codes a still picture for `span`, or until it is sharp; returns how it then looks and the bytes of each step.
fn settle(
    chroma: Chroma,
    page: &FrameBody,
    bitrate: Bitrate,
    span: Duration,
) -> (Seen, Vec<usize>) {
    let mut session = Session::sampled(chroma, page.size, 2);
    session.bitrate = bitrate;
    session.update(page, &Region::new());
    let coded = session.encode(false);
    let until = session.now + span;
    let (mut sizes, mut stream) = (vec![coded.data.len()], coded.data);
    while let Some(coded) = session.sharpen(until) {
        stream.extend_from_slice(&coded.data);
        sizes.push(coded.data.len());
    }
    (last_seen(&stream, chroma, page.size), sizes)
}

/// PSNR in dB of Y, U and V against BT.709 limited range and of RGB.
fn qualities(page: &FrameBody, seen: &Seen) -> [f64; 4] {
    let mut errors = [0.0; 4];
    let whole = Rect::of(page.size);
    for y in whole.y..whole.bottom() {
        for (x, pixel) in page.row(&whole, y).as_chunks::<4>().0.iter().enumerate() {
            let [blue, green, red, _] = pixel.map(f64::from);
            let grey = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
            let colours = [(blue - grey) / 1.8556, (red - grey) / 1.5748];
            let at = y as usize * seen.width + x;
            errors[0] += (luma(pixel) - f64::from(seen.y[at])).powi(2);
            if seen.u.len() == seen.y.len() {
                for (plane, colour) in [&seen.u, &seen.v].into_iter().zip(colours).enumerate() {
                    let (samples, colour) = colour;
                    let expected = 128.0 + colour * 224.0 / 255.0;
                    errors[1 + plane] += (expected - f64::from(samples[at])).powi(2);
                }
            }
            for (sent, got) in [red, green, blue].into_iter().zip(seen.rgb(x, y as usize)) {
                errors[3] += (sent - f64::from(got.clamp(0, 255))).powi(2) / 3.0;
            }
        }
    }
    let peak = 255.0 * 255.0 * page.size.pixels() as f64;
    errors.map(|error| 10.0 * (peak / error.max(1e-9)).log10())
}

/// Lines of red letters on black.
fn red_on_black(size: Size) -> FrameBody {
    let mut page = frame(size);
    text(&mut page, Rect::of(size), &mut Random(4));
    for pixel in page.pixels.as_chunks_mut::<4>().0 {
        *pixel = [0, 0, if *pixel == [255; 4] { 0 } else { 255 }, 255];
    }
    page
}

#[test]
fn red_text_and_thin_stripes_are_sharp() {
    let stripes = {
        let mut stripes = frame(SIZE);
        for x in 0..SIZE.width {
            let colour = if x % 2 == 0 { [255, 0, 0] } else { [0, 0, 255] };
            fill(&mut stripes, Rect::new(x, 0, 1, SIZE.height), colour);
        }
        stripes
    };
    for (name, page) in [("red text", red_on_black(SIZE)), ("stripes", stripes)] {
        let [half, full] = [Chroma::Yuv420, Chroma::Yuv444]
            .map(|chroma| qualities(&page, &settle(chroma, &page, Bitrate::mbps(20), LONG).0)[3]);
        assert!(half < 20.0 && full > 38.0, "{name}: {half:.1} dB in 4:2:0, {full:.1} dB in 4:4:4");
    }
}

/// A page with a column of dense text in two colours, at 5 Mb/s, as sharp as it gets after a second.
#[test]
fn a_page_is_sharp_within_a_second() {
    let size = Size::new(1920, 1080);
    let mut page = frame(size);
    text(&mut page, Rect::new(300, 100, 640, 560), &mut Random(2));
    let second = Duration::from_secs(1);
    let (seen, sizes) = settle(Chroma::Yuv444, &page, Bitrate::mbps(5), second);
    let [y, u, v, rgb] = qualities(&page, &seen);
    let carried = Bitrate::mbps(5).bytes_in(second) as usize;
    assert!(sizes.iter().sum::<usize>() <= carried, "{sizes:?}");
    assert!(y >= 48.0 && u >= 45.0 && v >= 45.0, "{y:.1}, {u:.1}, {v:.1}; RGB {rgb:.1} dB");
}

#[test]
fn the_first_picture_is_bounded_in_full_colour() {
    let (page, damage) = page(SIZE);
    for bitrate in [Bitrate::mbps(4), Bitrate::mbps(8)] {
        let mut session = Session::sampled(Chroma::Yuv444, SIZE, 1);
        session.bitrate = bitrate;
        session.update(&page, &damage);
        let bytes = session.encode(false).data.len() as u64;
        assert!(bytes <= 3 * bitrate.bytes_in(Duration::from_millis(66)), "{bytes} at {bitrate}");
    }
}

/// A film comes in 4:2:0 and the page after it in 4:4:4 again, by a key frame each; what changed meanwhile is there.
#[test]
fn a_film_in_between_arrives() {
    let (mut page, damage) = page(SIZE);
    let mut session = Session::sampled(Chroma::Yuv444, SIZE, 2);
    session.bitrate = Bitrate::mbps(8);
    session.update(&page, &damage);
    let film = Rect::new(100, 60, 400, 240);
    let (mut stream, mut profiles) = (Vec::new(), Vec::new());
    let mut take = |coded: Coded| {
        stream.extend_from_slice(&coded.data);
        // profile_idc follows the start code and the header of the first unit, a sequence parameter set.
        profiles.extend(coded.key_frame.then(|| coded.data[5]));
    };
    for at in 0..60 {
        for y in film.y..film.bottom() {
            for (x, pixel) in page.row_mut(&film, y).as_chunks_mut::<4>().0.iter_mut().enumerate() {
                let wave =
                    (x as f64 / 37.0 + f64::from(at) / 4.0).sin() * (f64::from(y) / 23.0).cos();
                let level = (128.0 + 100.0 * wave) as u8;
                *pixel = [level, 255 - level, level / 2, 255];
            }
        }
        let mut damage = Region::from(film);
        if at == 50 {
            let word = Rect::new(520, 320, 60, 16);
            fill(&mut page, word, [255, 0, 0]);
            damage.add(word);
        }
        session.update(&page, &damage);
        take(session.encode(false));
    }
    let until = session.now + LONG;
    while let Some(coded) = session.sharpen(until) {
        take(coded);
    }
    assert_eq!(session.again, None, "never sharp after the film");
    assert_eq!(profiles, [244, 66, 244]);
    let [y, u, v, rgb] = qualities(&page, &last_seen(&stream, Chroma::Yuv444, SIZE));
    assert!(y > 48.0 && u > 45.0 && v > 45.0, "{y:.1}, {u:.1}, {v:.1}; RGB {rgb:.1} dB");
}
