//! Viewers at the gate: the right code once, in time and in order, and nothing else ever.

use std::net::IpAddr;
use std::time::Duration;

use farpane_auth::{
    CODE_LIFETIME, Code, CodeError, EXCHANGE_TIMEOUT, HostHandshake, MAX_WRONG_ATTEMPTS, Open,
    Refused, RoutingId, Seal, SealError, SessionKeys, Share, ShareState, Step, ViewerError,
    ViewerHandshake,
};
use farpane_wire::v1::signal::Body;
use farpane_wire::v1::{
    AuthFinish, AuthReply, AuthStart, Description, RefusalReason, Sealed, Session, Signal, session,
};
use farpane_wire::{MAX_SIGNAL_BYTES, Message};

const START: Duration = Duration::from_secs(1000);
const TICK: Duration = Duration::from_nanos(1);

fn share() -> Share {
    Share::open(RoutingId::random(), START).unwrap()
}

fn wrong_code(share: &Share) -> Code {
    Code::generate(share.code().routing_id())
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn ke1(code: &Code) -> AuthStart {
    ViewerHandshake::start(code.clone()).unwrap().1
}

fn refused<T: std::fmt::Debug>(result: Result<T, Refused>) -> RefusalReason {
    result.unwrap_err().reason
}

/// A viewer that does everything right with this code; the keys of both sides.
fn visit(
    share: &mut Share,
    code: &Code,
    now: Duration,
) -> Result<(SessionKeys, SessionKeys), Refused> {
    let (viewer, start) = ViewerHandshake::start(code.clone()).unwrap();
    let (id, reply) = share.start(now, address(1), &start)?;
    match viewer.finish(&reply) {
        Ok((finish, keys)) => Ok((share.finish(now, id, &finish)?, keys)),
        Err(ViewerError::WrongCode) => Err(share
            .finish(now, id, &AuthFinish::default())
            .expect_err("an empty proof proves nothing")),
        Err(ViewerError::Malformed) => panic!("the host sent nonsense"),
    }
}

/// The host's and the viewer's ends of a session.
fn channel() -> ((Seal, Open), (Seal, Open)) {
    let mut share = share();
    let code = share.code().clone();
    let (host, viewer) = visit(&mut share, &code, START).unwrap();
    (host.host_side(0), viewer.viewer_side(0))
}

fn offer(sdp: &str) -> Session {
    Session { body: Some(session::Body::Offer(Description { sdp: sdp.into() })) }
}

fn signal(body: Body) -> Signal {
    Signal { body: Some(body) }
}

fn is_protocol_refusal(step: Step) -> bool {
    matches!(step, Step::Refused(Refused { reason: RefusalReason::RefusalProtocol, .. }))
}

#[test]
fn the_code_works_once() {
    let mut share = share();
    let code = share.code().clone();
    assert_eq!(share.state(START), ShareState::Open);
    let (host, viewer) = visit(&mut share, &code, START).unwrap();
    let (mut seal, _) = viewer.viewer_side(0);
    let (_, mut open) = host.host_side(0);
    assert_eq!(open.open(&seal.seal(&offer("v=0")).unwrap()), Ok(offer("v=0")));
    assert_eq!(share.state(START), ShareState::Used);
    assert_eq!(refused(visit(&mut share, &code, START)), RefusalReason::RefusalUsed);
}

#[test]
fn what_is_sealed_on_one_line_means_nothing_on_another() {
    let mut share = share();
    let code = share.code().clone();
    let (host, viewer) = visit(&mut share, &code, START).unwrap();
    let opening = Session::default();
    let first = viewer.viewer_side(0).0.seal(&opening).unwrap();
    let (mut seal, mut answers) = viewer.viewer_side(1);
    let second = seal.seal(&opening).unwrap();
    assert_eq!(host.host_side(1).1.open(&first), Err(SealError::Forged));
    assert_eq!(host.host_side(2).1.open(&second), Err(SealError::Forged));
    let (mut seal, mut open) = host.host_side(1);
    assert_eq!(open.open(&second), Ok(opening));
    assert_eq!(answers.open(&seal.seal(&offer("v=0")).unwrap()), Ok(offer("v=0")));
}

#[test]
fn of_two_viewers_with_the_code_the_first_to_prove_it_gets_in() {
    let mut share = share();
    let (first, first_start) = ViewerHandshake::start(share.code().clone()).unwrap();
    let (second, second_start) = ViewerHandshake::start(share.code().clone()).unwrap();
    let (first_id, first_reply) = share.start(START, address(1), &first_start).unwrap();
    let (second_id, second_reply) = share.start(START, address(2), &second_start).unwrap();
    assert!(share.finish(START, second_id, &second.finish(&second_reply).unwrap().0).is_ok());
    let late = share.finish(START, first_id, &first.finish(&first_reply).unwrap().0);
    assert_eq!(refused(late), RefusalReason::RefusalUsed);
}

#[test]
fn the_fifth_wrong_code_ends_the_share() {
    let mut share = share();
    let wrong = wrong_code(&share);
    for attempts_left in (1..MAX_WRONG_ATTEMPTS).rev() {
        let refused = visit(&mut share, &wrong, START).unwrap_err();
        assert_eq!(refused, Refused { reason: RefusalReason::RefusalWrongCode, attempts_left });
        assert_eq!(share.state(START), ShareState::Open);
    }
    let last = visit(&mut share, &wrong, START).unwrap_err();
    assert_eq!(last, Refused::because(RefusalReason::RefusalLocked));
    assert_eq!(share.state(START), ShareState::Locked);
    let right = share.code().clone();
    assert_eq!(refused(visit(&mut share, &right, START)), RefusalReason::RefusalLocked);
}

#[test]
fn four_wrong_codes_leave_the_right_one_its_chance() {
    let mut share = share();
    let wrong = wrong_code(&share);
    for _ in 1..MAX_WRONG_ATTEMPTS {
        visit(&mut share, &wrong, START).unwrap_err();
    }
    let right = share.code().clone();
    assert!(visit(&mut share, &right, START).is_ok());
}

#[test]
fn a_code_lives_five_minutes_to_the_nanosecond() {
    let mut share = share();
    assert_eq!(share.expires_in(START), CODE_LIFETIME);
    let last = START + CODE_LIFETIME - TICK;
    assert_eq!(share.state(last), ShareState::Open);
    let (viewer, start) = ViewerHandshake::start(share.code().clone()).unwrap();
    let (id, reply) = share.start(last, address(1), &start).unwrap();
    let (finish, _) = viewer.finish(&reply).unwrap();
    assert_eq!(refused(share.finish(last + TICK, id, &finish)), RefusalReason::RefusalExpired);
    assert_eq!(share.state(last + TICK), ShareState::Expired);
    assert_eq!(share.expires_in(last + TICK), Duration::ZERO);
    assert_eq!(
        refused(share.start(last + TICK, address(1), &start)),
        RefusalReason::RefusalExpired
    );
}

#[test]
fn a_code_used_at_the_last_moment_is_used_and_not_expired() {
    let mut share = share();
    let code = share.code().clone();
    assert!(visit(&mut share, &code, START + CODE_LIFETIME - TICK).is_ok());
    assert_eq!(share.state(START + CODE_LIFETIME), ShareState::Used);
}

#[test]
fn a_reply_that_is_never_answered_is_an_attempt() {
    let mut share = share();
    let start = ke1(&wrong_code(&share));
    let (id, _) = share.start(START, address(1), &start).unwrap();
    assert_eq!(share.attempts_left(), MAX_WRONG_ATTEMPTS);
    share.abandon(id);
    assert_eq!(share.attempts_left(), MAX_WRONG_ATTEMPTS - 1);
    share.abandon(id);
    assert_eq!(share.attempts_left(), MAX_WRONG_ATTEMPTS - 1, "it counts once");

    share.start(START, address(1), &start).unwrap();
    share.state(START + EXCHANGE_TIMEOUT - TICK);
    assert_eq!(share.attempts_left(), MAX_WRONG_ATTEMPTS - 1);
    share.state(START + EXCHANGE_TIMEOUT);
    assert_eq!(share.attempts_left(), MAX_WRONG_ATTEMPTS - 2);
}

#[test]
fn a_proof_after_the_timeout_is_too_late() {
    let mut share = share();
    let (viewer, start) = ViewerHandshake::start(share.code().clone()).unwrap();
    let (id, reply) = share.start(START, address(1), &start).unwrap();
    let (finish, _) = viewer.finish(&reply).unwrap();
    assert_eq!(
        refused(share.finish(START + EXCHANGE_TIMEOUT, id, &finish)),
        RefusalReason::RefusalProtocol
    );
    assert_eq!(share.attempts_left(), MAX_WRONG_ATTEMPTS - 1);
}

#[test]
fn there_are_never_more_replies_out_than_attempts_left() {
    let mut share = share();
    let start = ke1(&wrong_code(&share));
    for guest in 0..MAX_WRONG_ATTEMPTS as u8 {
        share.start(START, address(guest), &start).unwrap();
    }
    assert_eq!(refused(share.start(START, address(200), &start)), RefusalReason::RefusalBusy);
    assert_eq!(share.state(START), ShareState::Open, "nobody has been wrong yet");
    assert_eq!(share.state(START + EXCHANGE_TIMEOUT), ShareState::Locked);
}

#[test]
fn one_address_has_one_exchange_at_a_time() {
    let mut share = share();
    let start = ke1(&wrong_code(&share));
    share.start(START, address(1), &start).unwrap();
    let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
    assert_eq!(refused(share.start(START, mapped, &start)), RefusalReason::RefusalBusy);
    assert_eq!(share.attempts_left(), MAX_WRONG_ATTEMPTS, "being busy costs nothing");
    assert!(share.start(START, address(2), &start).is_ok());
}

#[test]
fn malformed_starts_get_no_reply_and_cost_nothing() {
    let mut share = share();
    let right = ke1(share.code());
    let length = right.ke1.len();
    for ke1 in [
        Vec::new(),
        vec![0; length],
        vec![0xff; length],
        vec![7; 60_000],
        right.ke1[1..].to_vec(),
        [right.ke1.as_slice(), &[0]].concat(),
    ] {
        let start = AuthStart { ke1, ..right.clone() };
        assert_eq!(refused(share.start(START, address(1), &start)), RefusalReason::RefusalProtocol);
    }
    for version in [0, 2, u32::MAX] {
        let start = AuthStart { version, ..right.clone() };
        assert_eq!(refused(share.start(START, address(1), &start)), RefusalReason::RefusalVersion);
    }
    assert_eq!(share.attempts_left(), MAX_WRONG_ATTEMPTS);
    assert!(share.start(START, address(1), &right).is_ok());
}

#[test]
fn malformed_proofs_are_wrong_attempts() {
    for spoil in [
        |ke3: &mut Vec<u8>| ke3.truncate(63),
        |ke3: &mut Vec<u8>| ke3.push(0),
        |ke3: &mut Vec<u8>| ke3.clear(),
        |ke3: &mut Vec<u8>| ke3.resize(60_000, 0),
        |ke3: &mut Vec<u8>| ke3[17] ^= 1,
    ] {
        let mut share = share();
        let (viewer, start) = ViewerHandshake::start(share.code().clone()).unwrap();
        let (id, reply) = share.start(START, address(1), &start).unwrap();
        let (mut finish, _) = viewer.finish(&reply).unwrap();
        spoil(&mut finish.ke3);
        assert_eq!(refused(share.finish(START, id, &finish)), RefusalReason::RefusalWrongCode);
        assert_eq!(share.attempts_left(), MAX_WRONG_ATTEMPTS - 1);
    }
}

#[test]
fn a_proof_for_another_reply_is_wrong() {
    let mut share = share();
    let (viewer, start) = ViewerHandshake::start(share.code().clone()).unwrap();
    let (first, _) = share.start(START, address(1), &start).unwrap();
    let (_, other_reply) = share.start(START, address(2), &start).unwrap();
    let (finish, _) = viewer.finish(&other_reply).unwrap();
    assert_eq!(refused(share.finish(START, first, &finish)), RefusalReason::RefusalWrongCode);
}

#[test]
fn the_same_secret_under_another_routing_id_is_wrong() {
    let mut share = share();
    let secret = share.code().reveal().split_off("ABCD".len());
    let other = if share.code().routing_id().as_str() == "AAAA" { "BBBB" } else { "AAAA" };
    let code = Code::parse(&format!("{other}{secret}")).unwrap();
    assert_eq!(refused(visit(&mut share, &code, START)), RefusalReason::RefusalWrongCode);
}

#[test]
fn the_viewer_survives_any_reply() {
    let mut share = share();
    let start = ke1(share.code());
    let (_, reply) = share.start(START, address(1), &start).unwrap();
    for ke2 in [
        Vec::new(),
        vec![0; reply.ke2.len()],
        vec![0xff; 60_000],
        reply.ke2[1..].to_vec(),
        [reply.ke2.as_slice(), &[0]].concat(),
    ] {
        let (viewer, _) = ViewerHandshake::start(share.code().clone()).unwrap();
        assert!(matches!(viewer.finish(&AuthReply { ke2 }), Err(ViewerError::Malformed)));
    }
}

#[test]
fn the_handshake_takes_its_messages_in_order_only() {
    let mut share = share();
    let start = signal(Body::AuthStart(ke1(share.code())));
    let (_, (mut seal, _)) = channel();
    let firsts = [
        signal(Body::AuthReply(AuthReply::default())),
        signal(Body::AuthFinish(AuthFinish { ke3: vec![0; 64] })),
        signal(Body::Refusal(Refused::because(RefusalReason::RefusalBusy).into())),
        signal(Body::Sealed(seal.seal(&offer("v=0")).unwrap())),
        Signal::default(),
    ];
    for first in &firsts {
        let mut handshake = HostHandshake::new(address(1));
        assert!(is_protocol_refusal(handshake.handle(START, &mut share, first)));
        assert!(
            is_protocol_refusal(handshake.handle(START, &mut share, &start)),
            "nothing helps after that"
        );
    }
    assert_eq!(share.attempts_left(), MAX_WRONG_ATTEMPTS, "no reply was given");

    let mut handshake = HostHandshake::new(address(1));
    assert!(matches!(handshake.handle(START, &mut share, &start), Step::Reply(_)));
    assert!(is_protocol_refusal(handshake.handle(START, &mut share, &start)));
    assert_eq!(share.attempts_left(), MAX_WRONG_ATTEMPTS - 1, "a reply was given and not answered");
    assert!(is_protocol_refusal(handshake.handle(START, &mut share, &firsts[1])));

    let mut handshake = HostHandshake::new(address(1));
    assert!(matches!(handshake.handle(START, &mut share, &start), Step::Reply(_)));
    handshake.close(&mut share);
    handshake.close(&mut share);
    assert_eq!(share.attempts_left(), MAX_WRONG_ATTEMPTS - 2);
}

#[test]
fn the_handshake_admits_who_knows_the_code() {
    let mut share = share();
    let mut handshake = HostHandshake::new(address(1));
    let (viewer, start) = ViewerHandshake::start(share.code().clone()).unwrap();
    let Step::Reply(Signal { body: Some(Body::AuthReply(reply)) }) =
        handshake.handle(START, &mut share, &signal(Body::AuthStart(start)))
    else {
        panic!("a reply is due")
    };
    let (finish, _) = viewer.finish(&reply).unwrap();
    let finish = signal(Body::AuthFinish(finish));
    assert!(matches!(handshake.handle(START, &mut share, &finish), Step::Admitted(_)));
    assert!(
        is_protocol_refusal(handshake.handle(START, &mut share, &finish)),
        "a proof is good once"
    );
    handshake.close(&mut share);
    assert_eq!(share.attempts_left(), MAX_WRONG_ATTEMPTS);
}

#[test]
fn sealed_messages_pass_in_order_both_ways() {
    let ((mut host_seal, mut host_open), (mut viewer_seal, mut viewer_open)) = channel();
    for turn in 0..3 {
        let message = offer(&format!("turn {turn}"));
        assert_eq!(viewer_open.open(&host_seal.seal(&message).unwrap()), Ok(message.clone()));
        assert_eq!(host_open.open(&viewer_seal.seal(&message).unwrap()), Ok(message));
    }
}

#[test]
fn replayed_reordered_and_foreign_messages_are_refused() {
    let ((_, mut open), (mut seal, _)) = channel();
    let first = seal.seal(&offer("1")).unwrap();
    assert!(open.open(&first).is_ok());
    assert_eq!(open.open(&first), Err(SealError::Order { found: 0, expected: 1 }), "replayed");
    let second = seal.seal(&offer("2")).unwrap();
    assert_eq!(open.open(&second), Err(SealError::Closed), "nothing opens after a bad one");

    let ((_, mut open), (mut seal, _)) = channel();
    seal.seal(&offer("dropped")).unwrap();
    let second = seal.seal(&offer("2")).unwrap();
    assert_eq!(open.open(&second), Err(SealError::Order { found: 1, expected: 0 }));

    let ((mut seal, mut open), _) = channel();
    assert_eq!(open.open(&seal.seal(&offer("mine")).unwrap()), Err(SealError::Forged), "reflected");

    let ((_, mut open), _) = channel();
    let (_, (mut other_seal, _)) = channel();
    assert_eq!(
        open.open(&other_seal.seal(&offer("1")).unwrap()),
        Err(SealError::Forged),
        "another session's"
    );
}

#[test]
fn any_change_to_a_sealed_message_is_noticed() {
    for spoil in [
        |sealed: &mut Sealed| sealed.seq ^= 1,
        |sealed: &mut Sealed| sealed.payload[3] ^= 0x20,
        |sealed: &mut Sealed| sealed.payload.push(0),
        |sealed: &mut Sealed| sealed.payload.clear(),
        |sealed: &mut Sealed| sealed.mac[31] ^= 1,
        |sealed: &mut Sealed| sealed.mac.truncate(16),
        |sealed: &mut Sealed| sealed.mac.clear(),
        |sealed: &mut Sealed| sealed.mac.push(0),
    ] {
        let ((_, mut open), (mut seal, _)) = channel();
        let mut sealed = seal.seal(&offer("v=0")).unwrap();
        spoil(&mut sealed);
        assert_eq!(open.open(&sealed), Err(SealError::Forged));
    }
}

#[test]
fn a_message_too_long_for_the_meeting_point_is_not_sealed() {
    let ((_, mut open), (mut seal, _)) = channel();
    assert!(matches!(seal.seal(&offer(&"x".repeat(MAX_SIGNAL_BYTES))), Err(SealError::TooLong(_))));
    let longest = offer(&"x".repeat(MAX_SIGNAL_BYTES - 72));
    let sealed = seal.seal(&longest).unwrap();
    assert!(signal(Body::Sealed(sealed.clone())).encoded_len() <= MAX_SIGNAL_BYTES);
    assert_eq!(open.open(&sealed), Ok(longest), "the refused one used no number up");
}

#[test]
fn codes_are_read_as_people_type_them() {
    let typed = [
        "AB0D-EF1H-1KMN",
        "ab0def1h1kmn",
        " abod ef1h  lkmn ",
        "AB0D–EFIH–LKMN",
        "a-b-0-d-e-f-i-h-1-k-m-n",
        "AB0D\tEF1H\n1KMN",
    ];
    for typed in typed {
        let code = Code::parse(typed).unwrap();
        assert_eq!(code.routing_id().as_str(), "AB0D", "{typed:?}");
        assert_eq!(code.reveal(), "AB0D-EF1H-1KMN", "{typed:?}");
    }
    assert_eq!(Code::parse("").unwrap_err(), CodeError::Length { found: 0, expected: 12 });
    assert_eq!(
        Code::parse("AB0D-EF1H-1KM").unwrap_err(),
        CodeError::Length { found: 11, expected: 12 }
    );
    assert_eq!(
        Code::parse("AB0D-EF1H-1KMN2").unwrap_err(),
        CodeError::Length { found: 13, expected: 12 }
    );
    assert_eq!(Code::parse("AB0D-EF1H-1KMU").unwrap_err(), CodeError::Symbol('U'));
    assert_eq!(Code::parse("AB0D-EF1H-1KMé").unwrap_err(), CodeError::Symbol('é'));
    assert_eq!(RoutingId::parse("o1il").unwrap().as_str(), "0111");
}

#[test]
fn a_code_shows_its_secret_only_when_asked_to() {
    let share = share();
    let code = share.code();
    let reveal = code.reveal();
    assert_eq!(Code::parse(&reveal).unwrap().reveal(), reveal);
    for text in [format!("{code:?}"), format!("{:?}", code.secret()), format!("{share:?}")] {
        assert!(!text.contains(&reveal[5..9]) && !text.contains(&reveal[10..]), "{text}");
    }
    assert_ne!(Code::generate(code.routing_id()).reveal(), reveal);
}
