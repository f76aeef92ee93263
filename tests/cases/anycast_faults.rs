//! A node that is ill is left by its routers, one that is well is not, and all of them together never are.

use std::time::Duration;

use lab::topology::{Clicks, Plan, Shape, VIP4, VIP6};
use lab::wait::throughout;
use lab::{Domains, Peer, Row, SOON, eventually};
use rustix::process::Signal;

use crate::anycast::{
    HOST, clicks, start, until_all, until_paths, until_told, without_route_events, wrong_snapshot,
};

#[test]
fn a_killed_carom_is_left_in_both_families_and_found_again_when_it_is_back() {
    let Some(mut lab) = start(&Plan::of(Shape::Pair), |_| {}) else { return };
    lab.node("a1").kill_carom();
    until_paths(&lab, 0, &["a2"]);
    let click = clicks();
    for click in &click {
        assert_eq!(click.once(&lab.clients[0].space), Ok("a2".to_owned()));
    }
    lab.node("a1").start_carom();
    until_all(&lab);
}

#[test]
fn a_carom_that_hangs_is_left_and_found_again_when_it_goes_on() {
    let Some(mut lab) = start(&Plan::of(Shape::Pair), |_| {}) else { return };
    lab.node("a1").signal_carom(Signal::STOP);
    until_paths(&lab, 0, &["a2"]);
    lab.node("a1").signal_carom(Signal::CONT);
    until_all(&lab);
}

#[test]
fn a_node_that_answers_wrongly_is_withdrawn_although_it_answers() {
    let Some(mut lab) = start(&Plan::of(Shape::Pair), |_| {}) else { return };
    let node = lab.node("a1");
    let wrong = wrong_snapshot(node);
    node.publish_file(&wrong);
    until_paths(&lab, 0, &["a2"]);
    let node = lab.node("a1");
    assert!(node.carom.as_ref().unwrap().vitals().ready, "by its own account it is well");
    let status = node.status();
    assert_eq!(status["announcements"][0]["verdict"], "wrong", "{status:#}");
    // A right one heals it.
    lab.node("a1").publish(&Domains::default(), &[Row::new(HOST, "a", "https://a.test/")]);
    until_all(&lab);
}

#[test]
fn when_all_nodes_fail_together_one_stays_announced_with_graceful_shutdown() {
    let Some(lab) = start(&Plan::of(Shape::Pair), |_| {}) else { return };
    for node in &lab.nodes {
        node.signal_carom(Signal::STOP);
    }
    let announced = |lab: &lab::topology::Lab| {
        // Asked of BGP: the kernel replaces a route of IPv6 by taking it away and giving it again.
        for vip in [VIP4, VIP6] {
            let told = lab.routers[0].told(vip);
            assert!(told.contains("unicast"), "nobody announces {vip}: {told}");
        }
    };
    eventually(SOON, "both sidecars know", || {
        announced(&lab);
        lab.nodes.iter().all(|node| node.status()["announcements"][0]["verdict"] == "dead")
    });
    throughout(Duration::from_secs(3), || announced(&lab));
    until_told(&lab, 0, "(65535,0)");
    for node in &lab.nodes {
        node.signal_carom(Signal::CONT);
    }
    until_all(&lab);
}

#[test]
fn misses_floods_and_a_stale_source_are_no_ill_health() {
    let Some(mut lab) = start(&Plan::of(Shape::Single), |_| {}) else { return };
    // Generations of the lab state a source that is months old.
    let space = &lab.clients[0].space;
    without_route_events(&lab, 0, || {
        space.within(|| {
            let address = format!("{VIP4}:80").parse().unwrap();
            let mut peer = Peer::connect(address);
            for number in 0..3_000 {
                let reply = peer.get(HOST, &format!("/no-such-code-{number}"));
                assert_eq!(reply.status, 404);
            }
            // Connections that never say anything, and requests that nobody should send.
            let idle: Vec<_> = (0..200).map(|_| Peer::connect(address)).collect();
            for _ in 0..200 {
                Peer::connect(address).ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
            }
            drop(idle);
        });
    });
    assert_eq!(lab.node("a1").status()["announcements"][0]["verdict"], "good");
}

#[test]
fn a_sidecar_that_was_stopped_for_a_while_takes_no_healthy_node_out() {
    let Some(lab) = start(&Plan::of(Shape::Single), |_| {}) else { return };
    without_route_events(&lab, 0, || {
        let sidecar = lab.nodes[0].sidecar.as_ref().unwrap();
        for _ in 0..3 {
            sidecar.signal(Signal::STOP);
            // Long enough for ten probes to time out.
            throughout(Duration::from_secs(1), || {});
            sidecar.signal(Signal::CONT);
            throughout(Duration::from_millis(300), || {});
        }
    });
}

#[test]
fn clicks_of_both_sites_go_on_when_a_whole_site_fails() {
    let Some(mut lab) = start(&Plan::of(Shape::TwoSites), |_| {}) else { return };
    let running: Vec<Clicks> =
        lab.clients.iter().map(|client| Clicks::start(&client.space, &clicks(), 20)).collect();
    lab.node("a1").kill_carom();
    lab.node("a2").kill_carom();
    eventually(SOON, "site b answers clients of site a", || {
        running[0].so_far().answered.keys().any(|server| server.starts_with('b'))
    });
    // The last rung of site a stays announced until site b was seen behind it; from then on nothing is lost.
    until_paths(&lab, 0, &[]);
    let before = running[0].so_far();
    eventually(SOON, "clicks go on", || running[0].so_far().sent() > before.sent() + 20);
    let lost = running[0].so_far().failed.len() - before.failed.len();
    assert!(lost <= 1, "{lost} more clicks were lost");
    let of_b = running.into_iter().nth(1).unwrap().stop();
    assert!(of_b.failed.is_empty(), "{:?}", of_b.failed);
}
