//! What a check finds on machines that lack one thing each.

use std::path::PathBuf;

use super::*;

const MIB: u64 = 1 << 20;

fn settings(text: &str) -> Settings {
    config::parse(Path::new("carom.toml"), &format!("version = 1\n{text}"), "edge-1").unwrap()
}

/// A machine that gives a node everything.
fn generous() -> Machine {
    Machine {
        memlock_bytes_max: u64::MAX,
        descriptors_max: u64::MAX,
        somaxconn: Some(65_535),
        unprivileged_port_start: Some(1_024),
        may_bind_any_port: true,
        cpus: 4,
        ring_error: None,
        absent_addresses: Vec::new(),
        directories: Vec::new(),
        state_bytes_free: Some(u64::MAX),
    }
}

/// Asserts what a node with these settings and a snapshot of 100 MiB is told on this machine.
fn check_told(text: &str, machine: &Machine, lines: &[&str]) {
    let findings = judge(&settings(text), Some(100 * MIB), machine);
    let severity = |finding: &Finding| if finding.severity == Severity::Error { "error" } else { "warning" };
    let told: Vec<String> = findings
        .iter()
        .map(|finding| {
            format!("{}: {}: {}; {}", severity(finding), finding.place, finding.problem, finding.fix)
        })
        .collect();
    assert_eq!(told, lines);
}

#[test]
fn a_machine_that_gives_everything_is_told_nothing() {
    check_told("", &generous(), &[]);
}

#[test]
fn each_thing_that_is_missing_is_named_with_its_fix() {
    let cases = [
        (
            Machine { memlock_bytes_max: 8 * MIB, ..generous() },
            "warning: snapshot.lock_memory: two snapshots take 200.0 MiB during a swap, and 8.0 MiB may be locked; \
             LimitMEMLOCK=infinity in the unit, `ulimit -l unlimited`, or lock_memory = false",
        ),
        (
            Machine { descriptors_max: 1_024, ..generous() },
            "warning: limits.connections_per_shard_max: 4 shards need up to 67584 descriptors, and 1024 may be open; \
             LimitNOFILE=67584 in the unit, or fewer connections",
        ),
        (
            Machine { somaxconn: Some(128), ..generous() },
            "warning: listen.backlog: the kernel cuts 4096 to 128; `sysctl -w net.core.somaxconn=4096`, or backlog = 128",
        ),
        (
            Machine { may_bind_any_port: false, ..generous() },
            "error: listen.http: port 80 needs a privilege that this user lacks; AmbientCapabilities=CAP_NET_BIND_SERVICE, \
             or net.ipv4.ip_unprivileged_port_start = 80",
        ),
        (
            Machine { ring_error: Some("operation not permitted".into()), ..generous() },
            "error: io_uring: the kernel refuses a ring: operation not permitted; allow io_uring: \
             kernel.io_uring_disabled = 0, a seccomp profile that permits it, and LimitMEMLOCK of 524288 bytes or more",
        ),
        (
            Machine { absent_addresses: vec!["192.0.2.1:80".parse().unwrap()], ..generous() },
            "error: listen.http: no interface has 192.0.2.1; add it, such as `ip address add 192.0.2.1 dev lo`, or correct \
             the key",
        ),
        (
            Machine {
                directories: vec![Directory {
                    key: "node.state_dir",
                    path: PathBuf::from("/var/lib/carom"),
                    error: Some("Permission denied (os error 13)".into()),
                }],
                ..generous()
            },
            "error: node.state_dir: no file can be created in /var/lib/carom: Permission denied (os error 13); \
             `install -d -o USER /var/lib/carom` for the user that runs the node",
        ),
        (
            Machine { state_bytes_free: Some(10 * MIB), ..generous() },
            "error: node.state_dir: the private copy of the snapshot needs 100.0 MiB, and 10.0 MiB are free; free some, or \
             name another directory",
        ),
    ];
    for (machine, line) in cases {
        check_told("", &machine, &[line]);
    }
}

#[test]
fn more_shards_than_cpus_are_a_warning() {
    check_told(
        "[listen]\nshards = 5\n",
        &generous(),
        &["warning: listen.shards: 5 shards share 4 CPUs; shards = 0 gives each CPU one shard"],
    );
}

#[test]
fn what_the_settings_do_not_want_is_not_missed() {
    let machine = Machine { memlock_bytes_max: 8 * MIB, may_bind_any_port: false, ..generous() };
    check_told(
        "[listen]\nhttp = [\"127.0.0.1:0\", \"[::1]:8080\"]\n[snapshot]\nlock_memory = false\n",
        &machine,
        &[],
    );
}

#[test]
fn every_mistake_of_the_configuration_is_a_finding() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("carom.toml");
    std::fs::write(&path, "version = 1\n[http]\nfields_max = 1\n[lgo]\n").unwrap();
    let report = look(&path);
    assert!(!report.ok);
    let places: Vec<_> = report.findings.iter().map(|finding| finding.place.as_str()).collect();
    assert_eq!(places, [3, 4].map(|line| format!("{}:{line}", path.display())));
    let text = text(&report);
    assert!(text.ends_with(&format!("not ok: {}: 2 errors, 0 warnings\n", path.display())), "{text}");
}

#[test]
fn a_missing_snapshot_is_an_error_with_the_command_that_makes_one() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("carom.toml");
    let snapshot = directory.path().join("links.snapshot");
    let state = directory.path().join("state");
    std::fs::write(
        &config,
        format!(
            "version = 1\n[listen]\nhttp = [\"127.0.0.1:0\"]\n[node]\nstate_dir = {state:?}\n[snapshot]\npath = {snapshot:?}\n[guard]\nmode = \"off\"\n"
        ),
    )
    .unwrap();
    let report = look(&config);
    let errors: Vec<_> =
        report.findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].place, "snapshot.path");
    assert_eq!(
        errors[0].fix,
        format!("build one with `snapshot-tool build --output {}`", snapshot.display())
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["findings"][0]["severity"], "error");
}

#[test]
fn sizes_are_readable() {
    for (bytes, text) in [
        (0, "0 bytes"),
        (1_023, "1023 bytes"),
        (1_536, "1.5 KiB"),
        (5 << 30, "5.0 GiB"),
        (u64::MAX, "any amount"),
    ] {
        assert_eq!(size(bytes), text);
    }
}
