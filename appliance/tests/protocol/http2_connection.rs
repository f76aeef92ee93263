//! Whole HTTP/2 conversations: what is sent, what comes back, how it ends, and what may not be done too often.

use std::time::Duration;

use carom::http::{Ending, Refusal};
use carom::http2::frame::{ErrorCode, flag, kind};
use carom::http2::{Offence, PREFACE};
use carom::limits::HttpLimits;
use proptest::prelude::*;

use super::http2_support::{
    Talk, block, check_http2, exchange, frame, frames, get, hello, post, request_block,
};

pub(crate) fn limits() -> HttpLimits {
    HttpLimits {
        header_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(15),
        write_timeout: Duration::from_secs(7),
        head_bytes_max: 1_024,
        target_bytes_max: 256,
        fields_max: 8,
        requests_per_connection_max: 100_000,
        body_discard_bytes_max: 20_000,
    }
}

/// Sends preface, settings and `pieces`, and compares the notes and the ending.
#[track_caller]
fn check(pieces: &[&[u8]], notes: &[&str], ending: Option<Ending>) {
    let input = [&hello()[..], &pieces.concat()].concat();
    if input.len() < 3_000 {
        check_http2(&input, &[input.len() / 2, input.len() / 3], &limits());
    }
    let found = exchange(&input, [], &limits());
    assert_eq!(found.notes, notes);
    assert_eq!(found.ending, ending);
}

#[track_caller]
pub(crate) fn check_offence(pieces: &[&[u8]], offence: Offence) {
    let input = [&hello()[..], &pieces.concat()].concat();
    let found = exchange(&input, [], &limits());
    assert_eq!(found.ending, Some(Ending::Offended(offence)), "{:?}", found.notes);
    assert_eq!(found.notes.last(), Some(&format!("offended: {offence:?}")));
    let (head, payload) = frames(&found.output).pop().unwrap();
    assert_eq!(head.kind, kind::GOAWAY);
    assert_eq!(payload[4..8], (offence.error_code() as u32).to_be_bytes());
}

/// The first payload of this kind on this stream, and its flags.
fn sent(output: &[u8], kind: u8, stream: u32) -> Option<(u8, Vec<u8>)> {
    let found = frames(output).into_iter().find(|(head, _)| head.kind == kind && head.stream == stream);
    found.map(|(head, payload)| (head.flags, payload))
}

pub(crate) fn reset_code(output: &[u8], stream: u32) -> Option<u32> {
    sent(output, kind::RST_STREAM, stream).map(|(_, payload)| u32::from_be_bytes(payload.try_into().unwrap()))
}

#[test]
fn requests_are_answered_in_the_order_in_which_they_end() {
    check(&[], &[], None);
    check(&[&get(1, "/a"), &get(3, "/b?c"), &get(9, "/a")], &["GET a", "GET b?c", "GET a"], None);
    let found = exchange(&[hello(), get(1, "/a"), get(3, "/b")].concat(), [], &limits());
    let kinds: Vec<_> = frames(&found.output).iter().map(|(head, _)| (head.kind, head.stream)).collect();
    let expected =
        [(kind::SETTINGS, 0), (kind::SETTINGS, 0), (kind::HEADERS, 1), (kind::HEADERS, 3), (kind::DATA, 3)];
    assert_eq!(kinds, expected);
    let (flags, block) = sent(&found.output, kind::HEADERS, 1).unwrap();
    assert_eq!(flags, flag::END_STREAM | flag::END_HEADERS, "a redirect is one frame");
    assert!(block.starts_with(b"\x20\x08\x03302\x0f\x12\x1d"), "{}", block.escape_ascii());
    assert_eq!(sent(&found.output, kind::DATA, 3), Some((flag::END_STREAM, b"link not found\n".to_vec())));
}

#[test]
fn our_settings_come_first_and_those_of_the_client_are_acknowledged() {
    let found = exchange(&[], [], &limits());
    let (flags, payload) = sent(&found.output, kind::SETTINGS, 0).unwrap();
    assert_eq!(flags, 0);
    let settings: Vec<_> = payload
        .chunks(6)
        .map(|entry| (entry[1], u32::from_be_bytes(entry[2..].try_into().unwrap())))
        .collect();
    assert_eq!(settings, [(1, 0), (3, 100), (4, 16_384), (6, 1_024)]);
    let found = exchange(&hello(), [], &limits());
    assert_eq!(frames(&found.output)[1].0.flags, flag::ACK);
}

#[test]
fn a_destination_that_fills_several_frames_arrives_whole() {
    let found = exchange(&[hello(), get(1, "/long")].concat(), [], &limits());
    let frames = frames(&found.output);
    let lengths: Vec<_> = frames[2..].iter().map(|(head, _)| (head.kind, head.length)).collect();
    assert_eq!(lengths.len(), 3);
    assert_eq!(lengths[0], (kind::HEADERS, 16_384));
    assert_eq!(lengths[1], (kind::CONTINUATION, 16_384));
    assert_eq!(frames[2].0.flags, flag::END_STREAM);
    assert_eq!(frames[4].0.flags, flag::END_HEADERS);
}

#[test]
fn a_block_may_come_in_pieces_with_padding_and_priority() {
    let whole = request_block("GET", "/a");
    let (first, rest) = whole.split_at(7);
    let pieces = [
        frame(kind::HEADERS, flag::END_STREAM, 1, first),
        frame(kind::CONTINUATION, 0, 1, &rest[..3]),
        frame(kind::CONTINUATION, flag::END_HEADERS, 1, &rest[3..]),
    ];
    check(&[&pieces.concat(), &get(3, "/b")], &["GET a", "GET b"], None);
    let padded = [&[3, 0, 0, 0, 0, 7][..], &whole, b"xxx"].concat();
    let flags = flag::END_STREAM | flag::END_HEADERS | flag::PADDED | flag::PRIORITY;
    check(&[&frame(kind::HEADERS, flags, 1, &padded), &get(3, "/b")], &["GET a", "GET b"], None);
}

#[test]
fn a_malformed_request_resets_its_stream_and_no_other() {
    let bad = block(&[(":method", "GET"), (":scheme", "https"), (":path", "/a"), ("Upper", "x")]);
    let bad = frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, 1, &bad);
    check(&[&bad, &get(3, "/a")], &["refused: FieldName", "GET a"], None);
    let found = exchange(&[hello(), bad, get(3, "/a")].concat(), [], &limits());
    assert_eq!(reset_code(&found.output, 1), Some(ErrorCode::Protocol as u32));
    assert_eq!(sent(&found.output, kind::HEADERS, 1), None);
}

#[test]
fn a_request_over_a_bound_is_told_which() {
    let long = get(1, &format!("/{}", "a".repeat(125)));
    let short = HttpLimits { target_bytes_max: 100, ..limits() };
    let found = exchange(&[hello(), long].concat(), [], &short);
    assert_eq!(found.notes, ["refused: TargetTooLong"]);
    assert!(sent(&found.output, kind::HEADERS, 1).unwrap().1.starts_with(b"\x20\x08\x03414"));
    assert_eq!(reset_code(&found.output, 1), None);
    let many = [request_block("GET", "/a"), block(&[("x", "y"); 9])].concat();
    let many = frame(kind::HEADERS, flag::END_HEADERS, 1, &many);
    let found = exchange(&[hello(), many].concat(), [], &limits());
    assert!(sent(&found.output, kind::HEADERS, 1).unwrap().1.starts_with(b"\x20\x08\x03431"));
    assert_eq!(reset_code(&found.output, 1), Some(0), "its body is not wanted");
}

#[test]
fn a_body_is_thrown_away_and_windows_are_opened_again() {
    let mut input = [hello(), post(1, "/a")].concat();
    input.extend(frame(kind::DATA, 0, 1, &[b'x'; 10_000]));
    input.extend(frame(kind::DATA, flag::END_STREAM, 1, &[b'x'; 9_000]));
    input.extend(get(3, "/b"));
    check_http2(&input, &[700], &limits());
    let found = exchange(&input, [], &limits());
    assert_eq!(found.notes, ["POST a", "GET b"]);
    assert!(sent(&found.output, kind::WINDOW_UPDATE, 1).is_some());
    assert_eq!(reset_code(&found.output, 1), None);
}

#[test]
fn a_body_beyond_the_bound_is_not_wanted_and_late_frames_of_it_are_no_offence() {
    let piece = frame(kind::DATA, 0, 1, &[b'x'; 10_000]);
    let last = frame(kind::DATA, flag::END_STREAM, 1, b"x");
    let input = [hello(), post(1, "/a"), piece.repeat(4), last, get(3, "/b")].concat();
    let found = exchange(&input, [], &limits());
    assert_eq!(found.notes, ["POST a", "refused: BodyTooLarge", "GET b"]);
    assert_eq!(reset_code(&found.output, 1), Some(0));
    assert_eq!(found.ending, None);
}

#[test]
fn a_body_has_the_length_that_was_promised() {
    let promise = |bytes: &str| {
        let block = [request_block("POST", "/a"), block(&[("content-length", bytes)])].concat();
        frame(kind::HEADERS, flag::END_HEADERS, 1, &block)
    };
    let data = |flags, bytes: usize| frame(kind::DATA, flags, 1, &vec![b'x'; bytes]);
    let last = flag::END_STREAM;
    check(&[&promise("100"), &data(0, 70), &data(last, 30)], &["POST a"], None);
    for body in [vec![data(last, 99)], vec![data(0, 101)], vec![data(0, 100), data(last, 1)]] {
        check(&[&promise("100"), &body.concat()], &["POST a", "refused: BodyMalformed"], None);
    }
    let trailers = frame(kind::HEADERS, flag::END_HEADERS | last, 1, &block(&[("x", "y")]));
    check(&[&promise("100"), &data(0, 100), &trailers], &["POST a"], None);
    check(&[&promise("100"), &data(0, 99), &trailers], &["POST a", "refused: BodyMalformed"], None);
    let pseudo = frame(kind::HEADERS, flag::END_HEADERS | last, 1, &block(&[(":path", "/")]));
    check(&[&post(1, "/a"), &pseudo], &["POST a", "refused: PseudoField"], None);
    let endless = frame(kind::HEADERS, flag::END_HEADERS, 1, &block(&[("x", "y")]));
    check(&[&post(1, "/a"), &endless], &["POST a", "refused: BodyMalformed"], None);
    let none = [request_block("GET", "/a"), block(&[("content-length", "1")])].concat();
    let none = frame(kind::HEADERS, flag::END_HEADERS | last, 1, &none);
    check(&[&none], &["refused: ContentLength"], None);
}

#[test]
fn a_reply_waits_for_a_window_and_goes_on_where_it_stopped() {
    let closed = frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let open = |stream, bytes: u32| frame(kind::WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes());
    let mut talk = Talk::new(limits());
    talk.say(&[hello(), closed, get(1, "/b")].concat());
    assert!(sent(&talk.output, kind::HEADERS, 1).is_some());
    assert_eq!(sent(&talk.output, kind::DATA, 1), None);
    assert!(!talk.connection.is_idle());
    talk.output.clear();
    talk.say(&open(1, 5));
    assert_eq!(sent(&talk.output, kind::DATA, 1), Some((0, b"link ".to_vec())));
    talk.output.clear();
    talk.say(&frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 100]));
    assert_eq!(sent(&talk.output, kind::DATA, 1), Some((flag::END_STREAM, b"not found\n".to_vec())));
    assert!(talk.connection.is_idle());
    assert_eq!(talk.connection.held_bytes(), 0);
}

#[test]
fn a_window_that_stays_closed_costs_its_stream_and_at_last_the_connection() {
    let closed = frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let mut talk = Talk::new(limits());
    talk.say(&[hello(), closed, get(1, "/b"), get(3, "/a")].concat());
    assert_eq!(talk.connection.deadline() - talk.now, Duration::from_secs(7), "http.write_timeout_ms");
    talk.expire();
    assert_eq!(talk.ending, None);
    assert_eq!(reset_code(&talk.output, 1), Some(ErrorCode::Cancel as u32));
    assert_eq!(talk.notes.0, ["GET b", "GET a", "offended: WindowHeld"]);
    let held: Vec<u8> = (0..40).flat_map(|number| get(5 + 2 * number, "/b")).collect();
    talk.say(&held);
    talk.expire();
    assert_eq!(talk.ending, Some(Ending::Offended(Offence::RefusalFlood)));
}

#[test]
fn pings_come_back_and_priorities_and_unknown_frames_do_nothing() {
    let found = exchange(&[hello(), frame(kind::PING, 0, 0, b"12345678")].concat(), [], &limits());
    assert_eq!(sent(&found.output, kind::PING, 0), Some((flag::ACK, b"12345678".to_vec())));
    let noise = [frame(kind::PRIORITY, 0, 77, &[0; 5]), frame(0xbb, 0xff, 0, b"whatever")].concat();
    check(&[&noise, &get(1, "/a"), &noise], &["GET a"], None);
}

#[test]
fn frames_where_they_may_not_be_end_the_connection() {
    let ending = flag::END_STREAM | flag::END_HEADERS;
    for wrong in [
        frame(kind::DATA, 0, 0, b"x"),
        frame(kind::DATA, 0, 1, b"x"),
        frame(kind::HEADERS, ending, 0, &request_block("GET", "/a")),
        frame(kind::HEADERS, ending, 2, &request_block("GET", "/a")),
        frame(kind::HEADERS, ending | flag::PADDED, 1, &[9, 1]),
        frame(kind::PRIORITY, 0, 0, &[0; 5]),
        frame(kind::RST_STREAM, 0, 0, &[0; 4]),
        frame(kind::RST_STREAM, 0, 1, &[0; 4]),
        frame(kind::SETTINGS, 0, 1, b""),
        frame(kind::SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2]),
        frame(kind::SETTINGS, 0, 0, &[0, 5, 0, 0, 0x3f, 0xff]),
        frame(kind::SETTINGS, 0, 0, &[0, 5, 1, 0, 0, 0]),
        frame(kind::PUSH_PROMISE, 0, 1, &[0; 4]),
        frame(kind::PING, 0, 1, &[0; 8]),
        frame(kind::GOAWAY, 0, 1, &[0; 8]),
        frame(kind::WINDOW_UPDATE, 0, 0, &[0; 4]),
        frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
        frame(kind::CONTINUATION, flag::END_HEADERS, 1, b""),
        [frame(kind::HEADERS, 0, 1, b""), get(3, "/a")].concat(),
        [frame(kind::HEADERS, 0, 1, b""), frame(kind::CONTINUATION, 0, 3, b"")].concat(),
        [get(5, "/a"), get(3, "/a")].concat(),
    ] {
        check_offence(&[&wrong], Offence::Frame);
    }
    for wrong in [
        frame(kind::DATA, 0, 1, &vec![0; 16_385]),
        frame(kind::PRIORITY, 0, 1, &[0; 4]),
        frame(kind::SETTINGS, 0, 0, &[0; 5]),
        frame(kind::SETTINGS, flag::ACK, 0, &[0; 6]),
        frame(kind::PING, 0, 0, &[0; 7]),
        frame(kind::GOAWAY, 0, 0, &[0; 7]),
        frame(kind::WINDOW_UPDATE, 0, 0, &[0; 3]),
        frame(kind::HEADERS, flag::PRIORITY, 1, &[0; 4]),
        frame(kind::HEADERS, flag::PADDED, 1, b""),
        [get(1, "/a"), frame(kind::RST_STREAM, 0, 1, &[0; 5])].concat(),
    ] {
        check_offence(&[&wrong], Offence::FrameSize);
    }
    check_offence(&[&get(1, "/a"), &get(1, "/a")], Offence::StreamClosed);
    check_offence(&[&frame(kind::HEADERS, ending, 1, &[0xff])], Offence::Compression);
    check_offence(&[&frame(kind::HEADERS, ending, 1, &[0xbe])], Offence::Compression);
    let overflow = frame(kind::WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]);
    check_offence(&[&overflow], Offence::FlowControl);
    check_offence(&[&frame(kind::SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0])], Offence::FlowControl);
    // Data on a stream that has ended may have been on its way: only the stream is reset.
    check(&[&get(1, "/a"), &frame(kind::DATA, 0, 1, &[0; 64])], &["GET a", "offended: StreamClosed"], None);
}

#[test]
fn a_client_may_not_send_more_than_its_windows() {
    let ack = frame(kind::SETTINGS, flag::ACK, 0, b"");
    let piece = frame(kind::DATA, 0, 1, &[b'x'; 16_384]);
    // Before it has heard of our window, the client may use that of the standard.
    let generous = HttpLimits { body_discard_bytes_max: 1 << 20, ..limits() };
    let found = exchange(&[hello(), post(1, "/a"), piece.repeat(4)].concat(), [], &generous);
    assert_eq!(found.ending, None);
    let one_more = frame(kind::DATA, 0, 1, b"x");
    let unread = [hello(), ack, post(1, "/a"), piece, one_more].concat();
    assert_eq!(exchange(&unread, [], &generous).ending, None, "the window was opened again");
    let many = frame(kind::DATA, 0, 1, &[b'x'; 8_000]);
    let streams: Vec<u8> = (0..50).flat_map(|number| post(1 + 2 * number, "/a")).collect();
    let found = exchange(&[hello(), streams, many.repeat(9)].concat(), [], &generous);
    assert_eq!(found.ending, None, "the connection's window too");
}

#[test]
fn who_is_no_client_of_http2_is_told_so() {
    for (input, offence) in [
        (&b"GET / HTTP/1.1\r\n"[..], Offence::Preface),
        (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", Offence::Preface),
        (&[&PREFACE[..], &get(1, "/a")].concat(), Offence::Preface),
        (&[&PREFACE[..], &frame(kind::SETTINGS, flag::ACK, 0, b"")].concat(), Offence::Preface),
    ] {
        check_http2(input, &[3], &limits());
        assert_eq!(exchange(input, [], &limits()).ending, Some(Ending::Offended(offence)));
    }
}

#[test]
fn patience_ends_when_it_should() {
    for (input, patience, ending) in [
        (vec![], 5, Ending::Idle),
        (PREFACE[..9].to_vec(), 5, Ending::Offended(Offence::PrefaceSlow)),
        (PREFACE.to_vec(), 5, Ending::Offended(Offence::PrefaceSlow)),
        (hello(), 15, Ending::Idle),
        ([hello(), get(1, "/a")].concat(), 15, Ending::Idle),
        ([hello(), get(1, "/a")[..12].to_vec()].concat(), 5, Ending::Refused(Refusal::HeadSlow)),
        ([hello(), frame(kind::HEADERS, 0, 1, b"")].concat(), 5, Ending::Refused(Refusal::HeadSlow)),
    ] {
        let mut talk = Talk::new(limits());
        talk.say(&input);
        assert_eq!(talk.connection.deadline() - talk.began, Duration::from_secs(patience));
        talk.expire();
        assert_eq!(talk.ending, Some(ending), "{:?}", talk.notes);
    }
    let mut talk = Talk::new(limits());
    talk.say(&[hello(), post(1, "/a")].concat());
    assert_eq!(talk.connection.deadline() - talk.began, Duration::from_secs(5));
    talk.expire();
    assert_eq!(talk.notes.0, ["POST a", "refused: BodySlow"]);
    assert_eq!(talk.ending, None, "only the stream ends");
    talk.expire();
    assert_eq!(talk.ending, Some(Ending::Idle));
}

#[test]
fn a_drain_is_announced_and_ends_when_the_client_has_heard() {
    let mut talk = Talk::new(limits());
    talk.say(&[hello(), get(1, "/a")].concat());
    talk.output.clear();
    talk.connection.drain();
    talk.say(b"");
    let first = frames(&talk.output);
    assert_eq!(
        (first[0].0.kind, &first[0].1[..8]),
        (kind::GOAWAY, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0][..])
    );
    let (_, ping) = sent(&talk.output, kind::PING, 0).unwrap();
    talk.say(&get(3, "/a"));
    assert_eq!(talk.notes.0.len(), 2, "what was on its way is answered");
    talk.output.clear();
    talk.say(&frame(kind::PING, flag::ACK, 0, &ping));
    assert_eq!(talk.ending, Some(Ending::Drained));
    assert_eq!(sent(&talk.output, kind::GOAWAY, 0).unwrap().1[..8], [0, 0, 0, 3, 0, 0, 0, 0]);
}

#[test]
fn the_last_request_of_a_connection_is_told_so() {
    let few = HttpLimits { requests_per_connection_max: 2, ..limits() };
    let found = exchange(&[hello(), get(1, "/a"), get(3, "/a"), get(5, "/a")].concat(), [], &few);
    assert_eq!((found.notes.len(), found.ending), (2, Some(Ending::RequestsSpent)));
    assert_eq!(sent(&found.output, kind::GOAWAY, 0).unwrap().1[..8], [0, 0, 0, 3, 0, 0, 0, 0]);
}

#[test]
fn a_client_that_goes_gets_its_last_replies() {
    let goaway = frame(kind::GOAWAY, 0, 0, &[0; 8]);
    check(&[&get(1, "/a"), &goaway], &["GET a"], Some(Ending::Finished));
    let body = frame(kind::DATA, flag::END_STREAM, 1, b"x");
    check(&[&post(1, "/b"), &goaway, &body], &["POST b"], Some(Ending::Finished));
}

#[test]
fn an_idle_connection_holds_nothing_beyond_itself() {
    let mut talk = Talk::new(limits());
    talk.say(&[hello(), frame(kind::SETTINGS, flag::ACK, 0, b"")].concat());
    let insert = [request_block("GET", "/a"), b"\x40\x01a\x01b".to_vec()].concat();
    talk.say(&frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, 1, &insert));
    assert!(talk.connection.held_bytes() > 0, "the client has not given its table up");
    let update = [&[0x20][..], &request_block("GET", "/b")].concat();
    talk.say(&frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, 3, &update));
    assert_eq!(talk.connection.held_bytes(), 0);
    assert!(size_of_val(&talk.connection) <= 384);
}

/// Frames that do something, more often than random bytes would.
fn inputs() -> impl Strategy<Value = Vec<u8>> {
    let known = proptest::sample::select(vec![
        hello(),
        get(1, "/a"),
        get(3, "/b"),
        get(5, "/long"),
        post(7, "/a"),
        post(9, "/b"),
        frame(kind::DATA, 0, 7, &[b'x'; 300]),
        frame(kind::DATA, flag::END_STREAM, 7, b"x"),
        frame(kind::DATA, flag::PADDED, 9, &[2, b'x', 0, 0]),
        frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 3]),
        frame(kind::SETTINGS, flag::ACK, 0, b""),
        frame(kind::PING, 0, 0, &[7; 8]),
        frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 9]),
        frame(kind::WINDOW_UPDATE, 0, 3, &[0, 0, 0, 9]),
        frame(kind::RST_STREAM, 0, 3, &[0, 0, 0, 8]),
        frame(kind::HEADERS, flag::END_STREAM, 11, &request_block("GET", "/a")[..9]),
        frame(kind::CONTINUATION, flag::END_HEADERS, 11, &request_block("GET", "/a")[9..]),
        frame(kind::GOAWAY, 0, 0, &[0; 8]),
        frame(
            kind::HEADERS,
            flag::END_STREAM | flag::END_HEADERS,
            13,
            b"\x82\x87\x84\x41\x01h\x40\x01a\x01b",
        ),
        frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, 15, b"\x82\x87\x84\xbf\xbe"),
    ]);
    let noise = proptest::collection::vec(any::<u8>(), 0..12);
    let piece = prop_oneof![9 => known, 1 => noise];
    (any::<bool>(), proptest::collection::vec(piece, 0..12)).prop_map(|(greets, pieces)| {
        let greeting = if greets { hello() } else { Vec::new() };
        [greeting, pieces.concat()].concat()
    })
}

proptest! {
    #[test]
    fn the_exchange_does_not_depend_on_how_it_arrives(
        input in inputs(),
        cuts in proptest::collection::vec(any::<usize>(), 0..4),
    ) {
        check_http2(&input, &cuts, &limits());
    }
}
