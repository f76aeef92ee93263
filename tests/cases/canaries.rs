//! The known links of every snapshot are answered on every listener, state the generation, and are nobody's click.

use lab::links::{plain_domain, plain_link, write};
use lab::{Node, Peer, Site};

use crate::fixture::GO;

const HOST: &str = "canary.carom.invalid";

fn check(node: &Node, generation: u64) {
    let at = format!("https://{HOST}/at/{generation}");
    let cases = [
        ("/ok", 302, &*at),
        ("/moved", 301, &*at),
        ("/temporary", 307, &*at),
        ("/gone", 410, ""),
        ("/missing", 404, ""),
    ];
    for &address in node.addresses() {
        let mut peer = Peer::connect(address);
        for (path, status, location) in cases {
            let reply = peer.get(HOST, path);
            assert_eq!((reply.status, &*reply.location()), (status, location), "{path} over {address}");
            assert_eq!(reply.field("cache-control"), Some(&b"no-store"[..]), "{path}");
        }
    }
}

#[test]
fn canaries_state_the_generation_over_both_families_and_are_never_counted_as_clicks() {
    let site = Site::new();
    let publish = |generation| {
        let path = site.stage();
        write(&path, generation, &plain_domain(GO), [plain_link(b"a", b"https://a.test/")]);
        std::fs::rename(path, site.snapshot()).unwrap();
    };
    publish(7);
    let node = site.start();
    check(&node, 7);
    publish(8);
    node.reload();
    node.until_generation(8);
    check(&node, 8);

    let asked = 10.0 * node.addresses().len() as f64;
    assert_eq!(node.metric("carom_requests_total", &[("outcome", "canary")]), asked);
    for outcome in ["redirected", "not_found", "deleted", "unknown_host"] {
        assert_eq!(node.metric("carom_requests_total", &[("outcome", outcome)]), 0.0, "{outcome}");
    }
    let vitals = node.vitals();
    let (requests, canaries): (u64, u64) = vitals
        .shards
        .iter()
        .fold((0, 0), |(requests, canaries), shard| (requests + shard.requests, canaries + shard.canaries));
    assert_eq!((requests, canaries), (asked as u64, asked as u64));
    assert_eq!(vitals.stage, "serving");
    assert_eq!(vitals.snapshot.map(|snapshot| (snapshot.links, snapshot.domains)), Some((1, 1)));
}
