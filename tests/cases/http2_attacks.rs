//! Every known attack on HTTP/2 costs its sender the connection, is counted by its name, and hurts no neighbour.

use std::time::{Duration, Instant};

use lab::streams::{PREFACE, block, frame, request};
use lab::{Node, StreamPeer};

use crate::fixture::GO;
use crate::http2::site;

const CALM: u32 = 11;

/// Sends `bytes` behind preface and settings, again and again, until the node has had enough: it says `code`, closes,
/// counts `reason`, and a neighbour on the same shard is answered all the while.
#[track_caller]
fn check(node: &Node, reason: &str, code: u32, mut bytes: impl FnMut(u32) -> Vec<u8>) {
    let mut neighbour = StreamPeer::connect(node.address());
    assert_eq!(neighbour.ask("GET", GO, "/plain").status, 302);
    let before = node.metric("carom_offences_total", &[("reason", reason)]);
    let mut peer = StreamPeer::connect(node.address());
    // The node may close while bytes are still being sent; a few thousand rounds are far above every budget.
    for round in 0..3_000 {
        if !peer.try_send(bytes(round)) {
            break;
        }
        if round % 64 == 0 {
            assert_eq!(neighbour.ask("GET", GO, "/plain").status, 302, "a neighbour during {reason}");
        }
    }
    node.until_metric("carom_offences_total", &[("reason", reason)], before + 1.0);
    // A reset may overtake the last words, if bytes were on their way to a closed socket.
    if let Some(said) = peer.goaway() {
        assert_eq!(said, code, "{reason}");
    }
    assert_eq!(neighbour.ask("GET", GO, "/plain").status, 302, "a neighbour after {reason}");
}

/// The stream of the nth round.
fn stream(round: u32) -> u32 {
    1 + 2 * round
}

/// A request, or only its head, with these flags.
fn head(stream: u32, flags: u8) -> Vec<u8> {
    let mut bytes = request(stream, "GET", GO, "/plain");
    bytes[4] = flags;
    bytes
}

#[test]
fn rapid_reset_ends_in_calm() {
    let site = site();
    let node = site.start();
    check(&node, "reset_flood", CALM, |round| {
        [head(stream(round), 5), frame(3, 0, stream(round), &[0, 0, 0, 8])].concat()
    });
    // The same trick by provoking the node into resetting: each request is malformed.
    check(&node, "refusal_flood", CALM, |round| {
        frame(1, 5, stream(round), &block(&[(":method", "GET"), ("Upper", "x")]))
    });
}

#[test]
fn header_blocks_that_do_not_end_or_explode_end_in_calm() {
    let site = site();
    let node = site.start();
    check(&node, "continuation_flood", CALM, |round| match round {
        0 => head(1, 1),
        _ => frame(9, 0, 1, b"\x00\x01a\x01b"),
    });
    check(&node, "header_bomb", CALM, |round| match round {
        0 => head(1, 1),
        _ => frame(9, 0, 1, &b"\x00\x01a\x01b".repeat(3_000)),
    });
    // One entry of 4,000 bytes, and then one byte for each time it is meant.
    check(&node, "header_bomb", CALM, |round| {
        let entry = [&b"\x40\x01a\x7f\xa1\x1e"[..], &[b'x'; 4_000]].concat();
        frame(1, 5, stream(round), &[entry, vec![0xbe; 10_000]].concat())
    });
}

#[test]
fn floods_of_small_frames_end_in_calm() {
    let site = site();
    let node = site.start();
    check(&node, "settings_flood", CALM, |_| frame(4, 0, 0, &[0, 3, 0, 0, 0, 1]));
    check(&node, "ping_flood", CALM, |_| frame(6, 0, 0, b"01234567"));
    check(&node, "priority_flood", CALM, |round| frame(2, 0, stream(round), &[0, 0, 0, 0, 9]));
    check(&node, "window_update_flood", CALM, |_| frame(8, 0, 0, &[0, 0, 0, 1]));
    check(&node, "unknown_flood", CALM, |_| frame(0xee, 0, 0, b"x"));
    check(&node, "empty_flood", CALM, |round| if round == 0 { head(1, 4) } else { frame(0, 0, 1, b"") });
}

#[test]
fn windows_that_overflow_and_blocks_that_cannot_be_unpacked_are_told_so() {
    let site = site();
    let node = site.start();
    check(&node, "flow_control", 3, |_| frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff]));
    check(&node, "compression", 9, |_| frame(1, 5, 1, &[0xff, 0xff, 0xff, 0xff, 0xff]));
    check(&node, "frame_size", 6, |_| frame(0, 0, 1, &[0; 16_385]));
    check(&node, "frame", 1, |_| frame(5, 4, 1, &[0; 4]));
}

#[test]
fn a_window_that_stays_closed_costs_its_stream_and_nothing_else() {
    let site = site().set("http", "write_timeout_ms", 400);
    let node = site.start();
    let mut neighbour = StreamPeer::connect(node.address());
    let mut peer = StreamPeer::connect(node.address());
    // No byte of content may come; the first of two replies has some.
    peer.send(frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]));
    peer.send(request(1, "GET", GO, "/no-such-link"));
    peer.send(request(3, "GET", GO, "/plain"));
    assert_eq!(peer.reply(3).status, 302, "a redirect has no content and needs no window");
    let reset = std::iter::from_fn(|| peer.frame()).find(|frame| frame.kind == 3).unwrap();
    assert_eq!((reset.stream, &reset.payload[..]), (1, &[0, 0, 0, 8][..]));
    assert_eq!(node.metric("carom_offences_total", &[("reason", "window_held")]), 1.0);
    peer.send(request(5, "GET", GO, "/plain"));
    assert_eq!(peer.reply(5).status, 302);
    assert_eq!(neighbour.ask("GET", GO, "/plain").status, 302);
}

#[test]
fn who_begins_slowly_is_closed_when_the_time_for_a_head_is_over() {
    let site = site().set("http", "header_timeout_ms", 400);
    let node = site.start();
    let began = Instant::now();
    let mut half = StreamPeer::silent(node.address());
    half.send(&PREFACE[..10]);
    let mut unsettled = StreamPeer::silent(node.address());
    unsettled.send(PREFACE);
    let mut unfinished = StreamPeer::connect(node.address());
    unfinished.send(head(1, 1));
    assert_eq!(half.goaway(), None, "nobody knows yet what it speaks");
    assert_eq!(unsettled.goaway(), Some(1));
    assert_eq!(unfinished.goaway(), Some(CALM));
    assert!(began.elapsed() >= Duration::from_millis(400));
    assert_eq!(node.metric("carom_offences_total", &[("reason", "preface_slow")]), 2.0);
    assert_eq!(node.metric("carom_refusals_total", &[("reason", "head_slow")]), 1.0);
    node.until_metric("carom_connections_closed_total", &[("reason", "header_timeout")], 3.0);
}

#[test]
fn a_thousand_attackers_leave_no_memory_behind() {
    let site = site();
    let node = site.start();
    let attack = |node: &Node| {
        for _ in 0..100 {
            let mut peer = StreamPeer::connect(node.address());
            // A full table, half a block, and open streams, all at once.
            let entry =
                [&b"\x82\x86\x84\x01\x0ago.example\x40\x01a\x7f\xa1\x1e"[..], &[b'x'; 4_000]].concat();
            let mut bytes = frame(1, 5, 1, &entry);
            bytes.extend((1..100).flat_map(|round| head(stream(round), 4)));
            bytes.extend(head(stream(100), 1));
            peer.try_send(bytes);
        }
        node.until_connections(0);
    };
    attack(&node);
    let before = node.resident_bytes();
    for _ in 0..9 {
        attack(&node);
    }
    let grown = node.resident_bytes().saturating_sub(before);
    assert!(grown < 4 << 20, "a thousand attackers left {grown} bytes behind");
}
