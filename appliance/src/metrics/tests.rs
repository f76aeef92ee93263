//! What a scraper reads, and the generated documents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::families::{Kind, Values, all};
use super::*;
use crate::control::state::{NodeState, Phase, SnapshotFacts};
use crate::http::Refusal;
use crate::redirect::Outcome;

/// Asserts that `docs/reference/<name>` holds `generated`; writes it instead when CAROM_WRITE_REFERENCE is set.
pub(crate) fn check_generated(name: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(name);
    if std::env::var_os("CAROM_WRITE_REFERENCE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "{} is not what its source generates; run the tests of carom once with CAROM_WRITE_REFERENCE=1",
        path.display()
    );
}

#[test]
fn the_committed_reference_is_the_generated_one() {
    check_generated("metrics.md", &reference::markdown());
}

/// A node with two shards that has served a little.
fn node() -> (Arc<NodeState>, [ShardCounters; 2]) {
    let epoch = Instant::now();
    let (first, first_cells) = ShardCells::new(0, epoch);
    let (second, second_cells) = ShardCells::new(1, epoch);
    let state = NodeState::new("edge-1".into(), epoch, Vec::new(), vec![first_cells, second_cells]);
    (state, [first, second])
}

/// An exposition by series, checked against the grammar of the format and against the table of metrics.
fn scrape(state: &Arc<NodeState>) -> BTreeMap<String, f64> {
    let text = Exposition::new(Arc::clone(state)).text().unwrap();
    let mut series = BTreeMap::new();
    let mut family = None;
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            family = all().find(|family| family.name == name);
            assert_eq!(family.unwrap().help, help);
            continue;
        }
        if line.starts_with("# TYPE ") {
            continue;
        }
        let (key, value) = line.rsplit_once(' ').unwrap();
        let family = family.expect("HELP comes first");
        let (name, labels) = key.split_once('{').unwrap_or((key, "}"));
        let suffix = name.strip_prefix(family.name).unwrap_or_else(|| panic!("{name} below {}", family.name));
        assert!(suffix.is_empty() || family.kind == Kind::Histogram, "{name}");
        for label in labels.strip_suffix('}').unwrap().split(',').filter(|label| !label.is_empty()) {
            let (label, value) = label.split_once('=').unwrap();
            let known = family.labels.iter().find(|known| known.name == label);
            match known.map(|known| &known.values) {
                None => assert!(label == "le" && family.kind == Kind::Histogram, "{key}"),
                Some(Values::Open(_)) => {}
                Some(Values::Closed(values)) => {
                    assert!(values().iter().any(|(known, _)| *known == value.trim_matches('"')), "{key}");
                }
            }
        }
        assert!(series.insert(key.to_owned(), value.parse().unwrap()).is_none(), "{key} twice");
    }
    series
}

#[test]
fn a_scrape_adds_up_what_the_shards_counted() {
    let (state, [first, second]) = node();
    first.answered(Outcome::Redirected, 302);
    second.answered(Outcome::Redirected, 301);
    second.answered(Outcome::NotFound, 404);
    second.refused(Refusal::ALL[3]);
    first.bytes_in(100);
    second.bytes_in(20);
    for counters in [&first, &second, &second] {
        counters.accepted();
    }
    second.closed(Closed::IdleTimeout);
    first.shed(Shed::DescriptorsSpent);
    state.not_swapped(Swap::Older, Some("generation 3 is older than 4".into()));
    let series = scrape(&state);
    let cases = [
        (r#"carom_requests_total{outcome="redirected",class="3xx"}"#, 2.0),
        (r#"carom_requests_total{outcome="not_found",class="4xx"}"#, 1.0),
        (r#"carom_requests_total{outcome="expired",class="4xx"}"#, 0.0),
        (&format!(r#"carom_refusals_total{{reason="{}"}}"#, Refusal::ALL[3].label()), 1.0),
        ("carom_received_bytes_total", 120.0),
        (r#"carom_connections_accepted_total{shard="1"}"#, 2.0),
        (r#"carom_connections_open{shard="1"}"#, 1.0),
        (r#"carom_connections_closed_total{reason="idle_timeout"}"#, 1.0),
        (r#"carom_connections_shed_total{reason="descriptors_spent"}"#, 1.0),
        (r#"carom_snapshot_swaps_total{result="older"}"#, 1.0),
        (r#"carom_unready{reason="shard_not_started"}"#, 2.0),
        ("carom_ready", 0.0),
    ];
    for (key, value) in cases {
        assert_eq!(series.get(key), Some(&value), "{key}");
    }
    assert!(!series.contains_key("carom_snapshot_generation"), "nothing is served");
}

#[test]
fn a_served_snapshot_shows_its_generation_and_the_node_is_ready() {
    let (state, counters) = node();
    state.swapped(SnapshotFacts {
        generation: 7,
        built_at_unix_s: 0,
        links: 3,
        domains: 2,
        bytes: 4_096,
        content_checksum: 1,
        locked: true,
        served_since: Instant::now(),
    });
    state.enter(Phase::Serving);
    for counters in &counters {
        counters.turned(Instant::now());
    }
    let series = scrape(&state);
    for (key, value) in
        [("carom_snapshot_generation", 7.0), ("carom_snapshot_locked", 1.0), ("carom_ready", 1.0)]
    {
        assert_eq!(series.get(key), Some(&value), "{key}");
    }
    assert!(series["carom_snapshot_age_seconds"] > 1.6e9);
}

#[test]
fn the_latency_histogram_is_cumulative_and_complete() {
    let (state, [first, second]) = node();
    first.served(Duration::from_micros(3), 10);
    second.served(Duration::from_millis(2), 5);
    second.served(Duration::from_secs(60), 1);
    let series = scrape(&state);
    let mut buckets: Vec<(f64, f64)> = series
        .iter()
        .filter_map(|(key, count)| {
            Some((key.strip_prefix("carom_request_latency_seconds_bucket{le=\"")?, count))
        })
        .map(|(le, count)| (le.trim_end_matches("\"}").parse().unwrap(), *count))
        .collect();
    buckets.sort_by(|left, right| left.0.total_cmp(&right.0));
    assert!(buckets.len() < 100, "{}", buckets.len());
    assert!(buckets.is_sorted_by_key(|&(_, count)| count as u64));
    let below = |seconds: f64| buckets.iter().rfind(|(le, _)| *le <= seconds).unwrap().1;
    assert_eq!(
        [below(2.5e-6), below(4e-6), below(2.6e-3), below(16.0), below(f64::INFINITY)],
        [0.0, 10.0, 15.0, 15.0, 16.0]
    );
    assert_eq!(series["carom_request_latency_seconds_count"], 16.0);
    assert!((series["carom_request_latency_seconds_sum"] - 60.01003).abs() < 1e-9);
}

#[test]
fn every_metric_has_a_valid_name_with_its_unit_and_help_in_sentences() {
    let mut names = BTreeSet::new();
    for family in all() {
        let name = family.name;
        assert!(names.insert(name), "{name} twice");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert_eq!(name.ends_with("_total"), family.kind == Kind::Counter, "{name}");
        assert!(family.help.ends_with('.') && !family.help.contains("  "), "{name}");
        for label in family.labels {
            assert!(!["le", "quantile", "job", "instance"].contains(&label.name), "{name}: {}", label.name);
        }
    }
}

#[test]
fn labels_of_a_closed_set_differ_and_have_a_meaning() {
    for family in all() {
        for label in family.labels {
            let Values::Closed(values) = label.values else { continue };
            let values = values();
            let distinct: BTreeSet<_> = values.iter().map(|(value, _)| value).collect();
            assert_eq!(distinct.len(), values.len(), "{}", family.name);
            for (value, meaning) in values {
                assert!(!value.is_empty() && meaning.ends_with('.'), "{}: {value}: {meaning}", family.name);
            }
        }
    }
}
