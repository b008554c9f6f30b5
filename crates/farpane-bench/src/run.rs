//! Runs encoders over material, in every combination that was asked for.

use std::time::Duration;

use farpane_codec::decode::{self, Decoder};
use farpane_codec::{Codec, open};
use farpane_media::{Bitrate, Size, Time};
use farpane_pixel::{Chroma, Planes};

use crate::bd_rate::bd_rate;
use crate::coded::{Coded, Cost, Task};
use crate::ffmpeg::{Ffmpeg, PEERS, Peer, Stream};
use crate::material::Material;
use crate::own::{self, Open};
use crate::summary::Summary;
use crate::view::{self, Decode, Look};

/// An encoder to measure.
#[derive(Clone, Copy, Debug)]
pub enum Coder {
    Own(Own),
    Peer(Peer),
}

/// One of ours.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// As reports say.
    name: &'static str,
    codec: Codec,
    open: Open,
}

/// Those of this build; AV1 is libaom's.
const OWN: &[Own] = &[
    Own { name: "h264", codec: Codec::H264, open: |config| open(Codec::H264, config) },
    #[cfg(feature = "libaom")]
    Own { name: "av1", codec: Codec::Av1, open: |config| open(Codec::Av1, config) },
    #[cfg(feature = "rav1e")]
    Own {
        name: "rav1e",
        codec: Codec::Av1,
        open: |config| Ok(Box::new(farpane_codec::Rav1e::new(config)?)),
    },
];

impl Coder {
    pub fn named(name: &str) -> Option<Coder> {
        Coder::all().find(|coder| coder.name() == name)
    }

    pub fn all() -> impl Iterator<Item = Coder> {
        OWN.iter().copied().map(Coder::Own).chain(PEERS.into_iter().map(Coder::Peer))
    }

    pub fn name(&self) -> &'static str {
        match self {
            Coder::Own(own) => own.name,
            Coder::Peer(peer) => peer.name,
        }
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub material: Vec<Material>,
    pub coders: Vec<Coder>,
    pub chroma: Vec<Chroma>,
    pub bitrates: Vec<Bitrate>,
    pub threads: Vec<u32>,
    /// Of each material, in its own time.
    pub span: Duration,
    /// Where peers come from.
    pub ffmpeg: Option<Ffmpeg>,
}

/// One encoder at one setting on one material.
#[derive(Clone, Debug)]
pub struct Cell {
    pub material: String,
    pub coder: &'static str,
    pub chroma: Chroma,
    pub bitrate: Bitrate,
    pub threads: u32,
    /// How the encoder was set up.
    pub settings: String,
    pub summary: Summary,
    pub pictures: Vec<PictureFigures>,
    pub looks: Vec<Look>,
}

/// A coded picture's figures.
#[derive(Clone, Copy, Debug)]
pub struct PictureFigures {
    pub captured: Time,
    pub bytes: usize,
    pub key_frame: bool,
    pub cost: Cost,
}

/// A combination that was asked for and has no figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    pub what: String,
    pub why: String,
}

/// The material of a report.
#[derive(Clone, Debug)]
pub struct Shown {
    pub name: String,
    pub about: String,
    pub size: Size,
    pub fps: f64,
}

/// How much more or less bitrate `coder` needs than `anchor`, in percent.
#[derive(Clone, Debug)]
pub struct Delta {
    pub material: String,
    pub chroma: Chroma,
    pub threads: u32,
    pub anchor: &'static str,
    pub coder: &'static str,
    /// For the same luma, and for the same RGB; `None` where the curves do not overlap.
    pub luma: Option<f64>,
    pub rgb: Option<f64>,
}

#[derive(Clone, Debug, Default)]
pub struct Report {
    pub material: Vec<Shown>,
    pub cells: Vec<Cell>,
    pub left_out: Vec<LeftOut>,
    /// Against the first encoder that was measured, where there are several bitrates.
    pub deltas: Vec<Delta>,
}

/// How far a run has come.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Runs behind, and all of them.
    pub done: usize,
    pub total: usize,
    /// The one that begins.
    pub what: String,
}

/// Runs all of `plan`, telling `progress` before each run. What cannot run is left out of the report with its reason.
pub fn run(plan: &Plan, mut progress: impl FnMut(&Progress)) -> Report {
    let mut report = Report::default();
    let (coders, left_out) = present(plan);
    report.left_out = left_out;
    let total = plan.material.len()
        * coders.len()
        * plan.chroma.len()
        * plan.bitrates.len()
        * plan.threads.len();
    let mut done = 0;
    for material in &plan.material {
        report.material.push(Shown {
            name: material.name(),
            about: material.about(),
            size: material.size(),
            fps: material.fps(),
        });
        let steps = (plan.span.as_secs_f64() * material.fps()).round().max(1.0) as u32;
        for &chroma in &plan.chroma {
            for &threads in &plan.threads {
                for &coder in &coders {
                    for &bitrate in &plan.bitrates {
                        let task = Task { material, steps, chroma, bitrate, threads };
                        let what =
                            format!("{} {} {chroma} {bitrate}", material.name(), coder.name());
                        progress(&Progress { done, total, what: what.clone() });
                        done += 1;
                        match cell(coder, &task, plan.ffmpeg.as_ref()) {
                            Ok(cell) => report.cells.push(cell),
                            Err(why) => report.left_out.push(LeftOut { what, why }),
                        }
                    }
                }
            }
        }
    }
    report.deltas = deltas(&report.cells, plan);
    report
}

/// The encoders that can run here, and why the others cannot.
fn present(plan: &Plan) -> (Vec<Coder>, Vec<LeftOut>) {
    let mut left_out = Vec::new();
    let mut here = |coder: &Coder| {
        let why = match (coder, &plan.ffmpeg) {
            (Coder::Own(_), _) => return true,
            (Coder::Peer(_), None) => "ffmpeg is not installed",
            (Coder::Peer(peer), Some(ffmpeg)) if ffmpeg.has(peer) => return true,
            (Coder::Peer(_), Some(_)) => "this ffmpeg was built without it",
        };
        left_out.push(LeftOut { what: coder.name().to_owned(), why: why.to_owned() });
        false
    };
    let coders = plan.coders.iter().copied().filter(|coder| here(coder)).collect();
    (coders, left_out)
}

fn cell(coder: Coder, task: &Task<'_>, ffmpeg: Option<&Ffmpeg>) -> Result<Cell, String> {
    let coded = match (coder, ffmpeg) {
        (Coder::Own(own), _) => own::encode(own.open, task).map_err(|why| why.to_string())?,
        (Coder::Peer(peer), Some(ffmpeg)) => {
            ffmpeg.encode(&peer, task).map_err(|why| why.to_string())?
        }
        (Coder::Peer(_), None) => return Err("ffmpeg is not installed".to_owned()),
    };
    if coded.pictures.is_empty() {
        return Err("no picture was coded".to_owned());
    }
    let mut decoder = decoder(coder, task, &coded, ffmpeg)?;
    let seen = view::look(task, &coded, &mut *decoder).map_err(|why| why.to_string())?;
    let material = task.material;
    let span = Duration::from_secs_f64(seen.looks.len() as f64 / material.fps());
    let figures = coded.pictures.iter().map(|picture| PictureFigures {
        captured: picture.captured,
        bytes: picture.bytes.len(),
        key_frame: picture.key_frame,
        cost: picture.cost,
    });
    Ok(Cell {
        material: material.name(),
        coder: coder.name(),
        chroma: task.chroma,
        bitrate: task.bitrate,
        threads: task.threads,
        pictures: figures.collect(),
        summary: Summary::of(&coded, &seen, span),
        settings: coded.settings,
        looks: seen.looks,
    })
}

/// One of ours.
struct InProcess(Box<dyn Decoder>);

impl Decode for InProcess {
    fn decode(&mut self, unit: &[u8]) -> Result<&Planes, String> {
        match self.0.decode(unit) {
            Ok(Some(planes)) => Ok(planes),
            Ok(None) => Err("it shows nothing".to_owned()),
            Err(why) => Err(why.to_string()),
        }
    }
}

/// Ours decode what they can; the rest is for ffmpeg: VP9, and H.264 at 4:4:4.
fn decoder(
    coder: Coder,
    task: &Task<'_>,
    coded: &Coded,
    ffmpeg: Option<&Ffmpeg>,
) -> Result<Box<dyn Decode>, String> {
    let kind = match coder {
        Coder::Own(Own { codec, .. }) => match decode::open(codec) {
            Ok(decoder) if codec != Codec::H264 || task.chroma == Chroma::Yuv420 => {
                return Ok(Box::new(InProcess(decoder)));
            }
            Err(why) if codec != Codec::H264 => return Err(why.to_string()),
            _ => Stream::AnnexB,
        },
        Coder::Peer(peer) => peer.stream(),
    };
    let ffmpeg = ffmpeg.ok_or("to see what was coded, ffmpeg has to be installed")?;
    let decoder = ffmpeg
        .decoder(&coded.stream, kind, task.material.size(), task.chroma)
        .map_err(|why| why.to_string())?;
    Ok(Box::new(decoder))
}

fn deltas(cells: &[Cell], plan: &Plan) -> Vec<Delta> {
    let mut deltas = Vec::new();
    let measured = |coder: &&Coder| cells.iter().any(|cell| cell.coder == coder.name());
    let mut coders = plan.coders.iter().filter(measured).map(Coder::name);
    let Some(anchor) = coders.next().filter(|_| plan.bitrates.len() > 1) else { return deltas };
    for material in plan.material.iter().map(Material::name) {
        for &chroma in &plan.chroma {
            for &threads in &plan.threads {
                let curve = |coder: &str, quality: fn(&Summary) -> f64| -> Vec<(f64, f64)> {
                    cells
                        .iter()
                        .filter(|cell| cell.material == material && cell.coder == coder)
                        .filter(|cell| cell.chroma == chroma && cell.threads == threads)
                        .map(|cell| (cell.summary.rate.as_bps() as f64, quality(&cell.summary)))
                        .collect()
                };
                for coder in coders.clone() {
                    let both = [anchor, coder].map(|coder| curve(coder, |summary| summary.luma));
                    if both.iter().any(Vec::is_empty) {
                        continue;
                    }
                    let delta = |quality| bd_rate(&curve(anchor, quality), &curve(coder, quality));
                    deltas.push(Delta {
                        material: material.clone(),
                        chroma,
                        threads,
                        anchor,
                        coder,
                        luma: delta(|summary| summary.luma),
                        rgb: delta(|summary| summary.rgb),
                    });
                }
            }
        }
    }
    deltas
}
