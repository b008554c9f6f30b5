//! Scenes: the same pictures every time, and damage that tells the truth.

use farpane_bench::scene::{FPS, SCENES};
use farpane_media::{FrameBody, Rect, Size};

const SIZE: Size = Size::new(480, 272);

fn changed_outside_damage(before: &FrameBody, after: &FrameBody) -> Option<(u32, u32)> {
    let whole = Rect::of(after.size);
    for y in 0..whole.h {
        let (old, new) =
            (before.row(&whole, y).as_chunks::<4>().0, after.row(&whole, y).as_chunks::<4>().0);
        for (x, (old, new)) in (0..).zip(old.iter().zip(new)) {
            if old != new && !after.damage.contains(x, y) {
                return Some((x, y));
            }
        }
    }
    None
}

fn copy(frame: &FrameBody) -> FrameBody {
    FrameBody {
        size: frame.size,
        stride: frame.stride,
        pixels: frame.pixels.clone(),
        damage: frame.damage.clone(),
        ..FrameBody::default()
    }
}

#[test]
fn every_changed_pixel_lies_in_the_damage() {
    for scene in SCENES {
        let mut player = scene.play(SIZE, 1);
        let mut before = copy(player.advance());
        assert_eq!(
            before.damage.area(),
            SIZE.pixels(),
            "{}: the first picture is all new",
            scene.name
        );
        for step in 1..4 * FPS {
            let after = player.advance();
            let outside = changed_outside_damage(&before, after);
            assert_eq!(outside, None, "{} at step {step}", scene.name);
            before = copy(after);
        }
    }
}

#[test]
fn two_plays_are_the_same_and_another_seed_is_not() {
    for scene in SCENES {
        let (mut a, mut b, mut c) = (scene.play(SIZE, 1), scene.play(SIZE, 1), scene.play(SIZE, 2));
        let mut differs = false;
        for step in 0..20 {
            let (a, b, c) = (a.advance(), b.advance(), c.advance());
            assert!(a.pixels == b.pixels && a.damage == b.damage, "{} at step {step}", scene.name);
            differs |= a.pixels != c.pixels;
        }
        assert!(differs, "{} does not depend on its seed", scene.name);
    }
}

/// The share of the picture that changes in a step that changes anything, at most and on average, and how many do.
#[test]
fn scenes_change_as_much_as_their_kind_does() {
    let size = Size::new(1280, 720);
    let steps = 3 * FPS;
    for (name, largest, busy) in [
        ("clock", 0.02, 0.9..=1.0),
        ("scroll-vertical", 1.0, 0.6..=0.7),
        ("moving-window", 0.5, 0.6..=0.7),
        ("low-motion", 0.02, 0.3..=0.5),
        ("chaos", 1.0, 1.0..=1.0),
        ("developer", 0.35, 0.5..=1.0),
        ("typing", 0.01, 0.2..=0.3),
        ("page-switch", 1.0, 0.02..=0.03),
        ("film", 0.5, 1.0..=1.0),
        ("red-on-black", 1.0, 0.08..=0.11),
    ] {
        let scene = farpane_bench::scene::Scene::named(name).expect("a scene");
        let mut player = scene.play(size, 1);
        player.advance();
        let areas: Vec<u64> = (1..steps).map(|_| player.advance().damage.area()).collect();
        let most = *areas.iter().max().expect("steps") as f64 / size.pixels() as f64;
        assert!(most <= largest, "{name}: {most:.3} of the picture in one step");
        let part = areas.iter().filter(|area| **area > 0).count() as f64 / areas.len() as f64;
        assert!(busy.contains(&part), "{name}: {part:.2} of the steps change something");
    }
}

#[test]
fn scenes_fit_small_pictures() {
    for scene in SCENES {
        let mut player = scene.play(Size::new(128, 128), 3);
        (0..100).for_each(|_| {
            player.advance();
        });
    }
}
