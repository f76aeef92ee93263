//! What moderates changes: freezes, dry runs, slow starts, coupled families, and clocks that jump.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use lab::topology::{AnycastNode, Lab, Plan, Shape, VIP4, VIP6};
use lab::wait::throughout;
use lab::{SOON, eventually};
use rustix::process::Signal;

use crate::anycast::{
    HOST, clicks, command, start, until_all, until_paths, until_told, without_route_events,
};

/// Where Debian's package faketime has its library.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// The first announcement in the sidecar's status.
fn first(lab: &mut Lab, key: &str) -> String {
    lab.node("a1").status()["announcements"][0][key].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_freeze_keeps_an_ill_node_announced_until_it_is_ended() {
    let Some(mut lab) = start(&Plan::of(Shape::Pair), |_| {}) else { return };
    command(lab.node("a1"), &["freeze", "--for", "10m", "--reason", "test"]);
    let mut node = lab.nodes.remove(0);
    without_route_events(&lab, 0, || {
        node.kill_carom();
        eventually(SOON, "the sidecar knows", || node.status()["announcements"][0]["verdict"] == "dead");
        throughout(Duration::from_secs(1), || {});
    });
    lab.nodes.insert(0, node);
    command(lab.node("a1"), &["unfreeze"]);
    until_paths(&lab, 0, &["a2"]);
}

#[test]
fn a_dry_run_decides_and_tells_but_commands_nothing() {
    let Some(mut lab) = start(&Plan::of(Shape::Pair), |_| {}) else { return };
    let mut node = lab.nodes.remove(0);
    let state = fs::read(node.state_file()).unwrap();
    without_route_events(&lab, 0, || {
        node.kill_sidecar();
        node.start_sidecar_with(&["--dry-run"], &[]);
        node.kill_carom();
        eventually(SOON, "it says what it would do", || {
            let status = node.status();
            let one = &status["announcements"][0];
            if status["dry_run"] == true && one["verdict"] == "dead" && one["desired"] != "normal" {
                Ok(())
            } else {
                Err(format!("{status:#}"))
            }
        });
        throughout(Duration::from_secs(1), || {});
    });
    assert_eq!(fs::read(node.state_file()).unwrap(), state, "the file that BIRD includes is as it was");
    lab.nodes.insert(0, node);
}

#[test]
fn a_node_that_is_well_again_begins_on_the_prepended_rung() {
    // The other one never is on that rung: else both of them would be, and equal.
    let configure = |node: &mut AnycastNode| {
        if node.name == "a1" {
            node.set("damper", "prepended_ms", 6_000);
        }
    };
    let Some(mut lab) = start(&Plan::of(Shape::Pair), configure) else { return };
    lab.node("a1").kill_carom();
    until_paths(&lab, 0, &["a2"]);
    lab.node("a1").start_carom();
    let asn = lab.node("a1").asn();
    // On the neighbour: the path is there, longer than the other one, and gets no traffic yet.
    until_told(&lab, 0, &format!("BGP.as_path: {asn} {asn} {asn}"));
    assert_eq!(lab.paths(0, VIP4), ["a2"]);
    until_all(&lab);
}

#[test]
fn families_fall_apart_or_together_as_the_service_says() {
    for (coupled, with_v4) in [(false, &["a1", "a2"][..]), (true, &["a2"])] {
        let configure = |node: &mut AnycastNode| node.set("service", "couple_families", coupled);
        let Some(lab) = start(&Plan::of(Shape::Pair), configure) else { return };
        lab.nodes[0].space.ip(&["address", "del", &format!("{VIP6}/128"), "dev", "lo"]);
        eventually(SOON, "IPv6 leaves the node", || lab.paths(0, VIP6) == ["a2"]);
        if coupled {
            eventually(SOON, "IPv4 does too", || lab.paths(0, VIP4) == with_v4);
        } else {
            throughout(Duration::from_secs(1), || assert_eq!(lab.paths(0, VIP4), with_v4));
        }
    }
}

#[test]
fn a_wall_clock_that_jumps_moves_no_route_and_ends_no_drill() {
    if !std::path::Path::new(FAKETIME).is_file() {
        return lab::here::not_run("there is no libfaketime: cargo xtask setup installs it");
    }
    let Some(mut lab) = start(&Plan::of(Shape::Pair), |_| {}) else { return };
    let node = lab.node("a1");
    let offset = node.directory().join("offset");
    let jump = |to: &str| {
        fs::write(offset.with_extension("new"), to).unwrap();
        fs::rename(offset.with_extension("new"), &offset).unwrap();
    };
    jump("+0");
    let file = offset.to_string_lossy().into_owned();
    node.kill_sidecar();
    node.start_sidecar_with(
        &[],
        &[
            ("LD_PRELOAD", FAKETIME),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ],
    );
    until_all(&lab);
    without_route_events(&lab, 0, || {
        for to in ["+10d", "-10d", "+0"] {
            jump(to);
            throughout(Duration::from_millis(700), || {});
        }
    });
    assert_eq!(first(&mut lab, "verdict"), "good");
    // A drill lasts as long as it was asked to, whatever the clock on the wall says meanwhile.
    command(lab.node("a1"), &["drill", "withdraw", "--for", "6s", "--reason", "test"]);
    until_paths(&lab, 0, &["a2"]);
    jump("+10d");
    throughout(Duration::from_secs(2), || assert_eq!(lab.paths(0, VIP4), ["a2"]));
    jump("-10d");
    until_all(&lab);
    // The library was at work: one of the lines is ten days older than the one before it. The chain holds all the same.
    let said = lab.node("a1").command(&["history", "--json"]);
    assert_eq!(said.code, Some(0), "{}{}", said.output, said.errors);
    let days: std::collections::BTreeSet<&str> =
        said.output.split("\"at\":\"").skip(1).map(|rest| &rest[..10]).collect();
    assert!(days.len() > 1, "the clock did not jump: {}", said.output);
}

#[test]
fn addresses_are_put_on_lo_where_the_service_says_so_and_put_back_when_somebody_removes_them() {
    let Some(mut lab) = Lab::build(&Plan::of(Shape::Single)) else { return };
    let node = lab.node("a1");
    for vip in [format!("{VIP4}/32"), format!("{VIP6}/128")] {
        node.space.ip(&["address", "del", &vip, "dev", "lo"]);
    }
    node.set("service", "addresses_on_lo", true);
    node.publish(&lab::Domains::default(), &[lab::Row::new(HOST, "a", "https://a.test/")]);
    node.start_bird(false);
    node.until_sessions_are_up();
    node.start_sidecar();
    // carom can only listen on addresses that are there.
    node.start_carom();
    until_all(&lab);
    lab.node("a1").space.ip(&["address", "del", &format!("{VIP4}/32"), "dev", "lo"]);
    eventually(SOON, "it is back, and clicks are answered", || clicks()[0].once(&lab.clients[0].space));
    until_all(&lab);
}

#[test]
fn systemd_is_told_when_the_sidecar_is_ready_and_that_it_does_not_hang() {
    let Some(mut lab) = start(&Plan::of(Shape::Single), |_| {}) else { return };
    let node = lab.node("a1");
    let path = node.directory().join("notify.sock");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_nonblocking(true).unwrap();
    node.kill_sidecar();
    node.start_sidecar_with(&[], &[("NOTIFY_SOCKET", &path.to_string_lossy())]);
    let mut told = String::new();
    let hear = |told: &mut String| {
        let mut buffer = [0; 256];
        while let Ok(length) = systemd.recv(&mut buffer) {
            told.push_str(&String::from_utf8_lossy(&buffer[..length]));
            told.push('\n');
        }
    };
    eventually(SOON, "it is ready and alive", || {
        hear(&mut told);
        let beats = told.matches("WATCHDOG=1").count();
        if told.contains("READY=1") && beats > 1 { Ok(()) } else { Err(told.clone()) }
    });
    // One that hangs is silent, so that systemd ends it.
    let sidecar = node.sidecar.as_ref().unwrap();
    sidecar.signal(Signal::STOP);
    eventually(SOON, "it has stopped", || sidecar.is_stopped());
    hear(&mut told);
    told.clear();
    throughout(Duration::from_secs(2), || {});
    hear(&mut told);
    let is_silent = told.is_empty();
    sidecar.signal(Signal::CONT);
    assert!(is_silent, "{told}");
}

#[test]
fn metrics_and_status_say_what_is_wanted_commanded_reported_and_exported() {
    let Some(mut lab) = start(&Plan::of(Shape::Pair), |_| {}) else { return };
    command(lab.node("a1"), &["announce", "--rung", "prepended", "--family", "v6"]);
    eventually(SOON, "metrics follow", || {
        let told = lab.nodes[0].space.within(|| {
            let mut told = String::new();
            let mut stream = TcpStream::connect("127.0.0.1:9181").unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream.read_to_string(&mut told).unwrap();
            told
        });
        let rung = |family: &str, view: &str| {
            let start = format!("carom_bgp_rung{{announcement=\"web/{family}\",view=\"{view}\"}} ");
            let line = told.lines().find_map(|line| line.strip_prefix(&*start));
            line.map(str::to_owned).unwrap_or_default()
        };
        let seen: Vec<_> = ["desired", "commanded", "reported", "exported"]
            .map(|view| (rung("v4", view), rung("v6", view)))
            .into();
        let well = [("3", "3"), ("3", "2"), ("3", "2"), ("3", "2")];
        if seen.iter().map(|(v4, v6)| (&**v4, &**v6)).eq(well) {
            Ok(())
        } else {
            Err(format!("{seen:?}\n{told}"))
        }
    });
    let said = lab.node("a1").command(&["status"]);
    for part in ["web/v4", "web/v6", "prepended", "weight by uid"] {
        assert!(said.output.contains(part), "{part}: {}", said.output);
    }
}

#[test]
fn more_withdrawals_in_a_minute_than_allowed_stay_on_the_graceful_rung_and_alarm() {
    let configure = |node: &mut AnycastNode| node.set("damper", "withdrawals_per_minute_max", 1);
    let Some(mut lab) = start(&Plan::of(Shape::Pair), configure) else { return };
    lab.node("a1").kill_carom();
    until_paths(&lab, 0, &["a2"]);
    eventually(SOON, "one family is withdrawn, and the other one alarms", || {
        let status = lab.nodes[0].status();
        let mut rungs: Vec<_> =
            (0..2).map(|at| status["announcements"][at]["reported"].to_string()).collect();
        rungs.sort();
        let alarmed = status["alarms"].to_string().contains("TOO MANY WITHDRAWALS");
        if rungs == ["\"graceful\"", "\"withdrawn\""] && alarmed {
            Ok(())
        } else {
            Err(format!("{status:#}"))
        }
    });
    let marked = [VIP4, VIP6].iter().filter(|vip| lab.routers[0].told(vip).contains("(65535,0)")).count();
    assert_eq!(marked, 1, "the router sees one path that is being shut down");
}

#[test]
fn a_node_that_falls_too_often_stays_away_until_it_has_been_well_or_an_operator_says_otherwise() {
    let configure = |node: &mut AnycastNode| {
        // Two falls are too many; by itself it would be back after minutes.
        node.set("damper", "suppress", 1_500);
        node.set("damper", "half_life_s", 300);
    };
    let Some(mut lab) = start(&Plan::of(Shape::Pair), configure) else { return };
    lab.node("a1").kill_carom();
    until_paths(&lab, 0, &["a2"]);
    lab.node("a1").start_carom();
    until_all(&lab);
    lab.node("a1").kill_carom();
    until_paths(&lab, 0, &["a2"]);
    lab.node("a1").start_carom();
    eventually(SOON, "it is well, and suppressed", || {
        let status = lab.nodes[0].status();
        let one = &status["announcements"][0];
        if one["verdict"] == "good" && one["phase"] == "suppressed" {
            Ok(())
        } else {
            Err(format!("{one:#}"))
        }
    });
    throughout(Duration::from_secs(1), || {
        for vip in [VIP4, VIP6] {
            assert_eq!(lab.paths(0, vip), ["a2"]);
        }
    });
    command(lab.node("a1"), &["announce"]);
    until_all(&lab);
}
