//! What a node says about itself: parseable, true, moving, and only where admin is.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::{fs, thread};

use lab::admin::Admin;
use lab::{Peer, Site, eventually};

use crate::fixture::{self, GO};

#[test]
fn metrics_can_be_parsed_and_count_what_happened() {
    let site = fixture::site();
    let node = site.start();
    let before = node.metrics();
    let mut peer = node.connect();
    for path in ["/plain", "/plain", "/nothing", "/disabled"] {
        peer.get(GO, path);
    }
    node.ask("nonsense\r\n\r\n");
    node.get("unknown.example", "/plain");
    drop(peer);
    node.until_connections(0);
    let after = node.metrics();
    let moved = |name: &str, labels: &[(&str, &str)]| after.sum(name, labels) - before.sum(name, labels);
    assert_eq!(moved("carom_requests_total", &[]), 5.0);
    assert_eq!(moved("carom_requests_total", &[("outcome", "redirected"), ("class", "3xx")]), 2.0);
    assert_eq!(moved("carom_requests_total", &[("class", "4xx")]), 3.0);
    assert_eq!(moved("carom_refusals_total", &[]), 1.0);
    assert_eq!(moved("carom_connections_accepted_total", &[]), 3.0);
    assert_eq!(moved("carom_connections_closed_total", &[]), 3.0);
    assert_eq!(moved("carom_connections_closed_total", &[("reason", "refused")]), 1.0);
    assert_eq!(moved("carom_request_latency_seconds_count", &[]), 5.0);
    assert!(moved("carom_request_latency_seconds_sum", &[]) > 0.0);
    assert!(moved("carom_received_bytes_total", &[]) > 100.0);
    assert!(moved("carom_sent_bytes_total", &[]) > 500.0);
    assert_eq!(after.sum("carom_ready", &[]), 1.0);
    assert_eq!(after.sum("carom_draining", &[]), 0.0);
    assert_eq!(after.sum("carom_connections_open", &[]), 0.0);
    assert_eq!(after.sum("carom_snapshot_generation", &[]), 1.0);
    assert_eq!(after.sum("carom_build_info", &[]), 1.0);
    for (name, labels, value) in after.samples() {
        assert!(name.starts_with("carom_") || name.starts_with("process_"), "{name}");
        assert!(value.is_finite() && value >= 0.0, "{name} {labels:?} {value}");
        assert!(after.families().values().all(|kind| matches!(&**kind, "counter" | "gauge" | "histogram")));
    }
}

#[test]
fn histogram_buckets_grow_and_end_with_the_count() {
    let site = fixture::site();
    let node = site.start();
    let mut peer = node.connect();
    for _ in 0..100 {
        peer.get(GO, "/plain");
    }
    let metrics = node.metrics();
    let mut buckets: Vec<(f64, f64)> = metrics
        .samples()
        .filter(|(name, _, _)| *name == "carom_request_latency_seconds_bucket")
        .map(|(_, labels, value)| (labels["le"].parse().unwrap(), value))
        .collect();
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(buckets.len() > 5, "{buckets:?}");
    assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{buckets:?}");
    let last = buckets.last().unwrap();
    assert_eq!((last.0, last.1), (f64::INFINITY, metrics.sum("carom_request_latency_seconds_count", &[])));
}

#[test]
fn health_readiness_and_vitals_say_what_is_so() {
    let site = fixture::site();
    let node = site.start();
    assert_eq!(node.admin().get("/healthz").status, 200);
    let ready = node.admin().get("/readyz");
    assert_eq!(ready.status, 200, "{}", ready.body);
    let ready: serde_json::Value = serde_json::from_str(&ready.body).expect("readiness is JSON");
    assert_eq!(ready["ready"], true, "{ready}");
    node.connect().get(GO, "/plain");
    let vitals = node.vitals();
    assert_eq!((vitals.version, vitals.pid, &*vitals.node), (vitals::VERSION, node.id(), "lab"));
    assert!(vitals.live && vitals.ready && !vitals.draining && vitals.reasons.is_empty(), "{vitals:?}");
    let snapshot = vitals.snapshot.unwrap();
    assert_eq!((snapshot.generation, snapshot.domains, snapshot.links), (1, 6, 31));
    assert_eq!(snapshot.bytes, fs::metadata(site.snapshot()).unwrap().len());
    assert_eq!((vitals.swaps.succeeded, vitals.swaps.failed), (1, 0));
    assert_eq!(vitals.shards.iter().map(|shard| shard.requests).sum::<u64>(), 1);
    assert!(vitals.shards.iter().all(|shard| shard.cpu.is_some()));
    for path in ["/", "/nothing", "/metrics/", "/vitals/x", "/plain"] {
        assert_eq!(node.admin().get(path).status, 404, "{path}");
    }
}

#[test]
fn admin_paths_are_not_served_where_traffic_is() {
    let site = fixture::site();
    let node = site.start();
    for path in ["/metrics", "/healthz", "/readyz", "/vitals"] {
        for host in [GO, "127.0.0.1", "localhost"] {
            let reply = node.get(host, path);
            assert!(matches!(reply.status, 404 | 421), "{host}{path}: {reply:?}");
        }
    }
}

#[test]
fn the_admin_listener_can_be_a_unix_socket_that_survives_a_crash() {
    let site = fixture::site();
    let socket = site.path().join("admin.sock");
    let site = site.set("admin", "listen", format!("{:?}", format!("unix:{}", socket.display())));
    let mut node = site.start();
    assert!(matches!(node.admin(), Admin::Unix(path) if *path == socket), "{:?}", node.admin());
    let metadata = fs::metadata(&socket).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);
    assert_eq!(node.generation(), 1);
    assert_eq!(node.metric("carom_ready", &[]), 1.0);
    node.signal(rustix::process::Signal::KILL);
    node.end(lab::SOON);
    // The dead node left its socket behind.
    assert!(socket.exists());
    let node = site.start();
    assert_eq!(node.generation(), 1);
    node.stop();
    assert!(!socket.exists(), "a node that ends takes its socket with it");
}

#[test]
fn admin_answers_stay_quick_and_whole_while_many_ask() {
    let site = fixture::site();
    let node = site.start();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert!(node.vitals().ready);
                    assert_eq!(node.metric("carom_ready", &[]), 1.0);
                }
            });
        }
        let mut peer = node.connect();
        for _ in 0..500 {
            assert_eq!(peer.get(GO, "/plain").status, 302);
        }
    });
}

#[test]
fn junk_on_the_admin_listener_hurts_neither_it_nor_traffic() {
    let site = fixture::site();
    let node = site.start();
    let Admin::Tcp(address) = *node.admin() else { panic!("this site has a TCP admin listener") };
    for junk in [
        "\0\0\0\0",
        "GET / HTTP/9.9\r\n\r\n",
        "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\n",
    ] {
        let mut peer = Peer::connect(address);
        let _ = peer.try_send(junk);
        peer.reset();
    }
    let _silent: Vec<Peer> = (0..10).map(|_| Peer::connect(address)).collect();
    assert!(node.vitals().ready);
    assert_eq!(node.get(GO, "/plain").status, 302);
}

#[test]
fn sampled_requests_are_logged_as_json_with_what_was_asked_and_answered() {
    let site = fixture::site();
    let path = site.path().join("access.log");
    let site = site.set("access_log", "sample_every", 2).set("access_log", "path", format!("{path:?}"));
    let site = site.set("listen", "shards", 1);
    let node = site.start();
    let mut peer = node.connect();
    for _ in 0..20 {
        peer.get(GO, "/plain?secret=1");
    }
    let lines = eventually(lab::SOON, "ten lines", || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if lines.len() == 10 && text.ends_with('\n') { Ok(lines) } else { Err(lines.len()) }
    });
    for line in &lines {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
        assert_eq!(line["status"], 302, "{line}");
        assert!(line.to_string().contains("plain"), "{line}");
    }
}

#[test]
fn the_log_of_a_node_tells_its_life_as_json_when_asked_to() {
    let site: Site = fixture::site().set("log", "format", r#""json""#);
    let node = site.start();
    site.publish_bytes(b"no snapshot");
    node.reload();
    node.until_metric("carom_snapshot_swaps_total", &[("result", "invalid")], 1.0);
    let log = node.log();
    node.stop();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(lines.len() >= 2, "{log}");
    assert!(log.contains("links.snapshot"), "the refused file is named: {log}");
}

#[test]
fn an_access_log_on_a_full_disk_costs_lines_and_no_clicks() {
    let site =
        fixture::site().set("access_log", "sample_every", 1).set("access_log", "path", r#""/dev/full""#);
    let node = site.start();
    let mut peer = node.connect();
    for _ in 0..1_000 {
        assert_eq!(peer.get(GO, "/plain").status, 302);
    }
    node.until_metric("carom_access_lines_failed_total", &[], 1.0);
    assert_eq!(node.metric("carom_requests_total", &[("outcome", "redirected")]), 1_000.0);
}

#[test]
fn an_access_log_can_be_rotated_by_rename_and_signal() {
    let site = fixture::site();
    let (path, rotated) = (site.path().join("access.log"), site.path().join("access.log.1"));
    let site = site.set("access_log", "sample_every", 1).set("access_log", "path", format!("{path:?}"));
    let node = site.start();
    let lines = |path: &std::path::Path| fs::read_to_string(path).unwrap_or_default().lines().count();
    let mut peer = node.connect();
    peer.get(GO, "/s301");
    eventually(lab::SOON, "the first line", || lines(&path) == 1);
    fs::rename(&path, &rotated).unwrap();
    peer.get(GO, "/s302");
    eventually(lab::SOON, "the second line, in the old file", || lines(&rotated) == 2);
    node.reload();
    eventually(lab::SOON, "a new file", || path.exists());
    peer.get(GO, "/s303");
    eventually(lab::SOON, "the third line, in the new file", || lines(&path) == 1);
}
