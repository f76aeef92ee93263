//! Without a guard that works a node does not start, says why, names the fix, and the way without XDP.

use std::fs;

use ebpf_loader::{Guard, GuardOptions, Pins};
use lab::SOON;
use lab::process::run;

use super::bench::{Bench, HUMANS, NEAR};

/// Every refusal says how to run without XDP.
#[track_caller]
fn names(told: &str, parts: &[&str]) {
    for part in parts.iter().chain(&["mode = \"off\""]) {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn a_node_without_its_interface_refuses_to_start_and_names_the_way_without_xdp() {
    let Some(bench) = Bench::new() else { return };
    let bench = bench.set("guard", "interfaces", r#"["node9"]"#);
    names(&bench.serve_in_vain(), &["node9", "there is no interface"]);
}

#[test]
fn an_interface_without_native_xdp_is_refused_unless_the_slow_path_is_allowed() {
    let Some(bench) = Bench::new() else { return };
    bench.node_side.ip(&["link", "add", "bridge0", "type", "bridge"]);
    bench.node_side.ip(&["link", "set", "bridge0", "up"]);
    let bench = bench.set("guard", "interfaces", r#"["bridge0"]"#);
    names(
        &bench.serve_in_vain(),
        &["bridge0", "refuses a native program", "the driver bridge has no native XDP", "use another card"],
    );
    let bench = bench.set("guard", "allow_generic", true);
    let node = bench.start();
    let attached = node.vitals().guard.unwrap().kernel.unwrap().attached;
    assert_eq!((attached[0].interface.as_str(), attached[0].path.as_str()), ("bridge0", "generic"));
}

#[test]
fn a_strangers_program_is_never_evicted() {
    let Some(bench) = Bench::new() else { return };
    let options = GuardOptions { pins: Pins::at(bench.site.path().join("bpf/stranger")), object: None };
    let mut stranger = bench.node_side.within(|| {
        let mut stranger = Guard::load(&options).unwrap();
        stranger.attach(NEAR, false).unwrap();
        stranger
    });
    names(&bench.serve_in_vain(), &[NEAR, "has an XDP program already", "stop its owner"]);
    // It is still there, and only its owner removes it.
    names(&bench.serve_in_vain(), &[NEAR, "has an XDP program already"]);
    assert!(stranger.detach(NEAR).unwrap());
    drop(stranger);
    let _node = bench.start();
    bench.serves(HUMANS);
}

#[test]
fn a_user_without_the_capability_is_told_which_one() {
    let Some(mut bench) = Bench::new() else { return };
    bench.node_side.sysctl("ipv4/ip_unprivileged_port_start", "0");
    bench.site = bench.site.as_nobody();
    let mut process = bench.node_side.within(|| bench.site.launch());
    let status = process.end(SOON);
    assert!(!status.success());
    names(&process.errors(), &["missing capability CAP_BPF", "CAP_NET_ADMIN"]);
}

#[test]
fn a_sysctl_that_stands_in_the_way_is_named_at_the_start_and_by_check() {
    let Some(bench) = Bench::new() else { return };
    let configuration = bench.site.write_configuration();
    let check = || {
        let arguments = ["check".as_ref(), "--config".as_ref(), configuration.as_os_str()];
        let checked = bench.node_side.within(|| run(&lab::binaries::carom(), arguments));
        checked.output + &checked.errors
    };
    let fix = "sysctl -w net.ipv4.tcp_syncookies=2";
    for (value, rests) in [("0", true), ("1", true), ("2", false)] {
        bench.node_side.sysctl("ipv4/tcp_syncookies", value);
        let problem = format!("net.ipv4.tcp_syncookies is {value}, so challenges only count");
        let node = bench.start();
        let stated = node.vitals().guard.unwrap().kernel.unwrap().challenges_rest;
        assert_eq!(stated.is_some_and(|reason| reason.contains(&problem)), rests, "vitals at {value}");
        let (checked, log) = (check(), node.log());
        for told in [&checked, &log] {
            let names = told.contains(&problem) && told.contains(fix);
            assert_eq!(names, rests, "{value}: {told}");
        }
        bench.serves(HUMANS);
        node.stop();
    }
}

#[test]
fn pins_on_an_ordinary_file_system_are_refused_with_the_mount_that_is_missing() {
    let Some(bench) = Bench::new() else { return };
    let pins = bench.site.path().join("ordinary/carom");
    let bench = bench.set("guard", "pins", format!("{pins:?}"));
    names(&bench.serve_in_vain(), &["ordinary/carom is not on a BPF file system", "mount -t bpf bpffs"]);
}

#[test]
fn a_configuration_that_does_not_mention_the_guard_does_not_start_and_off_must_be_written() {
    let Some(bench) = Bench::new() else { return };
    let whole = bench.site.configuration();
    let (before, guard) = whole.split_once("\n[guard]\n").unwrap();
    let after = guard.find("\n[").map_or("", |at| &guard[at..]);
    let start = |guard: &str| {
        let path = bench.site.path().join("unguarded.toml");
        fs::write(&path, format!("{before}\n{guard}{after}")).unwrap();
        path
    };
    let path = start("");
    let serve = || {
        let arguments = ["serve".as_ref(), "--config".as_ref(), path.as_os_str()];
        run(&lab::binaries::carom(), arguments)
    };
    let refused = bench.node_side.within(serve);
    assert_ne!(refused.code, Some(0));
    names(&refused.errors, &["guard.interfaces is empty"]);
    let bench = bench.set("guard", "mode", r#""off""#);
    let node = bench.start();
    assert!(node.vitals().guard.unwrap().kernel.is_none());
    bench.serves(HUMANS);
}
