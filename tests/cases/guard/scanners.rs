//! Who asks for what nobody published is banned at the interface; who is beside it, or behind the same address, is not.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lab::{SOON, eventually};

use super::bench::{Answer, Bench, HUMANS, NODE, SCANNERS, is_silence};

/// What Debian's package dirb tries on every host.
const WORDS: &str = "/usr/share/dirb/wordlists/common.txt";

/// The paths of the list that a request can be made of.
fn words() -> Vec<String> {
    let list = fs::read(WORDS).unwrap_or_else(|error| panic!("{WORDS}: {error}; apt-get install dirb"));
    let lines = list.split(|&byte| byte == b'\n').filter_map(|line| str::from_utf8(line).ok());
    let plain = |word: &&str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
    };
    lines.filter(plain).map(str::to_owned).collect()
}

impl Bench {
    /// Asks for one word after the other, some on each connection, until nobody answers or there are no more.
    fn scan(&self, scanner: &str, node: &str, words: &[String]) -> (usize, Option<Answer>) {
        let mut asked = 0;
        for chunk in words.chunks(40) {
            let paths: Vec<&str> = chunk.iter().map(String::as_str).collect();
            let answer = self.knock(scanner, node, &paths);
            if answer.is_err() {
                return (asked, Some(answer));
            }
            asked += paths.len();
        }
        (asked, None)
    }
}

#[test]
fn a_scanner_with_a_real_list_of_paths_is_banned_and_the_human_beside_it_is_served() {
    let Some(bench) = Bench::new() else { return };
    let bench = bench.set("scanners", "threshold", 100);
    let node = bench.start();
    let attached = node.vitals().guard.unwrap().kernel.unwrap().attached;
    assert_eq!((attached[0].interface.as_str(), attached[0].path.as_str()), ("node0", "native"));
    let words = words();
    assert!(words.len() > 4_000, "{WORDS} has {} words", words.len());
    for ((human, scanner), to) in HUMANS.iter().zip(SCANNERS).zip(NODE) {
        assert_eq!(bench.ask(human, to, &["plain"]), Ok(vec![302]));
        let (asked, end) = bench.scan(scanner, to, &words);
        let end = end.expect("the list was not tried to its end");
        assert!(is_silence(&end), "{end:?} after {asked} words");
        assert_eq!(bench.ask(human, to, &["plain", "guess", "plain"]), Ok(vec![302, 404, 302]));
    }
    for protocol in ["tcp4", "tcp6"] {
        node.until_metric("carom_guard_packets_total", &[("reason", "banned"), ("protocol", protocol)], 1.0);
    }
    node.until_metric("carom_scanners_total", &[("measure", "ban")], 2.0);
    let bans = bench.json(&["bans"]);
    let dropped: Vec<_> = bans.as_array().unwrap().iter().filter(|ban| ban["kind"] == "drop").collect();
    assert_eq!(dropped.len(), 2, "{bans}");
    assert!(dropped.iter().all(|ban| ban["cause"] == "unknown codes"), "{bans}");
}

#[test]
fn people_behind_the_address_of_a_scanner_are_served_while_it_tries_its_whole_list() {
    let Some(bench) = Bench::new() else { return };
    serves_people_beside_a_scanner(&bench.set("scanners", "threshold", 100).with_challenges(), "challenge");
}

#[test]
fn while_challenges_rest_people_behind_the_address_of_a_scanner_are_served_all_the_same() {
    let Some(bench) = Bench::new() else { return };
    bench.node_side.sysctl("ipv4/tcp_syncookies", "1");
    // A challenge that the kernel would refuse is not even written.
    serves_people_beside_a_scanner(&bench.set("scanners", "threshold", 100), "none");
}

/// People and a scanner share each of two addresses; nobody is dropped, and bans are of one kind or none.
fn serves_people_beside_a_scanner(bench: &Bench, kind: &str) {
    let node = bench.start();
    let words = words();
    for (gateway, to) in HUMANS.into_iter().zip(NODE) {
        // Half a dozen clicks on as many connections: people were there before.
        for _ in 0..6 {
            assert_eq!(bench.ask(gateway, to, &["plain", "plain", "plain"]), Ok(vec![302; 3]));
        }
        let (over, clicks) = (AtomicBool::new(false), AtomicU64::new(0));
        let (asked, end) = std::thread::scope(|scope| {
            let people = scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(bench.ask(gateway, to, &["plain", "plain"]), Ok(vec![302; 2]), "{gateway}");
                    clicks.fetch_add(2, Ordering::Relaxed);
                }
            });
            let scanned = bench.scan(gateway, to, &words);
            over.store(true, Ordering::Relaxed);
            people.join().unwrap();
            scanned
        });
        assert_eq!(end, None, "the address was banned after {asked} words and {clicks:?} clicks");
        eventually(SOON, "people click meanwhile", || clicks.load(Ordering::Relaxed) > 0);
    }
    let bans = bench.json(&["bans"]);
    assert!(bans.as_array().unwrap().iter().all(|ban| ban["kind"] == kind), "{bans}");
    assert_eq!(node.metric("carom_scanners_total", &[("measure", "ban")]), 0.0);
}
