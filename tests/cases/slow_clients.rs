//! Clients that are slow, silent or gone cost a bounded time, and only their own connection.

use std::time::{Duration, Instant};

use lab::peer::get;
use lab::{Node, Peer, SOON, Site, eventually};

use crate::fixture::{self, GO};

const TIMEOUT_MS: u64 = 400;
const TIMEOUT: Duration = Duration::from_millis(TIMEOUT_MS);

/// A node whose patience is short in one respect.
fn impatient(key: &'static str) -> Site {
    fixture::site().set("http", key, TIMEOUT_MS)
}

/// Checks that something which began at `began` ended by a timeout: not before it, and not long after.
#[track_caller]
fn check_took_timeout(began: Instant) {
    let took = began.elapsed();
    assert!(took >= TIMEOUT, "ended after {took:?}, before the timeout");
    assert!(took < TIMEOUT + Duration::from_secs(8), "ended only after {took:?}");
}

#[track_caller]
fn until_closed_for(node: &Node, reason: &str, count: usize) {
    node.until_metric("carom_connections_closed_total", &[("reason", reason)], count as f64);
}

#[test]
fn a_head_that_trickles_in_gets_408_when_its_time_is_over_however_steadily_it_comes() {
    let site = impatient("header_timeout_ms");
    let node = site.start();
    let mut neighbour = node.connect();
    for &address in node.addresses() {
        let mut peer = Peer::connect(address);
        let began = Instant::now();
        let mut bytes =
            b"GET /plain HTTP/1.1\r\nHost: go.example\r\nX: ".iter().copied().chain(std::iter::repeat(b'x'));
        eventually(SOON, "the trickle is cut off", || {
            let sent = peer.try_send([bytes.next().unwrap()]);
            assert_eq!(neighbour.get(GO, "/plain").status, 302, "a neighbour");
            sent.is_err() || peer.has_received()
        });
        let reply = peer.reply();
        assert_eq!((reply.status, reply.closes()), (408, true));
        peer.closed();
        check_took_timeout(began);
    }
    until_closed_for(&node, "header_timeout", node.addresses().len());
    assert_eq!(
        node.metric("carom_refusals_total", &[("reason", "head_slow")]),
        node.addresses().len() as f64
    );
}

#[test]
fn a_connection_that_never_speaks_is_closed_in_silence() {
    let site = impatient("header_timeout_ms").set("http", "idle_timeout_ms", TIMEOUT_MS);
    let node = site.start();
    for &address in node.addresses() {
        let began = Instant::now();
        Peer::connect(address).closed();
        check_took_timeout(began);
    }
}

#[test]
fn a_connection_that_falls_silent_between_two_requests_is_closed_in_silence() {
    let site = impatient("idle_timeout_ms");
    let node = site.start();
    for &address in node.addresses() {
        let mut peer = Peer::connect(address);
        peer.get(GO, "/plain");
        let began = Instant::now();
        peer.closed();
        // The node's clock for this started a moment before the reply was read.
        check_took_timeout(began - Duration::from_millis(100));
    }
    until_closed_for(&node, "idle_timeout", node.addresses().len());
}

#[test]
fn a_body_that_does_not_come_ends_its_connection_without_a_second_answer() {
    let site = impatient("header_timeout_ms");
    let node = site.start();
    let mut peer = node.connect();
    let began = Instant::now();
    peer.send(format!("POST /s307 HTTP/1.1\r\nHost: {GO}\r\nContent-Length: 10\r\n\r\nhalf"));
    assert_eq!(peer.reply().status, 307);
    peer.closed();
    check_took_timeout(began);
    assert_eq!(node.metric("carom_refusals_total", &[("reason", "body_slow")]), 1.0);
}

#[test]
fn half_a_connection_gets_every_answer_it_asked_for() {
    let site = fixture::site();
    let node = site.start();
    for &address in node.addresses() {
        let mut peer = Peer::connect(address);
        peer.send([get(GO, "/s301"), get(GO, "/s308"), "GET /pl".into()].concat());
        peer.finish_sending();
        assert_eq!((peer.reply().status, peer.reply().status), (301, 308));
        peer.closed();

        // More than one read, and the end right behind it.
        let mut peer = Peer::connect(address);
        let body = format!(
            "POST /s307 HTTP/1.1\r\nHost: {GO}\r\nContent-Length: 60000\r\n\r\n{}",
            "x".repeat(60_000)
        );
        let requests = [body, get(GO, "/s301")].concat().repeat(10);
        let mut sender = peer.sender();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                sender.send(requests);
                sender.finish_sending();
            });
            for index in 0..20 {
                assert_eq!(peer.reply().status, [307, 301][index % 2], "reply {index}");
            }
        });
        peer.closed();

        let mut silent = Peer::connect(address);
        silent.finish_sending();
        silent.closed();
    }
    until_closed_for(&node, "truncated", node.addresses().len());
    node.until_connections(0);
}

#[test]
fn a_client_that_never_reads_is_cut_off_and_costs_a_bounded_amount_of_memory() {
    let site = impatient("write_timeout_ms").set("http", "idle_timeout_ms", 60_000).set(
        "http",
        "header_timeout_ms",
        60_000,
    );
    let node = site.start();
    let mut neighbour = node.connect();
    let before = node.resident_bytes();
    let requests = get(GO, "/append?and=a+query+that+makes+the+answer+a+little+longer").repeat(2_000);
    let clients = 8;
    let mut peers: Vec<Peer> = (0..clients)
        .map(|index| Peer::connect_narrow(node.addresses()[index % node.addresses().len()]).unwrap())
        .collect();
    let mut stuffed = 0;
    eventually(SOON, "every client that never reads is cut off", || {
        for peer in &mut peers {
            stuffed += peer.stuff(requests.as_bytes()).unwrap_or(0);
        }
        assert_eq!(neighbour.get(GO, "/plain").status, 302, "a neighbour");
        let cut = node.metric("carom_connections_closed_total", &[("reason", "write_timeout")]);
        if cut >= clients as f64 { Ok(()) } else { Err(cut) }
    });
    assert!(stuffed > clients * 100_000, "only {stuffed} bytes were asked: no back-pressure was needed");
    let grown = node.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{clients} clients that never read made the node grow by {grown} bytes");
    node.until_connections(1);
}

#[test]
fn storms_of_resets_leave_nothing_behind() {
    let site = fixture::site();
    let node = site.start();
    let mut neighbour = node.connect();
    let whole = get(GO, "/plain");
    let beginnings =
        [String::new(), "GET /pla".into(), whole.clone(), whole.repeat(50), "junk\r\n\r\n".into()];
    let descriptors = node.descriptors();
    for round in 0..200 {
        let peers: Vec<Peer> = (0..10)
            .filter_map(|index| {
                let address = node.addresses()[index % node.addresses().len()];
                let mut peer = Peer::try_connect(address).ok()?;
                let _ = peer.try_send(&beginnings[(round + index) % beginnings.len()]);
                Some(peer)
            })
            .collect();
        peers.into_iter().for_each(Peer::reset);
        assert_eq!(neighbour.get(GO, "/plain").status, 302, "a neighbour in round {round}");
    }
    node.until_connections(1);
    let what = "the descriptors of reset connections are closed";
    eventually(SOON, what, || node.descriptors() <= descriptors + 2);
}
