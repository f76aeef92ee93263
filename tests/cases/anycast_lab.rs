//! The lab itself: routes that BIRD announces reach the kernels of routers, and clicks follow them.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lab::network::Namespace;
use lab::process::run;
use lab::topology::{Bfd, Clicks, Daemon, Lab, Plan, RouteWatch, Shape, VIP4, sweep};
use lab::{Domains, Row, SOON, eventually};

use crate::anycast::{HOST, clicks, until_paths};

/// Static protocols as somebody without the sidecar writes them.
const BY_HAND: &str = "protocol static vip_v4 { ipv4; route 192.0.2.1/32 blackhole; }\n\
                       protocol static vip_v6 { ipv6; route 2001:db8::1/128 blackhole; }\n";

/// Starts carom and a BIRD without sidecar on every node.
fn start_by_hand(lab: &mut Lab) {
    for node in &mut lab.nodes {
        node.publish(&Domains::default(), &[Row::new(HOST, "a", "https://a.test/")]);
        node.start_carom();
        node.start_bird_with(BY_HAND, false);
    }
    lab.nodes.iter().for_each(|node| node.until_sessions_are_up());
}

#[test]
fn clicks_are_shared_by_two_nodes_and_a_withdrawn_one_gets_none_and_loses_none() {
    let Some(mut lab) = Lab::build(&Plan::of(Shape::Pair)) else { return };
    start_by_hand(&mut lab);
    until_paths(&lab, 0, &["a1", "a2"]);
    let running = Clicks::start(&lab.clients[0].space, &clicks(), 100);
    eventually(SOON, "both nodes answer", || running.so_far().answered.len() == 2);
    lab.node("a1").bird.ask("disable \"vip_*\"");
    until_paths(&lab, 0, &["a2"]);
    let before = running.so_far();
    eventually(SOON, "a hundred clicks more", || running.so_far().sent() > before.sent() + 100);
    let after = running.stop();
    assert!(after.failed_but_cut().is_empty() && after.failed.len() <= 2, "{:?}", after.failed);
    // Clicks that were on their way when the route changed may still have been a1's.
    assert!(after.answered["a1"] <= before.answered["a1"] + 8, "{after:?}");
}

#[test]
fn a_path_that_falls_silent_is_left_within_half_a_second_by_bfd() {
    let Some(mut lab) = Lab::build(&Plan::of(Shape::Pair)) else { return };
    start_by_hand(&mut lab);
    until_paths(&lab, 0, &["a1", "a2"]);
    let watch = RouteWatch::open(&lab.routers[0].space);
    let router = &lab.routers[0];
    let began = Instant::now();
    lab.nodes[0].blackhole(router);
    until_paths(&lab, 0, &["a2"]);
    let changed = watch.first(VIP4, began, SOON, "the kernel is told", |_| true);
    // Far above the 300 ms of BFD and far below the 9 s of the hold time: how exactly is the benchmark's to say.
    assert!(changed.at - began < Duration::from_secs(4), "{:?}", changed.at - began);
    lab.nodes[0].heal_cable(&lab.routers[0]);
    until_paths(&lab, 0, &["a1", "a2"]);
}

#[test]
fn routes_cross_the_backbone_and_a_site_without_nodes_is_served_by_the_other() {
    let Some(mut lab) = Lab::build(&Plan::of(Shape::TwoSites)) else { return };
    start_by_hand(&mut lab);
    until_paths(&lab, 0, &["a1", "a2"]);
    until_paths(&lab, 1, &["b1", "b2"]);
    let answered = |lab: &Lab, client: usize| {
        let reply = clicks()[0].once(&lab.clients[client].space);
        reply.map(|server| server.chars().next().unwrap_or('?'))
    };
    assert_eq!(answered(&lab, 0), Ok('a'));
    assert_eq!(answered(&lab, 1), Ok('b'));
    lab.node("a1").bird.kill();
    lab.node("a2").bird.kill();
    for vip in [0, 1] {
        eventually(SOON, "site b answers the clients of site a", || {
            let reply = clicks()[vip].once(&lab.clients[0].space);
            match reply {
                Ok(server) if server.starts_with('b') => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }
}

#[test]
fn frr_and_gobgp_learn_what_bird_announces_and_lose_what_it_withdraws() {
    for daemon in [Daemon::Frr, Daemon::Gobgp] {
        let plan = Plan { daemon, bfd: Bfd::Off, ..Plan::of(Shape::Single) };
        let Some(mut lab) = Lab::build(&plan) else { return };
        start_by_hand(&mut lab);
        until_paths(&lab, 0, &["a1"]);
        lab.node("a1").bird.ask("disable \"vip_*\"");
        until_paths(&lab, 0, &[]);
        lab.node("a1").bird.ask("enable \"vip_*\"");
        until_paths(&lab, 0, &["a1"]);
    }
}

#[test]
fn bird_takes_the_configuration_that_the_sidecar_prints_as_an_example() {
    let Some(mut lab) = Lab::build(&Plan::of(Shape::Single)) else { return };
    let node = lab.node("a1");
    let config = node.write_sidecar_configuration();
    let part = |name: &str| {
        let said = node.command(&["bird-config", "--part", name]);
        assert_eq!(said.code, Some(0), "{}", said.errors);
        said.output
    };
    let services = config.with_file_name("carom-services.conf");
    fs::write(node.state_file(), part("state")).unwrap();
    fs::write(&services, part("services")).unwrap();
    let example = part("example").replace("/etc/bird/carom-services.conf", &services.to_string_lossy());
    assert!(
        example.contains("watchdog timeout") && example.contains("bfd on") && example.contains("password")
    );
    let file = config.with_file_name("example.conf");
    // What an operator must decide about is commented out; with it BIRD takes the file as well.
    fs::write(&file, example.replace("# password", "password")).unwrap();
    let said = run(Path::new("/usr/sbin/bird"), [OsStr::new("-p"), OsStr::new("-c"), file.as_os_str()]);
    assert_eq!(said.code, Some(0), "{}{}", said.output, said.errors);
}

#[test]
fn what_a_run_that_was_killed_left_behind_is_swept_and_what_a_living_one_has_is_not() {
    let Some(own) = Namespace::new() else { return lab::here::not_run("network namespaces are not allowed") };
    // A process that has ended, and whose number nobody has again yet.
    let mut dead = Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let left = format!("carom-{}-0", dead.id());
    let ip = |arguments: &[&str]| Command::new("ip").args(arguments).output().unwrap();
    assert!(ip(&["netns", "add", &left]).status.success());
    let mut orphan = Command::new("ip").args(["netns", "exec", &left, "sleep", "600"]).spawn().unwrap();
    let inside = || !ip(&["netns", "pids", &left]).stdout.is_empty();
    eventually(SOON, "a process is inside", inside);
    sweep::sweep();
    assert!(!Path::new("/run/netns").join(&left).exists(), "the namespace is still there");
    eventually(SOON, "its process has ended", || orphan.try_wait().unwrap());
    assert!(Path::new("/run/netns").join(own.name()).exists(), "a namespace of this run was taken away");
}
