//! What files settle to, and what wrong files are told.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use toml::de::DeTable;

use super::settings::{AdminAddress, LogFormat, LogTarget};
use super::*;

fn settle(text: &str) -> Result<Settings, String> {
    parse(Path::new("carom.toml"), text, "edge-1").map_err(|problems| problems.to_string())
}

/// Asserts that `text` is refused with exactly this complaint.
fn check_refused(text: &str, complaint: &str) {
    assert_eq!(settle(text).expect_err(text), complaint, "for {text:?}");
}

#[test]
fn an_empty_file_settles_to_the_defaults() {
    let settings = settle("version = 1").unwrap();
    assert_eq!(settings.node.name, "edge-1");
    assert_eq!(settings.listen.http, ["0.0.0.0:80".parse().unwrap(), "[::]:80".parse().unwrap()]);
    assert_eq!(settings.listen.shards, None);
    assert_eq!(settings.snapshot.poll_interval, Some(Duration::from_secs(1)));
    assert_eq!(settings.http.header_timeout, Duration::from_secs(5));
    assert_eq!(settings.http.head_bytes_max, 16_384);
    assert_eq!((settings.server, settings.access_log), (None, None));
    assert_eq!(settings.admin, AdminAddress::Tcp("127.0.0.1:9180".parse().unwrap()));
}

#[test]
fn the_generated_file_settles_to_the_defaults_and_holds_every_key() {
    let text = reference::default_file();
    assert_eq!(settle(&text), settle("version = 1"));
    let root = DeTable::parse(&text).unwrap();
    for section in keys::SECTIONS {
        let written: BTreeSet<_> = root.get_ref()[section.name]
            .get_ref()
            .as_table()
            .unwrap()
            .keys()
            .map(|key| key.get_ref().as_ref())
            .collect();
        assert_eq!(written, section.keys.iter().map(|key| key.name).collect(), "[{}]", section.name);
    }
    assert!(text.lines().all(|line| line.len() <= 120), "lines fit a terminal");
}

#[test]
fn every_key_can_be_written_alone_with_its_default() {
    for section in keys::SECTIONS {
        for key in section.keys {
            let text = format!("version = 1\n[{}]\n{} = {}\n", section.name, key.name, key.default);
            assert_eq!(settle(&text), settle("version = 1"), "{text}");
        }
    }
}

#[test]
fn every_number_is_accepted_at_its_bounds_and_refused_beyond() {
    for section in keys::SECTIONS {
        for key in section.keys {
            let expected = (key.expected)();
            let Some((min, max)) =
                expected.strip_prefix("an integer from ").and_then(|range| range.split_once(" to "))
            else {
                continue;
            };
            let (min, max): (i128, i128) = (min.parse().unwrap(), max.parse().unwrap());
            // The target is a part of the head: give it room.
            let room = if key.name == "target_bytes_max" { "head_bytes_max = 65536\n" } else { "" };
            let room = if key.name == "head_bytes_max" { "target_bytes_max = 256\n" } else { room };
            let attempt =
                |value| settle(&format!("version = 1\n[{}]\n{room}{} = {value}\n", section.name, key.name));
            for value in [min, max] {
                attempt(value).unwrap_or_else(|problems| panic!("{problems}"));
            }
            for value in [min - 1, max + 1] {
                let complaint = attempt(value).expect_err(key.name);
                assert!(
                    complaint
                        .contains(&format!("{}.{}: {value}: expected {expected}", section.name, key.name)),
                    "{complaint}"
                );
            }
        }
    }
}

#[test]
fn the_committed_reference_is_the_generated_one() {
    crate::metrics::tests::check_generated("configuration.md", &reference::markdown());
}

#[test]
fn keys_settle_to_types() {
    let settings = settle(
        r#"
version = 1
[node]
name = "ams-3"
[listen]
http = ["127.0.0.1:0", "127.0.0.1:0", "[::1]:8080"]
shards = 3
[snapshot]
poll_interval_ms = 0
[http]
server = "carom (test)"
[admin]
listen = "unix:/run/carom/admin.sock"
[access_log]
sample_every = 100
path = "/var/log/carom/access.jsonl"
[log]
format = "json"
"#,
    )
    .unwrap();
    assert_eq!(settings.node.name, "ams-3");
    assert_eq!(settings.listen.http.len(), 3, "port 0 may be repeated");
    assert_eq!(settings.listen.shards.map(std::num::NonZeroU32::get), Some(3));
    assert_eq!(settings.snapshot.poll_interval, None);
    assert_eq!(settings.server.as_deref(), Some("carom (test)"));
    assert_eq!(settings.admin, AdminAddress::Unix("/run/carom/admin.sock".into()));
    let access_log = settings.access_log.unwrap();
    assert_eq!(access_log.sample_every.get(), 100);
    assert_eq!(access_log.target, LogTarget::File("/var/log/carom/access.jsonl".into()));
    assert_eq!(settings.log.format, LogFormat::Json);
}

#[test]
fn a_wrong_file_is_told_line_key_finding_expectation_and_fix() {
    let cases = [
        (
            "",
            "carom.toml: version: missing: this program reads version 1; write version = 1 in its first line",
        ),
        (
            "version = 2\n[moon]\n",
            "carom.toml:1: version: 2: this program reads version 1; convert the file (CHANGELOG.md says how), or run the \
             program that it was written for",
        ),
        (
            "version = 1\n[http]\nheader_timout_ms = 5\n",
            "carom.toml:3: http.header_timout_ms: unknown key: [http] has header_timeout_ms, idle_timeout_ms, \
             write_timeout_ms, head_bytes_max, target_bytes_max, fields_max, requests_per_connection_max, \
             body_discard_bytes_max, server; did you mean header_timeout_ms?",
        ),
        (
            "version = 1\n[log]\nkeep = 3\n",
            "carom.toml:3: log.keep: unknown key: [log] has format, level; write it below [snapshot]",
        ),
        (
            "version = 1\n[htpp]\n",
            "carom.toml:2: htpp: unknown section: this version has node, listen, tls, acme, snapshot, http, proxies, limits, admin, \
             access_log, clicks, ship, privacy, log, drain, guard, scanners; did you mean [http]?",
        ),
        (
            "version = 1\nbacklog = 3\n",
            "carom.toml:2: backlog: unknown key: this version has node, listen, tls, acme, snapshot, http, proxies, limits, admin, \
             access_log, clicks, ship, privacy, log, drain, guard, scanners; write it below [listen]",
        ),
        (
            "version = 1\nlog = \"debug\"\n",
            "carom.toml:2: log: \"debug\": expected a section; write [log] in a line of its own, and its keys below",
        ),
        (
            "version = 1\n[snapshot]\nkeep = 17\n",
            "carom.toml:3: snapshot.keep: 17: expected an integer from 1 to 16, because the served copy must stay, and each \
             copy costs the size of a whole snapshot on disk; write 16 or less",
        ),
        (
            "version = 1\n[snapshot]\nkeep = \"2\"\n",
            "carom.toml:3: snapshot.keep: \"2\": expected an integer from 1 to 16, because the served copy must stay, and \
             each copy costs the size of a whole snapshot on disk; remove the quotes",
        ),
        (
            "version = 1\n[snapshot]\nlock_memory = \"yes\"\npath = \"links\"\n",
            "carom.toml:3: snapshot.lock_memory: \"yes\": expected true or false; write true or false, without quotes\n\
             carom.toml:4: snapshot.path: \"links\": expected an absolute path; write the whole path, such as \
             \"/var/lib/carom/links\"",
        ),
        (
            "version = 1\n[log]\nlevel = \"warning\"\n",
            "carom.toml:3: log.level: \"warning\": expected \"error\", \"warn\", \"info\", \"debug\" or \"trace\"; write \
             \"warn\"",
        ),
        (
            "version = 1\n[http]\nserver = \"carom\\r\\nX: y\"\n",
            "carom.toml:3: http.server: \"carom\\r\\nX: y\": expected a string of at most 64 bytes of visible ASCII and inner \
             spaces; remove the other characters",
        ),
        (
            "version = 1\n[http]\nhead_bytes_max = 2048\ntarget_bytes_max = 4096\n",
            "carom.toml:4: http.target_bytes_max: 4096: a target is a part of the head, and http.head_bytes_max is 2048; \
             write target_bytes_max = 2048 or less",
        ),
        (
            "version = 1\n[admin]\nlisten = \"192.0.2.1:9180\"\n",
            "carom.toml:3: admin.listen: \"192.0.2.1:9180\": other machines reach it, and nobody is asked for a password; \
             write a loopback address or \"unix:/run/carom/admin.sock\", or allow it with allow_public = true",
        ),
        (
            "version = 1\n[admin]\nlisten = \"127.0.0.1:80\"\n",
            "carom.toml:3: admin.listen: \"127.0.0.1:80\": traffic arrives on \"0.0.0.0:80\", and metrics must not be served \
             there; write another port",
        ),
        (
            "version = 1\n[admin]\nlisten = \"unix:admin.sock\"\n",
            "carom.toml:3: admin.listen: \"unix:admin.sock\": expected an address with a port, or \"unix:\" and an absolute \
             path; write the whole path, such as \"unix:/run/carom/admin.sock\"",
        ),
        (
            "version = 1\n[http\nserver = 3\n",
            "carom.toml:2: \"[http\": not TOML: unclosed table, expected `]`; correct the line; https://toml.io shows the \
             syntax",
        ),
    ];
    for (text, complaint) in cases {
        check_refused(text, complaint);
    }
}

#[test]
fn a_wrong_address_is_told_what_is_likely_to_be_missing() {
    let cases = [
        (
            "[]",
            "an empty list: expected a list of 1 to 64 addresses with ports, such as \"192.0.2.1:80\" or \"[2001:db8::1]:80\"; write at least one address",
        ),
        (
            "\"0.0.0.0:80\"",
            "\"0.0.0.0:80\": expected a list of 1 to 64 addresses with ports, such as \"192.0.2.1:80\" or \"[2001:db8::1]:80\"; write [\"0.0.0.0:80\"]",
        ),
        ("[80]", "80: expected an IP address and a port; write it in quotes"),
        (
            "[\":80\"]",
            "\":80\": expected an IP address and a port; write \"0.0.0.0:80\", \"[::]:80\", or both",
        ),
        (
            "[\"192.0.2.1\"]",
            "\"192.0.2.1\": expected an IP address and a port; write a port behind it, such as \"192.0.2.1:80\"",
        ),
        (
            "[\"2001:db8::1\"]",
            "\"2001:db8::1\": expected an IP address and a port; write a port behind it, such as \"[2001:db8::1]:80\"",
        ),
        (
            "[\"192.0.2.1:99999\"]",
            "\"192.0.2.1:99999\": expected an IP address and a port; write a port from 0 to 65535",
        ),
        (
            "[\"localhost:80\"]",
            "\"localhost:80\": expected an IP address and a port; write numbers: names are not looked up",
        ),
        (
            "[\"[::ffff:192.0.2.1]:80\"]",
            "\"[::ffff:192.0.2.1]:80\": expected an address that a socket for IPv6 alone can have; write the IPv4 address itself",
        ),
        (
            "[\"192.0.2.1:80\", \"192.0.2.1:80\"]",
            "\"192.0.2.1:80\": expected every address once: two listeners cannot share one; remove one",
        ),
    ];
    for (written, complaint) in cases {
        check_refused(
            &format!("version = 1\n[listen]\nhttp = {written}\n"),
            &format!("carom.toml:3: listen.http: {complaint}"),
        );
    }
}

#[test]
fn a_list_names_the_line_of_each_wrong_entry() {
    let complaint =
        settle("version = 1\n[listen]\nhttp = [\n  \"0.0.0.0:80\",\n  \"nowhere\",\n  \"0.0.0.0:80\",\n]\n")
            .unwrap_err();
    let places: Vec<_> =
        complaint.lines().map(|line| line.split_inclusive(':').take(2).collect::<String>()).collect();
    assert_eq!(places, ["carom.toml:5:", "carom.toml:6:"]);
}

#[test]
fn all_mistakes_are_reported_at_once_in_order_of_their_lines() {
    let complaint = settle("[node]\nnam = 1\n[http]\nfields_max = 1\nserver = 3\n[lgo]\n").unwrap_err();
    let keys: Vec<_> = complaint.lines().map(|line| line.split(": ").nth(1).unwrap()).collect();
    assert_eq!(keys, ["version", "node.nam", "http.fields_max", "http.server", "lgo"]);
}

#[test]
fn very_many_mistakes_are_counted_rather_than_printed() {
    let text: String = std::iter::once("version = 1\n[node]\n".to_owned())
        .chain((0..150).map(|n| format!("k{n} = 1\n")))
        .collect();
    let complaint = settle(&text).unwrap_err();
    assert_eq!(complaint.lines().count(), 101);
    assert!(complaint.ends_with("carom.toml: and 50 more"));
}

#[test]
fn an_admin_listener_may_be_public_when_the_file_says_so() {
    settle("version = 1\n[admin]\nlisten = \"192.0.2.1:9180\"\nallow_public = true\n").unwrap();
}

#[test]
fn a_missing_file_is_named_with_a_way_to_get_one() {
    let complaint = load(Path::new("/nonexistent/carom.toml")).unwrap_err().to_string();
    assert_eq!(
        complaint,
        "cannot read the configuration /nonexistent/carom.toml: No such file or directory (os error 2); `carom config` \
         prints one to start from"
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_settled_or_refused_without_a_panic(text in "(version = 1\n)?(\\[[a-z_]{1,12}\\]\n|[a-z_]{1,12} = [\\[\\]a-z0-9\":., -]{0,12}\n|\\PC{0,12}\n){0,8}") {
        let _ = settle(&text);
    }
}

#[test]
fn no_stage_of_the_guard_is_stricter_than_the_guard() {
    use ebpf_loader::abi::{Mode, Stage};
    let settings = settle("version = 1\n[guard]\nmode = \"monitor\"\nport_mode = \"off\"\n").unwrap();
    assert_eq!(settings.guard.modes.of(Stage::Port), Mode::Off);
    assert_eq!(settings.guard.modes.of(Stage::Ban), Mode::Monitor);
    assert_eq!(settle("version = 1").unwrap().guard.modes.of(Stage::Ban), Mode::Enforce);
}

#[test]
fn a_wrong_entry_of_a_list_is_told_what_is_wrong_with_it() {
    let cases = [
        ("vips = [\"0.0.0.0\"]", "expected an address that clients can connect to"),
        ("vips = [\"192.0.2.1:80\"]", "write numbers without a port"),
        ("management = [\"10.0.0.1/8\"]", "did you mean 10.0.0.0/8?"),
        ("management = [\"10.0.0.0/8\", \"10.0.0.0/8\"]", "every entry once"),
        ("interfaces = \"eth0\"", "write [\"eth0\"]"),
        ("interfaces = [\"eth0/1\"]", "`ip link` shows the names"),
        ("deny_files = [\"deny.txt\"]", "write the whole path"),
        ("mode = \"enforced\"", "write \"enforce\""),
    ];
    for (line, part) in cases {
        let complaint = settle(&format!("version = 1\n[guard]\n{line}\n")).expect_err(line);
        assert!(complaint.starts_with("carom.toml:3: guard.") && complaint.contains(part), "{complaint}");
    }
}
