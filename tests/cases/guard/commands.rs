//! `carom guard` as an operator uses it, for eyes and for machines; what the node states about its guard; its privileges.

use std::fs;
use std::path::Path;

use ebpf_loader::frames::{self, flags};
use lab::process::run;
use lab::{Node, SOON, binaries, eventually};

use super::bench::{Bench, FAR, HUMANS, NEAR, NODE, SCANNERS, end, list_of};

/// A file as tcpdump writes it.
fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for value in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(value.to_ne_bytes());
    }
    for frame in frames {
        for value in [0, 0, frame.len() as u32, frame.len() as u32] {
            file.extend(value.to_ne_bytes());
        }
        file.extend(frame);
    }
    file
}

#[test]
fn status_bans_and_explain_say_what_the_guard_does_and_why() {
    let Some(bench) = Bench::new() else { return };
    let bench = bench.with_challenges();
    let _node = bench.start();
    bench.serves(HUMANS);
    let status = bench.told(&["status"]);
    for part in [
        "attached to  node0",
        "a node supervises",
        "ban enforce",
        "serves       192.0.2.1 port 80",
        "accepted",
    ] {
        assert!(status.contains(part), "{part}: {status}");
    }
    let status = bench.json(&["status"]);
    assert_eq!(status["interfaces"], serde_json::json!(["node0"]));
    assert!(status["lease_ms"].as_u64().unwrap() > 0);
    assert_eq!(bench.told(&["bans"]), "nobody is banned\n");
    bench.told(&["ban", SCANNERS[0], "--for", "2h"]);
    assert_eq!(bench.json(&["ban", SCANNERS[1], "--challenge"])["kind"], "challenge");
    let bans = bench.json(&["bans"]);
    assert_eq!((&bans[0]["source"], &bans[0]["cause"]), (&"192.0.2.66/32".into(), &"an operator".into()));
    assert_eq!((&bans[1]["source"], &bans[1]["kind"]), (&"2001:db8:66::/64".into(), &"challenge".into()));
    let explain = |from: &str, to: &str| {
        let told = bench.json(&["explain", from, to]);
        ["action", "reason", "stage"].map(|key| told[key].as_str().unwrap_or("none").to_owned())
    };
    assert_eq!(explain("192.0.2.66:4000", "192.0.2.1:80"), ["drop", "banned", "ban"]);
    assert_eq!(explain("[2001:db8:66::9]:4000", "[2001:db8:1::1]:80")[1..], ["trickle", "none"]);
    assert_eq!(explain("192.0.2.100:4000", "192.0.2.1:80"), ["pass", "accepted", "none"]);
    assert_eq!(explain("192.0.2.100:4000", "192.0.2.1:22"), ["drop", "unserved_port", "port"]);
    let seen = bench.site.path().join("seen.pcap");
    let frames = [
        frames::arp(),
        frames::tcp(end(SCANNERS[0], 4_000), end(NODE[0], 80), flags::SYN, &[], &[]),
        frames::udp(end(HUMANS[1], 4_000), end(NODE[1], 53), b"x"),
    ];
    fs::write(&seen, pcap(&frames)).unwrap();
    let told = bench.told(&["explain", seen.to_str().unwrap()]);
    let lines: Vec<_> = told.lines().filter(|line| line.starts_with("frame")).collect();
    for (line, part) in lines.iter().zip([
        "frame 1: pass, reason arp",
        "frame 2: drop, reason banned",
        "frame 3: drop, reason unserved_port",
    ]) {
        assert!(line.starts_with(part), "{line}");
    }
    assert_eq!(lines.len(), 3, "{told}");
    assert_eq!(bench.json(&["unban", SCANNERS[0]])["lifted"], true);
    assert_eq!(bench.guard(&["unban", SCANNERS[0]]).code, Some(1));
    // Who has nothing to say here is told what is missing.
    let nowhere = run(&binaries::carom(), ["guard", "--pins", "/proc/none", "status"]);
    assert!(nowhere.errors.contains("no guard is pinned at /proc/none"), "{}", nowhere.errors);
}

#[test]
fn watch_prints_samples_of_drops_and_a_full_ring_costs_only_samples() {
    let Some(bench) = Bench::new() else { return };
    let bench = bench.set("guard", "events_per_s", 10_000);
    let began = run(Path::new("date"), ["-u", "+%FT%T"]).output;
    let node = bench.start();
    let junk = |port| frames::udp(end(SCANNERS[0], port), end(NODE[0], 53), b"junk");
    let flood: Vec<_> = (0..2_000).map(|number| junk(1_024 + number)).collect();
    // Nobody watches: the ring fills up, the rest is counted, and the node does not care.
    let volley = bench.clients.volley(FAR, &flood, 100, 0.05);
    node.until_metric("carom_guard_events_lost_total", &[], 1.0);
    bench.serves(HUMANS);
    drop(volley);
    let told = bench.told(&["watch", "--count", "5"]);
    assert_eq!(told.lines().count(), 5);
    assert!(
        told.lines().all(|line| line.contains("Z  drop ") && line.contains("udp   192.0.2.66:")),
        "{told}"
    );
    let first = told.split(' ').next().unwrap();
    let json = bench.told(&["watch", "--count", "1", "--json"]);
    let sample: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&sample["reason"], &sample["destination_port"]), (&"unserved_port".into(), &53.into()));
    // When it was, in both forms as other logs write it: not before the node started, and in the order of the ring.
    let time = sample["time"].as_str().unwrap();
    assert!(began.trim() <= first && first <= time && time.ends_with('Z'), "{began}, {first}, {time}");
}

#[test]
fn a_customer_is_let_in_again_by_allow_and_a_reload() {
    let Some(bench) = Bench::new() else { return };
    let deny = bench.file("deny", "192.0.2.0/24\n2001:db8::/32\n");
    let allow = bench.file("allow", "# customers");
    let bench = bench.set("guard", "deny_files", list_of(&deny)).set("guard", "allow_files", list_of(&allow));
    let node = bench.start();
    bench.drops(HUMANS);
    let configuration = bench.site.write_configuration();
    let told = bench.told(&[
        "allow",
        "192.0.2.100",
        "2001:db8:100::/48",
        "--config",
        configuration.to_str().unwrap(),
    ]);
    assert!(told.contains("in force after SIGHUP"), "{told}");
    node.reload();
    for (human, to) in HUMANS.iter().zip(NODE) {
        eventually(SOON, "the customer is served", || bench.asked(human, to));
    }
    bench.drops(SCANNERS);
}

/// Writes over a value of a pinned table, as no carom would.
fn damage(bench: &Bench, bytes: &[&str]) {
    let table = fs::read_dir(bench.pins())
        .unwrap()
        .map(|entry| entry.unwrap().path().join("CONTROL"))
        .find(|path| path.exists())
        .expect("the control table is pinned");
    let arguments = ["map", "update", "pinned", table.to_str().unwrap(), "key", "0", "0", "0", "0", "value"];
    let arguments = arguments.iter().chain(bytes);
    let finished = run(Path::new("bpftool"), arguments);
    assert_eq!(finished.code, Some(0), "bpftool: {finished:?}");
}

#[test]
fn a_guard_that_fails_its_own_test_swaps_no_lists_and_says_so_in_vitals_and_readiness() {
    let Some(bench) = Bench::new() else { return };
    let deny = bench.file("deny", "192.0.2.66\n");
    let bench = bench.set("guard", "deny_files", list_of(&deny));
    let node = bench.start();
    assert_eq!(node.admin().get("/readyz").status, 200);
    // Somebody's tool wrote a version that no program knows: the guard is blind.
    let (blind, now) = (["0"; 8], "255");
    let rest = [now; 4].into_iter().chain(["0"; 4]);
    damage(&bench, &blind.into_iter().chain(rest).collect::<Vec<_>>());
    bench.serves(SCANNERS);
    eventually(SOON, "the program says itself that it is blind", || {
        node.log().contains("no policy of version").then_some(()).ok_or_else(|| node.log())
    });
    fs::write(&deny, "192.0.2.66\n2001:db8:66::/48\n").unwrap();
    node.reload();
    let failure = eventually(SOON, "the failure is stated", || {
        node.vitals().guard.unwrap().kernel.unwrap().self_test_failure
    });
    assert!(failure.contains("self-test"), "{failure}");
    assert_eq!(node.vitals().guard.unwrap().kernel.unwrap().networks_denied, 1, "the lists were swapped");
    let ready = node.admin().get("/readyz");
    assert!(ready.status == 503 && ready.body.contains("guard_self_test"), "{ready:?}");
    assert_eq!(node.metric("carom_guard_self_test_ok", &[]), 0.0);
    // The next start mends it.
    node.stop();
    let node = bench.start();
    assert_eq!(node.admin().get("/readyz").status, 200);
    bench.drops(SCANNERS);
}

/// Effective capabilities of each thread.
fn capabilities(node: &Node) -> Vec<u64> {
    fs::read_dir(format!("/proc/{}/task", node.id()))
        .unwrap()
        .map(|task| {
            let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap()
        })
        .collect()
}

#[test]
fn every_thread_gives_up_what_it_does_not_need_and_keeps_what_root_needs_with_and_without_a_guard() {
    let Some(bench) = Bench::new() else { return };
    // DAC_OVERRIDE, NET_BIND_SERVICE, NET_ADMIN, IPC_LOCK, PERFMON, BPF.
    let needed = [1, 10, 12, 14, 38, 39].iter().fold(0, |all, bit| all | 1_u64 << bit);
    let node = bench.start();
    let held = capabilities(&node);
    assert!(
        held.len() > 2 && held.iter().all(|held| *held & !needed == 0 && held & needed == needed),
        "{held:x?}"
    );
    node.stop();
    bench.told(&["detach", "--interface", NEAR]);
    let bench = bench.set("guard", "mode", r#""off""#);
    // The state directory of somebody else, closed to all others: root still keeps its copies there.
    std::os::unix::fs::chown(bench.site.state(), Some(65_534), Some(65_534)).unwrap();
    fs::set_permissions(bench.site.state(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let node = bench.start();
    assert!(capabilities(&node).iter().all(|held| *held & !needed == 0));
    let again = fs::read(bench.site.snapshot()).unwrap();
    bench.site.publish_bytes(&again);
    node.reload();
    bench.serves(HUMANS);
}

#[test]
fn an_interface_that_goes_and_comes_back_is_guarded_again_and_a_detached_one_stays_open() {
    let Some(bench) = Bench::new() else { return };
    let node = bench.start();
    for scanner in SCANNERS {
        bench.told(&["ban", scanner, "--for", "1h"]);
    }
    let attached = || node.vitals().guard.unwrap().kernel.unwrap().attached;
    bench.node_side.ip(&["link", "del", NEAR]);
    eventually(SOON, "the loss is stated", || attached().is_empty());
    bench.cable();
    eventually(SOON, "the guard is attached again", || !attached().is_empty());
    assert_eq!(attached()[0].path, "native");
    bench.drops(SCANNERS);
    bench.serves(HUMANS);
    // An operator opens the gate: nobody shuts it behind his back.
    bench.told(&["detach", "--interface", NEAR]);
    eventually(SOON, "the open gate is stated", || attached().is_empty());
    bench.serves(SCANNERS);
    assert!(bench.told(&["status"]).contains("the gate is open"));
}

#[test]
fn the_port_of_the_administration_cannot_be_locked_out() {
    let Some(bench) = Bench::new() else { return };
    let deny = bench.file("deny", "0.0.0.0/0\n::/0\n");
    let bench = bench
        .set("guard", "deny_files", list_of(&deny))
        .set("admin", "listen", r#""192.0.2.1:9100""#)
        .set("admin", "allow_public", true);
    let _node = bench.node_side.within(|| bench.site.launch());
    let told = eventually(SOON, "the node answers for itself", || {
        bench.clients.within(|| lab::admin::Admin::Tcp(end(NODE[0], 9_100)).try_get("/healthz"))
    });
    assert_eq!(told.status, 200);
    bench.told(&["ban", HUMANS[0]]);
    bench.told(&["ban", "192.0.2.0/24"]);
    bench.drops(HUMANS);
    let asked = bench.clients.within(|| lab::admin::Admin::Tcp(end(NODE[0], 9_100)).get("/healthz"));
    assert_eq!(asked.status, 200);
    assert!(bench.counted("admin_port") > 0);
}
