//! Between the hops: from the moment a picture was captured to its last packet at the transport, across the capture,
//! video and net threads, with a drawn desktop at one end and memory at the other.
//!
//! One more wake-up is in it: that of the thread which looks at the packets.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use farpane_desktop::Source;
use farpane_engine::Engine;
use farpane_media::{Bitrate, Clock};
use farpane_transport::memory::{Sent, pair};

/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

fn capture_to_transport(c: &mut Criterion) {
    let mut group = c.benchmark_group("engine/capture to transport");
    // A picture comes every 33 ms: each is one iteration.
    group.sample_size(10).warm_up_time(Duration::from_secs(2));
    group.measurement_time(Duration::from_secs(4));
    for source in ["synthetic:clock,size=320x240", "synthetic:typing", "synthetic:scroll"] {
        let clock = Clock::start();
        let desktop = source.parse::<Source>().expect("a scene").open(clock).expect("drawn");
        let (near, far) = pair(clock).expect("a file descriptor is left");
        let _engine = Engine::builder().start(desktop, near, clock);
        far.connect(Bitrate::mbps(8));
        group.bench_function(&source["synthetic:".len()..], |b| {
            b.iter_custom(|pictures| {
                far.drain();
                let mut left = pictures;
                let mut taken = Duration::ZERO;
                while left > 0 {
                    let sent = far.recv(PATIENCE).expect("the scene goes on");
                    if let Sent::Video { meta, .. } = sent
                        && meta.marker
                    {
                        taken += clock.now().since(meta.capture);
                        left -= 1;
                    }
                }
                taken
            });
        });
    }
    group.finish();
}

criterion_group!(benches, capture_to_transport);
criterion_main!(benches);
