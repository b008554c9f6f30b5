//! Streams a screen to a browser, by a page of its own and without asking anybody.
//!
//!     cargo run -p farpane-host --example browser -- :0

use std::error::Error;

use farpane_host::{Event, ShareConfig, Visitor};
use farpane_server::{Knock, Server};
use tokio::sync::{mpsc, watch};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let screen = std::env::args().nth(1).unwrap_or_else(|| "synthetic:clock".to_owned());
    let config = ShareConfig {
        source: screen.parse()?,
        accept: true,
        view_only: true,
        viewers: 1,
        temporal_layers: false,
        formats: farpane_host::formats(),
        host_name: "an example".to_owned(),
        door: None,
    };

    // The meeting point serves the page and passes on whoever asks for this screen.
    let server = Server::bind(([127, 0, 0, 1], 0).into()).await?;
    let (page, broker) = (server.local_addr(), server.broker());
    tokio::spawn(server.run(std::future::pending()));
    let register = |visitors: mpsc::Sender<Visitor>| {
        let place = broker.register(move |Knock { from, incoming, outgoing, admission }| {
            let admit = Box::new(move || admission.grant());
            visitors.try_send(Visitor { from, incoming, outgoing, admit }).is_ok()
        });
        (place.routing_id(), place)
    };

    let (events, mut happened) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(event) = happened.recv().await {
            match event {
                Event::Ready { code, .. } => println!("Open http://{page}/#{}", code.reveal()),
                Event::Connected { format, route, .. } => println!("Shown: {format}, {route}"),
                _ => {}
            }
        }
    });
    let (_stop, stopping) = watch::channel(false);
    Ok(farpane_host::share(config, register, events, stopping).await?)
}
