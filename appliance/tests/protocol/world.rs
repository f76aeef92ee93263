//! Small snapshots made by the production writer, and whole exchanges against them.

use carom::http::head::{Parsed, parse};
use carom::limits::HttpLimits;
use carom::redirect::{Arrival, Outcome, Surroundings, decide, reply};
use snapshot_format::{
    Cache, CacheVisibility, CaseMode, Domain, Link, QueryMode, Site, Snapshot, Status, TrailingSlash, Writer,
    WriterOptions,
};

use super::invariants::{Reply, read_reply};
use super::support::{STAMP, small_limits};

/// A domain with the defaults of the builder.
pub(crate) const PLAIN_DOMAIN: Domain<'static> = Domain {
    id: 0,
    name: b"go.example",
    wildcard: false,
    status: Status::Found,
    case: CaseMode::Sensitive,
    trailing_slash: TrailingSlash::Ignore,
    query: QueryMode::Drop,
    cache: Cache { visibility: CacheVisibility::Private, max_age_s: 90 },
    not_found: None,
    root: None,
    site: Site::NONE,
    links: 0,
};

/// An active link that leaves everything to its domain.
pub(crate) const PLAIN_LINK: Link<'static> = Link {
    domain: 0,
    code: b"a",
    destination: b"https://a.example/",
    status: None,
    query: None,
    disabled: false,
    deleted: false,
    not_before_unix_s: None,
    expires_unix_s: None,
    version: 0,
    policy: None,
};

/// Writes a snapshot and opens it as a node would. Ids of domains are their places.
pub(crate) fn snapshot(domains: &[Domain<'_>], links: &[Link<'_>]) -> Snapshot<Vec<u8>> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("links.snapshot");
    let options = WriterOptions {
        generation: 1,
        built_at_unix_s: 1,
        hash_seed: 1,
        temp_dir: directory.path().to_owned(),
    };
    let mut writer = Writer::create(&path, options).expect("a new file");
    for (place, domain) in domains.iter().enumerate() {
        assert_eq!(writer.add_domain(domain).expect("a good domain"), place as u32);
    }
    for (place, link) in links.iter().enumerate() {
        writer.add_link(link, place as u64).expect("a good link");
    }
    writer.finish(None, |_, _| ()).expect("a good snapshot");
    Snapshot::open(std::fs::read(&path).expect("the file just written"))
        .expect("what was written can be read")
}

/// Parses a request, decides it at `unix_s`, renders the reply, and reads that back.
pub(crate) fn exchange(snapshot: &Snapshot<Vec<u8>>, request: &str, unix_s: u64) -> (Outcome, Reply) {
    let surroundings = Surroundings::default();
    exchange_as(snapshot, request, unix_s, &Arrival { secure: false, surroundings: &surroundings })
}

/// The same for a request that came as `arrival` says.
pub(crate) fn exchange_as(
    snapshot: &Snapshot<Vec<u8>>,
    request: &str,
    unix_s: u64,
    arrival: &Arrival<'_>,
) -> (Outcome, Reply) {
    let limits = HttpLimits { head_bytes_max: 65_536, target_bytes_max: 32_768, ..small_limits() };
    let parsed = parse(request.as_bytes(), &limits);
    let Parsed::Whole(head, _) = parsed else { panic!("{request:?}: {parsed:?}") };
    let decision = decide(&head, snapshot, unix_s, arrival);
    assert_eq!(decision.location.is_some(), (300..400).contains(&decision.status));
    assert!(decision.outcome.status().is_none_or(|status| status == decision.status));
    let mut output = Vec::new();
    reply::render(&decision, &head, false, &STAMP, &mut output);
    let (reply, bytes) = read_reply(&output, request.starts_with("HEAD "));
    assert_eq!(bytes, output.len(), "one reply and nothing else: {}", output.escape_ascii());
    assert_eq!(reply.status, decision.status);
    assert_eq!(reply.field("location").is_some(), decision.location.is_some());
    (decision.outcome, reply)
}
