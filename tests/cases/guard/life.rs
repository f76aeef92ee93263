//! The gate while its node is killed, restarted and replaced: it never opens by itself, and what is banned stays banned.

use std::io::ErrorKind;
use std::sync::Arc;

use ebpf_loader::{Guard, GuardOptions, Pins};
use lab::load::{Load, Plan, Steady};
use lab::process::Process;
use lab::{Node, SOON, eventually};
use rustix::process::Signal;

use super::bench::{Answer, Bench, HUMANS, NODE, SCANNERS, end, is_silence, list_of};
use crate::fixture::GO;

impl Bench {
    /// With a guard that lets one address open as many connections as it likes: all clients of a load have the same one.
    pub(super) fn without_limits(mut self) -> Self {
        for key in ["source_soft_per_s", "source_hard_per_s", "network_soft_per_s", "network_hard_per_s"] {
            self = self.set("guard", key, 0);
        }
        self
    }

    /// Asks without a pause over both families. Needs a guard [without limits](Self::without_limits).
    pub(super) fn load(&self, requests_per_connection: u64) -> Load {
        let links = vec![("/plain".to_owned(), "https://plain.test/".to_owned())];
        let oracle = Arc::new(Steady { host: GO.to_owned(), links });
        let addresses = NODE.map(|address| end(address, 80));
        let plan = Plan { clients: 2, requests_per_connection, ..Plan::steady(&addresses) };
        self.clients.within(|| Load::start(&plan, &oracle))
    }

    /// Nobody is behind the guard: the kernel refuses whom it lets through.
    fn refuses(&self, clients: [&str; 2]) -> Result<(), String> {
        for (client, to) in clients.into_iter().zip(NODE) {
            let answer = self.knock(client, to, &["plain"]);
            if answer != Answer::Err(ErrorKind::ConnectionRefused) {
                return Err(format!("{client}: {answer:?}"));
            }
        }
        Ok(())
    }
}

fn kill(mut node: Node) {
    node.signal(Signal::KILL);
    node.end(SOON);
}

#[test]
fn a_killed_node_leaves_the_gate_shut_and_the_next_one_adopts_it() {
    let Some(bench) = Bench::new() else { return };
    let node = bench.start();
    for (scanner, to) in SCANNERS.iter().zip(NODE) {
        eventually(SOON, "the scanner is banned", || is_silence(&bench.knock(scanner, to, &["guess"; 30])));
    }
    kill(node);
    bench.refuses(HUMANS).unwrap();
    bench.drops(SCANNERS);
    let node = bench.start();
    let kernel = node.vitals().guard.unwrap().kernel.unwrap();
    assert_eq!((kernel.attached[0].path.as_str(), kernel.bans), ("adopted", 2));
    bench.serves(HUMANS);
    bench.drops(SCANNERS);
    // An end in order leaves it as well.
    node.stop();
    bench.refuses(HUMANS).unwrap();
    bench.drops(SCANNERS);
}

#[test]
fn bans_end_in_time_while_nobody_is_at_home() {
    let Some(bench) = Bench::new() else { return };
    let node = bench.start();
    for (human, scanner) in HUMANS.iter().zip(SCANNERS) {
        bench.told(&["ban", human, "--for", "3s"]);
        bench.told(&["ban", scanner, "--for", "1h"]);
    }
    kill(node);
    eventually(SOON, "the short bans end without a node", || bench.refuses(HUMANS));
    bench.drops(SCANNERS);
}

#[test]
fn after_the_lease_bans_only_count_while_deny_goes_on_and_a_restart_renews_them() {
    let Some(bench) = Bench::new() else { return };
    let deny = bench.file("deny", "192.0.2.100\n2001:db8:100::/48\n");
    let bench = bench.set("guard", "deny_files", list_of(&deny)).set("guard", "lease_ms", 1_000);
    let node = bench.start();
    for scanner in SCANNERS {
        bench.told(&["ban", scanner, "--for", "1h"]);
    }
    bench.drops(SCANNERS);
    kill(node);
    eventually(SOON, "the bans only count", || bench.refuses(SCANNERS));
    assert!(bench.monitored("banned") > 0);
    assert_eq!(bench.json(&["status"])["lease_ms"], 0);
    bench.drops(HUMANS);
    // The next node finds the bans and somebody at home again, long after the lease.
    let _node = bench.start();
    bench.drops(SCANNERS);
    bench.drops(HUMANS);
    let bans = bench.json(&["bans"]);
    assert_eq!(bans.as_array().unwrap().len(), 2, "{bans}");
}

#[test]
fn after_the_lease_of_a_guards_thread_that_hangs_bans_only_count_and_requests_are_served_on() {
    let Some(mut bench) = Bench::new() else { return };
    bench.site = bench.site.with_failpoints();
    let deny = bench.file("deny", "192.0.2.100\n2001:db8:100::/48\n");
    let bench = bench.set("guard", "deny_files", list_of(&deny)).set("guard", "lease_ms", 1_000);
    let node = bench.start();
    for scanner in SCANNERS {
        bench.told(&["ban", scanner, "--for", "1h"]);
    }
    bench.drops(SCANNERS);
    bench.site.fail("guard-thread-hangs", true);
    eventually(SOON, "the lease runs out", || node.metric("carom_guard_lease_seconds", &[]) == 0.0);
    // Banned or not, whoever is on no list is served, by a node that is as well as ever.
    bench.serves(SCANNERS);
    assert!(bench.monitored("banned") > 0);
    assert!(node.vitals().ready);
    bench.drops(HUMANS);
    bench.site.fail("guard-thread-hangs", false);
    eventually(SOON, "the thread goes on", || node.metric("carom_guard_lease_seconds", &[]) > 0.0);
    bench.drops(SCANNERS);
}

#[test]
fn a_program_is_replaced_again_and_again_under_traffic_and_no_connection_is_lost() {
    let Some(bench) = Bench::new() else { return };
    let bench = bench.without_limits();
    let _node = bench.start();
    for scanner in SCANNERS {
        bench.told(&["ban", scanner, "--for", "1h"]);
    }
    let load = bench.load(100);
    let options = GuardOptions { pins: Pins::at(bench.pins()), object: None };
    for round in 0..4 {
        let attached = bench.node_side.within(|| {
            let mut guard = Guard::load(&options).unwrap();
            guard.self_test().unwrap();
            guard.attach("node0", false).unwrap()
        });
        assert_eq!(attached.path, None, "round {round}: it was attached anew instead of replaced");
        load.until_more(20);
    }
    load.stop().assert_flawless();
    bench.drops(SCANNERS);
}

#[test]
fn a_node_is_killed_and_started_again_under_traffic_and_the_gate_never_opens() {
    let Some(bench) = Bench::new() else { return };
    let bench = bench.without_limits();
    let mut node = bench.start();
    for scanner in SCANNERS {
        bench.told(&["ban", scanner, "--for", "1h"]);
    }
    let before = bench.counted("banned");
    for _ in 0..2 {
        let load = bench.load(100);
        load.until_more(20);
        kill(node);
        bench.drops(SCANNERS);
        node = bench.start();
        bench.drops(SCANNERS);
        // Connections of the killed node are gone with it; what matters is that new ones are served.
        load.stop();
        bench.serves(HUMANS);
    }
    assert!(bench.counted("banned") > before + 4);
    let status = bench.json(&["status"]);
    assert_eq!(status["interfaces"], serde_json::json!(["node0"]));
}

#[test]
fn an_upgrade_adopts_the_gate_and_one_that_fails_gives_it_back() {
    let Some(bench) = Bench::new() else { return };
    Process::inherit_orphans();
    let bench = bench.without_limits();
    let mut node = bench.start();
    for scanner in SCANNERS {
        bench.told(&["ban", scanner, "--for", "1h"]);
    }
    let load = bench.load(10);
    load.until_more(20);
    // This successor fails after it has set up the guard.
    let nowhere = bench.site.path().join("nowhere").join("access.log");
    let bench = bench.set("access_log", "path", format!("{nowhere:?}")).set("access_log", "sample_every", 1);
    let failed = bench.node_side.within(|| bench.site.upgrade());
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.output.contains("access_log.path"), "{}\n{}", failed.output, node.log());
    assert!(node.log().contains("the guard is this process's again"), "{}", node.log());
    bench.drops(SCANNERS);
    load.until_more(20);
    let bench = bench.set("access_log", "sample_every", 0);
    let upgrade = bench.node_side.within(|| bench.site.upgrade());
    assert_eq!(upgrade.code, Some(0), "{upgrade:?}\n{}", node.log());
    let successor = node.successor(&bench.site.ready_file());
    assert!(node.end(SOON).success(), "{}", node.log());
    load.until_more(20);
    load.stop().assert_flawless();
    bench.drops(SCANNERS);
    let kernel = successor.vitals().guard.unwrap().kernel.unwrap();
    assert_eq!((kernel.attached[0].path.as_str(), kernel.bans), ("adopted", 2));
    successor.stop();
}
