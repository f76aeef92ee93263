//! What happens when one of the programs says nothing more: sidecar and BIRD killed, stopped, started again.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use lab::topology::{Plan, Shape, VIP4, VIP6};
use lab::wait::throughout;
use lab::{SOON, eventually};
use rustix::process::Signal;

use crate::anycast::{
    command, start, until_all, until_paths, until_told, without_route_changes, without_route_events,
};

#[test]
fn a_killed_sidecar_changes_nothing_and_neither_does_its_return() {
    let Some(mut lab) = start(&Plan::of(Shape::Pair), |_| {}) else { return };
    let mut node = lab.nodes.remove(0);
    without_route_events(&lab, 0, || {
        node.kill_sidecar();
        throughout(Duration::from_millis(500), || {});
        node.start_sidecar();
        throughout(Duration::from_millis(500), || {});
    });
    lab.nodes.insert(0, node);
    until_all(&lab);
    // And it still does its work.
    lab.node("a1").kill_carom();
    until_paths(&lab, 0, &["a2"]);
}

#[test]
fn a_sidecar_that_is_killed_at_any_step_of_a_change_leaves_a_state_that_the_next_one_completes() {
    let Some(mut lab) = start(&Plan::of(Shape::Pair), |_| {}) else { return };
    for step in 0..6_u64 {
        let node = lab.node("a1");
        let sidecar = node.sidecar.take().expect("the sidecar runs");
        thread::scope(|scope| {
            let node = &*node;
            scope.spawn(move || node.command(&["withdraw", "--force"]));
            throughout(Duration::from_millis(step * 4), || {});
            drop(sidecar);
        });
        // Whatever it got done, BIRD and file agree after the next one has started, and families do too.
        lab.node("a1").start_sidecar();
        for vip in [VIP4, VIP6] {
            assert!(lab.paths(0, vip).contains(&"a2".to_owned()));
        }
        eventually(SOON, "what is wanted is what is announced", || {
            let status = lab.node("a1").status();
            let announcements = status["announcements"].as_array().unwrap().clone();
            let agree = announcements.iter().all(|one| one["commanded"] == one["reported"]);
            let alike = announcements.iter().all(|one| one["commanded"] == announcements[0]["commanded"]);
            if agree && alike { Ok(()) } else { Err(format!("{announcements:#?}")) }
        });
        command(lab.node("a1"), &["undrain"]);
        until_all(&lab);
    }
}

#[test]
fn every_state_that_a_death_within_a_change_can_leave_is_completed() {
    let Some(mut lab) = start(&Plan::of(Shape::Pair), |_| {}) else { return };
    let node = lab.node("a1");
    let normal = fs::read(node.state_file()).unwrap();
    command(node, &["withdraw", "--force"]);
    let withdrawn = fs::read(node.state_file()).unwrap();
    command(node, &["undrain"]);
    until_all(&lab);
    // The file comes first, then BIRD, one command after the other: dead before, between, or behind any of them.
    for (file, v4, v6) in [
        (&withdrawn, "enable", "enable"),
        (&withdrawn, "disable", "enable"),
        (&withdrawn, "disable", "disable"),
        (&normal, "disable", "disable"),
        (&normal, "enable", "disable"),
    ] {
        let node = lab.node("a1");
        node.kill_sidecar();
        fs::write(node.state_file(), file).unwrap();
        node.bird.ask(&format!("{v4} \"vip_web_v4_*\""));
        node.bird.ask(&format!("{v6} \"vip_web_v6_*\""));
        node.start_sidecar();
        until_all(&lab);
        let node = lab.node("a1");
        eventually(SOON, "the file says so too", || {
            let found = fs::read(node.state_file()).unwrap();
            if found == normal { Ok(()) } else { Err(String::from_utf8_lossy(&found).into_owned()) }
        });
    }
}

#[test]
fn a_sidecar_that_says_nothing_for_its_lease_has_its_node_lowered_to_graceful_shutdown() {
    let Some(mut lab) = start(&Plan::of(Shape::Pair), |node| node.set("lease", "lease_s", 5)) else { return };
    let node = lab.node("a1");
    let lease = node.start_lease();
    node.kill_sidecar();
    until_paths(&lab, 0, &["a2"]);
    until_told(&lab, 0, "(65535,0)");
    lab.node("a1").start_sidecar();
    until_all(&lab);
    drop(lease);
}

#[test]
fn a_killed_bird_is_left_at_once_and_announces_what_it_did_when_it_is_back() {
    let Some(mut lab) = start(&Plan::of(Shape::Pair), |_| {}) else { return };
    let node = lab.node("a1");
    node.bird.kill();
    until_paths(&lab, 0, &["a2"]);
    lab.node("a1").start_bird(false);
    until_all(&lab);
    // What was withdrawn stays so through a restart: the file says it, not a process.
    command(lab.node("a1"), &["withdraw"]);
    until_paths(&lab, 0, &["a2"]);
    let mut node = lab.nodes.remove(0);
    without_route_events(&lab, 0, || {
        node.bird.stop();
        node.start_bird(false);
        node.until_sessions_are_up();
        throughout(Duration::from_secs(2), || {});
    });
    lab.nodes.insert(0, node);
    command(lab.node("a1"), &["undrain"]);
    until_all(&lab);
}

#[test]
fn a_bird_that_hangs_is_left_by_bfd_and_taken_up_again() {
    let Some(mut lab) = start(&Plan::of(Shape::Pair), |_| {}) else { return };
    lab.node("a1").bird.signal(Signal::STOP);
    until_paths(&lab, 0, &["a2"]);
    eventually(SOON, "the sidecar notices", || lab.nodes[0].status()["bird"]["reached"] == false);
    lab.node("a1").bird.signal(Signal::CONT);
    until_all(&lab);
    eventually(SOON, "the sidecar is back", || lab.nodes[0].status()["bird"]["reached"] == true);
}

#[test]
fn a_bird_that_hangs_without_bfd_is_left_when_the_hold_time_has_passed() {
    let plan = Plan { bfd: lab::topology::Bfd::Off, ..Plan::of(Shape::Pair) };
    let Some(mut lab) = start(&plan, |_| {}) else { return };
    let began = Instant::now();
    lab.node("a1").bird.signal(Signal::STOP);
    eventually(SOON, "the sidecar alarms", || {
        let status = lab.nodes[0].status();
        let alarms = status["alarms"].to_string();
        if alarms.contains("BIRD does not answer") { Ok(()) } else { Err(alarms) }
    });
    until_paths(&lab, 0, &["a2"]);
    // The hold time of the lab is 9 s, and the last word came up to 3 s before the fault.
    assert!(began.elapsed() > Duration::from_secs(5), "{:?}", began.elapsed());
    lab.node("a1").bird.signal(Signal::CONT);
    until_all(&lab);
}

#[test]
fn bird_restarts_without_a_route_event_where_routers_wait_for_it() {
    let plan = Plan { bfd: lab::topology::Bfd::Off, graceful_restart_s: Some(20), ..Plan::of(Shape::Single) };
    let Some(mut lab) = start(&plan, |_| {}) else { return };
    let mut node = lab.nodes.remove(0);
    without_route_changes(&lab, 0, || {
        node.bird.kill();
        node.start_bird(true);
        node.until_sessions_are_up();
        // Longer than the end of recovery, at which a route that did not come back would go.
        throughout(Duration::from_secs(4), || {});
    });
    lab.nodes.insert(0, node);
    until_all(&lab);
}

#[test]
fn a_control_socket_that_was_removed_stops_no_announcement_and_comes_back_with_bird() {
    let Some(mut lab) = start(&Plan::of(Shape::Pair), |_| {}) else { return };
    let mut node = lab.nodes.remove(0);
    without_route_events(&lab, 0, || {
        std::fs::remove_file(node.bird.socket()).unwrap();
        throughout(Duration::from_secs(1), || {});
        node.kill_sidecar();
        throughout(Duration::from_secs(1), || {});
    });
    lab.nodes.insert(0, node);
    let node = lab.node("a1");
    node.bird.stop();
    node.start_bird(false);
    node.start_sidecar();
    until_all(&lab);
    lab.node("a1").kill_carom();
    until_paths(&lab, 0, &["a2"]);
}
