//! What must hold for any bytes at all; property tests and fuzz targets check the same.

use std::time::Instant;

use carom::http::head::{self, Parsed};
use carom::http::{Connection, Ending, Next};
use carom::limits::{HttpLimits, OUTPUT_BYTES_MAX};

use super::reference_head::{self, Pieces, Verdict};
use super::support::Recorder;

/// The parser agrees with its slow twin on every prefix, never takes a verdict back, points into its input, and accepts
/// nothing that httparse does not accept.
pub(crate) fn check_head(input: &[u8], limits: &HttpLimits) {
    let mut decided = None;
    let mut seen = 0;
    for end in 0..=input.len() {
        let prefix = &input[..end];
        let parsed = head::parse(prefix, limits);
        let verdict = match parsed {
            Parsed::Partial => Verdict::Partial,
            Parsed::Whole(head, bytes) => Verdict::Whole(Box::new(Pieces::of(&head, bytes))),
            Parsed::Refused(reason) => {
                Verdict::Refused(reason.status().expect("a refused head gets a reply"))
            }
        };
        assert_eq!(
            verdict,
            reference_head::parse(prefix, limits),
            "fast and slow on {}",
            prefix.escape_ascii()
        );
        match &decided {
            Some(decided) => {
                assert_eq!(&verdict, decided, "more bytes change a verdict: {}", prefix.escape_ascii());
            }
            None if verdict == Verdict::Partial => {
                assert!(end < limits.head_bytes_max, "a full window is decided: {}", prefix.escape_ascii());
                seen = end;
            }
            None => {
                assert!(
                    head::is_worth_parsing(prefix, seen, limits),
                    "overlooked: {}",
                    prefix.escape_ascii()
                );
                decided = Some(verdict);
            }
        }
    }
    if let Parsed::Whole(head, bytes) = head::parse(input, limits) {
        assert!(bytes <= input.len().min(limits.head_bytes_max));
        assert!(input[..bytes].ends_with(b"\r\n\r\n"));
        let within = input.as_ptr_range();
        for piece in
            [Some(head.target), Some(head.path), head.query, head.host, head.user_agent, head.referer]
        {
            let piece = piece.unwrap_or(b"").as_ptr_range();
            assert!(piece.is_empty() || (within.start <= piece.start && piece.end <= within.end));
        }
        check_against_httparse(input, &Pieces::of(&head, bytes));
    }
}

/// What we accept, httparse accepts with equal pieces; but it knows two versions only, and wants UTF-8 in targets.
fn check_against_httparse(input: &[u8], ours: &Pieces) {
    let known = [&b"HTTP/1.0\r\n"[..], b"HTTP/1.1\r\n"];
    let line_bytes = input.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    if !known.contains(&&input[line_bytes - 10..line_bytes]) || std::str::from_utf8(&ours.target).is_err() {
        return;
    }
    let mut fields = [httparse::EMPTY_HEADER; 256];
    let mut theirs = httparse::Request::new(&mut fields);
    let status = theirs.parse(input);
    assert_eq!(status, Ok(httparse::Status::Complete(ours.bytes)), "{}", input.escape_ascii());
    assert_eq!(theirs.method.unwrap().as_bytes(), ours.method);
    assert_eq!(theirs.path.unwrap().as_bytes(), ours.target);
    assert_eq!(theirs.version.unwrap() == 1, ours.http11);
    let first = |wanted: &str| {
        theirs
            .headers
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(wanted))
            .map(|field| field.value.to_vec())
    };
    assert_eq!(first("user-agent"), ours.user_agent);
    assert_eq!(first("referer"), ours.referer);
    if ours.target[0] == b'/' {
        assert_eq!(first("host"), ours.host);
    }
}

/// What a connection made of some input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Conversation {
    /// Everything that was sent.
    pub(crate) output: Vec<u8>,
    /// Everything that was answered or refused.
    pub(crate) recorder: Recorder,
    /// Bytes that were done with at last; `None` if the connection ended, because then it does not matter.
    pub(crate) consumed: Option<usize>,
    /// How the connection ended, if it did.
    pub(crate) ending: Option<Ending>,
}

/// Sends `input` to a new connection in pieces that end at `cuts` (ascending), as a shell would.
pub(crate) fn converse(
    input: &[u8],
    cuts: impl IntoIterator<Item = usize>,
    limits: &HttpLimits,
) -> Conversation {
    let now = Instant::now();
    let mut connection = Connection::new(limits, now);
    let mut recorder = Recorder::default();
    let mut output = Vec::new();
    let (mut consumed, mut ending) = (0, None);
    'pieces: for end in cuts.into_iter().chain([input.len()]) {
        loop {
            let mut batch = Vec::new();
            let rest = &input[consumed..end.max(consumed)];
            let advance = connection.advance(limits, rest, &mut batch, &mut recorder, now);
            assert!(advance.consumed <= rest.len(), "more consumed than there was");
            assert!(batch.len() < OUTPUT_BYTES_MAX + 1_024 + rest.len(), "the output has a bound");
            consumed += advance.consumed;
            output.extend_from_slice(&batch);
            match advance.next {
                Next::Flush => assert!(!batch.is_empty(), "a flush makes progress"),
                Next::Read => {
                    let kept = rest.len() - advance.consumed;
                    assert!(kept < limits.head_bytes_max, "a buffer of head_bytes_max is enough");
                    assert!(kept == 0 || !connection.is_idle(), "what is kept belongs to a head");
                    break;
                }
                Next::Close(reason) => {
                    ending = Some(reason);
                    break 'pieces;
                }
            }
        }
    }
    let consumed = ending.is_none().then_some(consumed);
    Conversation { output, recorder, consumed, ending }
}

/// The conversation does not depend on how the input was cut, and every reply is one.
pub(crate) fn check_connection(input: &[u8], cuts: &[usize], limits: &HttpLimits) {
    let at_once = converse(input, [], limits);
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    cuts.sort_unstable();
    assert_eq!(converse(input, cuts, limits), at_once, "in pieces and at once: {}", input.escape_ascii());
    assert_eq!(
        converse(input, 1..input.len(), limits),
        at_once,
        "by bytes and at once: {}",
        input.escape_ascii()
    );
    let replies = split_replies(&at_once.output);
    assert_eq!(replies.len(), at_once.recorder.replies, "{}", at_once.output.escape_ascii());
    for (place, reply) in replies.iter().enumerate() {
        let is_last = place + 1 == replies.len();
        assert!(is_last || !reply.closes, "nothing follows a reply that closes");
        // A body that breaks off comes after a reply that did not know.
        assert!(reply.closes || !is_last || !closes_with_a_reply(at_once.ending), "{:?}", at_once.ending);
    }
}

fn closes_with_a_reply(ending: Option<Ending>) -> bool {
    match ending {
        None | Some(Ending::Idle | Ending::Offended(_)) => false,
        Some(Ending::Finished | Ending::RequestsSpent | Ending::Drained | Ending::BodyUnread) => true,
        Some(Ending::Refused(reason)) => reason.status().is_some(),
    }
}

/// One reply, read back by httparse.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) closes: bool,
}

impl Reply {
    /// The value of the only field of this name.
    pub(crate) fn field(&self, wanted: &str) -> Option<&[u8]> {
        let mut found = self.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let value = found.next().map(|(_, value)| &value[..]);
        assert!(found.next().is_none(), "{wanted} occurs once");
        value
    }
}

/// Splits the output of a connection into replies to requests other than HEAD.
pub(crate) fn split_replies(mut output: &[u8]) -> Vec<Reply> {
    let mut replies = Vec::new();
    while !output.is_empty() {
        let (reply, bytes) = read_reply(output, false);
        output = &output[bytes..];
        replies.push(reply);
    }
    replies
}

/// Reads one reply, and says how many bytes it takes.
pub(crate) fn read_reply(output: &[u8], to_head: bool) -> (Reply, usize) {
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(head_bytes)) = response.parse(output) else {
        panic!("no reply: {}", output.escape_ascii());
    };
    assert_eq!(response.version, Some(1));
    let mut reply = Reply {
        status: response.code.unwrap(),
        fields: response.headers.iter().map(|field| (field.name.to_owned(), field.value.to_vec())).collect(),
        body: Vec::new(),
        closes: false,
    };
    reply.closes = reply.field("connection") == Some(b"close");
    assert_eq!(reply.field("date").map(<[u8]>::len), Some(29));
    assert!(reply.field("cache-control").is_some());
    let length = reply.field("content-length");
    assert_eq!(length.is_none(), reply.status == 204, "every reply but a 204 has a length");
    let length: usize = length.map_or(0, |length| std::str::from_utf8(length).unwrap().parse().unwrap());
    let body_bytes = if to_head { 0 } else { length };
    reply.body = output[head_bytes..head_bytes + body_bytes].to_vec();
    (reply, head_bytes + body_bytes)
}
