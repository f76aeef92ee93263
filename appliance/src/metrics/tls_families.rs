//! The metrics of TLS, certificates and tickets.

use super::cells::ShardCells;
use super::families::{Family, Kind, Label, Sample, Scrape, Value, Values, closed, each, one};
use crate::limits::EXPIRIES_SHOWN_MAX;
use crate::tls::keeper::TlsFacts;
use crate::tls::{Handshake, HandshakeFailure};

impl Scrape {
    fn tls(&self, read: impl Fn(&TlsFacts) -> f64) -> Vec<Sample> {
        self.state.tls().map(|facts| one(read(&facts))).unwrap_or_default()
    }

    /// The names that expire first.
    fn expiries(&self) -> Vec<Sample> {
        let Some(facts) = self.state.tls() else { return Vec::new() };
        let days = |left_s: i64| left_s as f64 / 86_400.0;
        let shown = facts.store.by_expiry().iter().take(EXPIRIES_SHOWN_MAX);
        shown
            .map(|expiry| Sample {
                labels: vec![expiry.name.to_string()],
                value: Value::Number(days(expiry.not_after_unix_s - self.unix_s as i64)),
            })
            .collect()
    }
}

/// Metrics of TLS, in the order of the reference.
pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "carom_tls_handshakes_total",
        kind: Kind::Counter,
        help: "TLS handshakes that were completed, by version and whether a ticket resumed an earlier session. A fall of the \
               resumed share after a deployment means that nodes do not share tls.ticket_secret, or lost it.",
        labels: &[Label { name: "kind", values: Values::Closed(closed::<Handshake>) }],
        read: |scrape| each::<Handshake>(|kind| scrape.sum(|cells| cells.handshakes(kind))),
    },
    Family {
        name: "carom_tls_handshakes_post_quantum_total",
        kind: Kind::Counter,
        help: "Completed TLS handshakes whose key exchange was X25519MLKEM768. Browsers since 2024 do that; a small share \
               means other clients.",
        labels: &[],
        read: |scrape| one(scrape.sum(ShardCells::handshakes_post_quantum) as f64),
    },
    Family {
        name: "carom_tls_handshake_failures_total",
        kind: Kind::Counter,
        help: "TLS handshakes that were not completed, by reason. not_tls and protocol are scanners; unknown_name are hosts \
               without a certificate: find out whether a customer waits for one; client_alert means that clients refuse a \
               certificate; timeout that a flood holds connections or that shards are busy.",
        labels: &[Label { name: "reason", values: Values::Closed(closed::<HandshakeFailure>) }],
        read: |scrape| {
            each::<HandshakeFailure>(|reason| scrape.sum(|cells| cells.handshake_failures(reason)))
        },
    },
    Family {
        name: "carom_tls_handshakes_waiting",
        kind: Kind::Gauge,
        help: "TLS handshakes that wait because others had to come first, by shard. More than a few for seconds means more \
               handshakes than the CPU can do: an attack, or too few nodes.",
        labels: super::families::SHARD,
        read: |scrape| scrape.per_shard(|cells| Some(cells.handshakes_waiting() as f64)),
    },
    Family {
        name: "carom_tls_certificates",
        kind: Kind::Gauge,
        help: "Pairs of certificate and key that serve; absent where HTTPS is not served. A fall means that files were taken \
               away.",
        labels: &[],
        read: |scrape| scrape.tls(|facts| facts.store.pairs().len() as f64),
    },
    Family {
        name: "carom_tls_certificates_unusable",
        kind: Kind::Gauge,
        help: "Pairs on disk that cannot be used as they are; `carom certs` and the log name each with its reason. Anything \
               above 0 wants an operator: an earlier version may serve on, but not for ever.",
        labels: &[],
        read: |scrape| scrape.tls(|facts| facts.flaws.len() as f64),
    },
    Family {
        name: "carom_tls_certificates_failing",
        kind: Kind::Gauge,
        help: "1 if the directory of certificates or the secret of tickets could not be read the last time; what was read \
               before serves on, and nothing is renewed.",
        labels: &[],
        read: |scrape| {
            scrape.tls(|facts| {
                let failing = facts.directory_failure.is_some() || facts.secret_failure.is_some();
                f64::from(u8::from(failing))
            })
        },
    },
    Family {
        name: "carom_tls_certificate_swaps_total",
        kind: Kind::Counter,
        help: "How often a new set of certificates came into service.",
        labels: &[],
        read: |scrape| scrape.tls(|facts| facts.swaps as f64),
    },
    Family {
        name: "carom_tls_names_expiring",
        kind: Kind::Gauge,
        help: "Names whose certificate ends within tls.expiry_warning_days. Above 0 for a day: renewal is broken; see the \
               runbook \"a certificate is about to expire\".",
        labels: &[],
        read: |scrape| scrape.tls(|facts| facts.expiring(scrape.unix_s as i64) as f64),
    },
    Family {
        name: "carom_tls_certificate_expiry_days",
        kind: Kind::Gauge,
        help: "Days until the first certificate of a name ends, for the 200 names that end first; `carom certs` lists all. \
               Negative: it is over, and clients refuse it.",
        labels: &[Label { name: "name", values: Values::Open("a host name, or a wildcard") }],
        read: Scrape::expiries,
    },
    Family {
        name: "carom_tls_fleet_tickets",
        kind: Kind::Gauge,
        help: "1 if session tickets are sealed with keys of the fleet, 0 if with the node's own: then sessions are resumed on \
               this node only, and handshakes cost more.",
        labels: &[],
        read: |scrape| scrape.tls(|facts| f64::from(u8::from(facts.fleet_tickets))),
    },
];
