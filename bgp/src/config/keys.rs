//! The one table of sections and keys: from it come the parsed file, its defaults, the commented default file and the
//! reference.
//!
//! One entry: the doc comment that operators read, `key: type = default, rule`. The default is TOML; without one the key must
//! be written.

use std::net::IpAddr;
use std::path::PathBuf;

use toml::de::DeTable;

use super::file::{Reader, SectionInfo, section};
use super::settings::{Address, LastNode};
use super::value::{Entries, SYMBOL, TextRule, VISIBLE};
use crate::limits::{
    AS_NUMBER, BIRD_TIMEOUT_MS, DRAIN_DEADLINE_MS, HALF_LIFE_S, INTERVAL_MS, LATE_MS, LATENCY_MS, LEASE_S,
    NAME_BYTES_MAX, PEERS_MAX, PENALTY, PORTS_MAX, PREPENDED_MS, PREPENDS, PROBE_TIMEOUT_MS,
    QUIET_REQUESTS_PER_S, RECONCILE_MS, RUN, SETTLE_MS, SNAPSHOT_AGE_S, SOCKET_PATH_BYTES_MAX, SOFT_MS,
    STATUS, SUPPRESS_MAX_S, SUSPECT_INTERVAL_MS, TEXT_BYTES_MAX, VIPS_MAX, WINDOW, WITHDRAWALS_PER_MINUTE,
};

const HTTPS_NAME: TextRule = TextRule {
    bytes_max: 253,
    alphabet: " that is the name of a host",
    allows: |text| text.is_empty() || rustls::pki_types::DnsName::try_from(text).is_ok(),
};

const NODE_NAME: TextRule = TextRule {
    bytes_max: 255,
    alphabet: " without control characters",
    allows: |text| !text.chars().any(char::is_control),
};

const NAMESPACE: TextRule = TextRule {
    bytes_max: NAME_BYTES_MAX,
    alphabet: " of letters, digits, - and _",
    allows: |text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'),
};

const LOCATION: TextRule = TextRule {
    bytes_max: TEXT_BYTES_MAX,
    alphabet: " of visible ASCII characters",
    allows: |text| text.bytes().all(|byte| byte.is_ascii_graphic()),
};

const PATH: TextRule = TextRule {
    bytes_max: TEXT_BYTES_MAX,
    alphabet: " of visible ASCII characters, beginning with /",
    allows: |text| text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()),
};

section! {
    /// Who this node is.
    NODE: NodeKeys = "node", repeated false, below [] {
        /// Name in the audit log and in status. Empty: the host name.
        name: String = "", NODE_NAME;
        /// Directory of the audit log and of what operators asked for (drains, drills, weights). Survives a reboot.
        state_dir: PathBuf = "/var/lib/carom-bgp", TEXT_BYTES_MAX;
    }
}

section! {
    /// Where `carom-bgp status`, `drain` and the other commands reach the sidecar.
    CONTROL: ControlKeys = "control", repeated false, below [] {
        /// A Unix socket; it gets mode 0660, and who can write to it may withdraw the node.
        socket: PathBuf = "/run/carom-bgp/control.sock", SOCKET_PATH_BYTES_MAX;
    }
}

section! {
    /// Metrics, on a listener of their own.
    METRICS: MetricsKeys = "metrics", repeated false, below [] {
        /// `GET /metrics` in the text format of prometheus. Empty: no listener.
        listen: Option<Address> = "127.0.0.1:9181", ();
    }
}

section! {
    /// How BIRD is reached and what it is told.
    BIRD: BirdKeys = "bird", repeated false, below [] {
        /// BIRD's control socket.
        socket: PathBuf = "/run/bird/bird.ctl", SOCKET_PATH_BYTES_MAX;
        /// The generated file of constants that BIRD's configuration includes: what is announced, for BIRD's next start or
        /// reconfiguration. On a file system in memory it costs no disk access; after a reboot all is withdrawn until it is well.
        state_file: PathBuf = "/run/carom-bgp/bird-state.conf", TEXT_BYTES_MAX;
        /// The own autonomous system: it is what the prepended rung repeats.
        local_as: u64, AS_NUMBER;
        /// Longest wait for one reply of BIRD, in milliseconds. Then its state is unknown, which withdraws nothing.
        timeout_ms: u64 = 250, BIRD_TIMEOUT_MS;
        /// How often what BIRD says is compared with what it was told, in milliseconds. BIRD's own events come at once.
        reconcile_ms: u64 = 1000, RECONCILE_MS;
        /// BGP protocols towards the routers: their state is shown, and what is exported to them is read back.
        peers: Vec<String> = [], Entries { min: 0, max: PEERS_MAX };
    }
}

section! {
    /// What the node says about its own health.
    VITALS: VitalsKeys = "vitals", repeated false, below [] {
        /// The admin listener of carom. Empty: only canaries count.
        admin: Option<Address> = "127.0.0.1:9180", ();
        /// Whether a guard that is not attached, or whose self-test failed, is ill health.
        guard_required: bool = false, ();
        /// Age of the snapshot in seconds above which the node is ill. 0: never, because a stale source is no ill health.
        snapshot_age_s_max: u64 = 0, SNAPSHOT_AGE_S;
    }
}

section! {
    /// How the canaries and the vitals are asked for.
    PROBE: ProbeKeys = "probe", repeated false, below [] {
        /// Between two rounds, in milliseconds.
        interval_ms: u64 = 100, INTERVAL_MS;
        /// Between two probes of a check that just failed or just recovered, in milliseconds.
        suspect_interval_ms: u64 = 20, SUSPECT_INTERVAL_MS;
        /// Longest wait for an answer, in milliseconds.
        timeout_ms: u64 = 100, PROBE_TIMEOUT_MS;
        /// Latency above which an answer counts as slow, in milliseconds.
        latency_ms_max: u64 = 50, LATENCY_MS;
        /// Lateness of the sidecar's own timer above which a failure counts nothing, in milliseconds: a starved prober knows
        /// nothing about the node.
        late_ms_max: u64 = 30, LATE_MS;
        /// Network namespace in which canaries are asked for, by its name below /run/netns, so that they enter by the
        /// interface that the guard protects. Empty: the own one. `carom-bgp probe-namespace` makes one.
        namespace: String = "", NAMESPACE;
    }
}

section! {
    /// When results become a verdict.
    JUDGE: JudgeKeys = "judge", repeated false, below [] {
        /// Failures in a row that make a check bad. A wrong answer needs no second one.
        fall: u64 = 2, RUN;
        /// Successes in a row that make it good again.
        rise: u64 = 3, RUN;
        /// Samples of latency that are looked at, per check.
        latency_window: u64 = 10, WINDOW;
        /// Slow ones among them that make a check slow.
        latency_bad_min: u64 = 6, WINDOW;
    }
}

section! {
    /// When a verdict becomes a change: down quickly, up slowly.
    DAMPER: DamperKeys = "damper", repeated false, below [] {
        /// Time in which the penalty of an announcement halves, in seconds. Each time it goes down costs 1000.
        half_life_s: u64 = 60, HALF_LIFE_S;
        /// Penalty above which an announcement stays down.
        suppress: u64 = 2000, PENALTY;
        /// Penalty below which it may come back.
        reuse: u64 = 750, PENALTY;
        /// Longest suppression, in seconds.
        suppress_s_max: u64 = 900, SUPPRESS_MAX_S;
        /// Withdrawals by ill health in one minute, of all announcements together. More stay on the graceful rung, with an
        /// alarm: so many at once are more likely an error of judgement.
        withdrawals_per_minute_max: u64 = 6, WITHDRAWALS_PER_MINUTE;
        /// Slow start: time on the prepended rung after recovery, in milliseconds. 0: none.
        prepended_ms: u64 = 5000, PREPENDED_MS;
        /// Time on the graceful rung without proof of another node after which the node is called the last one, in milliseconds.
        soft_ms: u64 = 500, SOFT_MS;
        /// What liveness and latency do on the last node that announces an address: keep it on the graceful rung, or withdraw.
        last_node: LastNode = "keep", ();
        /// What a wrong answer does there: a wrong redirect is worse than none.
        last_node_integrity: LastNode = "withdraw", ();
    }
}

section! {
    /// How `carom-bgp drain` goes: graceful rung, wait until the node is quiet, withdraw.
    DRAIN: DrainKeys = "drain", repeated false, below [] {
        /// Requests per second, those of probes left out, that count as quiet.
        quiet_requests_per_s: u64 = 1, QUIET_REQUESTS_PER_S;
        /// Shortest time on the graceful rung, in milliseconds: routers need it to move traffic.
        settle_ms: u64 = 2000, SETTLE_MS;
        /// Longest time on the graceful rung, in milliseconds; then it is withdrawn although there are requests.
        deadline_ms: u64 = 60000, DRAIN_DEADLINE_MS;
    }
}

section! {
    /// How long announcements outlive a sidecar that says nothing.
    LEASE: LeaseKeys = "lease", repeated false, below [] {
        /// Seconds after the last heartbeat at which `carom-bgp lease`, a process of its own, lowers everything to the
        /// graceful rung. Until then announcements stay as they are.
        lease_s: u64 = 60, LEASE_S;
    }
}

section! {
    /// A service: addresses that are announced while its canaries are well.
    SERVICE: ServiceKeys = "service", repeated true, below ["canary"] {
        /// Its name; it becomes a part of BIRD's protocol names.
        name: String, SYMBOL;
        /// Anycast addresses, announced as /32 and /128.
        vips: Vec<IpAddr>, Entries { min: 1, max: VIPS_MAX };
        /// TCP ports on which each canary is asked for, by plain HTTP.
        ports: Vec<u16> = [80], Entries { min: 1, max: PORTS_MAX };
        /// TCP ports on which each canary is asked for by HTTPS, too. A handshake that fails is no answer.
        https_ports: Vec<u16> = [], Entries { min: 0, max: PORTS_MAX };
        /// Host that is named in those handshakes: one that carom has a certificate for. Empty: none is named, and
        /// `tls.default_certificate` of carom answers. Which certificate comes is not judged: only whether canaries are right.
        https_name: String = "", HTTPS_NAME;
        /// Whether ill health in one family takes the other down, too.
        couple_families: bool = false, ();
        /// Copies of the own AS in the path of the prepended rung.
        prepends: u64 = 2, PREPENDS;
        /// Whether the sidecar puts the addresses on `lo` before it announces anything. It never removes them.
        addresses_on_lo: bool = false, ();
    }
}

section! {
    /// A known link inside every snapshot, which must answer exactly. Without one it is the link that snapshot-tool puts into
    /// every snapshot: `canary.carom.invalid/ok`.
    CANARY: CanaryKeys = "service.canary", repeated true, below [] {
        /// Host of the link.
        host: String, VISIBLE;
        /// Path of the link.
        path: String, PATH;
        /// Status that it must answer with.
        status: u64 = 302, STATUS;
        /// Location that it must name, byte for byte; `{generation}` stands for the decimal number of the snapshot. Empty: the
        /// answer must have none.
        location: String = "", LOCATION;
    }
}

/// Every section, in the order of the documents.
pub(super) const SECTIONS: &[&SectionInfo] =
    &[&NODE, &CONTROL, &METRICS, &BIRD, &VITALS, &PROBE, &JUDGE, &DAMPER, &DRAIN, &LEASE, &SERVICE, &CANARY];

/// A configuration as written: every key, those that the file leaves out at their defaults.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) node: NodeKeys,
    pub(super) control: ControlKeys,
    pub(super) metrics: MetricsKeys,
    pub(super) bird: BirdKeys,
    pub(super) vitals: VitalsKeys,
    pub(super) probe: ProbeKeys,
    pub(super) judge: JudgeKeys,
    pub(super) damper: DamperKeys,
    pub(super) drain: DrainKeys,
    pub(super) lease: LeaseKeys,
    pub(super) services: Vec<(ServiceKeys, Vec<CanaryKeys>)>,
}

impl File {
    /// Reads every section.
    pub(super) fn read(reader: &mut Reader, root: &DeTable<'_>) -> Self {
        reader.refuse_unknown_sections(root, SECTIONS);
        let empty = DeTable::new();
        macro_rules! once {
            ($Keys:ident, $name:literal) => {{
                let (table, line) = reader.table(root, $name);
                $Keys::read(reader, table.unwrap_or(&empty), line)
            }};
        }
        Self {
            node: once!(NodeKeys, "node"),
            control: once!(ControlKeys, "control"),
            metrics: once!(MetricsKeys, "metrics"),
            bird: once!(BirdKeys, "bird"),
            vitals: once!(VitalsKeys, "vitals"),
            probe: once!(ProbeKeys, "probe"),
            judge: once!(JudgeKeys, "judge"),
            damper: once!(DamperKeys, "damper"),
            drain: once!(DrainKeys, "drain"),
            lease: once!(LeaseKeys, "lease"),
            services: reader
                .tables(root, "service", "service")
                .into_iter()
                .map(|(table, line)| {
                    let service = ServiceKeys::read(reader, table, line);
                    let canaries = reader.tables(table, "canary", "service.canary");
                    let canaries =
                        canaries.into_iter().map(|(table, line)| CanaryKeys::read(reader, table, line));
                    (service, canaries.collect())
                })
                .collect(),
        }
    }
}
