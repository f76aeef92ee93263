//! Who clicked, as far as anybody may know: wishes, countries, and requests that are nobody's click.

use std::fs;
use std::path::Path;

use lab::broker::rows;
use lab::{Node, SOON, Site, eventually};
use serde_json::Value;

use super::clicks::{audited, clicks_command, site, text};
use super::fixture::GO;

/// Databases of countries that a foreign program made; loopback is in Germany, and later in France.
fn database(name: &str) -> Vec<u8> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../appliance/clicks/tests/data");
    fs::read(data.join(name)).unwrap()
}

fn publish(site: &Site, bytes: &[u8]) {
    let staged = site.stage();
    fs::write(&staged, bytes).unwrap();
    fs::rename(staged, site.path().join("countries.mmdb")).unwrap();
}

fn with_countries(site: Site) -> Site {
    publish(&site, &database("countries.mmdb"));
    let path = format!("{:?}", site.path().join("countries.mmdb"));
    site.set("clicks", "country_database", path)
}

const BUILT: &str = "carom_clicks_country_database_built_timestamp_seconds";
const FAILURES: &str = "carom_clicks_country_database_failures_total";

/// Clicks with more fields, and waits until the record is written.
fn click(node: &Node, path: &str, fields: &str) {
    let written = node.metric("carom_clicks_written_total", &[]);
    let reply = node.ask(format!(
        "GET {path} HTTP/1.1\r\nHost: {GO}\r\nUser-Agent: Mozilla/5.0 (X11; Linux) Firefox/128.0\r\n\
         Referer: https://news.example/x\r\n{fields}\r\n"
    ));
    assert_eq!(reply.status, 302, "{path}");
    node.until_metric("carom_clicks_written_total", &[], written + 1.0);
}

fn recorded(site: &Site) -> Vec<Value> {
    rows(&clicks_command(site, &["tail", "-n", "100000", "--json"]).output)
}

#[test]
fn the_country_follows_the_database_while_the_node_runs() {
    let site = with_countries(site());
    let node = site.start();
    eventually(SOON, "the database is read", || node.metric(BUILT, &[]) > 0.0);
    click(&node, "/plain", "");
    // Half a file is no database: the one before stays.
    let later = database("countries-later.mmdb");
    publish(&site, &later[..later.len() / 2]);
    node.until_metric(FAILURES, &[], 1.0);
    click(&node, "/plain", "");
    publish(&site, &later);
    eventually(SOON, "the new database is in use", || node.log().matches("countries of clicks").count() == 2);
    click(&node, "/plain", "");
    node.stop();
    let countries: Vec<_> = recorded(&site).iter().map(|row| text(row, "country").to_owned()).collect();
    assert_eq!(countries, ["DE", "DE", "FR"]);
    let top = clicks_command(&site, &["top", "--by", "country", "--json", "--since", "1h"]);
    let top: Value = serde_json::from_str(&top.output).unwrap();
    assert_eq!((&top["top"][0]["key"], &top["top"][0]["clicks"]), (&"DE".into(), &2.into()));
}

#[test]
fn a_node_without_its_database_of_countries_serves_and_says_so() {
    let site = site().set("clicks", "country_database", r#""/no/such/countries.mmdb""#);
    let node = site.start();
    node.until_metric(FAILURES, &[], 1.0);
    click(&node, "/plain", "");
    assert_eq!(node.metric(BUILT, &[]), 0.0);
    assert!(node.log().contains("/no/such/countries.mmdb"), "{}", node.log());
    node.stop();
    assert_eq!(text(&recorded(&site)[0], "country"), "");
}

#[test]
fn who_asks_not_to_be_tracked_is_counted_and_nothing_else_is_kept_in_records_and_log() {
    let site = site();
    let log = site.path().join("access.jsonl");
    let site = with_countries(site)
        .set("privacy", "no_track_parameter", r#""nt""#)
        .set("access_log", "sample_every", 1)
        .set("access_log", "path", format!("{log:?}"));
    let node = site.start();
    eventually(SOON, "the database is read", || node.metric(BUILT, &[]) > 0.0);
    let asks = [
        ("/plain", "Sec-GPC: 1\r\n", true),
        ("/plain", "DNT: 1\r\n", true),
        ("/plain?nt", "", true),
        ("/plain?a=b&nt=1", "", true),
        ("/plain?nt=0", "DNT: 0\r\nSec-GPC: 0\r\n", false),
        ("/plain", "", false),
    ];
    for (path, fields, _) in asks {
        click(&node, path, fields);
    }
    node.until_metric("carom_access_records_total", &[], asks.len() as f64);
    node.stop();
    let records = recorded(&site);
    let log = fs::read_to_string(log).unwrap();
    let lines = rows(&log);
    assert_eq!((records.len(), lines.len()), (asks.len(), asks.len()), "{log}");
    for ((asked, record), line) in asks.iter().zip(&records).zip(&lines) {
        let kept = ["address", "user_agent", "referrer", "country"].map(|key| text(record, key).is_empty());
        assert_eq!(kept, [asked.2; 4], "{asked:?}: {record}");
        assert_eq!((text(record, "bot"), text(record, "device")), ("person", "desktop"), "{asked:?}");
        assert_eq!(line.to_string().contains("127.0.0."), !asked.2, "{asked:?}: {line}");
    }
    let flags = |flag: &str| records.iter().filter(|record| record[flag] == true).count();
    assert_eq!((flags("gpc"), flags("dnt"), flags("no_track")), (1, 1, 2));
    audited(&site);
}

#[test]
fn canaries_health_checks_and_reserved_paths_are_nobodys_click() {
    let site = site().set("clicks", "ignored_domains", r#"["shop.example"]"#);
    let node = site.start();
    for (host, path) in [
        ("canary.carom.invalid", "/ok"),
        (GO, "/favicon.ico"),
        (GO, "/robots.txt"),
        (GO, "/apple-touch-icon-120x120.png"),
        (GO, "/.well-known/security.txt"),
        ("shop.example", "/offer"),
        ("stranger.example", "/plain"),
    ] {
        node.get(host, path);
    }
    for path in ["/healthz", "/readyz", "/vitals", "/metrics"] {
        assert_eq!(node.admin().get(path).status, 200, "{path}");
    }
    node.connect().send(format!("HEAD /plain HTTP/1.1\r\nHost: {GO}\r\n\r\n"));
    node.ask(format!("POST /plain HTTP/1.1\r\nHost: {GO}\r\nContent-Length: 0\r\n\r\n"));
    click(&node, "/plain", "");
    node.stop();
    let books = audited(&site);
    assert_eq!((&books["clicks"], &books["written"]), (&1.into(), &1.into()), "{books}");
    assert_eq!(text(&recorded(&site)[0], "code"), "plain");
}
