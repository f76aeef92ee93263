//! The facts a node states about its own health; no judgement.
//!
//! `GET /vitals` on the admin listener answers with [`Vitals`] as JSON. Times are durations or Unix seconds, so that a reader
//! needs no clock in common with the node except for the age of the snapshot. A reader checks [`Vitals::version`] first:
//! fields may be added without a new version (readers ignore what they do not know); a change of meaning raises it.

use serde::{Deserialize, Serialize};

/// The version of [`Vitals`] that this crate writes and reads.
pub const VERSION: u32 = 1;

/// Everything a node knows about its own health at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vitals {
    /// Version of this document: [`VERSION`].
    pub version: u32,
    /// Name of the node, as configured.
    pub node: String,
    /// Version of the program.
    pub program: String,
    /// Process id: a change means a restart.
    pub pid: u32,
    /// Seconds since the process started.
    pub up_s: u64,
    /// True while the control thread answers; it states this itself, so a node that hangs says nothing at all.
    pub live: bool,
    /// True when the node wants traffic: it has started, holds a snapshot, every shard turns, and it is not draining.
    pub ready: bool,
    /// Where the node is in its life: `starting`, `serving` or `draining`; empty from nodes that do not say.
    #[serde(default)]
    pub stage: String,
    /// True from the moment a drain began.
    pub draining: bool,
    /// Why the node is not ready; empty when it is.
    pub reasons: Vec<Reason>,
    /// The snapshot that is served; `None` before the first.
    pub snapshot: Option<SnapshotVitals>,
    /// How attempts to serve another snapshot ended.
    pub swaps: SwapVitals,
    /// One entry per shard, in order of their index.
    pub shards: Vec<ShardVitals>,
    /// The guard at the network interface; `None` before its first word, and from nodes that have none.
    #[serde(default)]
    pub guard: Option<GuardVitals>,
}

/// One reason for not being ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable name, for programs: `starting`, `no_snapshot`, `draining`, `shard_not_started`, `shard_stalled`,
    /// `guard_self_test`.
    pub code: String,
    /// One sentence, for people.
    pub detail: String,
}

/// The snapshot that is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotVitals {
    /// Number that its builder gave it.
    pub generation: u64,
    /// When it was built, in Unix seconds, by the builder's clock.
    pub built_at_unix_s: u64,
    /// Seconds since then, by the node's clock; 0 when the builder's clock is ahead.
    pub age_s: u64,
    /// Seconds since this node began to serve it.
    pub served_for_s: u64,
    /// Links in it.
    pub links: u64,
    /// Domains in it.
    pub domains: u32,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Checksum of its content, as 16 hexadecimal digits: equal on nodes that serve the same links.
    pub content_checksum: String,
    /// Whether it is locked in memory.
    pub locked: bool,
}

/// How attempts to serve another snapshot ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapVitals {
    /// Attempts that ended with a new snapshot in service, the first one included.
    pub succeeded: u64,
    /// Attempts that were refused or failed; the old snapshot serves on.
    pub failed: u64,
    /// What the last failed attempt said, unless one succeeded since.
    pub last_error: Option<String>,
}

/// One shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardVitals {
    /// Which one, counted from 0.
    pub index: u32,
    /// The CPU it is bound to; `None` until it runs.
    pub cpu: Option<u32>,
    /// Milliseconds since its loop last turned; `None` until it did. An idle shard turns at least every 100 ms.
    pub last_turn_ms_ago: Option<u64>,
    /// Open connections.
    pub connections: u64,
    /// Requests answered since the start, canaries included.
    pub requests: u64,
    /// Of them, how many asked for a canary: whoever waits for clicks to cease looks at the difference.
    #[serde(default)]
    pub canaries: u64,
}

/// The guard at the network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardVitals {
    /// `off`, `monitor` or `enforce`.
    pub mode: String,
    /// How scanners are treated: `off`, `monitor` or `enforce`.
    pub scanners: String,
    /// Calls to the kernel that failed since the start.
    pub failures: u64,
    /// What the last of them said.
    pub last_failure: Option<String>,
    /// The kernel's side; `None` where the mode is `off`.
    pub kernel: Option<GuardKernelVitals>,
}

/// The kernel's side of the guard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardKernelVitals {
    /// Where packets meet it.
    pub attached: Vec<GuardAttachment>,
    /// Why the last self-test failed; `None`: it passed.
    pub self_test_failure: Option<String>,
    /// Packets of the last self-test that passed.
    pub self_test_packets: u64,
    /// Networks in allow files.
    pub networks_allowed: u64,
    /// Networks in deny files.
    pub networks_denied: u64,
    /// Lines of files that are no networks and were left out.
    pub bad_lines: u64,
    /// Why the lists could not be read again; `None`: they could.
    pub lists_failure: Option<String>,
    /// Sources that are dropped.
    pub bans: u64,
    /// Sources that are challenged.
    pub challenged: u64,
    /// Milliseconds until bans, limits and challenges only count, unless the node renews.
    pub lease_ms: u64,
    /// Why challenges only count although they are configured to work; `None`: they work, or are not wanted.
    pub challenges_rest: Option<String>,
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardAttachment {
    /// Its name.
    pub interface: String,
    /// `native`, `generic`, or `adopted` from an earlier process.
    pub path: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vitals() -> Vitals {
        Vitals {
            version: VERSION,
            node: "edge-1".into(),
            program: "0.1.0".into(),
            pid: 17,
            up_s: 60,
            live: true,
            ready: false,
            stage: "serving".into(),
            draining: false,
            reasons: vec![Reason { code: "no_snapshot".into(), detail: "no snapshot is served".into() }],
            snapshot: None,
            swaps: SwapVitals::default(),
            shards: vec![ShardVitals {
                index: 0,
                cpu: Some(3),
                last_turn_ms_ago: Some(12),
                connections: 4,
                requests: 5,
                canaries: 2,
            }],
            guard: Some(GuardVitals {
                mode: "monitor".into(),
                scanners: "enforce".into(),
                failures: 0,
                last_failure: None,
                kernel: None,
            }),
        }
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let text = serde_json::to_string(&vitals()).unwrap();
        assert_eq!(serde_json::from_str::<Vitals>(&text).unwrap(), vitals());
    }

    #[test]
    fn a_field_that_a_newer_node_adds_does_not_stop_an_older_reader() {
        let mut value = serde_json::to_value(vitals()).unwrap();
        value["moon_phase"] = "full".into();
        assert_eq!(serde_json::from_value::<Vitals>(value).unwrap(), vitals());
    }
}
