//! Neighbours that are not BIRD see the same, and a guard that is on changes nothing.

use std::fs;

use lab::mount;
use lab::topology::{Bfd, Daemon, Plan, Shape, VIP4};

use crate::anycast::{clicks, command, start, until_all, until_paths, until_told};

#[test]
fn frr_and_gobgp_see_graceful_shutdown_prepends_and_withdrawals() {
    for (daemon, graceful) in [(Daemon::Frr, "graceful-shutdown"), (Daemon::Gobgp, "4294901760")] {
        let plan = Plan { daemon, bfd: Bfd::Off, ..Plan::of(Shape::Single) };
        let Some(mut lab) = start(&plan, |_| {}) else { return };
        let asn = lab.node("a1").asn();
        command(lab.node("a1"), &["announce", "--rung", "graceful"]);
        until_told(&lab, 0, graceful);
        command(lab.node("a1"), &["announce", "--rung", "prepended"]);
        let path =
            if daemon == Daemon::Frr { format!("{asn} {asn} {asn}") } else { format!("{asn},{asn},{asn}") };
        until_told(&lab, 0, &path);
        command(lab.node("a1"), &["withdraw", "--force"]);
        until_paths(&lab, 0, &[]);
        command(lab.node("a1"), &["undrain"]);
        until_all(&lab);
    }
}

#[test]
fn a_node_behind_its_guard_is_announced_and_withdrawn_like_any_other() {
    let pins = tempfile::tempdir().unwrap();
    fs::create_dir_all(pins.path()).unwrap();
    let Some(_bpf) = mount::bpf(pins.path()) else {
        return lab::here::not_run("no BPF file system can be mounted");
    };
    let with_guard = |node: &mut lab::topology::AnycastNode| {
        let pins = format!("{:?}", pins.path().join(&node.name));
        let peers = format!("{:?}", node.router_addresses());
        node.configure(|site| {
            site.set("guard", "mode", "\"enforce\"")
                .set("guard", "interfaces", "[\"net0\"]")
                .set("guard", "allow_generic", "true")
                .set("guard", "vips", format!("[\"{VIP4}\", \"{}\"]", lab::topology::VIP6))
                .set("guard", "routing_peers", peers)
                .set("guard", "pins", pins)
        });
        node.set("vitals", "guard_required", "true");
    };
    let Some(mut lab) = start(&Plan::of(Shape::Pair), with_guard) else { return };
    for click in clicks() {
        click.once(&lab.clients[0].space).unwrap();
    }
    assert!(
        lab.node("a1").carom.as_ref().unwrap().vitals().guard.is_some_and(|guard| guard.kernel.is_some())
    );
    lab.node("a1").kill_carom();
    until_paths(&lab, 0, &["a2"]);
    lab.node("a1").start_carom();
    until_all(&lab);
}
