//! Hop 9: an H.264 access unit into pooled packets and back. The goal is 10 Gb/s of payload a core; criterion prints
//! bytes, so 1.16 GiB/s.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use farpane_proto::depacketize::h264::{Depacketizer, Event};
use farpane_proto::packetize::h264::Packetizer;
use farpane_proto::rtp::Header;
use farpane_proto::{MAX_PAYLOAD, PacketBuf, PacketPool};
use std::hint::black_box;
use std::ops::Range;

/// Parameter sets and four slices, as the encoder gives a frame of `len` bytes.
fn unit(len: usize) -> (Vec<u8>, Vec<Range<usize>>) {
    let mut data: Vec<u8> = (0..len).map(|at| at as u8).collect();
    let slice = (len - 40) / 4;
    let mut nals = vec![0..30, 30..40];
    nals.extend((0..4).map(|at| 40 + at * slice..40 + (at + 1) * slice));
    for (nal, header) in nals.iter().zip([0x67, 0x68, 0x65, 0x65, 0x65, 0x65]) {
        data[nal.start] = header;
    }
    (data, nals)
}

fn packetize(c: &mut Criterion) {
    let mut group = c.benchmark_group("packetize");
    for (name, len, expected) in [("2 kB", 2_000, 2), ("200 kB", 200_000, 169)] {
        let (data, nals) = unit(len);
        let packetizer = Packetizer::new(MAX_PAYLOAD);
        let count = packetizer.packetize(&data, &nals).count();
        assert_eq!(count, expected);
        let mut pool = PacketPool::new(2 * count);
        let mut packets: Vec<PacketBuf> = Vec::with_capacity(count);
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                packets.clear();
                for payload in packetizer.packetize(black_box(&data), &nals) {
                    let mut packet = pool.acquire().expect("the pool holds two units");
                    packet.fill(|space| payload.write(space));
                    packet.meta.marker = payload.last;
                    packets.push(packet);
                }
                packets.len()
            });
        });
    }
    group.finish();
}

fn depacketize(c: &mut Criterion) {
    let (data, nals) = unit(200_000);
    let payloads: Vec<Vec<u8>> = Packetizer::new(MAX_PAYLOAD)
        .packetize(&data, &nals)
        .map(|payload| {
            let mut out = vec![0; payload.len()];
            payload.write(&mut out);
            out
        })
        .collect();
    let mut depacketizer = Depacketizer::default();
    let mut header = Header::default();
    let mut group = c.benchmark_group("depacketize");
    group.throughput(Throughput::Bytes(data.len() as u64));
    group.bench_function("200 kB", |b| {
        b.iter(|| {
            header.time = header.time.wrapping_add(3_000);
            for (at, payload) in payloads.iter().enumerate() {
                header.sequence = header.sequence.wrapping_add(1);
                header.marker = at + 1 == payloads.len();
                depacketizer.handle_packet(&header, black_box(payload)).expect("well-formed");
            }
            assert!(
                matches!(depacketizer.poll_event(), Some(Event::Unit(unit)) if unit.nals.len() == 6)
            );
        });
    });
    group.finish();
}

criterion_group!(benches, packetize, depacketize);
criterion_main!(benches);
