//! The sections about clicks and privacy: from keys to settings, and what contradicts.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clicks::policy::{AddressPolicy, Policy, WishPolicy};
use clicks::spool;

use super::file::Lines;
use super::keys::{ClickKeys, PrivacyKeys, ShipKeys};
use super::problem::Problem;
use super::settings::{Clicks, HostName, PathPattern, Privacy, Ship};
use super::settle::narrow;
use crate::clicks::ship::Receiver;
use crate::limits::{SEGMENT_AGE, SEGMENT_BYTES};

/// Segments that a spool has at least when it is full: what is dropped at once is no more than an eighth.
const SEGMENTS_MIN: u64 = 8;

pub(super) fn settle_clicks(clicks: ClickKeys, ship: ShipKeys, state_dir: &Path) -> Option<Clicks> {
    let ClickKeys {
        record,
        sample_every,
        ring_bytes,
        directory,
        spool_bytes_max,
        when_full,
        sync_ms,
        keep_shipped_s,
        ignored_paths,
        ignored_domains,
        domains_in_metrics_max,
        country_database,
    } = clicks;
    let ShipKeys { to, address, subject, credentials_file, timeout_ms } = ship;
    let directory = if directory.is_empty() { state_dir.join("clicks") } else { PathBuf::from(directory) };
    record.then(|| Clicks {
        sample_every: NonZeroU32::new(narrow(sample_every)).expect("its bounds begin at 1"),
        ring_bytes: narrow(ring_bytes) as usize,
        spool: spool::Settings {
            directory,
            bytes_max: spool_bytes_max,
            segment_bytes: SEGMENT_BYTES.min(spool_bytes_max / SEGMENTS_MIN),
            segment_age: SEGMENT_AGE,
            when_full,
            sync_every: Duration::from_millis(sync_ms),
            keep_shipped: Duration::from_secs(keep_shipped_s),
        },
        ignored_paths: ignored_paths.into_iter().map(|PathPattern(path)| path).collect(),
        ignored_domains: ignored_domains.into_iter().map(|HostName(name)| name).collect(),
        domains_in_metrics_max: narrow(domains_in_metrics_max) as usize,
        country_database: Some(country_database).filter(|path| !path.is_empty()).map(PathBuf::from),
        ship: Ship {
            to,
            address,
            subject,
            credentials_file: Some(credentials_file).filter(|path| !path.is_empty()).map(PathBuf::from),
            timeout: Duration::from_millis(timeout_ms),
        },
    })
}

pub(super) fn settle_privacy(keys: PrivacyKeys) -> Privacy {
    let PrivacyKeys {
        address,
        truncate_domains,
        hash_domains,
        omit_domains,
        honour_gpc,
        honour_dnt,
        no_track_parameter,
    } = keys;
    let lists = [
        (truncate_domains, AddressPolicy::Truncate),
        (hash_domains, AddressPolicy::Hash),
        (omit_domains, AddressPolicy::Omit),
    ];
    let by_domain: HashMap<Vec<u8>, AddressPolicy> = lists
        .into_iter()
        .flat_map(|(names, policy)| names.into_iter().map(move |HostName(name)| (name.into_bytes(), policy)))
        .collect();
    let wish = |honour| if honour { WishPolicy::Reduce } else { WishPolicy::Ignore };
    let policy = Policy { address, by_domain, gpc: wish(honour_gpc), dnt: wish(honour_dnt) };
    Privacy { policy, no_track_parameter }
}

/// A receiver without an address.
pub(super) fn ship_without_address(ship: &ShipKeys, lines: &Lines) -> Option<Problem> {
    let (fits, example) = match ship.to {
        Receiver::None => return None,
        Receiver::Nats => (!ship.address.is_empty(), "nats://127.0.0.1:4222"),
        Receiver::Kafka => (!ship.address.is_empty(), "127.0.0.1:9092"),
        Receiver::Http => (
            ["http://", "https://"].iter().any(|scheme| ship.address.starts_with(scheme)),
            "http://127.0.0.1:8123/?query=INSERT%20INTO%20clicks%20FORMAT%20JSONEachRow",
        ),
        Receiver::File => (ship.address.starts_with('/'), "/var/log/carom/clicks.jsonl"),
    };
    (!fits).then(|| Problem {
        line: lines.of("ship", "address").or(lines.of("ship", "to")),
        key: "ship.address".into(),
        found: format!("{:?}", ship.address),
        expected: "ship.to needs to know where its receiver is".into(),
        fix: format!("write something like address = {example:?}"),
    })
}

/// A directory that depends on where the node is started.
pub(super) fn spool_elsewhere(clicks: &ClickKeys, lines: &Lines) -> Option<Problem> {
    let directory = &clicks.directory;
    (!directory.is_empty() && !directory.starts_with('/')).then(|| Problem {
        line: lines.of("clicks", "directory"),
        key: "clicks.directory".into(),
        found: format!("{directory:?}"),
        expected: "expected an absolute path, or nothing".into(),
        fix: format!("write directory = \"/{directory}\""),
    })
}

/// A domain that has two policies.
pub(super) fn policies_that_differ(privacy: &PrivacyKeys, lines: &Lines) -> Option<Problem> {
    let PrivacyKeys { truncate_domains, hash_domains, omit_domains, .. } = privacy;
    let mut seen = HashMap::new();
    let lists = [
        ("truncate_domains", truncate_domains),
        ("hash_domains", hash_domains),
        ("omit_domains", omit_domains),
    ];
    for (key, names) in lists {
        for HostName(name) in names {
            if let Some(other) = seen.insert(name, key) {
                return Some(Problem {
                    line: lines.of("privacy", key),
                    key: format!("privacy.{key}"),
                    found: format!("{name:?}"),
                    expected: format!("it stands in {other}, too, and a domain has one policy"),
                    fix: "remove it from one of them".into(),
                });
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(sections: &str) -> Result<super::super::Settings, Vec<String>> {
        let text = format!("version = 1\n{sections}");
        super::super::parse("test.toml".as_ref(), &text, "edge-1")
            .map_err(|problems| problems.problems.into_iter().map(|problem| problem.key).collect())
    }

    #[test]
    fn nothing_is_recorded_unless_it_is_asked_for() {
        assert_eq!(parse("").unwrap().clicks, None);
        let clicks = parse("[clicks]\nrecord = true\n").unwrap().clicks.unwrap();
        assert_eq!(clicks.spool.directory, Path::new("/var/lib/carom/clicks"));
        assert_eq!((clicks.spool.segment_bytes, clicks.ship.to), (8 << 20, Receiver::None));
        let small = parse("[clicks]\nrecord = true\nspool_bytes_max = 2097152\n").unwrap().clicks.unwrap();
        assert_eq!(small.spool.segment_bytes, 1 << 18);
    }

    #[test]
    fn domains_have_their_own_policy_in_canonical_form() {
        let privacy =
            parse("[privacy]\naddress = \"hash\"\nomit_domains = [\"Quiet.Example\"]\nhonour_dnt = false\n");
        let Privacy { policy, no_track_parameter } = privacy.unwrap().privacy;
        assert_eq!(policy.address_of(b"go.example"), AddressPolicy::Hash);
        assert_eq!(policy.address_of(b"a.quiet.example"), AddressPolicy::Omit);
        assert_eq!(
            (policy.gpc, policy.dnt, &*no_track_parameter),
            (WishPolicy::Reduce, WishPolicy::Ignore, "")
        );
    }

    #[test]
    fn what_contradicts_is_named() {
        let check = |sections: &str, key: &str| assert_eq!(parse(sections).unwrap_err(), [key], "{sections}");
        check("[ship]\nto = \"nats\"\n", "ship.address");
        check("[ship]\nto = \"http\"\naddress = \"127.0.0.1:8123\"\n", "ship.address");
        check("[ship]\nto = \"file\"\naddress = \"clicks.jsonl\"\n", "ship.address");
        check("[clicks]\ndirectory = \"clicks\"\n", "clicks.directory");
        check("[clicks]\nignored_paths = [\"/favicon.ico\"]\n", "clicks.ignored_paths");
        check(
            "[privacy]\nhash_domains = [\"a.example\"]\nomit_domains = [\"a.example\"]\n",
            "privacy.omit_domains",
        );
    }
}
