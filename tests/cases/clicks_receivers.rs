//! Receivers that are slow, come and go, or refuse: every block arrives under its id, or is counted where it was lost.

use std::collections::BTreeMap;

use lab::broker::{Collector, Nats, rows};
use lab::{SOON, eventually};
use serde_json::Value;

use super::clicks::{audited, click, distinct, lost, marked, shipping, text};

#[test]
fn a_receiver_that_answers_too_late_gets_the_same_block_under_the_same_id_again() {
    let collector = Collector::start();
    // The node gives up after a second.
    let site = shipping("http", &format!("http://{}/?id={{id}}", collector.address));
    let node = site.start();
    collector.take_time(1_500);
    click(&node, 20, "late");
    node.until_metric("carom_clicks_ship_failures_total", &[], 2.0);
    collector.take_time(0);
    node.until_metric("carom_clicks_shipped_total", &[], 20.0);
    node.stop();
    let mut posts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (head, body) in collector.taken() {
        posts.entry(text(&rows(&body)[0], "id").to_owned()).or_default().push(head + &body);
    }
    assert!(posts.values().any(|again| again.len() >= 2), "something was sent again");
    for (id, again) in &posts {
        assert!(again.iter().all(|post| post.starts_with(&format!("POST /?id={id} "))), "{again:#?}");
        assert!(again.iter().all(|post| post == &again[0]), "a repetition differs: {again:#?}");
    }
    let all: Vec<Value> = collector.taken().iter().flat_map(|(_, body)| rows(body)).collect();
    assert_eq!((distinct(&all).len(), marked(&all, "late")), (20, 20));
    assert_eq!(audited(&site)["shipped"], 20);
}

#[test]
fn a_nats_server_that_comes_and_goes_gets_every_click_once() {
    let site = shipping("nats", "");
    let Some(mut nats) = Nats::start(site.path()) else { return };
    let site = site.set("ship", "address", format!("{:?}", nats.address()));
    let node = site.start();
    for round in 1..=4 {
        nats.kill();
        click(&node, 25, "flapping");
        node.until_metric("carom_clicks_ship_failures_total", &[], f64::from(round));
        nats.begin();
        // Not every time: it may be gone again before it was noticed to be back.
        if round % 2 == 0 {
            node.until_metric("carom_clicks_shipped_total", &[], f64::from(round * 25));
        }
    }
    node.until_metric("carom_clicks_shipped_total", &[], 100.0);
    node.stop();
    let rows = nats.rows();
    assert_eq!((rows.len(), distinct(&rows).len(), marked(&rows, "flapping")), (100, 100, 25));
    assert_eq!(audited(&site)["shipped"], 100);
}

#[test]
fn a_stream_that_refuses_a_block_loses_that_one_and_it_is_counted() {
    let site = shipping("nats", "");
    let Some(nats) = Nats::start(site.path()) else { return };
    let site = site.set("ship", "address", format!("{:?}", nats.address()));
    let node = site.start();
    click(&node, 5, "taken");
    node.until_metric("carom_clicks_shipped_total", &[], 5.0);
    // One row is some 500 bytes.
    nats.limit_messages(300);
    click(&node, 20, "refused");
    eventually(SOON, "the block is given up", || lost(&node, "refused") == 20.0);
    nats.limit_messages(-1);
    click(&node, 5, "again");
    node.until_metric("carom_clicks_shipped_total", &[], 10.0);
    node.stop();
    let rows = nats.rows();
    assert_eq!((marked(&rows, "taken"), marked(&rows, "refused"), marked(&rows, "again")), (5, 0, 5));
    let books = audited(&site);
    assert_eq!(
        (&books["clicks"], &books["shipped"], &books["rejected"]),
        (&30.into(), &10.into(), &20.into())
    );
}
