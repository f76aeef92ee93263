//! The one table of metrics: name, kind, what an operator should conclude, labels, and how the samples are read.

use std::sync::Arc;
use std::time::Instant;

use super::cells::ShardCells;
use super::counters::{Closed, Shed, StatusClass, Swap};
use super::histogram::Distribution;
use super::process::Process;
use super::reason::Reason;
use super::{clicks_families, guard_families, tls_families};
use crate::access_log::writer::AccessCounts;
use crate::build_info::{self, BuildInfo};
use crate::control::state::{NodeState, Phase, SnapshotFacts, Sockets, UnreadyReason};
use crate::http::Refusal;
use crate::http2::Offence;
use crate::redirect::Outcome;

/// One metric: everything a scrape and the reference say about it.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Sentences: what it is, and what to conclude.
    pub(super) help: &'static str,
    pub(super) labels: &'static [Label],
    pub(super) read: fn(&Scrape) -> Vec<Sample>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

pub(super) struct Label {
    pub(super) name: &'static str,
    pub(super) values: Values,
}

/// What values a label takes; every set is bounded.
pub(super) enum Values {
    /// A closed set: label and meaning.
    Closed(fn() -> Vec<(&'static str, &'static str)>),
    /// Described by a noun phrase.
    Open(&'static str),
}

/// One scrape: the state, and one moment.
pub(super) struct Scrape {
    pub(super) state: Arc<NodeState>,
    pub(super) now: Instant,
    pub(super) unix_s: u64,
    pub(super) process: Process,
}

/// One line of the exposition: values of the labels in their order, and the value.
pub(super) struct Sample {
    pub(super) labels: Vec<String>,
    pub(super) value: Value,
}

pub(super) enum Value {
    Number(f64),
    Histogram(Box<Distribution>),
}

pub(super) fn one(value: f64) -> Vec<Sample> {
    vec![Sample { labels: Vec::new(), value: Value::Number(value) }]
}

pub(super) fn some(value: Option<u64>) -> Vec<Sample> {
    value.map(|value| one(value as f64)).unwrap_or_default()
}

/// One sample per variant.
pub(super) fn each<R: Reason>(value: impl Fn(R) -> u64) -> Vec<Sample> {
    R::ALL
        .iter()
        .map(|&reason| Sample {
            labels: vec![reason.label().into()],
            value: Value::Number(value(reason) as f64),
        })
        .collect()
}

pub(super) fn closed<R: Reason>() -> Vec<(&'static str, &'static str)> {
    R::ALL.iter().map(|reason| (reason.label(), reason.meaning())).collect()
}

impl Scrape {
    pub(super) fn sum(&self, read: impl Fn(&ShardCells) -> u64) -> u64 {
        self.state.shards().iter().map(|cells| read(cells)).sum()
    }

    pub(super) fn per_shard(&self, read: impl Fn(&ShardCells) -> Option<f64>) -> Vec<Sample> {
        let sample = |cells: &ShardCells| {
            Some(Sample { labels: vec![cells.index().to_string()], value: Value::Number(read(cells)?) })
        };
        self.state.shards().iter().filter_map(|cells| sample(cells)).collect()
    }

    fn snapshot(&self, read: impl Fn(&SnapshotFacts) -> f64) -> Vec<Sample> {
        self.state.snapshot().map(|facts| one(read(&facts))).unwrap_or_default()
    }

    /// Every outcome with each class that it can have, and whatever else was counted.
    fn requests(&self) -> Vec<Sample> {
        let mut samples = Vec::new();
        for &outcome in Outcome::ALL {
            let usual = outcome.status().map_or(StatusClass::Redirect, StatusClass::of);
            for &class in StatusClass::ALL {
                let count = self.sum(|cells| cells.requests(outcome, class));
                if class == usual || count > 0 {
                    let labels = vec![outcome.label().into(), class.label().into()];
                    samples.push(Sample { labels, value: Value::Number(count as f64) });
                }
            }
        }
        samples
    }

    fn latency(&self) -> Vec<Sample> {
        let mut merged = Box::<Distribution>::default();
        for cells in self.state.shards() {
            cells.merge_latency_into(&mut merged);
        }
        vec![Sample { labels: Vec::new(), value: Value::Histogram(merged) }]
    }

    fn unready(&self) -> Vec<Sample> {
        let reasons = self.state.unready(self.now);
        each::<UnreadyReason>(|reason| {
            reasons.iter().filter(|unready| unready.reason == reason).count() as u64
        })
    }
}

pub(super) const SHARD: &[Label] =
    &[Label { name: "shard", values: Values::Open("index of the shard, from 0") }];

/// Every metric, in the order of the reference.
pub(super) fn all() -> impl Iterator<Item = &'static Family> {
    FAMILIES
        .iter()
        .chain(tls_families::FAMILIES)
        .chain(guard_families::FAMILIES)
        .chain(clicks_families::FAMILIES)
}

/// Metrics of the node itself.
const FAMILIES: &[Family] = &[
    Family {
        name: "carom_requests_total",
        kind: Kind::Counter,
        help: "Requests that were answered, by outcome and status class. Refused ones are in carom_refusals_total. \
               A rise of not_found or impossible_code is a scan or a bad campaign, not an illness of the node; any 5xx is \
               an illness.",
        labels: &[
            Label { name: "outcome", values: Values::Closed(closed::<Outcome>) },
            Label { name: "class", values: Values::Closed(closed::<StatusClass>) },
        ],
        read: Scrape::requests,
    },
    Family {
        name: "carom_refusals_total",
        kind: Kind::Counter,
        help: "Requests that were refused, and their connections closed, by reason. Scanners cause a steady trickle; a \
               rise of one reason right after a change of clients or proxies points at that change.",
        labels: &[Label { name: "reason", values: Values::Closed(closed::<Refusal>) }],
        read: |scrape| each::<Refusal>(|reason| scrape.sum(|cells| cells.refusals(reason))),
    },
    Family {
        name: "carom_offences_total",
        kind: Kind::Counter,
        help: "What HTTP/2 clients did against the rules or too often, by reason; nearly all of it ends the connection. A \
               trickle is broken clients; a rise of a flood or a bomb is an attack, which costs its sender a connection each \
               time and you next to nothing.",
        labels: &[Label { name: "reason", values: Values::Closed(closed::<Offence>) }],
        read: |scrape| each::<Offence>(|offence| scrape.sum(|cells| cells.offences(offence))),
    },
    Family {
        name: "carom_request_latency_seconds",
        kind: Kind::Histogram,
        help: "Time from the read that completed a request to the end of the write of its reply; requests of one batch \
               share it. Buckets are quarter octaves: a quantile is at most 25 % too high. A p99 over 1 ms at half load \
               means that something else runs on the shard's CPU.",
        labels: &[],
        read: Scrape::latency,
    },
    Family {
        name: "carom_listening_sockets",
        kind: Kind::Gauge,
        help: "Listening sockets of traffic, by who bound them: this process (own), or the process before it or the service \
               manager (inherited). 0 own after an upgrade is as it should be: no client noticed it.",
        labels: &[Label { name: "bound_by", values: Values::Open("own or inherited") }],
        read: |scrape| {
            let Sockets { own, inherited } = scrape.state.sockets();
            let sample = |label: &str, count: usize| Sample {
                labels: vec![label.to_owned()],
                value: Value::Number(count as f64),
            };
            vec![sample("own", own), sample("inherited", inherited)]
        },
    },
    Family {
        name: "carom_upgrades_failed_total",
        kind: Kind::Counter,
        help: "Successors of this process that were started or came by themselves and did not come to serve. Anything above 0 \
               after an upgrade means that the old program serves on; the log says why.",
        labels: &[],
        read: |scrape| one(scrape.state.handovers_failed() as f64),
    },
    Family {
        name: "carom_connections_accepted_total",
        kind: Kind::Counter,
        help: "Connections that were accepted, by shard; shed ones are among them. Shards should differ little; one that \
               stands still while others rise hangs.",
        labels: SHARD,
        read: |scrape| scrape.per_shard(|cells| Some(cells.accepted() as f64)),
    },
    Family {
        name: "carom_connections_open",
        kind: Kind::Gauge,
        help: "Connections that are open now, by shard. Compare with limits.connections_per_shard_max: new ones are shed \
               from there on.",
        labels: SHARD,
        read: |scrape| scrape.per_shard(|cells| Some(cells.open() as f64)),
    },
    Family {
        name: "carom_connections_closed_total",
        kind: Kind::Counter,
        help: "Connections that ended, by reason. Many header_timeout or write_timeout are slow clients or an attack with \
               them; many socket_error are resets on the way.",
        labels: &[Label { name: "reason", values: Values::Closed(closed::<Closed>) }],
        read: |scrape| each::<Closed>(|reason| scrape.sum(|cells| cells.closed(reason))),
    },
    Family {
        name: "carom_connections_shed_total",
        kind: Kind::Counter,
        help: "Connections that were turned away because a bound was reached, by reason. Any rise loses clicks: find out \
               whether it is load (add nodes, raise the bound) or an attack.",
        labels: &[Label { name: "reason", values: Values::Closed(closed::<Shed>) }],
        read: |scrape| each::<Shed>(|reason| scrape.sum(|cells| cells.shed(reason))),
    },
    Family {
        name: "carom_received_bytes_total",
        kind: Kind::Counter,
        help: "Bytes that were read from clients. A rise without more requests is junk or long bodies.",
        labels: &[],
        read: |scrape| one(scrape.sum(ShardCells::bytes_in) as f64),
    },
    Family {
        name: "carom_sent_bytes_total",
        kind: Kind::Counter,
        help: "Bytes that were written to clients.",
        labels: &[],
        read: |scrape| one(scrape.sum(ShardCells::bytes_out) as f64),
    },
    Family {
        name: "carom_shard_last_turn_seconds",
        kind: Kind::Gauge,
        help: "Time since the shard's loop last turned. An idle shard turns ten times a second; more than 1 s makes the \
               node unready, because that shard's share of new connections gets no answer.",
        labels: SHARD,
        read: |scrape| scrape.per_shard(|cells| cells.last_turn_ago(scrape.now).map(|ago| ago.as_secs_f64())),
    },
    Family {
        name: "carom_ready",
        kind: Kind::Gauge,
        help: "1 if the node wants traffic, 0 if not; carom_unready says why.",
        labels: &[],
        read: |scrape| one(f64::from(u8::from(scrape.state.unready(scrape.now).is_empty()))),
    },
    Family {
        name: "carom_unready",
        kind: Kind::Gauge,
        help: "How often each reason for being unready holds now; shards count one by one. All 0 means ready.",
        labels: &[Label { name: "reason", values: Values::Closed(closed::<UnreadyReason>) }],
        read: Scrape::unready,
    },
    Family {
        name: "carom_draining",
        kind: Kind::Gauge,
        help: "1 from the moment a drain began. A node that stays at 1 has connections that do not end; the deadline cuts \
               them.",
        labels: &[],
        read: |scrape| one(f64::from(u8::from(scrape.state.phase() == Phase::Draining))),
    },
    Family {
        name: "carom_snapshot_generation",
        kind: Kind::Gauge,
        help: "Generation of the snapshot that is served; absent before the first. Nodes that differ for longer than a \
               poll interval and a copy do not serve the same links.",
        labels: &[],
        read: |scrape| scrape.snapshot(|facts| facts.generation as f64),
    },
    Family {
        name: "carom_snapshot_age_seconds",
        kind: Kind::Gauge,
        help: "Age of the input that the served snapshot was built from. More than the publishing interval means that \
               building, distribution or swapping is stuck; clicks are still answered.",
        labels: &[],
        read: |scrape| scrape.snapshot(|facts| facts.age_s(scrape.unix_s) as f64),
    },
    Family {
        name: "carom_snapshot_served_seconds",
        kind: Kind::Gauge,
        help: "Time since this node began to serve the snapshot.",
        labels: &[],
        read: |scrape| {
            scrape.snapshot(|facts| scrape.now.saturating_duration_since(facts.served_since).as_secs_f64())
        },
    },
    Family {
        name: "carom_snapshot_links",
        kind: Kind::Gauge,
        help: "Links in the served snapshot. A sudden change that nobody planned is a broken export.",
        labels: &[],
        read: |scrape| scrape.snapshot(|facts| facts.links as f64),
    },
    Family {
        name: "carom_snapshot_domains",
        kind: Kind::Gauge,
        help: "Domains in the served snapshot.",
        labels: &[],
        read: |scrape| scrape.snapshot(|facts| f64::from(facts.domains)),
    },
    Family {
        name: "carom_snapshot_bytes",
        kind: Kind::Gauge,
        help: "Size of the served snapshot. During a swap twice as much is mapped.",
        labels: &[],
        read: |scrape| scrape.snapshot(|facts| facts.bytes as f64),
    },
    Family {
        name: "carom_snapshot_locked",
        kind: Kind::Gauge,
        help: "1 if the served snapshot is locked in memory. 0 with snapshot.lock_memory = true means that the memlock \
               limit is too low: under memory pressure clicks then wait for the disk.",
        labels: &[],
        read: |scrape| scrape.snapshot(|facts| f64::from(u8::from(facts.locked))),
    },
    Family {
        name: "carom_snapshot_swaps_total",
        kind: Kind::Counter,
        help: "Attempts to serve another snapshot, by result. A rise of any but swapped and unchanged means that what was \
               published is not served; the log names the reason.",
        labels: &[Label { name: "result", values: Values::Closed(closed::<Swap>) }],
        read: |scrape| each::<Swap>(|result| scrape.state.swaps(result)),
    },
    Family {
        name: "carom_access_records_total",
        kind: Kind::Counter,
        help: "Access records that shards handed to the log.",
        labels: &[],
        read: |scrape| one(scrape.sum(ShardCells::access_records) as f64),
    },
    Family {
        name: "carom_access_records_lost_total",
        kind: Kind::Counter,
        help: "Access records that were lost because the ring of a shard was full: the disk or pipe behind the access log \
               is too slow for access_log.sample_every. Clicks are not affected.",
        labels: &[],
        read: |scrape| one(scrape.sum(ShardCells::access_records_lost) as f64),
    },
    Family {
        name: "carom_access_lines_failed_total",
        kind: Kind::Counter,
        help: "Access lines that could not be written: the disk is full or the file cannot be opened. Absent without an \
               access log.",
        labels: &[],
        read: |scrape| some(scrape.state.access_log().map(AccessCounts::failed)),
    },
    Family {
        name: "carom_build_info",
        kind: Kind::Gauge,
        help: "Always 1; the labels name the program. Nodes of one fleet should agree except during a roll-out.",
        labels: &[
            Label { name: "version", values: Values::Open("version of the program") },
            Label { name: "commit", values: Values::Open("commit it was built from, or `unknown`") },
            Label { name: "rustc", values: Values::Open("compiler it was built with") },
            Label { name: "snapshot_format", values: Values::Open("version of snapshots that it reads") },
        ],
        read: |_| {
            let BuildInfo { version, commit, rustc, snapshot_format, configuration: _ } = build_info::THIS;
            let labels = vec![
                version.into(),
                commit.unwrap_or("unknown").into(),
                rustc.into(),
                snapshot_format.to_string(),
            ];
            vec![Sample { labels, value: Value::Number(1.0) }]
        },
    },
    Family {
        name: "process_cpu_seconds_total",
        kind: Kind::Counter,
        help: "CPU time of all threads. Divided by the requests answered it is the cost of a click.",
        labels: &[],
        read: |scrape| one(scrape.process.cpu_s),
    },
    Family {
        name: "process_resident_memory_bytes",
        kind: Kind::Gauge,
        help: "Memory that is resident, the mapped snapshot included. It should be flat between swaps.",
        labels: &[],
        read: |scrape| some(scrape.process.resident_bytes),
    },
    Family {
        name: "process_locked_memory_bytes",
        kind: Kind::Gauge,
        help: "Memory that is locked: the snapshot, where carom_snapshot_locked is 1.",
        labels: &[],
        read: |scrape| some(scrape.process.locked_bytes),
    },
    Family {
        name: "process_threads",
        kind: Kind::Gauge,
        help: "Threads of the process. The number is fixed after the start but for a helper during swaps.",
        labels: &[],
        read: |scrape| some(scrape.process.threads),
    },
    Family {
        name: "process_open_fds",
        kind: Kind::Gauge,
        help: "Open file descriptors. It should follow carom_connections_open.",
        labels: &[],
        read: |scrape| some(scrape.process.open_descriptors),
    },
    Family {
        name: "process_max_fds",
        kind: Kind::Gauge,
        help: "Limit of open file descriptors. At the limit connections are shed with reason descriptors_spent.",
        labels: &[],
        read: |scrape| some(scrape.process.descriptors_max),
    },
    Family {
        name: "process_start_time_seconds",
        kind: Kind::Gauge,
        help: "When the process started, in Unix seconds. A change is a restart.",
        labels: &[],
        read: |scrape| one(scrape.state.started_at_unix_s()),
    },
];
