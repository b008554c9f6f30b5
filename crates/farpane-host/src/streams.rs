//! A WebSocket that carries media, from the meeting point's side to the session's threads.

use std::net::SocketAddr;
use std::sync::mpsc::{SyncSender, sync_channel};

use farpane_auth::MediaKeys;
use farpane_media::{Bitrate, VideoFormat};
use farpane_transport::{Attach, StreamConfig, Waker, stream_format};
use farpane_wire::v1::StreamFormat;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::{ShareConfig, Visitor};

/// So many messages of a viewer may wait for the session. One that sends more than are taken is hung up on.
const MESSAGES: usize = 512;

/// A stream that has proved to be the viewer's, and waits for the session's transport.
pub(crate) struct Opened {
    from: SocketAddr,
    keys: MediaKeys,
    pub formats: Vec<VideoFormat>,
    incoming: mpsc::Receiver<Vec<u8>>,
    outgoing: mpsc::Sender<Vec<u8>>,
}

pub(crate) fn open(
    visitor: Visitor,
    keys: MediaKeys,
    shown: &[StreamFormat],
    config: &ShareConfig,
) -> Opened {
    let Visitor { from, incoming, outgoing, admit } = visitor;
    admit();
    let formats = shown.iter().copied().filter_map(stream_format);
    let formats = formats.filter(|format| config.formats.contains(format)).collect();
    Opened { from, keys, formats, incoming, outgoing }
}

impl Opened {
    /// Hands it over to the transport, and goes on bringing it what comes.
    pub fn attach(self, attach: &Attach, initial_estimate: Bitrate) {
        let Opened { from, keys, formats, incoming, outgoing } = self;
        let (to_transport, messages) = sync_channel(MESSAGES);
        tokio::spawn(bring(incoming, to_transport, attach.waker()));
        attach.attach(StreamConfig {
            from,
            incoming: messages,
            outgoing: Box::new(move |bytes| match outgoing.try_send(bytes) {
                Err(TrySendError::Full(bytes)) => Err(bytes),
                // That the viewer is gone shows in what it no longer says.
                Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
            }),
            keys,
            formats,
            initial_estimate,
        });
    }
}

async fn bring(
    mut incoming: mpsc::Receiver<Vec<u8>>,
    to_transport: SyncSender<Vec<u8>>,
    waker: Waker,
) {
    while let Some(message) = incoming.recv().await
        && to_transport.try_send(message).is_ok()
    {
        waker.ring();
    }
    // The transport sees that nothing more will come.
    drop(to_transport);
    waker.ring();
}
