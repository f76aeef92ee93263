//! A channel from keys to nodes, in a directory: every command, every interruption, every lie.

mod support;

use serde_json::Value;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::thread;
use support::{Bench, Said, csv};

/// Ten links, one of which leads to `to`; further rows behind them.
fn rows(to: &str, more: &str) -> String {
    let ten: String = (1..10).map(|n| format!("go.example,c{n},https://a.example/{n}\n")).collect();
    format!("{ten}go.example,promo,https://a.example/{to}\n{more}")
}

/// A channel with keys in `keys`.
struct Channel(Bench);

impl Channel {
    fn new() -> Self {
        let channel = Self(Bench::new());
        channel.0.run("keygen keys").exits(0);
        channel.run("trust init links", "").exits(0);
        channel
    }

    /// A command about the channel; the first word, or two of them for `trust`, is its name.
    fn run(&self, command: &str, more: &str) -> Said {
        self.0.run(&format!("{command} --channel store --keys keys {more}"))
    }

    /// Builds a generation whose link `promo` leads to `to`.
    fn build(&self, generation: u64, to: &str, more: &str) -> String {
        let name = format!("{generation}.snapshot");
        self.0.write("rows.csv", csv(&rows(to, more)));
        self.0
            .run(&format!("build --force --allow-change --generation {generation} --output {name} rows.csv"))
            .exits(0);
        name
    }

    fn publish(&self, generation: u64, to: &str) -> Said {
        let snapshot = self.build(generation, to, "");
        self.run("publish --json --to all", &snapshot)
    }

    fn fetch(&self) -> Said {
        self.run("fetch --json --state state --output node.snapshot", "")
    }

    /// Where `promo` leads on a node that watches the file.
    fn leads_to(&self) -> String {
        let said = self.0.run("lookup --json node.snapshot go.example promo").exits(0).json();
        said["destination"].as_str().unwrap().to_owned()
    }

    fn list(&self) -> Value {
        self.run("list --json", "").exits(0).json()
    }

    fn version(&self, wave: &str) -> u64 {
        self.list()["pointer"]["waves"][wave]["target"]["version"].as_u64().unwrap()
    }

    fn pointer(&self) -> PathBuf {
        self.0.path("store/pointer")
    }

    /// Runs until a named place and dies there, as in a power cut.
    #[track_caller]
    fn dies_at(&self, failpoint: &str, command: &str) {
        let mut command = self.0.command(&format!("{command} --channel store --keys keys"));
        let output = command.env("CAROM_FAILPOINT", failpoint).output().unwrap();
        assert_eq!(
            output.status.signal(),
            Some(9),
            "{failpoint}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn a_content_goes_from_stage_to_canary_to_all_and_back_and_the_log_tells_it() {
    let channel = Channel::new();
    let one = channel.build(1, "one", "");
    channel.run("publish --json", &one).exits(0);
    channel.fetch().exits(1).complains("nothing has been published to wave all");
    channel.run("promote --json --to all", "").exits(1).complains("wave canary serves nothing");
    channel.run("promote --json --to canary", "").exits(0);
    channel.run("promote --json --to all", "").exits(0);
    let fetched = channel.fetch().exits(0).json();
    assert_eq!((&fetched["generation"], channel.leads_to().as_str()), (&1.into(), "https://a.example/one"));
    let published = channel.publish(2, "two").exits(0).json();
    assert_eq!((&published["result"], &published["changes"]["changed"]), (&"published".into(), &1.into()));
    assert!(published["changes"]["examples"][0].as_str().unwrap().contains("a.example/two"), "{published}");
    assert_eq!(channel.publish(2, "two").exits(0).json()["result"], "unchanged");
    channel.fetch().exits(0);
    assert_eq!(channel.leads_to(), "https://a.example/two");
    channel.run("rollback --note oops", "").exits(0);
    let fetched = channel.fetch().exits(0).json();
    assert_eq!((&fetched["generation"], channel.leads_to().as_str()), (&1.into(), "https://a.example/one"));
    // A rollback of a rollback goes forward again.
    channel.run("rollback", "").exits(0);
    channel.fetch().exits(0);
    assert_eq!(channel.leads_to(), "https://a.example/two");
    let audit = channel.run("audit", "").exits(0).stdout;
    for expected in
        ["trust: root 1", "publish: stage nothing", "promote: canary", "rollback: all", "– oops", "~1"]
    {
        assert!(audit.contains(expected), "{expected}: {audit}");
    }
    assert!(!audit.contains("never announced"), "{audit}");
}

#[test]
fn whoever_is_killed_while_publishing_leaves_the_old_content_or_the_new_one_and_the_next_one_goes_on() {
    let channel = Channel::new();
    channel.publish(1, "1").exits(0);
    channel.fetch().exits(0);
    let places = [
        ("publish-before-file", false),
        ("publish-after-file", false),
        ("publish-after-manifest", false),
        ("act-after-record", false),
        ("act-after-pointer", true),
    ];
    let mut serves = 1;
    for (generation, (place, announced)) in (2..).zip(places) {
        let snapshot = channel.build(generation, &generation.to_string(), "");
        channel.dies_at(place, &format!("publish --to all {snapshot}"));
        serves = if announced { generation } else { serves };
        channel.fetch().exits(0);
        assert_eq!(channel.leads_to(), format!("https://a.example/{serves}"), "{place}");
        channel.run("audit", "").exits(0);
    }
    // The same command again finishes what was begun.
    let result = channel.publish(20, "20").exits(0).json();
    assert_eq!(result["result"], "published");
    channel.fetch().exits(0);
    assert_eq!(channel.leads_to(), "https://a.example/20");
    let audit = channel.run("audit", "").exits(0).stdout;
    assert_eq!(audit.matches("never announced").count(), 1, "{audit}");
    // What the killed ones left goes, and nothing else.
    channel.run("gc --keep 0 --younger-than 1s --dry-run", "").exits(0);
    assert_eq!(fs::read_dir(channel.0.path("store/file")).unwrap().count(), 6);
}

#[test]
fn a_node_that_is_killed_while_fetching_has_the_old_snapshot_or_the_new_one_and_goes_on() {
    let places = [
        "fetch-under-way",
        "fetch-before-verify",
        "fetch-before-rename",
        "fetch-done",
        "fetch-before-output",
        "fetch-before-trust",
    ];
    let channel = Channel::new();
    channel.publish(1, "1").exits(0);
    channel.fetch().exits(0);
    for (generation, place) in (2..).zip(places) {
        channel.publish(generation, &generation.to_string()).exits(0);
        let before = channel.leads_to();
        channel.dies_at(place, "fetch --state state --output node.snapshot");
        channel.0.run("verify node.snapshot").exits(0);
        let after = channel.leads_to();
        let new = format!("https://a.example/{generation}");
        assert!(after == before || (place == "fetch-before-trust" && after == new), "{place}: {after}");
        channel.fetch().exits(0);
        assert_eq!(channel.leads_to(), new, "{place}");
    }
}

#[test]
fn a_gate_that_is_shut_stops_a_publication_and_an_override_is_written_down() {
    let channel = Channel::new();
    channel.publish(5, "one").exits(0);
    let check = |snapshot: &str, more: &str, gates: &[&str]| {
        let said = channel.run("publish --json --to all", &format!("{snapshot} {more}")).exits(4).json();
        let shut: Vec<&str> =
            said["gates"].as_array().unwrap().iter().map(|gate| gate["gate"].as_str().unwrap()).collect();
        assert_eq!(shut, gates, "{said}");
        assert_eq!(channel.version("all"), 2);
    };
    let grown = channel.build(6, "one", "go.example,x1,https://b.example/\ngo.example,x2,https://b.example/\ngo.example,x3,https://b.example/\n");
    check(&grown, "", &["links", "changed"]);
    let same = channel.build(7, "two", "");
    channel.0.write("top.txt", "# most asked for\ngo.example/promo\ngo.example/gone\n");
    check(&same, "--top top.txt", &["top"]);
    check(&same, "--reader-bytes-max 4096", &["readers"]);
    check(&same, "--changed-max 5", &["changed"]);
    let old = channel.build(4, "three", "");
    check(&old, "", &["generation"]);
    channel.run("publish", &format!("{grown} --override links=x")).exits(2).complains("reason");
    channel
        .run("publish", &format!("{grown} --override nonsense=because"))
        .exits(2)
        .complains("gates are links");
    let overrides = "--override links=new-tenant --override changed=new-tenant";
    channel.run("publish --json --to all", &format!("{grown} {overrides}")).exits(0);
    let audit = channel.run("audit", "").exits(0).stdout;
    assert!(
        audit.contains("override links: 13 links instead of 10") && audit.contains("new-tenant"),
        "{audit}"
    );
}

#[test]
fn a_pinned_wave_does_not_move_until_it_is_let_go() {
    let channel = Channel::new();
    channel.run("pin --reason early all", "").exits(1).complains("serves nothing yet");
    channel.publish(1, "one").exits(0);
    channel.run("pin --reason ticket-4711 all", "").exits(0);
    channel.publish(2, "two").exits(1).complains("ticket-4711");
    channel.run("rollback --to 2", "").exits(1);
    channel.run("pin --release all", "").exits(0);
    channel.publish(2, "two").exits(0);
    channel.fetch().exits(0);
    assert_eq!(channel.leads_to(), "https://a.example/two");
}

#[test]
fn a_replayed_forged_or_exchanged_pointer_leaves_a_node_as_it_is() {
    let channel = Channel::new();
    channel.publish(1, "one").exits(0);
    let first = fs::read(channel.pointer()).unwrap();
    channel.publish(2, "two").exits(0);
    channel.fetch().exits(0);
    let good = fs::read(channel.pointer()).unwrap();
    let check = |bytes: &[u8], expected: &str| {
        fs::write(channel.pointer(), bytes).unwrap();
        channel.fetch().exits(1).complains(expected);
        assert_eq!(channel.leads_to(), "https://a.example/two");
    };
    check(&first, "an old one is replayed");
    check(&good[..good.len() - 1], "good signatures");
    check(b"", "malformed");
    check(&[&good[..], &b" "[..]].concat(), "good signatures");
    // A stranger's channel with the same name.
    let stranger = Channel::new();
    stranger.publish(9, "evil").exits(0);
    check(&fs::read(stranger.pointer()).unwrap(), "good signatures");
    fs::write(channel.pointer(), &good).unwrap();
    channel.fetch().exits(0);
    // A file that is exchanged below its name.
    channel.publish(3, "three").exits(0);
    for entry in fs::read_dir(channel.0.path("store/file")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    }
    channel.fetch().exits(1).complains("corrupted or exchanged");
    assert_eq!(channel.leads_to(), "https://a.example/two");
}

#[test]
fn a_pointer_that_has_expired_is_refused_and_renewed() {
    let channel = Channel::new();
    let one = channel.build(1, "one", "");
    channel.run("publish --to all --lifetime 1s", &one).exits(0);
    eventually(|| channel.fetch().code == 1);
    channel.fetch().exits(1).complains("expired");
    channel.run("renew", "").exits(0);
    channel.fetch().exits(0);
    assert_eq!(channel.leads_to(), "https://a.example/one");
}

#[test]
fn a_key_is_exchanged_and_nodes_follow_by_themselves() {
    let channel = Channel::new();
    channel.publish(1, "one").exits(0);
    channel.fetch().exits(0);
    channel.0.run("keygen new --role pointer,root").exits(0);
    channel.run("trust rotate --new-keys new --role pointer,root", "").exits(0);
    channel.fetch().exits(1).complains("good signatures");
    let stolen = fs::read(channel.pointer()).unwrap();
    // The old key signs no more; the new one signs what was served.
    channel.run("renew", "").exits(1).complains("nodes would refuse");
    let path = |directory: &str, name: &str| channel.0.path(&format!("{directory}/{name}"));
    for name in ["pointer.key", "pointer.pub", "root.key"] {
        fs::copy(path("new", name), path("keys", name)).unwrap();
    }
    channel.run("renew", "").exits(0);
    channel.fetch().exits(0);
    // Who begins anew may be given the new root key alone.
    let new_root = fs::read_to_string(path("new", "root.pub")).unwrap();
    let fresh =
        format!("fetch --channel store --trust {} --state fresh --output fresh.snapshot", new_root.trim());
    channel.0.run(&fresh).exits(0);
    channel.publish(2, "two").exits(0);
    channel.fetch().exits(0);
    assert_eq!(channel.leads_to(), "https://a.example/two");
    channel.run("audit", "").exits(0);
    fs::write(channel.pointer(), stolen).unwrap();
    channel.fetch().exits(1).complains("good signatures");
}

#[test]
fn the_log_shows_whoever_changes_or_removes_a_record() {
    let channel = Channel::new();
    for generation in 1..4 {
        channel.publish(generation, &generation.to_string()).exits(0);
    }
    channel.run("audit", "").exits(0);
    let record = channel.0.path("store/log/00000000000000000002");
    let good = fs::read_to_string(&record).unwrap();
    fs::write(&record, good.replace("publish", "promote")).unwrap();
    channel.run("audit", "").exits(1).complains("00000000000000000002");
    fs::copy(channel.0.path("store/log/00000000000000000003"), &record).unwrap();
    channel.run("audit", "").exits(1).complains("number 3 follows number 1");
    fs::remove_file(&record).unwrap();
    channel.run("audit", "").exits(1).complains("the log ends with record 1");
    fs::write(&record, good).unwrap();
    channel.run("audit", "").exits(0);
}

#[test]
fn of_two_who_publish_at_once_nobody_overwrites_the_other() {
    let channel = Channel::new();
    channel.publish(1, "1").exits(0);
    let snapshots: Vec<String> = (2..6).map(|n| channel.build(n, &n.to_string(), "")).collect();
    let won = thread::scope(|scope| {
        let runs: Vec<_> = snapshots
            .iter()
            .map(|snapshot| {
                scope.spawn(|| channel.run("publish --to all --override generation=race", snapshot))
            })
            .collect();
        let said: Vec<Said> = runs.into_iter().map(|run| run.join().unwrap()).collect();
        for said in &said {
            let lost = said.code == 1 && said.stderr.contains("somebody else");
            assert!(said.code == 0 || lost, "{said:?}");
        }
        said.iter().filter(|said| said.code == 0).count()
    });
    assert!(won >= 1);
    channel.run("audit", "").exits(0);
    channel.fetch().exits(0);
    assert!(channel.version("all") > 2);
}

#[test]
fn what_nobody_serves_any_more_is_collected_and_the_rest_stays() {
    let channel = Channel::new();
    for generation in 1..5 {
        channel.publish(generation, &generation.to_string()).exits(0);
    }
    channel.run("gc --keep 2", "").exits(0);
    assert_eq!(channel.list()["contents"].as_array().unwrap().len(), 4, "young ones stay");
    eventually(|| {
        channel.run("gc --keep 2 --younger-than 1s", "").exits(0);
        channel.list()["contents"].as_array().unwrap().len() == 2
    });
    assert_eq!(fs::read_dir(channel.0.path("store/file")).unwrap().count(), 2);
    channel.run("rollback", "").exits(0);
    channel.run("rollback --to 2", "").exits(1).complains("gone");
    channel.fetch().exits(0);
    assert_eq!(channel.leads_to(), "https://a.example/3");
}

/// Waits for what time brings about, at most ten seconds.
#[track_caller]
fn eventually(mut holds: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed().as_secs() < 10, "it never came true");
        thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn what_is_blocked_is_kept_apart_from_snapshots_and_every_change_is_in_the_log() {
    let channel = Channel::new();
    channel.run("deny add --note phishing", "link https://GO.example/pr%6Fmo").exits(0);
    channel.run("deny add --answer 451", "host *.Evil.example").exits(0);
    channel.run("deny add", "link go.example/promo --note phishing").exits(0);
    channel.run("deny add", "prefix shop.example").exits(1).complains("use host");
    channel.run("deny add", "planet mars").exits(1).complains("link, domain, host or prefix");
    channel.run("deny add --answer 200", "host a.example").exits(2).complains("neither 410 nor 451");
    let listed = channel.run("deny list", "").exits(0).stdout;
    assert_eq!(listed, "410 link go.example/promo phishing\n451 host *.evil.example\n");
    channel.publish(1, "one").exits(0);
    channel.publish(2, "two").exits(0);
    channel.run("rollback", "").exits(0);
    assert_eq!(channel.run("deny list", "").exits(0).stdout, listed);
    channel.0.write("bad.txt", "410 host a.example\n410 moon b.example\n");
    channel.run("deny import", "bad.txt").exits(1).complains("bad.txt:2:");
    channel.0.write("good.txt", "# imported\n410 host a.example\n410 prefix b.example/x\n");
    channel.run("deny import", "good.txt").exits(0);
    assert_eq!(channel.run("deny list", "").exits(0).stdout.lines().count(), 4);
    channel.dies_at("deny-after-record", "deny add host never.example");
    channel.run("deny remove", "host A.example.").exits(0);
    channel.run("deny remove", "host a.example").exits(1).complains("is not blocked");
    channel.run("deny import --replace", "good.txt").exits(0);
    let listed = channel.run("deny list", "").exits(0).stdout;
    assert_eq!(listed, "410 host a.example\n410 prefix b.example/x\n");
    let audit = channel.run("audit", "").exits(0).stdout;
    assert!(audit.contains("deny: 1 added, 0 removed") && audit.contains("– phishing"), "{audit}");
    // Another key, an older list.
    let path = channel.0.path("store/deny");
    let bytes = fs::read_to_string(&path).unwrap();
    fs::write(&path, bytes.replace("a.example", "c.example")).unwrap();
    channel.run("deny list", "").exits(1).complains("good signatures");
}
