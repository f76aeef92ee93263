//! Clicks reach their receiver or a counter: with brokers that are down, slow, refusing, and with nodes that are killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use lab::broker::{Collector, Kafka, Nats, SUBJECT, rows};
use lab::process::{Finished, run};
use lab::{Node, SOON, Site, binaries, eventually, here, mount};
use rustix::process::Signal;
use serde_json::Value;

use super::fixture::{self, GO, SHOP};

/// A site that records clicks on one shard.
pub(crate) fn site() -> Site {
    fixture::site().set("clicks", "record", true).set("listen", "shards", 1)
}

pub(crate) fn shipping(to: &str, address: &str) -> Site {
    site().set("ship", "to", format!("{to:?}")).set("ship", "address", format!("{address:?}")).set(
        "ship",
        "timeout_ms",
        1_000,
    )
}

/// Clicks `times` times on one link, with a user agent that tells them apart.
pub(crate) fn click(node: &Node, times: usize, mark: &str) {
    let mut peer = node.connect();
    for number in 0..times {
        let reply = peer.ask(format!(
            "GET /plain HTTP/1.1\r\nHost: {GO}\r\nUser-Agent: Mozilla/5.0 (X11; {mark}-{number}) Firefox/128.0\r\n\r\n"
        ));
        assert_eq!(reply.status, 302);
    }
}

pub(crate) fn text<'r>(row: &'r Value, key: &str) -> &'r str {
    row[key].as_str().unwrap_or_else(|| panic!("{key} of {row}"))
}

/// The rows, each id once; panics if one id names two different rows.
pub(crate) fn distinct(rows: &[Value]) -> Vec<Value> {
    let mut by_id = BTreeMap::new();
    for row in rows {
        if let Some(other) = by_id.insert(text(row, "id").to_owned(), row.clone()) {
            assert_eq!(&other, row, "two rows under one id");
        }
    }
    by_id.into_values().collect()
}

/// How many different clicks with this mark there are.
pub(crate) fn marked(rows: &[Value], mark: &str) -> usize {
    let agents: BTreeSet<&str> =
        rows.iter().map(|row| text(row, "user_agent")).filter(|agent| agent.contains(mark)).collect();
    agents.len()
}

pub(crate) fn clicks_command(site: &Site, arguments: &[&str]) -> Finished {
    let configuration = site.write_configuration();
    let mut all = vec!["clicks".to_owned(), arguments[0].to_owned(), "--config".to_owned()];
    all.push(configuration.to_str().unwrap().to_owned());
    all.extend(arguments[1..].iter().map(|&argument| argument.to_owned()));
    run(&binaries::carom(), all)
}

/// Panics unless the books of the stopped node are right; returns the last entry.
#[track_caller]
pub(crate) fn audited(site: &Site) -> Value {
    let audit = clicks_command(site, &["audit", "--recount", "--json"]);
    let report: Value =
        serde_json::from_str(&audit.output).unwrap_or_else(|error| panic!("{error}: {audit:?}"));
    assert_eq!((audit.code, report["right"].as_bool()), (Some(0), Some(true)), "{}", audit.output);
    report["to"].clone()
}

pub(crate) fn lost(node: &Node, reason: &str) -> f64 {
    node.metric("carom_clicks_lost_total", &[("reason", reason)])
}

#[test]
fn a_click_becomes_a_row_with_everything_that_is_known_and_nothing_that_is_not_one_does() {
    let site = shipping("file", "/replaced");
    let rows_file = site.path().join("rows.jsonl");
    let site = site.set("ship", "address", format!("{rows_file:?}"));
    let node = site.start();
    node.ask(format!(
        "GET /plain?x HTTP/1.1\r\nHost: {GO}\r\nUser-Agent: Mozilla/5.0 (iPhone; x) Safari/604.1\r\n\
         Referer: https://news.example/secret/path\r\n\r\n"
    ));
    node.ask(format!("GET /Offer HTTP/1.0\r\nHost: {SHOP}\r\nUser-Agent: curl/8.5.0\r\nDNT: 1\r\n\r\n"));
    node.ask(format!("GET /nothing HTTP/1.1\r\nHost: {GO}\r\nSec-Purpose: prefetch\r\n\r\n"));
    node.ask("GET /any HTTP/1.1\r\nHost: some.brand.example\r\n\r\n");
    // None of these is a click.
    node.connect().send(format!("HEAD /plain HTTP/1.1\r\nHost: {GO}\r\n\r\n"));
    node.ask(format!("GET /favicon.ico HTTP/1.1\r\nHost: {GO}\r\n\r\n"));
    node.ask("GET / HTTP/1.1\r\nHost: stranger.example\r\n\r\n");
    node.ask(format!("OPTIONS /plain HTTP/1.1\r\nHost: {GO}\r\n\r\n"));
    node.until_metric("carom_clicks_shipped_total", &[], 4.0);
    node.stop();

    let rows = rows(&fs::read_to_string(rows_file).unwrap());
    assert_eq!(rows.len(), 4, "{rows:#?}");
    let first = &rows[0];
    for (key, value) in [
        ("node", "lab"),
        ("domain", GO),
        ("code", "plain"),
        ("outcome", "redirected"),
        ("bot", "person"),
        ("device", "phone"),
        ("country", ""),
        ("referrer", "news.example"),
        ("address", "127.0.0.0/24"),
        ("protocol", "http/1.1"),
    ] {
        assert_eq!(text(first, key), value, "{key} of {first}");
    }
    assert_eq!(
        (&first["status"], &first["generation"], &first["sample_rate"]),
        (&302.into(), &1.into(), &1.into())
    );
    assert_eq!(
        (text(&rows[1], "bot"), text(&rows[1], "user_agent"), text(&rows[1], "address")),
        ("tool", "", "")
    );
    assert_eq!((text(&rows[1], "code"), text(&rows[1], "protocol")), ("offer", "http/1.0"));
    assert_eq!(
        (text(&rows[2], "outcome"), text(&rows[2], "code"), &rows[2]["prefetch"]),
        ("not_found", "", &true.into())
    );
    assert_eq!((text(&rows[3], "domain"), text(&rows[3], "host")), ("brand.example", "some.brand.example"));
    assert_eq!(audited(&site)["shipped"], 4);
}

#[test]
fn nats_gets_every_click_once_although_it_is_killed_frozen_and_the_node_restarts() {
    let site = shipping("nats", "");
    let Some(mut nats) = Nats::start(site.path()) else { return };
    let site = site.set("ship", "address", format!("{:?}", nats.address()));
    let node = site.start();
    click(&node, 50, "first");
    node.until_metric("carom_clicks_shipped_total", &[], 50.0);
    // Down: clicks are answered and wait.
    nats.kill();
    click(&node, 50, "down");
    node.until_metric("carom_clicks_ship_failures_total", &[], 2.0);
    node.until_metric("carom_clicks_waiting", &[], 50.0);
    // The node ends meanwhile, and the next one ships what is left.
    node.stop();
    nats.begin();
    let node = site.start();
    node.until_metric("carom_clicks_shipped_total", &[], 100.0);
    // Slow beyond the timeout: what was sent and not acknowledged is sent again, and the stream knows its id.
    nats.freeze();
    click(&node, 50, "frozen");
    let failures = node.metric("carom_clicks_ship_failures_total", &[]);
    node.until_metric("carom_clicks_ship_failures_total", &[], failures + 2.0);
    nats.thaw();
    node.until_metric("carom_clicks_shipped_total", &[], 150.0);
    node.stop();

    let messages = nats.messages();
    assert!(messages.iter().all(|(headers, _)| headers.contains("Nats-Msg-Id: ")), "{messages:#?}");
    let rows = nats.rows();
    for mark in ["first", "down", "frozen"] {
        assert_eq!(marked(&rows, mark), 50, "{mark}");
    }
    assert_eq!((rows.len(), distinct(&rows).len()), (150, 150), "the stream takes no duplicates");
    let books = audited(&site);
    assert_eq!(
        (&books["clicks"], &books["shipped"], &books["waiting"]),
        (&150.into(), &150.into(), &0.into())
    );
}

#[test]
fn kafka_consumers_get_every_click_under_its_id_although_the_broker_stops_for_a_while() {
    let site = shipping("kafka", "");
    let Some(kafka) = Kafka::start(site.path()) else { return };
    let site = site.set("ship", "address", format!("{:?}", kafka.address));
    let node = site.start();
    click(&node, 50, "first");
    node.until_metric("carom_clicks_shipped_total", &[], 50.0);
    kafka.freeze();
    click(&node, 50, "frozen");
    node.until_metric("carom_clicks_ship_failures_total", &[], 1.0);
    kafka.thaw();
    node.until_metric("carom_clicks_shipped_total", &[], 100.0);
    let rows = eventually(SOON, "the consumer has everything", || {
        let messages = kafka.messages();
        assert!(messages.iter().all(|(key, row)| key == text(row, "id")));
        let rows = distinct(&messages.into_iter().map(|(_, row)| row).collect::<Vec<_>>());
        if rows.len() >= 100 { Ok(rows) } else { Err(rows.len()) }
    });
    assert_eq!((marked(&rows, "first"), marked(&rows, "frozen"), rows.len()), (50, 50, 100));
    node.stop();
    assert_eq!(audited(&site)["shipped"], 100);
}

#[test]
fn an_http_receiver_may_fail_flap_and_refuse_and_a_refused_block_is_counted() {
    let collector = Collector::start();
    let site = shipping("http", &format!("http://{}/insert?token={{id}}", collector.address));
    let node = site.start();
    collector.say(503);
    click(&node, 10, "flap");
    node.until_metric("carom_clicks_ship_failures_total", &[], 2.0);
    assert_eq!(node.get(GO, "/plain").status, 302);
    collector.say(200);
    node.until_metric("carom_clicks_shipped_total", &[], 10.0);
    collector.say(400);
    let before = node.metric("carom_clicks_total", &[]);
    click(&node, 10, "refused");
    node.until_metric("carom_clicks_lost_total", &[("place", "receiver"), ("reason", "refused")], 10.0);
    collector.say(200);
    click(&node, 10, "after");
    node.until_metric("carom_clicks_total", &[], before + 20.0);
    eventually(SOON, "everything else is shipped", || node.metric("carom_clicks_waiting", &[]) == 0.0);
    node.stop();
    let taken = collector.taken();
    for (head, body) in &taken {
        let id = text(&rows(body)[0], "id").to_owned();
        assert!(head.contains(&format!("/insert?token={id} ")), "{head}");
    }
    let rows: Vec<Value> = taken.iter().flat_map(|(_, body)| rows(body)).collect();
    assert_eq!((marked(&rows, "flap"), marked(&rows, "refused"), marked(&rows, "after")), (10, 0, 10));
    let books = audited(&site);
    assert_eq!(
        books["shipped"].as_u64().unwrap() + books["rejected"].as_u64().unwrap(),
        books["clicks"].as_u64().unwrap()
    );
}

#[test]
fn a_node_that_is_killed_at_any_moment_loses_what_was_in_memory_and_the_next_one_counts_it() {
    let site = site();
    let mut answered = 0;
    for round in 0..5 {
        let mut node = site.start();
        // Another moment of the writer's cycle each time.
        for _ in 0..=round * 7 {
            click(&node, 13, "killed");
            answered += 13;
        }
        node.signal(Signal::KILL);
        node.end(SOON);
    }
    let node = site.start();
    click(&node, 1, "last");
    node.until_metric("carom_clicks_written_total", &[], 1.0);
    node.stop();
    let books = audited(&site);
    let number = |key: &str| books[key].as_u64().unwrap();
    assert_eq!(number("clicks"), number("written") + number("crashed"), "{books}");
    assert_eq!(number("waiting"), number("written"), "{books}");
    // Clicks of the last moment before a kill are known to nobody; all others are in the books.
    assert!(number("clicks") <= answered + 1, "{books}");
    let tail = clicks_command(&site, &["tail", "-n", "100000", "--json"]);
    assert_eq!(rows(&tail.output).len() as u64, number("written"));
    assert_eq!(distinct(&rows(&tail.output)).len() as u64, number("written"));
}

#[test]
fn a_full_disk_costs_records_and_no_redirect_and_both_are_counted() {
    let site = site();
    let disk = site.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let Some(_mount) = mount::small(&disk, 256) else {
        return here::not_run("this machine cannot mount a small disk");
    };
    let site = site.set("clicks", "directory", format!("{:?}", disk.join("clicks")));
    let node = site.start();
    fs::write(disk.join("filler"), vec![0; 400 << 10]).unwrap_err();
    click(&node, 200, "full");
    eventually(SOON, "records are lost to the disk", || lost(&node, "disk") >= 200.0);
    fs::remove_file(disk.join("filler")).unwrap();
    click(&node, 50, "room");
    node.until_metric("carom_clicks_written_total", &[], 50.0);
    node.stop();
    let books = audited(&site);
    assert_eq!((&books["clicks"], &books["disk"], &books["written"]), (&250.into(), &200.into(), &50.into()));
}

#[test]
fn a_damaged_spool_costs_its_block_and_no_more() {
    let site = site();
    let node = site.start();
    for block in 1..=3 {
        click(&node, 10, "block");
        node.until_metric("carom_clicks_written_total", &[], f64::from(block * 10));
    }
    node.stop();
    let (_, segment) = segments(&site.state().join("clicks")).pop().unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&segment, bytes).unwrap();
    let rows_file = site.path().join("rows.jsonl");
    let site = site.set("ship", "to", r#""file""#).set("ship", "address", format!("{rows_file:?}"));
    let node = site.start();
    eventually(SOON, "what is left is shipped", || node.metric("carom_clicks_waiting", &[]) == 0.0);
    let shipped = node.metric("carom_clicks_shipped_total", &[]);
    assert_eq!(shipped + lost(&node, "damaged"), 30.0);
    assert!(shipped >= 20.0 || lost(&node, "damaged") < 30.0);
    node.stop();
    assert_eq!(rows(&fs::read_to_string(&rows_file).unwrap()).len() as f64, shipped);
}

fn segments(directory: &Path) -> Vec<(String, std::path::PathBuf)> {
    let mut segments: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "clicks"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .collect();
    segments.sort();
    segments
}

/// Every byte of every file below `directory`, decompressed where it is a spool.
fn searched(site: &Site, needles: &[&[u8]]) {
    let tail = clicks_command(site, &["tail", "-n", "100000", "--json"]);
    let mut haystacks = vec![("what was in the spool".to_owned(), tail.output.into_bytes())];
    let mut directories = vec![site.path().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.file_name().is_some_and(|name| name != "carom.toml" && name != "ready.json") {
                haystacks.push((path.display().to_string(), fs::read(&path).unwrap()));
            }
        }
    }
    assert!(haystacks.len() > 3, "{haystacks:?}");
    for (name, haystack) in &haystacks {
        for needle in needles {
            let found = haystack.windows(needle.len()).any(|window| window == *needle);
            assert!(!found, "{} is in {name}", String::from_utf8_lossy(needle));
        }
    }
}

#[test]
fn no_whole_address_is_found_in_spool_logs_or_what_was_shipped() {
    for policy in ["truncate", "hash", "omit"] {
        let site = site();
        let file = |name: &str| format!("{:?}", site.path().join(name));
        let (rows_file, log_file) = (file("rows.jsonl"), file("access.jsonl"));
        let site = site
            .set("privacy", "address", format!("{policy:?}"))
            .set("listen", "http", r#"["127.0.0.1:0"]"#)
            .set("access_log", "sample_every", 1)
            .set("access_log", "path", log_file)
            .set("ship", "to", r#""file""#)
            .set("ship", "address", rows_file);
        let node = site.start();
        let from = "127.77.88.99".parse().unwrap();
        for _ in 0..20 {
            let mut peer = lab::Peer::connect_from(from, node.address()).unwrap();
            assert_eq!(peer.get(GO, "/plain").status, 302);
        }
        node.until_metric("carom_clicks_shipped_total", &[], 20.0);
        node.until_metric("carom_access_records_total", &[], 20.0);
        node.stop();
        let mapped: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 77, 88, 99];
        searched(&site, &[b"127.77.88.99", &mapped]);
        let log = fs::read_to_string(site.path().join("access.jsonl")).unwrap();
        assert_eq!(log.lines().count(), 20, "{log}");
        assert_eq!(log.contains("127.77.88.0/24"), policy == "truncate", "{log}");
    }
}

#[test]
fn a_spool_without_a_receiver_stays_within_its_bound_and_counts_what_it_drops() {
    let site = site().set("clicks", "spool_bytes_max", 2 << 20).set("clicks", "keep_shipped_s", 0);
    let node = site.start();
    let mut round = 0;
    eventually(SOON, "the spool is full and drops", || {
        // User agents that differ everywhere, so that they do not compress.
        round += 1;
        let mut peer = node.connect();
        for batch in 0..80_u64 {
            let request = |number: u64| {
                let noise = (number + (batch + round * 80) * 50).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let agent: String =
                    (0..12).map(|word| format!("{:016x}", noise.wrapping_mul(word * 2 + 3))).collect();
                format!("GET /plain HTTP/1.1\r\nHost: {GO}\r\nUser-Agent: {agent}\r\n\r\n")
            };
            peer.send((0..50).map(request).collect::<String>());
            (0..50).for_each(|_| assert_eq!(peer.reply().status, 302));
        }
        lost(&node, "dropped_oldest") > 0.0
    });
    assert!(node.metric("carom_clicks_spool_bytes", &[]) <= (2 << 20) as f64);
    node.stop();
    let on_disk: u64 = segments(&site.state().join("clicks"))
        .iter()
        .map(|(_, path)| fs::metadata(path).unwrap().len())
        .sum();
    assert!(on_disk <= 2 << 20, "{on_disk}");
    let books = audited(&site);
    assert!(books["dropped"].as_u64().unwrap() > 0);
}

#[test]
fn people_can_look_at_clicks_while_they_happen() {
    let site = site();
    let node = site.start();
    click(&node, 30, "plain");
    for _ in 0..5 {
        node.ask(format!("GET /s301 HTTP/1.1\r\nHost: {GO}\r\nUser-Agent: Googlebot/2.1\r\n\r\n"));
        node.ask(format!(
            "GET /expired HTTP/1.1\r\nHost: {GO}\r\nUser-Agent: Mozilla/5.0 (X11; x) Firefox/1\r\n\r\n"
        ));
    }
    node.until_metric("carom_clicks_written_total", &[], 40.0);
    assert_eq!(node.metric("carom_clicks_by_domain_total", &[("domain", GO), ("who", "people")]), 35.0);
    assert_eq!(node.metric("carom_clicks_by_domain_total", &[("domain", GO), ("who", "others")]), 5.0);
    let top: Value =
        serde_json::from_str(&clicks_command(&site, &["top", "--json", "--since", "1h"]).output).unwrap();
    assert_eq!(
        (&top["clicks"], &top["top"][0]["key"], &top["top"][0]["clicks"]),
        (&35.into(), &format!("{GO}/plain").into(), &30.into())
    );
    let all: Value = serde_json::from_str(
        &clicks_command(&site, &["top", "--json", "--since", "1h", "--all", "--by", "who"]).output,
    )
    .unwrap();
    assert_eq!(all["clicks"], 40);
    let tail = clicks_command(&site, &["tail", "--outcome", "expired", "--json"]);
    assert_eq!(rows(&tail.output).len(), 5);
    let tail = clicks_command(&site, &["tail", "-n", "2", "--code", "plain"]);
    assert_eq!(
        tail.output
            .lines()
            .filter(|line| line.contains("go.example/plain 302 redirected person desktop"))
            .count(),
        2,
        "{tail:?}"
    );
    let audit = clicks_command(&site, &["audit"]);
    assert!(audit.output.ends_with("every click is explained\n"), "{audit:?}");
    node.stop();
}

#[test]
fn domains_beyond_the_cap_are_one_number_in_metrics() {
    let site = site().set("clicks", "domains_in_metrics_max", 1);
    let node = site.start();
    click(&node, 3, "go");
    node.until_metric("carom_clicks_written_total", &[], 3.0);
    node.get(SHOP, "/offer");
    node.get("strict.example", "/without");
    node.until_metric("carom_clicks_written_total", &[], 5.0);
    assert_eq!(node.metric("carom_clicks_by_domain_total", &[("domain", GO)]), 3.0);
    assert_eq!(node.metric("carom_clicks_by_domain_total", &[("domain", "_other")]), 2.0);
    assert_eq!(node.metric("carom_clicks_by_domain_total", &[("domain", SHOP)]), 0.0);
}

#[test]
fn the_subject_is_that_of_the_documentation() {
    assert!(site().configuration().contains("record = true"));
    let defaults = run(&binaries::carom(), ["config"]);
    assert!(defaults.output.contains(&format!("subject = {SUBJECT:?}")));
}
