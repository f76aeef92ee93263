//! Metrics of clicks: the third part of the table of metrics.

use clicks::ledger::Tally;

use super::families::{Family, Kind, Label, Sample, Scrape, Value, Values, one, some};
use crate::clicks::{CountryFile, ShipCounts};

/// Metrics of clicks, in the order of the reference. They appear where clicks are recorded.
pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "carom_clicks_total",
        kind: Kind::Counter,
        help: "Answers that were clicks, since the spool was made; restarts of the node keep it. All of them are recorded, stood \
               for by another record, or lost: `carom clicks audit` adds up. HEAD, canaries and ignored paths are none.",
        labels: &[],
        read: |scrape| tally(scrape, |tally| tally.clicks),
    },
    Family {
        name: "carom_clicks_written_total",
        kind: Kind::Counter,
        help: "Records of clicks that were written into the spool.",
        labels: &[],
        read: |scrape| tally(scrape, |tally| tally.written),
    },
    Family {
        name: "carom_clicks_shipped_total",
        kind: Kind::Counter,
        help: "Records of clicks that the receiver has acknowledged. If it stands still while carom_clicks_waiting grows, see \
               the runbook about a receiver that is down.",
        labels: &[],
        read: |scrape| tally(scrape, |tally| tally.totals.shipped),
    },
    Family {
        name: "carom_clicks_lost_total",
        kind: Kind::Counter,
        help: "Clicks without a record at the receiver, by the place and the reason of their loss. Redirects are not affected. \
               Anything but sampled_out deserves a look at the runbook about a spool that fills.",
        labels: &[
            Label { name: "place", values: Values::Closed(places) },
            Label { name: "reason", values: Values::Closed(reasons) },
        ],
        read: lost,
    },
    Family {
        name: "carom_clicks_waiting",
        kind: Kind::Gauge,
        help: "Records in the spool that wait for the receiver.",
        labels: &[],
        read: |scrape| tally(scrape, |tally| tally.waiting),
    },
    Family {
        name: "carom_clicks_spool_bytes",
        kind: Kind::Gauge,
        help: "Bytes of the spool on disk, shipped segments that are kept included; at most clicks.spool_bytes_max.",
        labels: &[],
        read: |scrape| some(scrape.state.clicks().map(|(facts, _)| facts.lock().spool_bytes)),
    },
    Family {
        name: "carom_clicks_torn_bytes",
        kind: Kind::Gauge,
        help: "Bytes of unfinished blocks that the start cut off the spool. Above zero: the last run did not end in order.",
        labels: &[],
        read: |scrape| some(scrape.state.clicks().map(|(facts, _)| facts.torn_bytes())),
    },
    Family {
        name: "carom_clicks_writer_silence_seconds",
        kind: Kind::Gauge,
        help: "How long ago the writer came by, which it does 50 times a second. Seconds: the disk of the spool hangs. Redirects do \
               not notice; records are lost when the rings are full, and these numbers stand still until the disk goes on.",
        labels: &[],
        read: |scrape| {
            scrape.state.clicks().map(|(facts, _)| one(facts.silence().as_secs_f64())).unwrap_or_default()
        },
    },
    Family {
        name: "carom_clicks_sample_doublings",
        kind: Kind::Gauge,
        help: "How often shards halve what they record, under pressure: 3 means that one record in eight of the usual is \
               written, and stands for the others. If it stays above zero, the disk is too slow or the spool too small.",
        labels: &[],
        read: |scrape| some(scrape.state.clicks().map(|(facts, _)| u64::from(facts.lock().doublings))),
    },
    Family {
        name: "carom_clicks_ship_failures_total",
        kind: Kind::Counter,
        help: "Attempts to ship a block that failed; the log says why. The block is sent again under the same id.",
        labels: &[],
        read: |scrape| ship(scrape, ShipCounts::failures),
    },
    Family {
        name: "carom_clicks_ship_circuit_open",
        kind: Kind::Gauge,
        help: "1 while the receiver has failed so often that its connection was given up; it is tried again with growing \
               pauses of up to 30 s.",
        labels: &[],
        read: |scrape| ship(scrape, ShipCounts::circuit_open),
    },
    Family {
        name: "carom_clicks_country_database_built_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the database of countries that is in use was built, by its maker's clock. 0: none is in use, and countries \
               stay empty. Months ago: addresses have moved since; fetch a newer file.",
        labels: &[],
        read: |scrape| country(scrape, CountryFile::built_unix_s),
    },
    Family {
        name: "carom_clicks_country_database_failures_total",
        kind: Kind::Counter,
        help: "Versions of clicks.country_database that could not be used; the log says why. The one before stays in use.",
        labels: &[],
        read: |scrape| country(scrape, CountryFile::failures),
    },
    Family {
        name: "carom_clicks_by_domain_total",
        kind: Kind::Counter,
        help: "Clicks of this run by domain, of people and of others (bots, previews, tools, prefetches). The first \
               clicks.domains_in_metrics_max domains are named; the rest is `_other`.",
        labels: &[
            Label { name: "domain", values: Values::Open("a domain's name, or `_other`") },
            Label { name: "who", values: Values::Closed(whos) },
        ],
        read: by_domain,
    },
];

fn tally(scrape: &Scrape, read: impl Fn(&Tally) -> u64) -> Vec<Sample> {
    some(scrape.state.clicks().map(|(facts, _)| read(&facts.lock().tally)))
}

fn ship(scrape: &Scrape, read: impl Fn(&ShipCounts) -> u64) -> Vec<Sample> {
    scrape.state.clicks().map(|(_, ship)| one(read(ship) as f64)).unwrap_or_default()
}

fn country(scrape: &Scrape, read: impl Fn(&CountryFile) -> u64) -> Vec<Sample> {
    some(scrape.state.clicks().and_then(|(facts, _)| facts.countries()).map(read))
}

/// Place, reason, meaning, and where it is counted.
type Loss = (&'static str, &'static str, &'static str, fn(&Tally) -> u64);

const LOSSES: &[Loss] = &[
    ("ring", "sampled_out", "Another record stands for it, by its sample rate.", |tally| tally.sampled_out),
    ("ring", "full", "The writer did not empty the ring in time.", |tally| tally.ring_full),
    (
        "writer",
        "undecodable",
        "The writer could not read what a shard wrote: a defect, please report it.",
        |tally| tally.undecodable,
    ),
    ("writer", "crash", "It was in memory when the node ended without a farewell.", |tally| tally.crashed),
    ("spool", "disk", "The disk did not take it; the log names the error.", |tally| tally.disk),
    ("spool", "refused_newest", "The spool was full, with drop_newest.", |tally| tally.spool_full),
    ("spool", "dropped_oldest", "The spool was full, with drop_oldest.", |tally| tally.totals.dropped),
    ("spool", "damaged", "It was damaged on disk.", |tally| tally.totals.damaged),
    ("receiver", "refused", "The receiver refused its block for good.", |tally| tally.totals.rejected),
];

fn lost(scrape: &Scrape) -> Vec<Sample> {
    let Some((facts, _)) = scrape.state.clicks() else { return Vec::new() };
    let tally = facts.lock().tally;
    let sample = |(place, reason, _, read): &Loss| Sample {
        labels: vec![(*place).into(), (*reason).into()],
        value: Value::Number(read(&tally) as f64),
    };
    LOSSES.iter().map(sample).collect()
}

fn places() -> Vec<(&'static str, &'static str)> {
    vec![
        ("ring", "On its way out of a shard."),
        ("writer", "In the memory of the writer."),
        ("spool", "On disk."),
        ("receiver", "On its way to the receiver."),
    ]
}

fn reasons() -> Vec<(&'static str, &'static str)> {
    LOSSES.iter().map(|(_, reason, meaning, _)| (*reason, *meaning)).collect()
}

fn whos() -> Vec<(&'static str, &'static str)> {
    vec![
        ("people", "Nothing speaks against a person."),
        ("others", "Bots, previews, tools, prefetches, and who names no user agent."),
    ]
}

fn by_domain(scrape: &Scrape) -> Vec<Sample> {
    let Some((facts, _)) = scrape.state.clicks() else { return Vec::new() };
    let facts = facts.lock();
    let named = |name: &String| if name.is_empty() { "_other".to_owned() } else { name.clone() };
    let samples = facts.domains.iter().flat_map(|(name, counts)| {
        let sample = |who: &str, count: u64| Sample {
            labels: vec![named(name), who.into()],
            value: Value::Number(count as f64),
        };
        [sample("people", counts[0]), sample("others", counts[1])]
    });
    samples.collect()
}
