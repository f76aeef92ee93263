//! Metrics of the guard and of scanners: the second part of the table of metrics.

use std::sync::{Arc, OnceLock};

use ebpf_loader::abi::{Protocol, Reason as GuardReason};

use super::cells::ShardCells;
use super::families::{Family, Kind, Label, Sample, Scrape, Value, Values, closed, each, one, some};
use crate::guard::GuardFacts;
use crate::guard::facts::{KernelFacts, mode_name};
use crate::guard::gate::Attachment;
use crate::scanners::Measure;

/// Metrics of the guard and of scanners, in the order of the reference.
pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "carom_guard_packets_total",
        kind: Kind::Counter,
        help: "Packets that the guard judged, by reason and protocol, since its tables were made; restarts of the node keep \
               them. Reasons that drop rise in an attack; if customers complain, their reason is here. Absent without XDP.",
        labels: &[
            Label { name: "reason", values: Values::Closed(guard_reasons) },
            Label { name: "protocol", values: Values::Closed(guard_protocols) },
        ],
        read: Scrape::guard_packets,
    },
    Family {
        name: "carom_guard_monitored_total",
        kind: Kind::Counter,
        help: "Packets that a monitoring stage would have dropped or challenged, by reason. Look here before a stage is \
               enforced.",
        labels: &[Label { name: "reason", values: Values::Closed(guard_reasons) }],
        read: |scrape| {
            scrape.kernel(|kernel| {
                let stages = GuardReason::ALL.iter().filter(|reason| reason.stage().is_some());
                let sample = |reason: &GuardReason| Sample {
                    labels: vec![reason.name().into()],
                    value: Value::Number(kernel.counters.monitored(*reason) as f64),
                };
                stages.map(sample).collect()
            })
        },
    },
    Family {
        name: "carom_guard_mode",
        kind: Kind::Gauge,
        help: "Always 1; the labels are the modes of the guard and of scanners, as configured.",
        labels: &[
            Label { name: "guard", values: Values::Open("`off`, `monitor` or `enforce`") },
            Label { name: "scanners", values: Values::Open("`off`, `monitor` or `enforce`") },
        ],
        read: |scrape| {
            let sample = |facts: Arc<GuardFacts>| Sample {
                labels: vec![mode_name(facts.mode).into(), mode_name(facts.scanners).into()],
                value: Value::Number(1.0),
            };
            scrape.state.guard().map(sample).into_iter().collect()
        },
    },
    Family {
        name: "carom_guard_attached",
        kind: Kind::Gauge,
        help: "1 for each interface where packets meet the guard. Path `generic` is several times slower than `native`; \
               `adopted` was attached by an earlier process and keeps its path.",
        labels: &[
            Label { name: "interface", values: Values::Open("name of the interface") },
            Label { name: "path", values: Values::Open("`native`, `generic` or `adopted`") },
        ],
        read: |scrape| {
            scrape.kernel(|kernel| {
                let sample = |attachment: &Attachment| Sample {
                    labels: vec![attachment.interface.clone(), attachment.path.into()],
                    value: Value::Number(1.0),
                };
                kernel.attached.iter().map(sample).collect()
            })
        },
    },
    Family {
        name: "carom_guard_self_test_ok",
        kind: Kind::Gauge,
        help: "1 if the guard's last self-test passed. 0: rules were not swapped, the node is unready; report it.",
        labels: &[],
        read: |scrape| scrape.kernel(|kernel| one(f64::from(u8::from(kernel.self_test_failure.is_none())))),
    },
    Family {
        name: "carom_guard_lease_seconds",
        kind: Kind::Gauge,
        help: "Time until bans, limits and challenges only count, unless the node renews. Near zero the guard's thread hangs.",
        labels: &[],
        read: |scrape| {
            let now = scrape.now;
            scrape.kernel(|kernel| one(kernel.lease_left(now).as_secs_f64()))
        },
    },
    Family {
        name: "carom_guard_bans",
        kind: Kind::Gauge,
        help: "Sources that are banned now, by kind. The table holds 65536.",
        labels: &[Label { name: "kind", values: Values::Open("`drop` or `challenge`") }],
        read: |scrape| {
            scrape.kernel(|kernel| {
                let sample = |kind: &str, count: u64| Sample {
                    labels: vec![kind.into()],
                    value: Value::Number(count as f64),
                };
                vec![sample("drop", kernel.bans), sample("challenge", kernel.challenged)]
            })
        },
    },
    Family {
        name: "carom_guard_listed_networks",
        kind: Kind::Gauge,
        help: "Networks in files, by list. A sudden drop is a broken feed.",
        labels: &[Label { name: "list", values: Values::Open("`allow` or `deny`") }],
        read: |scrape| {
            scrape.kernel(|kernel| {
                let sample = |list: &str, count: usize| Sample {
                    labels: vec![list.into()],
                    value: Value::Number(count as f64),
                };
                vec![sample("allow", kernel.allowed), sample("deny", kernel.denied)]
            })
        },
    },
    Family {
        name: "carom_guard_list_lines_bad",
        kind: Kind::Gauge,
        help: "Lines of the files of networks that are no networks and were left out. The log and `carom check` name them.",
        labels: &[],
        read: |scrape| scrape.kernel(|kernel| one(kernel.bad_lines as f64)),
    },
    Family {
        name: "carom_guard_events_lost_total",
        kind: Kind::Counter,
        help: "Samples of drops that found the ring full: nobody watches, which is usual, or the watcher is slow.",
        labels: &[],
        read: |scrape| scrape.kernel(|kernel| one(kernel.counters.events_lost as f64)),
    },
    Family {
        name: "carom_guard_events_skipped_total",
        kind: Kind::Counter,
        help: "Samples of drops that were over guard.events_per_s.",
        labels: &[],
        read: |scrape| scrape.kernel(|kernel| one(kernel.counters.events_skipped as f64)),
    },
    Family {
        name: "carom_guard_failures_total",
        kind: Kind::Counter,
        help: "Calls to the kernel that failed: bans, heartbeat, tables. The log names them. Any rise needs an operator.",
        labels: &[],
        read: |scrape| some(scrape.state.guard().map(|facts| facts.failures)),
    },
    Family {
        name: "carom_scanners_total",
        kind: Kind::Counter,
        help: "Sources that went over the threshold, by what was decided. In monitor mode nothing comes of it. A rise of \
               braked is likelier a snapshot without its links than an attack.",
        labels: &[Label { name: "measure", values: Values::Closed(closed::<Measure>) }],
        read: |scrape| {
            let guard = scrape.state.guard();
            guard.map(|facts| each::<Measure>(|measure| facts.measures(measure))).unwrap_or_default()
        },
    },
    Family {
        name: "carom_scanners_reported_total",
        kind: Kind::Counter,
        help: "Offences that shards reported.",
        labels: &[],
        read: |scrape| one(scrape.sum(ShardCells::offenders) as f64),
    },
    Family {
        name: "carom_scanners_lost_total",
        kind: Kind::Counter,
        help: "Offences that found the ring full. Their senders offend again and are reported then.",
        labels: &[],
        read: |scrape| one(scrape.sum(ShardCells::offenders_lost) as f64),
    },
];

/// Reasons of the guard's drops and passes: name and meaning.
fn guard_reasons() -> Vec<(&'static str, &'static str)> {
    // The loader says clauses, because it prints them behind a colon.
    static SENTENCES: OnceLock<Vec<String>> = OnceLock::new();
    let sentences = SENTENCES.get_or_init(|| {
        let sentence = |reason: &GuardReason| {
            let (first, rest) = reason.help().split_at(1);
            format!("{}{rest}.", first.to_ascii_uppercase())
        };
        GuardReason::ALL.iter().map(sentence).collect()
    });
    GuardReason::ALL
        .iter()
        .zip(sentences)
        .map(|(reason, sentence)| (reason.name(), sentence.as_str()))
        .collect()
}

fn guard_protocols() -> Vec<(&'static str, &'static str)> {
    const MEANINGS: [(Protocol, &str); 7] = [
        (Protocol::None, "Neither IPv4 nor IPv6, or not read that far."),
        (Protocol::Tcp4, "TCP over IPv4."),
        (Protocol::Udp4, "UDP over IPv4."),
        (Protocol::Other4, "Anything else over IPv4, ICMP included."),
        (Protocol::Tcp6, "TCP over IPv6."),
        (Protocol::Udp6, "UDP over IPv6."),
        (Protocol::Other6, "Anything else over IPv6, ICMP included."),
    ];
    MEANINGS.map(|(protocol, meaning)| (protocol.name(), meaning)).into()
}

impl Scrape {
    fn kernel(&self, read: impl Fn(&KernelFacts) -> Vec<Sample>) -> Vec<Sample> {
        self.state.guard().and_then(|facts| facts.kernel.as_ref().map(read)).unwrap_or_default()
    }

    /// Every reason and protocol that was counted, and every reason at least once.
    fn guard_packets(&self) -> Vec<Sample> {
        self.kernel(|kernel| {
            let mut samples = Vec::new();
            for &reason in GuardReason::ALL {
                for protocol in Protocol::ALL {
                    let count = kernel.counters.decided(reason, protocol);
                    let usual = matches!(protocol, Protocol::Tcp4 | Protocol::Tcp6);
                    if usual || count > 0 {
                        let labels = vec![reason.name().into(), protocol.name().into()];
                        samples.push(Sample { labels, value: Value::Number(count as f64) });
                    }
                }
            }
            samples
        })
    }
}
