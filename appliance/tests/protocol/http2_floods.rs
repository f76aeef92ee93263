//! What may not be done too often, and what is not disturbed by that.

use carom::http2::Offence;
use carom::http2::frame::{ErrorCode, flag, kind};

use super::http2_connection::{check_offence, limits, reset_code};
use super::http2_support::{Talk, exchange, frame, get, hello, post, request_block};

#[test]
fn floods_end_in_calm() {
    check_offence(&[&frame(kind::PING, 0, 0, &[0; 8]).repeat(33)], Offence::PingFlood);
    check_offence(&[&frame(kind::SETTINGS, 0, 0, b"").repeat(17)], Offence::SettingsFlood);
    check_offence(&[&frame(kind::PRIORITY, 0, 1, &[0; 5]).repeat(101)], Offence::PriorityFlood);
    check_offence(&[&frame(0x42, 0, 0, b"").repeat(65)], Offence::UnknownFlood);
    let update = frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
    check_offence(&[&update.repeat(201)], Offence::WindowUpdateFlood);
    let empty = frame(kind::DATA, 0, 1, b"");
    check_offence(&[&post(1, "/a"), &empty.repeat(110)], Offence::EmptyFlood);
    let continuation = frame(kind::CONTINUATION, 0, 1, b"");
    let open = frame(kind::HEADERS, 0, 1, b"");
    check_offence(&[&open, &continuation.repeat(9)], Offence::ContinuationFlood);
    let large = frame(kind::CONTINUATION, 0, 1, &[0; 700]);
    check_offence(&[&open, &large.repeat(3)], Offence::HeaderBomb);
    let bad = |stream| frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, stream, b"");
    let bad: Vec<u8> = (0..17).flat_map(|number| bad(1 + 2 * number)).collect();
    check_offence(&[&bad], Offence::RefusalFlood);
    let rapid: Vec<u8> = (0..200)
        .flat_map(|number| {
            let stream = 1 + 2 * number;
            [get(stream, "/a"), frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
        })
        .collect();
    check_offence(&[&rapid], Offence::ResetFlood);
}

#[test]
fn who_works_as_well_may_do_chores_for_long() {
    let mut talk = Talk::new(limits());
    talk.say(&hello());
    for number in 0..5_000 {
        let stream = 1 + 2 * number;
        let chores = [
            get(stream, "/a"),
            frame(kind::PING, 0, 0, &[0; 8]),
            frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 9]),
            frame(kind::PRIORITY, 0, stream, &[0; 5]),
        ];
        talk.say(&chores.concat());
        if number % 5 == 0 {
            talk.say(&frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8]));
        }
    }
    assert_eq!((talk.ending, talk.notes.0.len()), (None, 5_000));
}

#[test]
fn more_streams_than_allowed_are_refused_and_may_be_repeated() {
    let posts: Vec<u8> = (0..101).flat_map(|number| post(1 + 2 * number, "/a")).collect();
    let found = exchange(&[hello(), posts].concat(), [], &limits());
    assert_eq!(found.ending, None);
    assert_eq!(found.notes.last().unwrap(), "offended: StreamsTooMany");
    assert_eq!(reset_code(&found.output, 201), Some(ErrorCode::RefusedStream as u32));
}

#[test]
fn a_bomb_in_the_table_ends_where_its_bound_is() {
    let mut bomb = request_block("GET", "/a");
    bomb.extend_from_slice(b"\x40\x01a\x64");
    bomb.extend_from_slice(&[b'b'; 100]);
    bomb.extend_from_slice(&[0xbe; 700]);
    check_offence(&[&frame(kind::HEADERS, flag::END_HEADERS, 1, &bomb)], Offence::HeaderBomb);
}
