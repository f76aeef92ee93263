//! A mistake of the operator is named with its place and its fix, before it matters.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lab::process::{Finished, run};
use lab::{Peer, SOON, Site, binaries, eventually, here};

use crate::fixture;

fn carom<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Finished {
    run(&binaries::carom(), arguments)
}

/// Runs `check` and `serve` on this configuration: both must fail with 1 and say every one of `parts`.
#[track_caller]
fn check_refused(text: &str, parts: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("carom.toml");
    fs::write(&path, text).unwrap();
    for command in ["check", "serve"] {
        let finished = carom([command.as_ref(), "--config".as_ref(), path.as_os_str()]);
        assert_eq!(finished.code, Some(1), "{command} {text}: {finished:?}");
        let said = finished.output + &finished.errors;
        for part in parts {
            assert!(said.contains(part), "{command} does not say {part:?} of {text:?}: {said}");
        }
    }
}

fn check_json(site: &Site) -> (Option<i32>, serde_json::Value) {
    let path = site.write_configuration();
    let finished = carom(["check".as_ref(), "--json".as_ref(), "--config".as_ref(), path.as_os_str()]);
    let report =
        serde_json::from_str(&finished.output).unwrap_or_else(|error| panic!("{error}: {finished:?}"));
    (finished.code, report)
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_key() {
    check_refused(
        "version = 1\n\n[http]\nheader_timout_ms = 500\n",
        &["carom.toml:4", "header_timout_ms", "header_timeout_ms"],
    );
    check_refused("version = 1\n[htp]\n", &["carom.toml:2", "htp", "http"]);
}

#[test]
fn a_value_out_of_bounds_or_of_a_wrong_kind_is_named_with_what_is_possible() {
    check_refused(
        "version = 1\n[http]\nheader_timeout_ms = 5\n",
        &["carom.toml:3", "header_timeout_ms", "100", "60000"],
    );
    check_refused("version = 1\n[http]\nfields_max = \"many\"\n", &["carom.toml:3", "fields_max", "many"]);
    check_refused("version = 1\n[listen]\nhttp = [\"localhost:80\"]\n", &["carom.toml:3", "localhost:80"]);
    check_refused("version = 1\n[listen]\nhttp = []\n", &["carom.toml:3", "http"]);
    check_refused(
        "version = 1\n[http]\nhead_bytes_max = 1024\ntarget_bytes_max = 2048\n",
        &["target_bytes_max"],
    );
    check_refused("version = 1\n[admin]\nlisten = \"0.0.0.0:9180\"\n", &["carom.toml:3", "allow_public"]);
    check_refused("[http]\n", &["version"]);
    check_refused("version = 1\n[http\n", &["carom.toml:2"]);
    // Several mistakes are told at once.
    check_refused(
        "version = 1\n[http]\nfields_max = 0\nheader_timeout_ms = 0\n",
        &["carom.toml:3", "carom.toml:4"],
    );
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    for command in ["check", "serve"] {
        let finished = carom([command, "--config", "/nonexistent/carom.toml"]);
        assert_eq!(finished.code, Some(1));
        assert!((finished.output + &finished.errors).contains("/nonexistent/carom.toml"));
    }
}

#[test]
fn check_accepts_a_good_configuration_and_snapshot() {
    let site = fixture::site();
    let (code, report) = check_json(&site);
    assert_eq!((code, &report["ok"]), (Some(0), &true.into()), "{report}");
    assert_eq!(report["snapshot"]["generation"], 1);
    assert_eq!(report["snapshot"]["links"], 31);
}

#[test]
fn check_finds_a_snapshot_that_is_missing_or_no_good() {
    let site = Site::new();
    let (code, report) = check_json(&site);
    assert_eq!((code, &report["ok"]), (Some(1), &false.into()), "{report}");
    assert!(report["findings"].to_string().contains("links.snapshot"), "{report}");
    site.publish_bytes(b"no snapshot");
    let (code, report) = check_json(&site);
    assert_eq!((code, &report["ok"]), (Some(1), &false.into()), "{report}");
    assert!(report["findings"].to_string().contains("links.snapshot"), "{report}");
}

#[test]
fn a_port_in_use_is_named_with_its_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let port = taken.local_addr().unwrap().port();
    let site = fixture::site();
    let in_http = site.set("listen", "http", format!("[\"{address}\"]"));
    let finished = in_http.serve_in_vain();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.errors.contains(&address), "{finished:?}");
    assert!(finished.errors.to_lowercase().contains("in use"), "{finished:?}");
    let in_admin = fixture::site().set("admin", "listen", format!("\"127.0.0.1:{port}\""));
    let finished = in_admin.serve_in_vain();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.errors.contains(&address), "{finished:?}");
}

#[test]
fn a_second_node_on_the_same_addresses_is_refused_and_takes_no_traffic_from_the_first() {
    let site = fixture::site();
    let node = site.start();
    let addresses: Vec<String> = node.addresses().iter().map(|address| format!("\"{address}\"")).collect();
    let second = fixture::site().set("listen", "http", format!("[{}]", addresses.join(", ")));
    let finished = second.serve_in_vain();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.errors.contains(&node.address().to_string()), "{finished:?}");
    for _ in 0..20 {
        assert_eq!(node.get(fixture::GO, "/plain").status, 302);
    }
}

#[test]
fn the_printed_configuration_is_accepted_as_it_is() {
    let printed = carom(["config"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let site = fixture::site();
    let path = site.path().join("printed.toml");
    // Where it lies and what it serves must be this machine's; nothing else changes.
    let state = format!("{:?}", site.state());
    let snapshot = format!("{:?}", site.snapshot());
    let text = printed
        .output
        .replace("\"/var/lib/carom/links.snapshot\"", &snapshot)
        .replace("\"/var/lib/carom\"", &state);
    fs::write(&path, &text).unwrap();
    let finished =
        carom([OsStr::new("check"), OsStr::new("--json"), OsStr::new("--config"), path.as_os_str()]);
    let report: serde_json::Value = serde_json::from_str(&finished.output).unwrap();
    assert_eq!(report["snapshot"]["generation"], 1, "{report}");
    for line in text.lines() {
        assert!(line.len() <= 120, "{line}");
    }
}

#[test]
fn the_command_line_tells_usage_from_failure_and_says_its_version() {
    assert_eq!(carom(["sevre"]).code, Some(2));
    assert_eq!(carom(["serve", "--no-such-flag"]).code, Some(2));
    assert_eq!(carom(["--help"]).code, Some(0));
    let version = carom(["version", "--json"]);
    assert_eq!(version.code, Some(0));
    let version: serde_json::Value = serde_json::from_str(&version.output).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_state_directory_that_cannot_be_used_is_named() {
    let site = fixture::site().set("node", "state_dir", r#""/proc/carom""#);
    let finished = site.serve_in_vain();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.errors.contains("/proc/carom"), "{finished:?}");
    assert!(!Path::new("/proc/carom").exists());
}

#[test]
fn one_port_on_every_address_of_both_families_is_served() {
    if !here::has_ipv6() {
        return;
    }
    // A port that was free a moment ago; another process may take it in between.
    let node = eventually(SOON, "a port is free in both families", || {
        let port = TcpListener::bind("[::]:0").unwrap().local_addr().unwrap().port();
        let site = fixture::site().set("listen", "http", format!("[\"0.0.0.0:{port}\", \"[::]:{port}\"]"));
        let mut process = site.launch();
        eventually(SOON, "it serves or ends", || site.ready_file().exists() || process.ended().is_some());
        process.ended().is_none().then_some((process, site, port))
    });
    let (_process, _site, port) = node;
    for address in ["127.0.0.1", "127.0.0.9", "[::1]"] {
        let address = format!("{address}:{port}").parse().unwrap();
        assert_eq!(Peer::connect(address).get(fixture::GO, "/plain").status, 302, "{address}");
    }
}

#[test]
fn a_node_needs_no_root_and_says_what_it_may_not_read() {
    let site = fixture::site();
    let site = if here::is_root() { site.as_nobody() } else { site };
    let node = site.start();
    node.ask_everywhere(lab::peer::get(fixture::GO, "/plain"), |reply| assert_eq!(reply.status, 302));
    let secret = site.stage();
    fs::copy(site.snapshot(), &secret).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    fs::rename(secret, site.snapshot()).unwrap();
    node.reload();
    node.until_metric("carom_snapshot_swaps_total", &[("result", "unreadable")], 1.0);
    let error = node.vitals().swaps.last_error.unwrap();
    assert!(error.contains("links.snapshot") && error.to_lowercase().contains("permission"), "{error}");
    fs::set_permissions(site.snapshot(), fs::Permissions::from_mode(0o444)).unwrap();
    node.reload();
    node.until_metric("carom_snapshot_swaps_total", &[("result", "unchanged")], 1.0);
    assert_eq!(node.get(fixture::GO, "/plain").status, 302);
    node.stop();
}
