//! What surrounds the spool fails at its worst: disks that hang, ends at named steps, clocks that jump. Redirects never notice.

use std::fs;

use lab::broker::{Collector, rows};
use lab::faults::{Moment, Step};
use lab::{Faults, Node, Peer, SOON, Site, eventually};
use serde_json::Value;

use super::clicks::{audited, click, clicks_command, distinct, lost, shipping, site, text};
use super::fixture::GO;

fn with_faults(site: Site) -> Option<(Site, Faults)> {
    let faults = Faults::new(site.path())?;
    let site = faults.environment().iter().fold(site, |site, (name, value)| site.environment(name, value));
    Some((site, faults))
}

#[test]
fn a_disk_that_hangs_costs_records_and_no_redirect_and_each_is_counted() {
    // A ring that is full after some five hundred clicks.
    let Some((site, faults)) = with_faults(site().set("clicks", "ring_bytes", 65_536)) else { return };
    let node = site.start();
    click(&node, 20, "before");
    node.until_metric("carom_clicks_written_total", &[], 20.0);
    // Far longer than any client waits: whoever waited for the disk would time out.
    faults.slow_disk("/clicks/", 600_000);
    eventually(SOON, "the writer hangs", || faults.delayed() > 0);
    click(&node, 2_000, "hanging");
    assert_eq!(node.admin().get("/healthz").status, 200);
    eventually(SOON, "metrics say who hangs", || {
        node.metric("carom_clicks_writer_silence_seconds", &[]) > 0.2
    });
    faults.slow_disk("/clicks/", 0);
    eventually(SOON, "the loss is known", || lost(&node, "full") > 0.0);
    click(&node, 20, "after");
    eventually(SOON, "the writer comes by again", || {
        node.metric("carom_clicks_total", &[]) == 2_040.0
            && node.metric("carom_clicks_writer_silence_seconds", &[]) < 0.2
    });
    node.stop();
    let books = audited(&site);
    let number = |key: &str| books[key].as_u64().unwrap();
    assert_eq!(number("clicks"), 2_040, "{books}");
    assert_eq!(number("written") + number("ring_full") + number("sampled_out"), 2_040, "{books}");
    assert!(number("ring_full") > 0, "{books}");
    let tail = clicks_command(&site, &["tail", "-n", "100000", "--json"]);
    let stood_for: u64 = rows(&tail.output).iter().map(|row| row["sample_rate"].as_u64().unwrap()).sum();
    assert!(stood_for <= 2_040 - number("ring_full"), "{stood_for} of {books}");
}

#[test]
fn a_slow_disk_slows_no_redirect_and_loses_nothing_while_the_ring_has_room() {
    let Some((site, faults)) = with_faults(site().set("clicks", "sync_ms", 0)) else { return };
    let node = site.start();
    faults.slow_disk("/clicks/", 30);
    click(&node, 500, "slow");
    node.until_metric("carom_clicks_written_total", &[], 500.0);
    assert!(faults.delayed() > 0);
    node.stop();
    let books = audited(&site);
    assert_eq!((&books["clicks"], &books["written"]), (&500.into(), &500.into()), "{books}");
}

/// Clicks now and then until the node is dead; says how many answers came.
fn click_to_death(node: &mut Node) -> u64 {
    let mut answers = 0;
    let address = node.address();
    eventually(SOON, "the node is killed", || {
        if let Ok(mut peer) = Peer::try_connect(address) {
            for _ in 0..5 {
                let request = format!("GET /plain HTTP/1.1\r\nHost: {GO}\r\n\r\n");
                answers += u64::from(peer.try_send(request).is_ok() && peer.try_reply().is_ok());
            }
        }
        node.process().ended().is_some()
    });
    answers
}

#[test]
fn a_node_that_is_killed_at_any_step_of_writing_or_shipping_leaves_books_that_are_right() {
    let site = shipping("file", "/replaced");
    let rows_file = site.path().join("rows.jsonl");
    let site = site.set("ship", "address", format!("{rows_file:?}"));
    let Some((site, faults)) = with_faults(site) else { return };
    let mut answers = 0;
    for (step, part, moment) in [
        (Step::Write, ".clicks", Moment::Before),
        (Step::Write, ".clicks", Moment::Halfway),
        (Step::Write, ".clicks", Moment::After),
        (Step::Sync, ".clicks", Moment::After),
        (Step::Write, "tally.fresh", Moment::Halfway),
        (Step::Rename, "tally.json", Moment::Before),
        (Step::Rename, "tally.json", Moment::After),
        (Step::Write, "rows.jsonl", Moment::Before),
        (Step::Write, "rows.jsonl", Moment::Halfway),
        (Step::Write, "rows.jsonl", Moment::After),
        (Step::Rename, "cursor.json", Moment::Before),
        (Step::Rename, "cursor.json", Moment::After),
    ] {
        let mut node = site.start();
        faults.kill_at(step, part, 2, moment);
        answers += click_to_death(&mut node);
        faults.kill_at(step, part, 0, moment);
    }
    let node = site.start();
    click(&node, 1, "last");
    eventually(SOON, "everything is shipped", || {
        node.metric("carom_clicks_waiting", &[]) == 0.0
            && node.metric("carom_clicks_written_total", &[]) > 0.0
    });
    node.until_metric("carom_clicks_shipped_total", &[], 1.0);
    node.stop();
    let books = audited(&site);
    let number = |key: &str| books[key].as_u64().unwrap();
    assert_eq!(number("clicks"), number("written") + number("crashed") + number("sampled_out"), "{books}");
    assert_eq!((number("written"), number("waiting")), (number("shipped"), 0), "{books}");
    // What a client got an answer for and nobody counted was answered within the last moment before a kill.
    assert!(number("clicks") <= answers + 1 + 12, "{answers} of {books}");
    // Half a line stands for itself; every record came, and came again under its own id only.
    let text = fs::read_to_string(&rows_file).unwrap();
    let whole: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(text.lines().count() - whole.len() <= 1, "one kill cut one line");
    assert!(whole.len() as u64 > number("shipped"), "some were sent again");
    assert_eq!(distinct(&whole).len() as u64, number("shipped"));
}

#[test]
fn a_wall_clock_that_jumps_changes_times_and_hashes_and_neither_order_nor_books() {
    const DAY_MS: i64 = 86_400_000;
    let Some((site, faults)) = with_faults(site().set("privacy", "address", r#""hash""#)) else { return };
    let node = site.start();
    let mut expected = 0.0;
    let mut click_at = |offset_ms: i64, mark: &str| {
        faults.set_clock(offset_ms);
        // The shard looks at the wall clock ten times a second: what it reads before is of the time before.
        eventually(SOON, "the shard has noticed", || {
            let date = node.get(GO, "/no-such-link").field("date").unwrap().to_vec();
            let shown = httpdate::parse_http_date(std::str::from_utf8(&date).unwrap()).unwrap();
            let now = std::time::SystemTime::now();
            let shift_s = match shown.duration_since(now) {
                Ok(ahead) => ahead.as_secs() as i64,
                Err(behind) => -(behind.duration().as_secs() as i64),
            };
            (shift_s - offset_ms / 1_000).abs() < 60
        });
        click(&node, 10, mark);
        expected += 10.0;
        node.until_metric("carom_clicks_written_total", &[], expected);
    };
    click_at(0, "today");
    click_at(2 * DAY_MS, "ahead");
    click_at(-30 * DAY_MS, "behind");
    node.stop();
    audited(&site);
    let tail = clicks_command(&site, &["tail", "-n", "100000", "--json", "--code", "plain"]);
    let rows = rows(&tail.output);
    let of = |mark: &str| {
        let some: Vec<&Value> = rows.iter().filter(|row| text(row, "user_agent").contains(mark)).collect();
        assert_eq!(some.len(), 10, "{mark}");
        (text(some[0], "time")[..10].to_owned(), text(some[0], "address").to_owned())
    };
    let (today, ahead, behind) = (of("today"), of("ahead"), of("behind"));
    assert!(behind.0 < today.0 && today.0 < ahead.0, "{behind:?} {today:?} {ahead:?}");
    assert!(behind.1 != today.1 && today.1 != ahead.1 && behind.1 != ahead.1);
    let ids: Vec<&str> = rows.iter().map(|row| text(row, "id")).collect();
    assert!(ids.is_sorted(), "{ids:?}");
}

#[test]
fn an_outage_that_outlasts_the_spool_costs_what_was_dropped_to_the_last_click() {
    let collector = Collector::start();
    collector.say(503);
    let site = shipping("http", &format!("http://{}/", collector.address))
        .set("clicks", "spool_bytes_max", 2 << 20)
        .set("clicks", "keep_shipped_s", 0);
    let node = site.start();
    let mut answers = 0;
    eventually(SOON, "the spool is full and drops", || {
        let mut peer = node.connect();
        for batch in 0..40_u64 {
            let request = |number: u64| {
                let noise = (number + batch * 50 + answers).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let agent: String =
                    (0..12).map(|word| format!("{:016x}", noise.wrapping_mul(word * 2 + 3))).collect();
                format!("GET /plain HTTP/1.1\r\nHost: {GO}\r\nUser-Agent: {agent}\r\n\r\n")
            };
            peer.send((0..50).map(request).collect::<String>());
            (0..50).for_each(|_| assert_eq!(peer.reply().status, 302));
        }
        answers += 2_000;
        lost(&node, "dropped_oldest") > 0.0
    });
    collector.say(200);
    eventually(SOON, "the rest is shipped", || {
        node.metric("carom_clicks_total", &[]) == answers as f64
            && node.metric("carom_clicks_waiting", &[]) == 0.0
    });
    node.stop();
    let books = audited(&site);
    let number = |key: &str| books[key].as_u64().unwrap();
    assert_eq!(number("clicks"), answers);
    assert!(number("dropped") > 0, "{books}");
    let received: Vec<Value> = collector.taken().iter().flat_map(|(_, body)| rows(body)).collect();
    assert_eq!(distinct(&received).len() as u64, number("shipped"), "{books}");
    assert_eq!(
        number("shipped") + number("dropped") + number("sampled_out") + number("ring_full"),
        answers,
        "{books}"
    );
}
