//! Hop 9: an access unit into pooled packets and back, H.264 and AV1. The goal is 10 Gb/s of payload a core; criterion
//! prints bytes, so 1.16 GiB/s.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use farpane_proto::depacketize::{av1 as from_av1, h264 as from_h264};
use farpane_proto::packetize::{av1, h264};
use farpane_proto::rtp::Header;
use farpane_proto::{MAX_PAYLOAD, PacketBuf, PacketPool};
use std::hint::black_box;
use std::ops::Range;

/// Parameter sets and four slices, as the encoder gives a frame of `len` bytes.
fn access_unit(len: usize) -> (Vec<u8>, Vec<Range<usize>>) {
    let mut data: Vec<u8> = (0..len).map(|at| at as u8).collect();
    let slice = (len - 40) / 4;
    let mut nals = vec![0..30, 30..40];
    nals.extend((0..4).map(|at| 40 + at * slice..40 + (at + 1) * slice));
    for (nal, header) in nals.iter().zip([0x67, 0x68, 0x65, 0x65, 0x65, 0x65]) {
        data[nal.start] = header;
    }
    (data, nals)
}

/// A temporal delimiter, a sequence header and a key frame, as libaom gives a frame of `len` bytes.
fn temporal_unit(len: usize) -> (Vec<u8>, Vec<Range<usize>>) {
    let mut data: Vec<u8> = (0..len).map(|at| at as u8).collect();
    data[..4].copy_from_slice(&[0x12, 0, 0x0a, 11]);
    let size = len - 15 - 4;
    let field = [size, size >> 7, size >> 14].map(|byte| byte as u8 | 0x80);
    data[15..20].copy_from_slice(&[0x32, field[0], field[1], field[2] & 0x7f, 0x10]);
    (data, vec![0..2, 2..15, 15..len])
}

/// Copies payloads, given as their marks and how to write them, into packets, as the video thread does.
fn fill<W: FnOnce(&mut [u8]) -> usize>(
    pool: &mut PacketPool,
    packets: &mut Vec<PacketBuf>,
    payloads: impl Iterator<Item = (bool, W)>,
) -> usize {
    packets.clear();
    for (last, write) in payloads {
        let mut packet = pool.acquire().expect("the pool holds two units");
        packet.fill(write);
        packet.meta.marker = last;
        packets.push(packet);
    }
    packets.len()
}

fn packetize(c: &mut Criterion) {
    let mut group = c.benchmark_group("packetize");
    let mut pool = PacketPool::new(400);
    let mut packets: Vec<PacketBuf> = Vec::with_capacity(200);
    for (name, len, expected) in [("2 kB", 2_000, 2), ("200 kB", 200_000, 169)] {
        let (data, nals) = access_unit(len);
        let packetizer = h264::Packetizer::new(MAX_PAYLOAD);
        assert_eq!(packetizer.packetize(&data, &nals).count(), expected);
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let payloads = packetizer.packetize(black_box(&data), &nals);
                let payloads = payloads
                    .map(|payload| (payload.last, move |space: &mut [u8]| payload.write(space)));
                fill(&mut pool, &mut packets, payloads)
            });
        });
    }
    for (name, len, expected) in [("AV1 2 kB", 2_000, 2), ("AV1 200 kB", 200_000, 167)] {
        let (data, obus) = temporal_unit(len);
        let packetizer = av1::Packetizer::new(MAX_PAYLOAD);
        assert_eq!(packetizer.packetize(&data, &obus, true).count(), expected);
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let payloads = packetizer.packetize(black_box(&data), &obus, true);
                let payloads = payloads
                    .map(|payload| (payload.last, move |space: &mut [u8]| payload.write(space)));
                fill(&mut pool, &mut packets, payloads)
            });
        });
    }
    group.finish();
}

/// Calls `each` with the packets of a unit, in order and at a new time.
fn packets_of(header: &mut Header, payloads: &[Vec<u8>], mut each: impl FnMut(&Header, &[u8])) {
    header.time = header.time.wrapping_add(3_000);
    for (at, payload) in payloads.iter().enumerate() {
        header.sequence = header.sequence.wrapping_add(1);
        header.marker = at + 1 == payloads.len();
        each(header, black_box(payload));
    }
}

fn depacketize(c: &mut Criterion) {
    let mut group = c.benchmark_group("depacketize");
    group.throughput(Throughput::Bytes(200_000));

    let (data, nals) = access_unit(200_000);
    let payloads = h264::Packetizer::new(MAX_PAYLOAD).packetize(&data, &nals);
    let payloads: Vec<Vec<u8>> = payloads.map(|p| written(p.len(), |out| p.write(out))).collect();
    let mut depacketizer = from_h264::Depacketizer::default();
    let mut header = Header::default();
    group.bench_function("200 kB", |b| {
        b.iter(|| {
            packets_of(&mut header, &payloads, |header, payload| {
                depacketizer.handle_packet(header, payload).expect("well-formed");
            });
            let event = depacketizer.poll_event();
            assert!(matches!(event, Some(from_h264::Event::Unit(unit)) if unit.nals.len() == 6));
        });
    });

    let (data, obus) = temporal_unit(200_000);
    let payloads = av1::Packetizer::new(MAX_PAYLOAD).packetize(&data, &obus, true);
    let payloads: Vec<Vec<u8>> = payloads.map(|p| written(p.len(), |out| p.write(out))).collect();
    let mut depacketizer = from_av1::Depacketizer::default();
    let mut header = Header::default();
    group.bench_function("AV1 200 kB", |b| {
        b.iter(|| {
            packets_of(&mut header, &payloads, |header, payload| {
                depacketizer.handle_packet(header, payload).expect("well-formed");
            });
            let event = depacketizer.poll_event();
            assert!(matches!(event, Some(from_av1::Event::Unit(unit)) if unit.obus.len() == 2));
        });
    });
    group.finish();
}

fn written(len: usize, write: impl FnOnce(&mut [u8]) -> usize) -> Vec<u8> {
    let mut out = vec![0; len];
    write(&mut out);
    out
}

criterion_group!(benches, packetize, depacketize);
criterion_main!(benches);
