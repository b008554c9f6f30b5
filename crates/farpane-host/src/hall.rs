//! Where several viewers of a share meet: the desktop is captured and coded once for all of them, and one of them controls.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use farpane_desktop::OpenError;
use farpane_engine::{Audience, Engine, Event as Engined, Invite, PATH_PATIENCE, Report};
use farpane_media::Clock;

use crate::ShareConfig;

/// Longer than any session.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// See the module.
#[derive(Default)]
pub(crate) struct Hall {
    show: Mutex<Weak<Show>>,
    controlled: Arc<AtomicBool>,
}

/// What all see now. It ends with the last of them.
pub(crate) struct Show {
    pub invite: Invite,
    pub clock: Clock,
    /// Its end is waited for when this is dropped.
    _engine: Engine,
}

/// The right to control the desktop, until it is dropped.
pub(crate) struct Control(Arc<AtomicBool>);

impl Drop for Control {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Hall {
    /// Gives the desktop to whoever asks first.
    pub fn control(&self) -> Option<Control> {
        let taken = self.controlled.swap(true, Ordering::AcqRel);
        (!taken).then(|| Control(self.controlled.clone()))
    }

    /// What is shown; it begins with the first who enters. Opening a desktop blocks, for all who enter.
    pub fn enter(
        &self,
        config: &ShareConfig,
        reports: impl Fn(Report) + Send + 'static,
    ) -> Result<Arc<Show>, OpenError> {
        let mut shown = self.show.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(show) = shown.upgrade() {
            return Ok(show);
        }
        let clock = Clock::start();
        let desktop = config.source.open(clock)?;
        let (audience, invite) = Audience::new(clock, PATH_PATIENCE).map_err(OpenError::System)?;
        // What else happens, each viewer's own thread tells.
        let told = move |event| {
            if let Engined::Report(report) = event {
                reports(report);
            }
        };
        let builder = Engine::builder().view_only(config.view_only).on_event(told);
        let builder = builder.temporal_layers(config.temporal_layers);
        // Each viewer has patience of its own, and another may just be coming.
        let builder = builder.path_patience(FOREVER);
        let engine = builder.start(desktop, audience, clock);
        let show = Arc::new(Show { invite, clock, _engine: engine });
        *shown = Arc::downgrade(&show);
        Ok(show)
    }
}
