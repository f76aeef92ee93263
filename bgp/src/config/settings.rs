//! The settled configuration: units are types, zeros are choices, and everything has been checked against everything.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::announcement::{Announcement, Family};

/// Everything the operator decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the node.
    pub node: String,
    /// Directory of the audit log and of the operators' intents.
    pub state_dir: PathBuf,
    /// Where commands arrive.
    pub control: PathBuf,
    /// Where metrics are read; `None`: nowhere.
    pub metrics: Option<Address>,
    /// How BIRD is reached and what it is told.
    pub bird: Bird,
    /// Where the node states its own health; `None`: it is not asked.
    pub vitals: Option<Vitals>,
    /// How probes are made.
    pub probe: Probe,
    /// How their results become a verdict.
    pub judge: Judge,
    /// How verdicts become changes.
    pub damper: Damper,
    /// How a drain goes.
    pub drain: Drain,
    /// How long announcements outlive a sidecar that says nothing.
    pub lease: Duration,
    /// At least one.
    pub services: Vec<Service>,
}

/// A Unix socket or a TCP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// How BIRD is reached and what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bird {
    /// Its control socket.
    pub socket: PathBuf,
    /// The file of constants that its configuration includes.
    pub state_file: PathBuf,
    /// The own autonomous system, for prepending.
    pub local_as: u32,
    /// Longest wait for one reply.
    pub timeout: Duration,
    /// Between two comparisons of what it says with what it was told.
    pub reconcile: Duration,
    /// BGP protocols whose state and exports are read back.
    pub peers: Vec<String>,
}

/// Where the node states its own health, and what of it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vitals {
    /// The admin listener of carom.
    pub admin: Address,
    /// Whether an unattached guard or a failed self-test is ill health.
    pub guard: bool,
    /// Age of a snapshot that is ill health; `None`: at no age.
    pub snapshot_age_max: Option<Duration>,
}

/// How probes are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Between two rounds.
    pub interval: Duration,
    /// Between two probes of a check that is in doubt.
    pub suspect_interval: Duration,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// Latency above which an answer counts as slow.
    pub latency_max: Duration,
    /// Lateness of the own timer above which a result counts nothing.
    pub late_max: Duration,
    /// Network namespace in which probes start; `None`: the own one.
    pub namespace: Option<String>,
}

/// How results become a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judge {
    /// Failures in a row that make a check bad.
    pub fall: u32,
    /// Successes in a row that make it good again.
    pub rise: u32,
    /// Samples of latency that are looked at.
    pub latency_window: usize,
    /// Slow ones among them that make a check slow.
    pub latency_bad_min: usize,
}

/// What happens on the last node that announces an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastNode {
    /// It stays on the graceful rung, with an alarm.
    Keep,
    /// It withdraws.
    Withdraw,
}

/// How verdicts become changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damper {
    /// Time in which the penalty halves.
    pub half_life: Duration,
    /// Penalty above which an announcement stays down.
    pub suppress: u32,
    /// Penalty below which it may come back.
    pub reuse: u32,
    /// Longest suppression.
    pub suppress_max: Duration,
    /// Withdrawals by ill health per minute, of all announcements together.
    pub withdrawals_per_minute_max: u32,
    /// Time on the prepended rung during recovery.
    pub prepended: Duration,
    /// Time on the graceful rung without proof of another node after which the alarm is raised.
    pub soft: Duration,
    /// What liveness and latency do on the last node.
    pub last_node: LastNode,
    /// What wrong answers do on the last node.
    pub last_node_integrity: LastNode,
}

/// How a drain goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Requests per second, without our own, that count as quiet.
    pub quiet_requests_per_s: u64,
    /// Shortest time on the graceful rung.
    pub settle: Duration,
    /// Longest time on the graceful rung.
    pub deadline: Duration,
}

/// One service: addresses that are announced while its canaries are well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name: a part of BIRD's symbols.
    pub name: String,
    /// At least one.
    pub vips: Vec<IpAddr>,
    /// At least one.
    pub ports: Vec<u16>,
    /// Those on which canaries are asked for over TLS; may be none.
    pub https_ports: Vec<u16>,
    /// The host that handshakes name; `None`: none.
    pub https_name: Option<String>,
    /// Whether ill health in one family counts in the other.
    pub couple_families: bool,
    /// Copies of the own AS on the prepended rung.
    pub prepends: u32,
    /// Whether the sidecar puts the addresses on `lo`.
    pub addresses_on_lo: bool,
    /// Known links that must answer exactly; at least one.
    pub canaries: Vec<Canary>,
}

/// A known link inside every snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// Value of the Host field.
    pub host: String,
    /// Path, with its slash.
    pub path: String,
    /// Expected status.
    pub status: u16,
    /// Expected Location; `None`: there must be none.
    pub location: Option<LocationPattern>,
}

impl Canary {
    /// The link that snapshot-tool puts into every snapshot.
    pub fn built_in() -> Self {
        Self {
            host: "canary.carom.invalid".into(),
            path: "/ok".into(),
            status: 302,
            location: Some(LocationPattern::new("https://canary.carom.invalid/at/{generation}")),
        }
    }
}

/// A Location that must match byte for byte, but for the number of the generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocationPattern {
    /// What stands before the generation, or everything.
    pub before: String,
    /// What stands behind it; `None`: no generation is named.
    pub after: Option<String>,
}

/// How an answer's Location compares with the pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// It is another one.
    Different,
    /// It is the one.
    Same,
    /// It is the one and names this generation.
    Generation(u64),
}

impl LocationPattern {
    /// The word that stands for the generation.
    pub const GENERATION: &str = "{generation}";

    /// Reads a pattern.
    pub fn new(text: &str) -> Self {
        match text.split_once(Self::GENERATION) {
            Some((before, after)) => Self { before: before.into(), after: Some(after.into()) },
            None => Self { before: text.into(), after: None },
        }
    }

    /// Compares.
    pub fn compare(&self, location: &[u8]) -> Match {
        let Some(after) = &self.after else {
            return if location == self.before.as_bytes() { Match::Same } else { Match::Different };
        };
        let middle = location
            .strip_prefix(self.before.as_bytes())
            .and_then(|rest| rest.strip_suffix(after.as_bytes()))
            .filter(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match middle.and_then(|digits| digits.parse().ok()) {
            Some(generation) => Match::Generation(generation),
            None => Match::Different,
        }
    }
}

impl Settings {
    /// Every announcement, in the order of the file, IPv4 first.
    pub fn announcements(&self) -> Vec<Announcement> {
        let of = |service: &Service, family| {
            let vips: Vec<_> =
                service.vips.iter().copied().filter(|vip| Family::of(*vip) == family).collect();
            (!vips.is_empty()).then(|| Announcement { service: service.name.clone(), family, vips })
        };
        self.services
            .iter()
            .flat_map(|service| Family::ALL.into_iter().filter_map(move |family| of(service, family)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_matches_byte_for_byte_but_for_the_generation() {
        let pattern = LocationPattern::new("https://a.example/at/{generation}/x");
        for (location, expected) in [
            ("https://a.example/at/7/x", Match::Generation(7)),
            ("https://a.example/at/18446744073709551615/x", Match::Generation(u64::MAX)),
            ("https://a.example/at/18446744073709551616/x", Match::Different),
            ("https://a.example/at//x", Match::Different),
            ("https://a.example/at/+7/x", Match::Different),
            ("https://a.example/at/7/x?", Match::Different),
            ("https://b.example/at/7/x", Match::Different),
            ("", Match::Different),
        ] {
            assert_eq!(pattern.compare(location.as_bytes()), expected, "{location}");
        }
        let plain = LocationPattern::new("https://a.example/");
        assert_eq!(plain.compare(b"https://a.example/"), Match::Same);
        assert_eq!(plain.compare(b"https://a.example"), Match::Different);
    }
}
