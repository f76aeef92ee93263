//! Whole conversations: what is sent, what comes back, how it ends, and how long it may take.

use std::time::{Duration, Instant};

use carom::http::{Answer, Connection, Ending, Head, Next, Refusal};
use carom::limits::{HttpLimits, OUTPUT_BYTES_MAX};

use super::invariants::{check_connection, converse, split_replies};
use super::support::{Recorder, small_limits};

const GET_A: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const GET_B: &str = "GET /b?c HTTP/1.1\r\nHost: h\r\n\r\n";

/// Sends `input` and compares what was answered, with which statuses, and how the connection ended.
fn check(input: &str, notes: &[&str], statuses: &[u16], ending: Option<Ending>) {
    let limits = small_limits();
    check_connection(input.as_bytes(), &[input.len() / 2], &limits);
    let found = converse(input.as_bytes(), [], &limits);
    assert_eq!(found.recorder.notes, notes, "{input:?}");
    let found_statuses: Vec<u16> = split_replies(&found.output).iter().map(|reply| reply.status).collect();
    assert_eq!(found_statuses, statuses, "{input:?}");
    assert_eq!(found.ending, ending, "{input:?}");
}

/// A request for `/a` with these further lines, and what follows its head.
fn post_a(fields: &str, body: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}")
}

#[test]
fn pipelined_requests_are_answered_in_order_and_in_one_output() {
    check("", &[], &[], None);
    check(GET_A, &["GET a"], &[302], None);
    check(&[GET_A, GET_B, GET_A].concat(), &["GET a", "GET b?c", "GET a"], &[302; 3], None);
    check(&[GET_A, GET_B, "GET /"].concat(), &["GET a", "GET b?c"], &[302; 2], None);
}

#[test]
fn a_client_that_asks_for_close_gets_it_and_nothing_behind_it_is_read() {
    let closing = "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    check(&[GET_B, closing, GET_B].concat(), &["GET b?c", "GET a close"], &[302; 2], Some(Ending::Finished));
    check("GET /a HTTP/1.0\r\n\r\n", &["GET a close"], &[302], Some(Ending::Finished));
    let old = "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    check(&[old, GET_A].concat(), &["GET a", "GET a"], &[302; 2], None);
}

#[test]
fn an_old_client_is_told_that_its_connection_stays_open() {
    let found = converse(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", [], &small_limits());
    assert_eq!(split_replies(&found.output)[0].field("connection"), Some(&b"keep-alive"[..]));
}

#[test]
fn the_last_request_of_a_connection_is_told_so() {
    let six = GET_A.repeat(6);
    let notes = ["GET a", "GET a", "GET a", "GET a", "GET a close"];
    check(&six, &notes, &[302; 5], Some(Ending::RequestsSpent));
}

#[test]
fn a_refused_request_ends_the_connection_behind_the_replies_before_it() {
    for (bad, reason, status) in [
        ("GET /a HTTP/1.1\r\n\r\n", Refusal::HostMissing, 400),
        ("\x16\x03\x01", Refusal::Method, 400),
        ("GET / HTTP/2.0\r\n", Refusal::VersionUnsupported, 505),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            Refusal::LengthAndEncoding,
            400,
        ),
    ] {
        let note = format!("refused: {reason:?}");
        check(
            &[GET_A, bad, GET_A].concat(),
            &["GET a", &note],
            &[302, status],
            Some(Ending::Refused(reason)),
        );
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(300));
    check(&long, &["refused: TargetTooLong"], &[414], Some(Ending::Refused(Refusal::TargetTooLong)));
    let large = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}", "a".repeat(300));
    check(&large, &["refused: HeadTooLarge"], &[431], Some(Ending::Refused(Refusal::HeadTooLarge)));
}

#[test]
fn a_few_empty_lines_before_a_request_are_skipped() {
    check(&["\r\n", GET_A, "\r\n\r\n\r\n\r\n", GET_A].concat(), &["GET a", "GET a"], &[302; 2], None);
    let many = "\r\n".repeat(5);
    check(&many, &["refused: BlankLines"], &[400], Some(Ending::Refused(Refusal::BlankLines)));
    for bad in ["\n", "\r\r\n", "\rGET"] {
        check(bad, &["refused: LineEnd"], &[400], Some(Ending::Refused(Refusal::LineEnd)));
    }
}

#[test]
fn a_body_is_skipped_and_never_taken_for_a_request() {
    let hidden = format!("Content-Length: {}\r\n", GET_B.len());
    check(&(post_a(&hidden, GET_B) + GET_A), &["POST a", "GET a"], &[302; 2], None);
    let chunks = "1f\r\nGET /b?c HTTP/1.1\r\nHost: h\r\n\r\n!\r\n0\r\nX: y\r\n\r\n";
    check(&(post_a("Transfer-Encoding: chunked\r\n", chunks) + GET_A), &["POST a", "GET a"], &[302; 2], None);
    check(&post_a("Content-Length: 9\r\n", "GET"), &["POST a"], &[302], None);
    // GET may have a body as well (RFC 9110, 9.3.1).
    let get = format!("GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nxx{GET_B}");
    check(&get, &["GET a", "GET b?c"], &[302; 2], None);
}

#[test]
fn a_body_beyond_the_bound_is_not_read() {
    let close = Some(Ending::BodyUnread);
    check(&post_a("Content-Length: 64\r\n", &"x".repeat(64)), &["POST a"], &[302], None);
    check(&post_a("Content-Length: 65\r\n", &"x".repeat(65)), &["POST a close"], &[302], close);
    check(&post_a("Content-Length: 18446744073709551615\r\n", ""), &["POST a close"], &[302], close);
    // Chunks turn out too large when the request is answered already.
    let large = post_a("Transfer-Encoding: chunked\r\n", "ff\r\n");
    let (notes, ending) = (["POST a", "refused: BodyTooLarge"], Some(Ending::Refused(Refusal::BodyTooLarge)));
    check(&large, &notes, &[302], ending);
    let broken = post_a("Transfer-Encoding: chunked\r\n", &format!("3\r\nabcd\r\n{GET_B}"));
    let (notes, ending) =
        (["POST a", "refused: BodyMalformed"], Some(Ending::Refused(Refusal::BodyMalformed)));
    check(&broken, &notes, &[302], ending);
}

#[test]
fn a_client_that_waits_for_100_continue_gets_the_final_status_and_the_end() {
    let waiting = "Expect: 100-continue\r\nContent-Length: 3\r\n";
    check(&post_a(waiting, GET_B), &["POST a close"], &[302], Some(Ending::BodyUnread));
    let waiting = "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n";
    check(&post_a(waiting, ""), &["POST a close"], &[302], Some(Ending::BodyUnread));
    // Without a body there is nothing to wait for.
    check(&(post_a("Expect: 100-continue\r\n", "") + GET_A), &["POST a", "GET a"], &[302; 2], None);
    // HTTP/1.0 knows no expectations (RFC 9110, 10.1.1).
    let old =
        "POST /a HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc";
    check(&[old, GET_A].concat(), &["POST a", "GET a"], &[302; 2], None);
}

#[test]
fn what_follows_connect_is_not_read() {
    let tunnel = "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n";
    check(&[tunnel, GET_A].concat(), &["CONNECT  close"], &[302], Some(Ending::Finished));
}

/// A connection on a clock that the test turns.
struct Timed {
    limits: HttpLimits,
    start: Instant,
    now: Instant,
    connection: Connection,
    recorder: Recorder,
    output: Vec<u8>,
}

impl Timed {
    fn new() -> Self {
        let (limits, now) = (small_limits(), Instant::now());
        let connection = Connection::new(&limits, now);
        Self { limits, start: now, now, connection, recorder: Recorder::default(), output: Vec::new() }
    }

    /// Sends bytes at this second, all of which are new to the connection.
    fn at(&mut self, second: u64, input: &str) -> &mut Self {
        self.now = self.start + Duration::from_secs(second);
        let Self { limits, now, connection, recorder, output, .. } = self;
        connection.advance(limits, input.as_bytes(), output, recorder, *now);
        self
    }

    fn check_deadline(&mut self, second: u64) -> &mut Self {
        assert_eq!(self.connection.deadline(), self.start + Duration::from_secs(second));
        self
    }

    fn check_expiry(&mut self, ending: Ending, last_status: Option<u16>) {
        let mut output = Vec::new();
        let next = self.connection.expire(&mut output, &mut self.recorder);
        assert_eq!(next, Next::Close(ending));
        assert_eq!(split_replies(&output).last().map(|reply| reply.status), last_status);
        assert_eq!(self.connection.expire(&mut output, &mut self.recorder), next, "it stays closed");
    }
}

#[test]
fn the_first_request_has_to_begin_soon_and_to_end_soon() {
    Timed::new().check_deadline(5).check_expiry(Ending::Idle, None);
    let slow = Ending::Refused(Refusal::HeadSlow);
    Timed::new().at(4, "GET").check_deadline(9).check_expiry(slow, Some(408));
}

#[test]
fn trickling_bytes_do_not_move_the_deadline_of_a_head() {
    let mut timed = Timed::new();
    timed.at(1, "G").check_deadline(6).at(2, "GE").check_deadline(6);
    timed.at(3, "GET / HTTP/1.1\r\n").check_deadline(6).at(4, "GET / HTTP/1.1\r\nX: y\r\n").check_deadline(6);
    timed.check_expiry(Ending::Refused(Refusal::HeadSlow), Some(408));
}

#[test]
fn between_two_requests_a_connection_may_idle() {
    let mut timed = Timed::new();
    timed.at(1, GET_A).check_deadline(16).at(10, &[GET_A, GET_A].concat()).check_deadline(25);
    timed.at(11, "\r\n").check_deadline(25).check_expiry(Ending::Idle, None);
}

#[test]
fn a_request_behind_another_has_its_own_deadline() {
    Timed::new().at(3, &[GET_A, "GET /"].concat()).check_deadline(8);
}

#[test]
fn a_body_has_one_deadline_for_all_its_bytes() {
    let mut timed = Timed::new();
    timed.at(1, &post_a("Content-Length: 4\r\n", "a")).check_deadline(6).at(3, "b").check_deadline(6);
    timed.check_expiry(Ending::Refused(Refusal::BodySlow), None);
    let mut timed = Timed::new();
    timed.at(1, &post_a("Content-Length: 4\r\n", "a")).at(3, "bcd").check_deadline(18);
    timed.check_expiry(Ending::Idle, None);
}

#[test]
fn a_draining_connection_ends_with_its_next_reply() {
    let mut timed = Timed::new();
    timed.at(1, GET_A);
    assert!(timed.connection.is_idle());
    timed.connection.drain();
    timed.at(2, &[GET_A, GET_B].concat());
    assert_eq!(timed.recorder.notes, ["GET a", "GET a close"]);
    timed.check_expiry(Ending::Drained, None);
}

#[test]
fn a_connection_is_idle_only_when_nothing_is_pending() {
    let mut timed = Timed::new();
    assert!(timed.connection.is_idle());
    assert!(!timed.at(1, "G").connection.is_idle());
    assert!(timed.at(1, GET_A).connection.is_idle());
    assert!(!timed.at(2, &post_a("Content-Length: 2\r\n", "a")).connection.is_idle());
    assert!(timed.at(3, "b").connection.is_idle());
}

/// Answers every request with 100 bytes.
struct Large;

impl Answer for Large {
    fn answer(&mut self, _head: &Head<'_>, _closing: bool, output: &mut Vec<u8>) {
        output.extend_from_slice(&[b'x'; 100]);
    }

    fn refused(&mut self, _reason: Refusal, _output: &mut Vec<u8>) {}
}

#[test]
fn a_client_that_does_not_read_its_replies_makes_the_output_grow_to_a_bound_only() {
    let limits = HttpLimits { requests_per_connection_max: 10_000, ..small_limits() };
    let requests = GET_A.repeat(3_000);
    let (now, mut consumed, mut batches) = (Instant::now(), 0, Vec::new());
    let mut connection = Connection::new(&limits, now);
    loop {
        let mut output = Vec::new();
        let advance =
            connection.advance(&limits, &requests.as_bytes()[consumed..], &mut output, &mut Large, now);
        consumed += advance.consumed;
        batches.push(output.len());
        match advance.next {
            Next::Flush => {}
            Next::Read => break,
            Next::Close(ending) => panic!("{ending:?}"),
        }
    }
    assert_eq!(batches.iter().sum::<usize>(), 3_000 * 100);
    assert!(batches.iter().all(|&bytes| bytes < OUTPUT_BYTES_MAX + 100), "{batches:?}");
    assert_eq!(batches.len(), 5, "{batches:?}");
    // Called again without a flush, it does nothing.
    let mut output = vec![0; OUTPUT_BYTES_MAX];
    let advance = connection.advance(&limits, GET_A.as_bytes(), &mut output, &mut Large, now);
    assert_eq!((advance.consumed, advance.next), (0, Next::Flush));
}
