//! `farpane stream`: this desktop to players and recorders by plain RTP, or to a server that passes it on by WHIP.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use farpane_engine::{Bitrate, Builder, Clock, Desktop, EndReason, Engine, Event, Report};
use farpane_host::{ShareError, Source};
use farpane_media::VideoFormat;
use farpane_transport::{NegotiationError, Rtp, RtpConfig, WebRtc, WebRtcConfig};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use url::Url;

use crate::cli::StreamOptions;
use crate::failure::Failure;
use crate::host_name;
use crate::interrupts::Interrupts;
use crate::json::Json;
use crate::terminal::Terminal;
use crate::whip::{self, Resource, Token, without_secrets};

/// Tells what happens to a person or to a program.
pub trait Tell {
    fn note(&mut self, text: &str);
    /// `sdp` is what players open, if that is how they find the stream.
    fn streaming(&mut self, to: &str, sdp: Option<&Path>);
    fn report(&mut self, report: &Report);
    /// Nothing gets there for now.
    fn path_lost(&mut self, to: &str);
    fn path_restored(&mut self);
    fn failure(&mut self, failure: &Failure);
    fn stopped(&mut self);
}

pub async fn run(options: StreamOptions) -> ExitCode {
    let mut tell: Box<dyn Tell> =
        if options.json { Box::new(Json::new()) } else { Box::new(Terminal::new()) };
    match stream(options, &mut *tell).await {
        Ok(()) => {
            tell.stopped();
            ExitCode::SUCCESS
        }
        Err(failure) => {
            tell.failure(&failure);
            ExitCode::FAILURE
        }
    }
}

async fn stream(options: StreamOptions, tell: &mut dyn Tell) -> Result<(), Failure> {
    let clock = Clock::start();
    let source = options.display.clone().unwrap_or(Source::X11(None));
    let opened = spawn_blocking(move || source.open(clock)).await;
    let desktop = opened.map_err(|panic| ShareError::DesktopLost(panic.to_string()))?;
    let desktop = desktop.map_err(ShareError::Desktop)?;
    for note in &desktop.notes {
        tell.note(note);
    }
    match (options.to, &options.whip) {
        (Some(to), _) => to_players(to, &options, desktop, clock, tell).await,
        (None, Some(server)) => to_server(server, &options, desktop, clock, tell).await,
        (None, None) => unreachable!("the command line has one of them"),
    }
}

fn format(options: &StreamOptions) -> VideoFormat {
    VideoFormat::new(options.codec, options.chroma)
}

async fn to_players(
    to: SocketAddr,
    options: &StreamOptions,
    desktop: Desktop,
    clock: Clock,
    tell: &mut dyn Tell,
) -> Result<(), Failure> {
    let (describe, description) = oneshot::channel();
    let config = RtpConfig {
        to,
        format: format(options),
        bitrate: options.bitrate,
        key_frames: Duration::from_secs(options.key_frames),
        name: host_name(),
        describe: Box::new(|text| {
            let _ = describe.send(text);
        }),
    };
    let transport = Rtp::open(config, clock).map_err(|why| cannot_send(to, &why))?;
    let (builder, happened) = builder(options.bitrate);
    let engine = builder.start(desktop, transport, clock);
    let watch = Watch {
        engine: &engine,
        to: to.to_string(),
        introduction: Introduction::Written(description, options.sdp.clone()),
        happened,
    };
    watch.run(tell).await
}

async fn to_server(
    server: &Url,
    options: &StreamOptions,
    desktop: Desktop,
    clock: Clock,
    tell: &mut dyn Tell,
) -> Result<(), Failure> {
    let token = options.whip_token.as_deref().map(token).transpose()?;
    let config = WebRtcConfig { formats: vec![format(options)], ..WebRtcConfig::default() };
    let (offered, offer) = WebRtc::offer(config, clock).map_err(|why| no_session(server, &why))?;
    let endpoint = server.clone();
    let mut publishing = spawn_blocking(move || whip::publish(&endpoint, token, &offer));
    let mut interrupts = Interrupts::new();
    let resource = tokio::select! {
        published = &mut publishing => published,
        // What the server may yet answer to is never taken up, which it notices.
        () = interrupts.next() => return Ok(()),
    };
    let resource = resource.map_err(|panic| ShareError::DesktopLost(panic.to_string()))??;
    let outcome = match offered.accept(&resource.answer) {
        Ok(transport) => {
            let (builder, happened) = builder(options.bitrate);
            let builder = builder.temporal_layers(options.temporal_layers == 2);
            let engine = builder.start(desktop, transport, clock);
            let to = without_secrets(server);
            let introduction = Introduction::Connected;
            Watch { engine: &engine, to, introduction, happened }.run(tell).await
        }
        Err(why) => Err(no_session(server, &why)),
    };
    let _ = spawn_blocking(|| Resource::delete(resource)).await;
    outcome
}

fn builder(most: Bitrate) -> (Builder, mpsc::UnboundedReceiver<Event>) {
    let (events, happened) = mpsc::unbounded_channel();
    let builder = Engine::builder().view_only(true).max_bitrate(most).on_event(move |event| {
        let _ = events.send(event);
    });
    (builder, happened)
}

/// When the stream can be said to run.
enum Introduction {
    /// The first picture is there to be described, in this file.
    Written(oneshot::Receiver<String>, PathBuf),
    /// The server has taken up the connection.
    Connected,
    Made,
}

struct Watch<'a> {
    engine: &'a Engine,
    to: String,
    introduction: Introduction,
    happened: mpsc::UnboundedReceiver<Event>,
}

impl Watch<'_> {
    /// Until it is over, one way or another.
    async fn run(mut self, tell: &mut dyn Tell) -> Result<(), Failure> {
        let mut interrupts = Interrupts::new();
        let mut lost = false;
        loop {
            let described = async {
                match &mut self.introduction {
                    Introduction::Written(text, _) => text.await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                () = interrupts.next() => self.engine.stop(EndReason::EndStopped, ""),
                text = described => {
                    let before = std::mem::replace(&mut self.introduction, Introduction::Made);
                    if let (Ok(text), Introduction::Written(_, sdp)) = (text, before) {
                        fs::write(&sdp, text).map_err(|why| cannot_write(&sdp, &why))?;
                        tell.streaming(&self.to, Some(&sdp));
                    }
                }
                event = self.happened.recv() => match event.unwrap_or_else(vanished) {
                    Event::Report(report) => {
                        if matches!(self.introduction, Introduction::Made) {
                            tell.report(&report);
                        }
                    }
                    Event::Frame(_) => {}
                    Event::PathLost => {
                        lost = true;
                        tell.path_lost(&self.to);
                    }
                    Event::Connected { .. } => {
                        if matches!(self.introduction, Introduction::Connected) {
                            self.introduction = Introduction::Made;
                            tell.streaming(&self.to, None);
                        }
                        if std::mem::take(&mut lost) {
                            tell.path_restored();
                        }
                    }
                    Event::Ended { reason, detail } => return ended(&self.to, reason, detail),
                },
            }
        }
    }
}

/// An engine says why it ends, unless it dies.
fn vanished() -> Event {
    let detail = "the pipeline ended without saying why".to_owned();
    Event::Ended { reason: EndReason::EndHostError, detail }
}

fn ended(to: &str, reason: EndReason, detail: String) -> Result<(), Failure> {
    let (code, message, hint) = match reason {
        EndReason::EndStopped => return Ok(()),
        EndReason::EndDisplayLost => return Err(ShareError::DesktopLost(detail).into()),
        EndReason::EndPathLost => {
            let message = format!("nothing got to {to} for a minute");
            ("no_route", message, "start again once the network is back")
        }
        EndReason::EndViewerLeft => {
            ("whip_ended", format!("{to} has ended the stream"), "its own log may say why")
        }
        _ => {
            let message = format!("the stream has ended: {detail}");
            ("stream_failed", message, "FARPANE_LOG=debug says more")
        }
    };
    Err(Failure { code, message, hint: hint.to_owned() })
}

fn token(file: &Path) -> Result<Token, Failure> {
    let failure = |message| Failure {
        code: "bad_token",
        message,
        hint: "--whip-token takes a file with the token in it and nothing else".to_owned(),
    };
    let text = fs::read_to_string(file)
        .map_err(|why| failure(format!("cannot read {}: {why}", file.display())))?;
    Token::new(&text).ok_or_else(|| failure(format!("there is no token in {}", file.display())))
}

fn no_session(server: &Url, why: &NegotiationError) -> Failure {
    let server = without_secrets(server);
    let (code, message) = match why {
        NegotiationError::NoCommonCodec => {
            ("whip_refused", format!("{server} takes no pictures coded like this"))
        }
        why => ("whip_answer", format!("{server}: {why}")),
    };
    let hint = "--codec and --chroma choose what is sent; most servers take h264 and 420";
    Failure { code, message, hint: hint.to_owned() }
}

fn cannot_send(to: SocketAddr, why: &std::io::Error) -> Failure {
    Failure {
        code: "no_route",
        message: format!("cannot send to {to}: {why}"),
        hint: "--to takes the address of a machine that this one reaches, or a multicast address"
            .to_owned(),
    }
}

fn cannot_write(sdp: &Path, why: &std::io::Error) -> Failure {
    Failure {
        code: "cannot_write",
        message: format!("cannot write {}: {why}", sdp.display()),
        hint: "name a place for the description with --sdp FILE".to_owned(),
    }
}
