//! A node that is told to end finishes what it began: unready first, then no new connections, then nobody is cut off.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lab::load::{Load, Plan, Steady};
use lab::{Node, Peer, SOON, Site, eventually, here};
use rustix::process::Signal;

use crate::fixture::{self, GO};

fn oracle() -> Arc<Steady> {
    let links = ["301", "302", "303", "307", "308"];
    let links = links.map(|status| (format!("/s{status}"), format!("https://{status}.test/"))).to_vec();
    Arc::new(Steady { host: GO.into(), links })
}

/// Waits until no new connection is taken.
#[track_caller]
fn until_refusing(node: &Node) {
    for &address in node.addresses() {
        eventually(SOON, "new connections are refused", || Peer::try_connect(address).is_err());
    }
}

#[test]
fn a_drain_under_load_answers_every_request_and_ends_well() {
    for round in 0..3 {
        let site = fixture::site();
        let mut node = site.start();
        let plan = Plan { clients: 8, ..Plan::steady(node.addresses()) };
        let load = Load::start(&plan, &oracle());
        load.until_more(500);
        let began = Instant::now();
        node.signal(Signal::TERM);
        let tally = load.finish();
        let status = node.end(SOON);
        assert_eq!((tally.wrong, tally.lost), (0, 0), "round {round}: {tally:#?}");
        assert!(tally.closed_in_order >= 8, "every client was told to go: {tally:#?}");
        assert_eq!(tally.closed_in_order, tally.connections, "and so was who came late: {tally:#?}");
        assert_eq!(status.code(), Some(0), "round {round}");
        assert!(began.elapsed() < Duration::from_secs(10), "clients that leave when told need no deadline");
    }
}

#[test]
fn clients_that_connect_for_each_request_are_answered_or_refused_but_never_reset() {
    for round in 0..3 {
        let site = fixture::site();
        let mut node = site.start();
        let plan = Plan { clients: 8, requests_per_connection: 1, ..Plan::steady(node.addresses()) };
        let load = Load::start(&plan, &oracle());
        load.until_more(500);
        node.signal(Signal::TERM);
        let tally = load.finish();
        assert_eq!(node.end(SOON).code(), Some(0), "round {round}");
        if !here::is_root() && node.log().contains("cannot filter handshakes") {
            here::not_run("connecting while a node drains: this user may not attach filters to sockets");
            return;
        }
        assert_eq!(
            (tally.wrong, tally.lost, tally.lost_before_first),
            (0, 0, 0),
            "round {round}: {tally:#?}"
        );
        assert_eq!(tally.refused, 8, "each client ended because nobody listened any more: {tally:#?}");
    }
}

#[test]
fn readiness_goes_down_first_while_connections_are_still_taken() {
    let site = fixture::site().set("drain", "announce_ms", 1_500).set("drain", "deadline_ms", 20_000);
    let mut node = site.start();
    assert_eq!(node.admin().get("/readyz").status, 200);
    node.signal(Signal::TERM);
    let unready = eventually(SOON, "the node is unready", || {
        Some(node.admin().get("/readyz")).filter(|a| a.status == 503)
    });
    assert!(unready.body.contains("draining"), "{}", unready.body);
    node.ask_everywhere(lab::peer::get(GO, "/plain"), |reply| assert_eq!(reply.status, 302));
    let vitals = node.vitals();
    assert!(vitals.live && vitals.draining && !vitals.ready, "{vitals:?}");
    assert_eq!(node.admin().get("/healthz").status, 200, "a draining node is not dead");
    until_refusing(&node);
    assert_eq!(node.end(SOON).code(), Some(0));
    assert!(!site.ready_file().exists(), "the ready file is gone");
}

#[test]
fn a_drain_lets_idle_connections_go_and_those_under_way_finish() {
    let site = fixture::site();
    let mut node = site.start();
    let mut idle: Vec<Peer> = node.addresses().iter().map(|&address| Peer::connect(address)).collect();
    for peer in &mut idle {
        peer.get(GO, "/plain");
    }
    let mut under_way = node.connect();
    under_way.send("GET /s301 HTTP/1.1\r\nHost: go.ex");
    node.until_connections(idle.len() as u64 + 1);
    node.signal(Signal::TERM);
    until_refusing(&node);
    for peer in &mut idle {
        peer.closed();
    }
    let reply = under_way.ask("ample\r\n\r\n");
    assert_eq!((reply.status, reply.closes()), (301, true));
    under_way.closed();
    assert_eq!(node.end(SOON).code(), Some(0));
}

#[test]
fn a_drain_finds_many_connections_idle_and_loses_none_of_their_next_requests() {
    let site = fixture::site();
    let mut node = site.start();
    let addresses = node.addresses().to_vec();
    let mut peers: Vec<Peer> =
        (0..200).map(|index| Peer::connect(addresses[index % addresses.len()])).collect();
    let round = |peers: &mut Vec<Peer>| {
        peers.retain_mut(|peer| {
            let reply = peer.get(GO, "/plain");
            assert_eq!(reply.status, 302);
            !reply.closes()
        });
    };
    round(&mut peers);
    assert_eq!(peers.len(), 200, "nobody was told to go before the drain");
    node.signal(Signal::TERM);
    eventually(SOON, "everybody was told to go", || {
        round(&mut peers);
        peers.is_empty()
    });
    assert_eq!(node.end(SOON).code(), Some(0));
}

#[test]
fn a_connection_that_does_not_end_is_cut_at_the_deadline() {
    let site = fixture::site().set("drain", "deadline_ms", 700).set("http", "header_timeout_ms", 60_000);
    let mut node = site.start();
    let mut stubborn = node.connect();
    stubborn.send("GET /s301 HTTP/1.1\r\n");
    node.until_connections(1);
    let began = Instant::now();
    node.signal(Signal::TERM);
    let status = node.end(SOON);
    let took = began.elapsed();
    assert_eq!(status.code(), Some(0));
    assert!(took >= Duration::from_millis(700), "cut after {took:?}");
    assert!(took < Duration::from_secs(10), "ended only after {took:?}");
    stubborn.closed();
}

#[test]
fn a_second_signal_ends_the_node_at_once() {
    let site = fixture::site().set("drain", "announce_ms", 60_000).set("drain", "deadline_ms", 60_000).set(
        "http",
        "header_timeout_ms",
        60_000,
    );
    for second in [Signal::TERM, Signal::INT] {
        let mut node = site.start();
        let mut stubborn = node.connect();
        stubborn.send("GET /s301 HTTP/1.1\r\n");
        node.until_connections(1);
        node.signal(Signal::TERM);
        eventually(SOON, "the drain has begun", || node.vitals().draining);
        let began = Instant::now();
        node.signal(second);
        node.end(SOON);
        assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
    }
}

#[test]
fn interrupt_drains_like_terminate() {
    let site: Site = fixture::site();
    let mut node = site.start();
    node.signal(Signal::INT);
    assert_eq!(node.end(SOON).code(), Some(0));
}

#[test]
fn a_node_that_is_killed_starts_again_on_the_same_ports_at_once() {
    let site = fixture::site();
    let mut first = site.start();
    let addresses: Vec<String> = first.addresses().iter().map(|address| format!("\"{address}\"")).collect();
    let mut peer = first.connect();
    peer.get(GO, "/plain");
    first.signal(Signal::KILL);
    first.end(SOON);
    let site = site.set("listen", "http", format!("[{}]", addresses.join(", ")));
    let second = site.start();
    assert_eq!(second.get(GO, "/plain").status, 302);
}

#[test]
fn a_node_that_is_told_to_end_while_it_starts_ends_and_leaves_no_ready_file() {
    for step in 0..6 {
        let site = fixture::site();
        let mut process = site.launch();
        // Each time a little further: nothing, the first log line, the copy, the end of the start.
        eventually(SOON, "the start gets there", || {
            let copied = crate::swap::copies(&site).len() + 1;
            let reached = [
                true,
                true,
                !process.errors().is_empty(),
                copied > 1,
                copied > 1,
                site.ready_file().exists(),
            ];
            reached[step] || process.ended().is_some()
        });
        if process.ended().is_none() {
            process.signal(Signal::TERM);
        }
        process.end(SOON);
        assert!(!site.ready_file().exists(), "step {step}");
        assert_eq!(site.start().get(GO, "/plain").status, 302, "the next start after step {step}");
    }
}
