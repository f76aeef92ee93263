//! A snapshot and a `BTreeMap` of the same rows give the same answers, whatever the rows are.

use proptest::prelude::*;
use snapshot_format::{
    CANARIES, CANARY_HOST, Cache, CacheVisibility, CaseMode, Domain, Link, QueryMode, RedirectTo, Site,
    Snapshot, Status, Summary, TrailingSlash, WriteError, Writer, WriterOptions,
};
use std::collections::BTreeMap;

/// A link that owns its texts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    domain: u32,
    code: Vec<u8>,
    destination: Vec<u8>,
    status: Option<Status>,
    query: Option<QueryMode>,
    flags: (bool, bool),
    times: (Option<u64>, Option<u64>),
    version: u32,
    policy: Option<u32>,
}

impl Row {
    fn link(&self) -> Link<'_> {
        Link {
            domain: self.domain,
            code: &self.code,
            destination: &self.destination,
            status: self.status,
            query: self.query,
            disabled: self.flags.0,
            deleted: self.flags.1,
            not_before_unix_s: self.times.0,
            expires_unix_s: self.times.1,
            version: self.version,
            policy: self.policy,
        }
    }
}

fn domain(name: &str, wildcard: bool) -> Domain<'_> {
    Domain {
        id: 0,
        name: name.as_bytes(),
        wildcard,
        status: Status::Found,
        case: CaseMode::Sensitive,
        trailing_slash: TrailingSlash::Ignore,
        query: QueryMode::Drop,
        cache: Cache { visibility: CacheVisibility::Private, max_age_s: 90 },
        not_found: None,
        root: Some(RedirectTo { status: Status::Found, destination: b"https://root.example/" }),
        site: Site::NONE,
        links: 0,
    }
}

const DOMAINS: [(&str, bool); 4] =
    [("go.example", false), ("brand.example", true), ("deep.brand.example", true), ("brand.example", false)];

fn write(rows: &[Row], hash_seed: u64) -> Result<(Summary, Vec<u8>), WriteError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("links");
    let options = WriterOptions {
        generation: 7,
        built_at_unix_s: 1_700_000_000,
        hash_seed,
        temp_dir: directory.path().to_owned(),
    };
    let mut writer = Writer::create(&path, options)?;
    for (name, wildcard) in DOMAINS {
        writer.add_domain(&domain(name, wildcard))?;
    }
    for (place, row) in rows.iter().enumerate() {
        writer.add_link(&row.link(), place as u64)?;
    }
    // The canaries are there and change nothing that the oracle knows; half of the files do without them.
    if hash_seed.is_multiple_of(2) {
        writer.add_canaries()?;
    }
    let summary = writer.finish(Some(b"{}"), |_, _| ())?;
    Ok((summary, std::fs::read(&path).unwrap()))
}

fn any_row() -> impl Strategy<Value = Row> {
    let text = |max| proptest::collection::vec(any::<u8>(), 0..max);
    let key = (0..4_u32, proptest::collection::vec(prop::sample::select(b"abc/".to_vec()), 1..4));
    let choices = (
        proptest::option::of(prop::sample::select(Status::ALL)),
        proptest::option::of(prop::sample::select(QueryMode::ALL)),
        any::<(bool, bool)>(),
        any::<(Option<u64>, Option<u64>)>(),
    );
    (key, text(90), choices, 0..3_u32, any::<Option<u32>>()).prop_map(
        |((domain, code), destination, (status, query, flags, times), version, policy)| Row {
            domain,
            code,
            destination,
            status,
            query,
            flags,
            times,
            version,
            policy,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_snapshot_answers_like_a_map(
        rows in proptest::collection::vec(any_row(), 0..150),
        repeats in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        seed: u64,
    ) {
        let mut oracle: BTreeMap<(u32, Vec<u8>), Row> = BTreeMap::new();
        let mut conflicts = 0;
        let mut all = rows.clone();
        if !rows.is_empty() {
            all.extend(repeats.iter().map(|index| index.get(&rows).clone()));
        }
        for row in &all {
            let first = oracle.entry((row.domain, row.code.clone())).or_insert_with(|| row.clone());
            conflicts += u64::from(first != row);
        }
        let (summary, bytes) = match write(&all, seed) {
            Ok(written) => written,
            Err(WriteError::Conflicts { count, conflicts: reported }) => {
                prop_assert_eq!(count, conflicts);
                for conflict in reported {
                    let (first, second) =
                        (&all[conflict.first_place as usize], &all[conflict.second_place as usize]);
                    prop_assert_eq!((first.domain, &first.code), (second.domain, &second.code));
                    prop_assert_ne!(first, second);
                }
                return Ok(());
            }
            Err(other) => panic!("{other}"),
        };
        prop_assert_eq!(conflicts, 0);
        prop_assert_eq!(summary.links, oracle.len() as u64);
        prop_assert_eq!(summary.repeated, (all.len() - oracle.len()) as u64);
        let snapshot = Snapshot::open(bytes).unwrap();
        prop_assert_eq!(snapshot.verify(|_| ()).unwrap().links, oracle.len() as u64);
        for domain in snapshot.iter_domains() {
            let count = oracle.keys().filter(|(id, _)| *id == domain.id).count();
            prop_assert_eq!(domain.links, count as u64);
            // Every code over the small alphabet: those that are there, and those that are not.
            for length in 1..4_u32 {
                for number in 0..4_u32.pow(length) {
                    let code: Vec<u8> =
                        (0..length).map(|place| b"abc/"[(number / 4_u32.pow(place) % 4) as usize]).collect();
                    let expected = oracle.get(&(domain.id, code.clone())).map(Row::link);
                    prop_assert_eq!(snapshot.link(&domain, &code), expected);
                }
            }
        }
        let mut listed: Vec<_> =
            snapshot.iter_links().map(|link| (link.domain, link.code.to_vec())).collect();
        listed.sort_unstable();
        prop_assert_eq!(listed, oracle.keys().cloned().collect::<Vec<_>>());
    }
}

fn small() -> Vec<u8> {
    let row = |code: &str| Row {
        domain: 0,
        code: code.into(),
        destination: b"https://destination.example/".to_vec(),
        status: None,
        query: None,
        flags: (false, false),
        times: (None, None),
        version: 0,
        policy: None,
    };
    write(&[row("a"), row("b"), row("a")], 1).unwrap().1
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    assert_eq!(small(), small());
}

#[test]
fn wildcards_answer_below_their_name_and_the_longest_wins() {
    let snapshot = Snapshot::open(small()).unwrap();
    let find = |host: &str| snapshot.domain(host.as_bytes()).map(|domain| domain.display_name());
    assert_eq!(find("go.example").as_deref(), Some("go.example"));
    assert_eq!(find("brand.example").as_deref(), Some("brand.example"));
    assert_eq!(find("x.brand.example").as_deref(), Some("*.brand.example"));
    assert_eq!(find("x.y.brand.example").as_deref(), Some("*.brand.example"));
    assert_eq!(find("x.deep.brand.example").as_deref(), Some("*.deep.brand.example"));
    assert_eq!(find("deep.brand.example").as_deref(), Some("*.brand.example"));
    assert_eq!(find("x.go.example"), None);
    assert_eq!(find("example"), None);
}

#[test]
fn every_cut_and_every_flipped_bit_is_refused() {
    let bytes = small();
    for length in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
        assert!(Snapshot::open(&bytes[..length]).is_err(), "cut to {length}");
    }
    let sections = Snapshot::open(bytes.as_slice()).unwrap().sections().to_vec();
    for section in sections {
        for offset in [0, section.bytes / 2, section.bytes - 1] {
            let mut damaged = bytes.clone();
            damaged[(section.offset + offset) as usize] ^= 1;
            assert!(Snapshot::open(damaged.as_slice()).is_err(), "section {} at {offset}", section.kind);
        }
    }
}

proptest! {
    /// Checksums are no defence against somebody who writes them: any bytes behind good ones must still be safe.
    #[test]
    fn a_forged_file_is_refused_or_answers_without_panic(
        forgeries in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
    ) {
        let mut bytes = small();
        for (index, value) in forgeries {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        snapshot_format::layout::repair_checksums(&mut bytes);
        if let Ok(snapshot) = Snapshot::open(bytes.as_slice()) {
            for domain in snapshot.iter_domains() {
                let _ = snapshot.link(&domain, b"a");
            }
            let _ = snapshot.domain(b"x.brand.example");
            let _ = (snapshot.iter_links().count(), snapshot.verify(|_| ()));
        }
    }
}

#[test]
fn keys_made_against_one_seed_are_written_under_another() {
    // 100 codes whose hashes share the top 20 bits under seed 1 crowd one home bucket of a small index.
    let mut rows = Vec::new();
    let mut number = 0_u64;
    while rows.len() < 100 {
        let code = format!("{number:x}").into_bytes();
        number += 1;
        if snapshot_format::hash::key_hash(1, 0, &code) >> 56 == 0 {
            rows.push(Row {
                domain: 0,
                code,
                destination: b"https://destination.example/".to_vec(),
                status: None,
                query: None,
                flags: (false, false),
                times: (None, None),
                version: 0,
                policy: None,
            });
        }
    }
    let (summary, bytes) = write(&rows, 1).unwrap();
    assert_eq!(summary.hash_seed, 2);
    assert_eq!(Snapshot::open(bytes).unwrap().verify(|_| ()).unwrap().links, 100);
}

#[test]
fn canaries_are_found_by_their_keys_and_counted_listed_and_numbered_nowhere() {
    let (summary, bytes) = write(&[], 2).unwrap();
    let (without, plain_bytes) = write(&[], 1).unwrap();
    assert_eq!((summary.links, summary.domains), (without.links, without.domains));
    let plain = Snapshot::open(plain_bytes).unwrap();
    assert!(plain.canaries() == 0 && plain.domain(CANARY_HOST.as_bytes()).is_none());

    let snapshot = Snapshot::open(bytes.clone()).unwrap();
    assert_eq!(snapshot.domains(), without.domains);
    assert_eq!(snapshot.canaries() as usize, CANARIES.len());
    assert_eq!((snapshot.iter_links().count(), snapshot.iter_domains().count()), (0, DOMAINS.len()));
    assert_eq!(snapshot.verify(|_| ()).unwrap().canaries, CANARIES.len() as u64);
    let domain = snapshot.domain(CANARY_HOST.as_bytes()).unwrap();
    assert!(snapshot.holds_canaries(&domain));
    for canary in &CANARIES {
        let link = snapshot.link(&domain, canary.code.as_bytes()).unwrap();
        assert_eq!(link, canary.link(domain.id));
    }
    assert_eq!(snapshot.link(&domain, b"missing"), None);

    // A header that counts other canaries than there are, or more than there are links.
    for count in [1_u32, 3, 5, u32::MAX] {
        let mut wrong = bytes.clone();
        wrong[72..76].copy_from_slice(&count.to_le_bytes());
        snapshot_format::layout::repair_checksums(&mut wrong);
        assert!(Snapshot::open(wrong).is_err(), "{count} canaries");
    }
}
