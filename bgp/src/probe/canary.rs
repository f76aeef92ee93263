//! One canary: asked for on a new connection each time, so that the kernel spreads probes over the shards as it spreads clicks.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use super::http::{self, Answer, NoAnswer};
use super::lateness::Lateness;
use super::secure;
use super::source::Source;
use crate::config::settings::{Canary, Match, Probe};
use crate::core::checks::{Sni, Target};
use crate::core::health::Seen;
use crate::judge::Outcome;

/// Asks once.
pub async fn ask(target: &Target, rules: &Probe, source: &Source, lateness: &Lateness) -> Seen {
    let Target { address, tls, canary } = target;
    let began = Instant::now();
    let deadline = began + rules.timeout;
    let outcome = timeout_at(deadline, exchange(*address, tls.as_ref(), canary, source)).await;
    let took = began.elapsed();
    let starved =
        lateness.during(began, Instant::now()).filter(|late| *late > rules.late_max).or_else(|| {
            // The deadline itself came late: nobody knows what would have arrived in time.
            took.checked_sub(rules.timeout).filter(|late| *late > rules.late_max)
        });
    let seen = match outcome {
        Err(_) => failed(format!("no answer within {}", http::shown(rules.timeout))),
        Ok(Err(Trouble::Ours(error))) => return unknown(format!("the prober cannot ask: {error}")),
        Ok(Err(Trouble::Connect(error))) if error.kind() == io::ErrorKind::ConnectionRefused => {
            // A refusal is said by the node's kernel, however late we hear it.
            return failed(format!("connection refused at {address}"));
        }
        Ok(Err(Trouble::Connect(error))) => failed(format!("cannot connect to {address}: {error}")),
        Ok(Err(Trouble::Handshake(error))) => failed(format!("no handshake of TLS: {error}")),
        Ok(Err(Trouble::NoAnswer(error))) => failed(error.to_string()),
        Ok(Ok(answer)) => judge(&answer, canary, took),
    };
    let slow = matches!(&seen.outcome, Outcome::Right(latency) if *latency > rules.latency_max);
    match starved {
        // What took too long took it perhaps here.
        Some(late) if slow || matches!(seen.outcome, Outcome::Failed(_)) => {
            unknown(format!("the prober was starved for {}", http::shown(late)))
        }
        _ => seen,
    }
}

enum Trouble {
    /// No descriptor, no port: nothing that the node could help.
    Ours(io::Error),
    Connect(io::Error),
    Handshake(io::Error),
    NoAnswer(NoAnswer),
}

async fn exchange(
    address: SocketAddr,
    tls: Option<&Sni>,
    canary: &Canary,
    source: &Source,
) -> Result<Answer, Trouble> {
    let socket = source.socket(address).await.map_err(Trouble::Ours)?;
    let mut stream = socket.connect(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse | io::ErrorKind::OutOfMemory => {
            Trouble::Ours(error)
        }
        // A cable of ours that is gone says nothing about the node at its end.
        io::ErrorKind::NetworkUnreachable if matches!(source, Source::There(_)) => Trouble::Ours(error),
        _ => Trouble::Connect(error),
    })?;
    // The request is one segment; waiting to fill it would be measured.
    let _ = stream.set_nodelay(true);
    match tls {
        None => converse(&mut stream, canary).await,
        Some(sni) => {
            let stream = secure::handshake(stream, address.ip(), sni).await;
            converse(&mut stream.map_err(Trouble::Handshake)?, canary).await
        }
    }
}

async fn converse(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    canary: &Canary,
) -> Result<Answer, Trouble> {
    http::send(stream, &canary.host, &canary.path, false).await.map_err(Trouble::NoAnswer)?;
    http::receive(stream, &mut Vec::new()).await.map_err(Trouble::NoAnswer)
}

/// What an answer means. A redirect to anywhere else is wrong; any other status means that the node does not redirect.
pub fn judge(answer: &Answer, canary: &Canary, took: Duration) -> Seen {
    let Answer { status, locations, length: _ } = answer;
    let shown = || {
        locations
            .iter()
            .map(|location| String::from_utf8_lossy(location).into_owned())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let right = |generation| Seen { outcome: Outcome::Right(took), generation };
    let expected = canary.location.as_ref().map(|pattern| match &pattern.after {
        Some(after) => format!("{}{{generation}}{after}", pattern.before),
        None => pattern.before.clone(),
    });
    match (&canary.location, &locations[..]) {
        (Some(pattern), [location]) => match pattern.compare(location) {
            Match::Different => {
                wrong(format!("Location {:?} instead of {:?}", shown(), expected.unwrap_or_default()))
            }
            _ if *status != canary.status => wrong(format!("status {status} instead of {}", canary.status)),
            Match::Same => right(None),
            Match::Generation(generation) => right(Some(generation)),
        },
        (Some(_), []) => failed(format!("status {status} without Location instead of {}", canary.status)),
        (_, [_, ..]) => wrong(format!(
            "status {status} with Location {:?} instead of {:?}",
            shown(),
            expected.unwrap_or_default()
        )),
        (None, []) if *status == canary.status => right(None),
        (None, []) => failed(format!("status {status} instead of {}", canary.status)),
    }
}

fn failed(text: String) -> Seen {
    Seen { outcome: Outcome::Failed(text), generation: None }
}

fn wrong(text: String) -> Seen {
    Seen { outcome: Outcome::Wrong(text), generation: None }
}

fn unknown(text: String) -> Seen {
    Seen { outcome: Outcome::Unknown(text), generation: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(1);

    fn answer(status: u16, locations: &[&str]) -> Answer {
        Answer {
            status,
            locations: locations.iter().map(|text| text.as_bytes().to_vec()).collect(),
            length: None,
        }
    }

    #[test]
    fn only_the_exact_answer_is_right_and_any_other_redirect_is_wrong() {
        let canary = Canary::built_in();
        let good = "https://canary.carom.invalid/at/7";
        assert_eq!(
            judge(&answer(302, &[good]), &canary, TOOK),
            Seen { outcome: Outcome::Right(TOOK), generation: Some(7) }
        );
        for (status, locations, integrity) in [
            (301, vec![good], true),
            (302, vec!["https://evil.example/"], true),
            (302, vec![good, good], true),
            (200, vec![good], true),
            (302, vec![], false),
            (200, vec![], false),
            (404, vec![], false),
            (421, vec![], false),
            (503, vec![], false),
        ] {
            let seen = judge(&answer(status, &locations), &canary, TOOK);
            assert_eq!(
                matches!(seen.outcome, Outcome::Wrong(_)),
                integrity,
                "{status} {locations:?}: {seen:?}"
            );
            assert!(!matches!(seen.outcome, Outcome::Right(_)), "{status} {locations:?}");
        }
    }

    #[test]
    fn a_link_that_must_be_missing_is_wrong_when_it_redirects() {
        let canary = Canary { status: 404, location: None, ..Canary::built_in() };
        assert_eq!(judge(&answer(404, &[]), &canary, TOOK).outcome, Outcome::Right(TOOK));
        assert!(matches!(
            judge(&answer(302, &["https://a.example/"]), &canary, TOOK).outcome,
            Outcome::Wrong(_)
        ));
        assert!(matches!(judge(&answer(503, &[]), &canary, TOOK).outcome, Outcome::Failed(_)));
    }
}
