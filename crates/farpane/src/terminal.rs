//! Events for people: a few lines of text, and one calm status line while somebody is connected.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::Path;

use farpane_host::{CONSENT_TIME, EndReason, Event, RefusalReason, Report};

use crate::failure::Failure;
use crate::share::{Show, Whereabouts};
use crate::stream::Tell;

pub struct Terminal {
    /// The status line is redrawn in place, which only a terminal can do.
    interactive: bool,
    status_shown: bool,
    viewer: String,
}

impl Terminal {
    pub fn new() -> Terminal {
        Terminal {
            interactive: std::io::stdout().is_terminal(),
            status_shown: false,
            viewer: String::new(),
        }
    }

    fn say(&mut self, text: &str) {
        let mut out = std::io::stdout().lock();
        if std::mem::take(&mut self.status_shown) {
            let _ = write!(out, "\r\x1b[K");
        }
        let _ = writeln!(out, "{text}");
    }

    /// Text that an answer follows on the same line.
    fn ask(&mut self, text: &str) {
        self.say("");
        let mut out = std::io::stdout().lock();
        let _ = write!(out, "{text}").and_then(|()| out.flush());
    }

    fn status(&mut self, text: &str) {
        if !self.interactive {
            return;
        }
        let mut out = std::io::stdout().lock();
        let _ = write!(out, "\r\x1b[K{text}").and_then(|()| out.flush());
        self.status_shown = true;
    }

    fn ready(&mut self, url: &str, code: &str, minutes: u64, place: &Whereabouts) {
        self.say(&format!("\nSharing this desktop. To see it, open\n\n    {url}\n"));
        let pages: Vec<&str> = place.bases.iter().map(String::as_str).take(4).collect();
        self.say(&format!("or go to {} and enter the code  {code}", pages.join(" or ")));
        self.say(&format!(
            "The code lets one viewer in and is good for {minutes} minutes. Ctrl-C stops sharing."
        ));
        if place.local_only {
            self.say("Only this machine can open the page; --listen 0.0.0.0:8080 lets other machines in.");
        }
        match &place.fingerprint {
            Some(fingerprint) => self.say(&format!(
                "A browser that does not know the page's certificate warns of it. It is the right one if its SHA-256 is\n\n    \
                 {fingerprint}\n"
            )),
            None if place.local_only => {}
            None => self.say("The page is plain HTTP: use it on networks you trust, or with --tls."),
        }
    }
}

impl Show for Terminal {
    fn event(&mut self, event: &Event, place: &Whereabouts) {
        match event {
            Event::Note(text) => self.say(&format!("Note: {text}")),
            Event::Ready { code, expires_in } => {
                self.ready(
                    &place.url(code),
                    &code.reveal(),
                    (expires_in.as_secs() + 30) / 60,
                    place,
                );
            }
            Event::Asked { from, .. } => self.ask(&format!(
                "{} knows the code and asks to see this desktop. Let them in? [y/N] ({} s) ",
                from.ip(),
                CONSENT_TIME.as_secs()
            )),
            Event::Answered { admitted: true, .. } => {}
            Event::Answered { admitted: false, .. } => self.say("Not let in."),
            Event::Refused { from, reason } => {
                if let Some(words) = refused(*from, *reason) {
                    self.say(&words);
                }
            }
            Event::Connected { from, route, format } => {
                self.viewer = format!("{} ({route})", from.ip());
                self.say(&format!("Connected: {}, {format}.", self.viewer));
            }
            Event::Reconnecting { from } => self.say(&format!(
                "The network path to {} is gone; waiting for it to come back.",
                from.ip()
            )),
            Event::Report(report) => self.status(&status(&self.viewer, report)),
            Event::Disconnected { from, reason, detail } => {
                self.say(&disconnected(*from, *reason, detail));
            }
        }
    }

    fn nobody_there(&mut self) {
        self.say("Nobody can be asked, since standard input has ended; --accept lets viewers in without asking.");
    }

    fn failure(&mut self, failure: &Failure) {
        if std::mem::take(&mut self.status_shown) {
            println!();
        }
        eprintln!("farpane: {}", failure.message);
        eprintln!("  {}", failure.hint);
    }

    fn stopped(&mut self) {
        self.say("Sharing has stopped.");
    }
}

impl Tell for Terminal {
    fn note(&mut self, text: &str) {
        self.say(&format!("Note: {text}"));
    }

    fn streaming(&mut self, to: &str, sdp: Option<&Path>) {
        self.viewer = to.to_owned();
        let Some(sdp) = sdp.map(Path::display) else {
            return self.say(&format!("Sending this desktop to {to}. Ctrl-C stops it."));
        };
        self.say(&format!(
            "Sending this desktop to {to}, unencrypted. To see it there, give the player {sdp}, as in\n\n    \
             ffplay -protocol_whitelist file,udp,rtp {sdp}\n\nCtrl-C stops it."
        ));
    }

    fn report(&mut self, report: &Report) {
        let (fps, loss) = (report.fps, report.loss * 100.0);
        self.status(&format!("{}  {}  {fps:.0} fps  {loss:.1} % lost", self.viewer, report.sent));
    }

    fn path_lost(&mut self, to: &str) {
        self.say(&format!("Nothing gets to {to} now; trying again."));
    }

    fn path_restored(&mut self) {
        self.say("It gets there again.");
    }

    fn failure(&mut self, failure: &Failure) {
        Show::failure(self, failure);
    }

    fn stopped(&mut self) {
        self.say("Nothing is sent any more.");
    }
}

fn status(viewer: &str, report: &Report) -> String {
    let delay = match report.delay_p50 {
        Some(delay) => format!("{:.0} ms", delay.as_secs_f64() * 1e3),
        None => "still".to_owned(),
    };
    format!("{viewer}  {}  {:.0} fps  {delay}", report.sent, report.fps)
}

fn refused(from: SocketAddr, reason: RefusalReason) -> Option<String> {
    let ip = from.ip();
    Some(match reason {
        RefusalReason::RefusalWrongCode => format!("{ip} tried a wrong code."),
        RefusalReason::RefusalBusy => {
            format!("{ip} wanted to view too and was turned away: this code has its viewer.")
        }
        RefusalReason::RefusalUsed => format!("{ip} tried a code that had been used."),
        RefusalReason::RefusalExpired => format!("{ip} tried a code that had expired."),
        RefusalReason::RefusalNoAnswer => format!("{ip} waited for an answer in vain."),
        RefusalReason::RefusalNoCodec => {
            format!("{ip} has a browser that cannot show what this command may send.")
        }
        // Declined by the person, who knows; the rest is noise of strangers.
        _ => return None,
    })
}

fn disconnected(from: SocketAddr, reason: EndReason, detail: &str) -> String {
    let ip = from.ip();
    match reason {
        EndReason::EndViewerLeft => format!("The viewer at {ip} has left."),
        EndReason::EndStopped => format!("The viewer at {ip} is disconnected."),
        EndReason::EndPathLost => format!("The viewer at {ip} is gone: {detail}."),
        EndReason::EndDisplayLost | EndReason::EndHostError | EndReason::EndUnspecified => {
            format!("The session with {ip} has ended: {detail}.")
        }
    }
}
