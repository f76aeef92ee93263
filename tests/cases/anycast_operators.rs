//! What operators do: drains, drills, weights, and what they do to BIRD by hand.

use std::fs;
use std::time::Duration;

use lab::process::Process;
use lab::topology::{Clicks, Lab, Plan, Shape};
use lab::wait::throughout;
use lab::{SOON, Site, eventually, mount};

use crate::anycast::{clicks, command, start, until_all, until_paths, until_told, without_route_events};

/// Asserts that the withdrawn node a1 stays withdrawn.
#[track_caller]
fn stays_withdrawn(lab: &Lab, what: &str) {
    throughout(Duration::from_millis(1_500), || {
        for vip in [lab::topology::VIP4, lab::topology::VIP6] {
            assert_eq!(lab.paths(0, vip), ["a2"], "{what}");
        }
    });
}

#[test]
fn a_drain_says_graceful_shutdown_waits_withdraws_and_loses_no_click_that_comes_afterwards() {
    let Some(mut lab) = start(&Plan::of(Shape::Pair), |node| node.set("drain", "settle_ms", 1_000)) else {
        return;
    };
    let running = Clicks::start(&lab.clients[0].space, &clicks(), 100);
    eventually(SOON, "both nodes answer", || running.so_far().answered.len() == 2);
    command(lab.node("a1"), &["drain", "--reason", "test"]);
    until_told(&lab, 0, "(65535,0)");
    until_paths(&lab, 0, &["a2"]);
    eventually(SOON, "it is withdrawn", || {
        let told = lab.routers[0].told(lab::topology::VIP4);
        if told.contains("(65535,0)") { Err(told) } else { Ok(()) }
    });
    command(lab.node("a1"), &["undrain"]);
    until_all(&lab);
    let tally = running.stop();
    // No new connection fails. One that is open in the very moment in which a route moves is cut by the node that it moves to:
    // at a hundred clicks per second, of a millisecond each, hardly one for each of the four moves.
    assert!(tally.failed_but_cut().is_empty(), "{:?}", tally.failed);
    assert!(tally.failed.len() <= 4 && tally.sent() > 100, "{tally:?}");
}

#[test]
fn an_upgrade_of_carom_in_place_moves_no_route_and_fails_no_click() {
    Process::inherit_orphans();
    let Some(mut lab) = start(&Plan::of(Shape::Pair), |node| node.configure(Site::with_program)) else {
        return;
    };
    let running = Clicks::start(&lab.clients[0].space, &clicks(), 100);
    eventually(SOON, "both nodes answer", || running.so_far().answered.len() == 2);
    let mut node = lab.nodes.remove(0);
    let before = node.carom.as_ref().unwrap().id();
    without_route_events(&lab, 0, || {
        node.upgrade_carom();
        let sent = running.so_far().sent();
        eventually(SOON, "clicks go on", || running.so_far().sent() > sent + 50);
    });
    assert_ne!(node.carom.as_ref().unwrap().id(), before);
    lab.nodes.insert(0, node);
    let tally = running.stop();
    assert!(tally.failed.is_empty(), "{:?}", tally.failed);
    // The sidecar judges the new one.
    lab.node("a1").kill_carom();
    until_paths(&lab, 0, &["a2"]);
}

#[test]
fn a_drill_ends_by_itself_also_if_the_sidecar_is_killed_meanwhile() {
    let Some(mut lab) = start(&Plan::of(Shape::Pair), |_| {}) else { return };
    command(lab.node("a1"), &["drill", "withdraw", "--for", "6s", "--reason", "test"]);
    until_paths(&lab, 0, &["a2"]);
    let node = lab.node("a1");
    node.kill_sidecar();
    node.start_sidecar();
    until_all(&lab);
    let said = lab.node("a1").command(&["history"]);
    assert_eq!(said.code, Some(0), "{}{}", said.output, said.errors);
    assert!(said.output.contains("drill"), "{}", said.output);
}

#[test]
fn weights_are_longer_paths_on_the_neighbour() {
    let Some(mut lab) = start(&Plan::of(Shape::Pair), |_| {}) else { return };
    command(lab.node("a1"), &["announce", "--rung", "prepended"]);
    let asn = lab.node("a1").asn();
    until_told(&lab, 0, &format!("BGP.as_path: {asn} {asn} {asn}"));
    until_paths(&lab, 0, &["a2"]);
    command(lab.node("a1"), &["announce"]);
    until_all(&lab);
}

#[test]
fn nothing_that_is_done_to_bird_by_hand_announces_what_is_withdrawn() {
    let Some(mut lab) = start(&Plan::of(Shape::Pair), |_| {}) else { return };
    command(lab.node("a1"), &["withdraw"]);
    until_paths(&lab, 0, &["a2"]);
    let config = lab.node("a1").bird.config().to_owned();
    for by_hand in ["configure", "configure soft", "configure timeout 2", "configure undo"] {
        lab.node("a1").bird.ask(by_hand);
        stays_withdrawn(&lab, by_hand);
    }
    // A broken file stops BIRD from being configured, and the sidecar from nothing.
    let whole = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{whole}\nthis is no configuration;\n")).unwrap();
    assert!(lab.node("a1").bird.ask("configure").contains("8002"));
    command(lab.node("a1"), &["undrain"]);
    until_all(&lab);
    command(lab.node("a1"), &["withdraw"]);
    until_paths(&lab, 0, &["a2"]);
    fs::write(&config, whole).unwrap();
    assert!(lab.node("a1").bird.ask("configure").contains("000"));
    stays_withdrawn(&lab, "configure after a broken file");
}

#[test]
fn what_somebody_else_enables_or_disables_is_repaired_and_recorded() {
    let Some(mut lab) = start(&Plan::of(Shape::Pair), |_| {}) else { return };
    lab.node("a1").bird.ask("disable \"vip_web_*\"");
    until_all(&lab);
    command(lab.node("a1"), &["withdraw"]);
    until_paths(&lab, 0, &["a2"]);
    lab.node("a1").bird.ask("enable \"vip_web_*\"");
    eventually(SOON, "it is withdrawn again", || {
        lab.paths(0, lab::topology::VIP4) == ["a2"] && lab.paths(0, lab::topology::VIP6) == ["a2"]
    });
    let said = lab.node("a1").command(&["history"]);
    assert_eq!(said.code, Some(0), "{}", said.errors);
    assert!(said.output.contains("foreign"), "{}", said.output);
}

#[test]
fn a_full_disk_stops_no_withdrawal() {
    let mut mounts = Vec::new();
    let Some(mut lab) = Lab::build(&Plan::of(Shape::Pair)) else { return };
    for node in &mut lab.nodes {
        // State file and audit log lie on a disk of their own.
        fs::create_dir_all(node.sidecar_state()).unwrap();
        let Some(mounted) = mount::small(&node.sidecar_state(), 64) else {
            return lab::here::not_run("a small file system cannot be mounted");
        };
        mounts.push(mounted);
        node.set("bird", "state_file", format!("{:?}", node.sidecar_state().join("bird-state.conf")));
        node.publish(
            &lab::Domains::default(),
            &[lab::Row::new(crate::anycast::HOST, "a", "https://a.test/")],
        );
        node.start();
    }
    until_all(&lab);
    let filler = lab.node("a1").sidecar_state().join("filler");
    let _ = fs::write(&filler, vec![1_u8; 1 << 20]);
    lab.node("a1").kill_carom();
    until_paths(&lab, 0, &["a2"]);
    let alarms = lab.node("a1").status()["alarms"].to_string();
    assert!(alarms.contains("bird-state.conf"), "{alarms}");
    lab.node("a1").start_carom();
    until_all(&lab);
    // With room again the file says what is announced.
    lab.node("a1").kill_carom();
    until_paths(&lab, 0, &["a2"]);
    fs::remove_file(filler).unwrap();
    eventually(SOON, "the file is written", || {
        let text = fs::read_to_string(lab.nodes[0].state_file()).unwrap();
        if text.contains("CAROM_WEB_V4_GRACEFUL = 1") { Ok(()) } else { Err(text) }
    });
    drop(lab);
}
