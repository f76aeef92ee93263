//! Metrics: what is desired, commanded, reported and exported, how probes end, and how often things change.

use std::fmt::Write as _;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Encoder as _, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::announcement::Rung;
use crate::clock::Moment;
use crate::config::settings::Address;
use crate::core::Core;
use crate::judge::{Outcome, Standing};
use crate::limits::CLIENTS_MAX;
use crate::serve::{Known, Writing};
use crate::status::Status;

/// A metric as the code and the reference need it.
struct Family {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
}

macro_rules! families {
    ($( $constant:ident: $name:literal [$($label:literal),*] $help:literal; )+) => {
        $( const $constant: Family = Family { name: $name, help: $help, labels: &[$($label),*] }; )+
        const FAMILIES: &[(&str, &Family)] = &[$( (stringify!($constant), &$constant) ),+];
    };
}

families! {
    RUNG: "carom_bgp_rung" ["announcement", "view"]
        "Rung of an announcement: 0 withdrawn, 1 graceful, 2 prepended, 3 normal. View desired: what health allows; commanded: what BIRD was told; reported: what BIRD says, -1 unknown; exported: what BIRD exports to established peers, -1 nothing. Commanded below 3 for long deserves a look at status; reported that differs from commanded for more than seconds means that BIRD does not obey.";
    RUNG_SECONDS: "carom_bgp_rung_seconds" ["announcement"]
        "Seconds since the commanded rung was decided. Small values again and again are flaps.";
    FALLS: "carom_bgp_falls" ["announcement"]
        "How often health took an announcement down since the start of the sidecar. A rise without a known cause calls for history.";
    PENALTY: "carom_bgp_penalty" ["announcement"]
        "Penalty for falls, 1000 each, halving in damper.half_life_s. Above damper.suppress the announcement stays down.";
    CHECK: "carom_bgp_check" ["check", "standing"]
        "1 for the standing of a check: good, unknown, slow, dead, wrong. Wrong means a redirect to a place that the source does not name: act at once.";
    PROBES: "carom_bgp_probes_total" ["check", "outcome"]
        "Results of canaries: right, failed, wrong, unknown. Unknown means that the prober was starved: give it CPU.";
    PROBE_SECONDS: "carom_bgp_probe_seconds" ["check"]
        "Time from the connection attempt to the end of the answer's head, of right answers.";
    CHANGES: "carom_bgp_changes_total" ["from", "to"]
        "Changes of rung, by rung before and after.";
    BIRD_SECONDS: "carom_bgp_bird_seconds" []
        "Time from a decision to BIRD's last reply. Above some milliseconds BIRD or the disk of the state file is busy.";
    FOREIGN: "carom_bgp_foreign_changes_total" ["repaired"]
        "Changes of what is announced that the sidecar did not make. Any means that somebody works against it: look at history.";
    COMMANDS: "carom_bgp_commands_total" ["command"]
        "Commands of operators.";
    BIRD_UP: "carom_bgp_bird_up" []
        "1 while BIRD answers on its control socket. At 0 nothing can be changed; what was announced depends on BIRD alone.";
    SESSION_UP: "carom_bgp_session_up" ["peer"]
        "1 while a watched BGP session is established. At 0 its router sends no clicks here.";
    ALARMS: "carom_bgp_alarms" []
        "Things that a person should look at; `carom-bgp status` names them. Alert on more than 0.";
    OTHERS: "carom_bgp_others" ["announcement"]
        "Whether other nodes announce the same addresses, as learned from the routers: 1 seen, 0 unseen, -1 unknown. While the own path is the best one, 0 is normal.";
    AUDIT_WAITING: "carom_bgp_audit_waiting" []
        "Entries of the audit log that wait for a disk that takes none.";
    AUDIT_LOST: "carom_bgp_audit_lost" []
        "Entries of the audit log that were lost, because the disk was full for too long.";
}

/// All metrics of a running sidecar.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    names: Vec<String>,
    checks: Vec<String>,
    rung: IntGaugeVec,
    rung_seconds: IntGaugeVec,
    falls: IntGaugeVec,
    penalty: GaugeVec,
    check: IntGaugeVec,
    probes: IntCounterVec,
    probe_seconds: HistogramVec,
    changes: IntCounterVec,
    bird_seconds: HistogramVec,
    foreign: IntCounterVec,
    commands: IntCounterVec,
    bird_up: IntGaugeVec,
    session_up: IntGaugeVec,
    alarms: IntGaugeVec,
    others: IntGaugeVec,
    audit_waiting: IntGaugeVec,
    audit_lost: IntGaugeVec,
}

const VALID: &str = "names and labels are constants that a test registers";

impl Metrics {
    /// Metrics of these checks and announcements.
    pub fn new(core: &Core) -> Self {
        let registry = Registry::new();
        let gauge = |family: &Family| {
            let made = IntGaugeVec::new(Opts::new(family.name, family.help), family.labels).expect(VALID);
            registry.register(Box::new(made.clone())).expect(VALID);
            made
        };
        let counter = |family: &Family| {
            let made = IntCounterVec::new(Opts::new(family.name, family.help), family.labels).expect(VALID);
            registry.register(Box::new(made.clone())).expect(VALID);
            made
        };
        let seconds = |family: &Family, buckets: &[f64]| {
            let options = HistogramOpts::new(family.name, family.help).buckets(buckets.to_vec());
            let made = HistogramVec::new(options, family.labels).expect(VALID);
            registry.register(Box::new(made.clone())).expect(VALID);
            made
        };
        let penalty = GaugeVec::new(Opts::new(PENALTY.name, PENALTY.help), PENALTY.labels).expect(VALID);
        registry.register(Box::new(penalty.clone())).expect(VALID);
        Self {
            names: core.tracks().iter().map(|track| track.announcement.name()).collect(),
            checks: core.plans().iter().map(|plan| plan.name.clone()).collect(),
            rung: gauge(&RUNG),
            rung_seconds: gauge(&RUNG_SECONDS),
            falls: gauge(&FALLS),
            penalty,
            check: gauge(&CHECK),
            probes: counter(&PROBES),
            probe_seconds: seconds(
                &PROBE_SECONDS,
                &[0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0],
            ),
            changes: counter(&CHANGES),
            bird_seconds: seconds(
                &BIRD_SECONDS,
                &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0],
            ),
            foreign: counter(&FOREIGN),
            commands: counter(&COMMANDS),
            bird_up: gauge(&BIRD_UP),
            session_up: gauge(&SESSION_UP),
            alarms: gauge(&ALARMS),
            others: gauge(&OTHERS),
            audit_waiting: gauge(&AUDIT_WAITING),
            audit_lost: gauge(&AUDIT_LOST),
            registry,
        }
    }

    pub(crate) fn count_probe(&self, check: usize, outcome: &Outcome) {
        let name = self.checks[check].as_str();
        let kind = match outcome {
            Outcome::Right(_) => "right",
            Outcome::Failed(_) => "failed",
            Outcome::Wrong(_) => "wrong",
            Outcome::Unknown(_) => "unknown",
        };
        self.probes.with_label_values(&[name, kind]).inc();
        if let Outcome::Right(took) = outcome {
            self.probe_seconds.with_label_values(&[name]).observe(took.as_secs_f64());
        }
    }

    pub(crate) fn count_change(&self, before: Rung, after: Rung, bird_us: Option<u64>) {
        self.changes.with_label_values(&[before.name(), after.name()]).inc();
        if let Some(us) = bird_us {
            self.bird_seconds.with_label_values::<&str>(&[]).observe(us as f64 / 1e6);
        }
    }

    pub(crate) fn count_foreign(&self, repaired: bool) {
        self.foreign.with_label_values(&[if repaired { "yes" } else { "no" }]).inc();
    }

    pub(crate) fn count_command(&self, command: &str) {
        self.commands.with_label_values(&[command]).inc();
    }

    pub(crate) fn update(&self, status: &Status, writing: &Writing, known: &Known, core: &Core, now: Moment) {
        let number = |rung: Option<Rung>| rung.map_or(-1, |rung| i64::from(rung.number()));
        for (index, own) in status.announcements.iter().enumerate() {
            let name = self.names[index].as_str();
            for (view, rung) in [
                ("desired", Some(own.desired)),
                ("commanded", Some(own.commanded)),
                ("reported", own.reported),
                ("exported", own.exported),
            ] {
                self.rung.with_label_values(&[name, view]).set(number(rung));
            }
            let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            self.rung_seconds.with_label_values(&[name]).set(signed(own.for_s));
            self.falls.with_label_values(&[name]).set(signed(own.falls));
            let ladder = core.tracks()[index].ladder();
            self.penalty.with_label_values(&[name]).set(ladder.penalty().value(&core.settings().damper, now));
            let others = match own.others.as_str() {
                "seen" => 1,
                "unseen" => 0,
                _ => -1,
            };
            self.others.with_label_values(&[name]).set(others);
        }
        for (name, check) in self.checks.iter().zip(core.checks()) {
            for standing in Standing::ALL {
                let is = i64::from(check.standing() == standing);
                self.check.with_label_values(&[name.as_str(), standing.name()]).set(is);
            }
        }
        self.bird_up.with_label_values::<&str>(&[]).set(i64::from(known.reached));
        for session in &status.bird.sessions {
            self.session_up
                .with_label_values(&[session.peer.as_str()])
                .set(i64::from(session.established && known.reached));
        }
        self.alarms
            .with_label_values::<&str>(&[])
            .set(i64::try_from(status.alarms.len()).unwrap_or(i64::MAX));
        self.audit_waiting
            .with_label_values::<&str>(&[])
            .set(i64::try_from(writing.waiting).unwrap_or(i64::MAX));
        self.audit_lost.with_label_values::<&str>(&[]).set(i64::try_from(writing.lost).unwrap_or(i64::MAX));
    }

    fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // Only a writer that fails can make this fail.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }
}

/// The listener of metrics.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// Opens it.
///
/// # Errors
///
/// The system refuses.
pub async fn open(address: &Address) -> io::Result<Listener> {
    match address {
        Address::Tcp(address) => TcpListener::bind(address).await.map(Listener::Tcp),
        Address::Unix(path) => {
            let _ = std::fs::remove_file(path);
            UnixListener::bind(path).map(Listener::Unix)
        }
    }
}

/// Answers scrapers until the process ends.
pub async fn serve(listener: Listener, metrics: Rc<Metrics>) {
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
    loop {
        let stream: Box<dyn Stream> = match &listener {
            Listener::Tcp(listener) => match listener.accept().await {
                Ok((stream, _)) => Box::new(stream),
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
            Listener::Unix(listener) => match listener.accept().await {
                Ok((stream, _)) => Box::new(stream),
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let metrics = metrics.clone();
        tokio::task::spawn_local(async move {
            let _ = timeout(Duration::from_secs(5), answer(stream, &metrics)).await;
            drop(place);
        });
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// One request per connection: a scraper comes every few seconds.
async fn answer(mut stream: Box<dyn Stream>, metrics: &Metrics) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > 8192 || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let (status, body) = if head.starts_with(b"GET /metrics ") || head.starts_with(b"GET /metrics?") {
        ("200 OK", metrics.text())
    } else {
        ("404 Not Found", b"GET /metrics is all there is\n".to_vec())
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await
}

/// `docs/reference/bgp-metrics.md`.
pub fn reference() -> String {
    let mut text = String::from(
        "# Metrics of carom-bgp\n\n\
         <!-- Generated by the tests of carom-bgp; edit bgp/src/metrics.rs instead. -->\n\n\
         `GET /metrics` on metrics.listen, in the text format of prometheus. Every label has a bounded set of values: what is in the\n\
         configuration, and the words named here.\n",
    );
    for (_, Family { name, help, labels }) in FAMILIES {
        let labels =
            if labels.is_empty() { String::new() } else { format!(" Labels: `{}`.", labels.join("`, `")) };
        let _ = write!(text, "\n## `{name}`\n\n{help}{labels}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn core() -> Core {
        let text =
            "version = 1\n[bird]\nlocal_as = 65001\n[[service]]\nname = \"web\"\nvips = [\"192.0.2.1\"]\n";
        let settings = crate::config::parse(std::path::Path::new("f"), text, "h").unwrap();
        Core::new(Arc::new(settings), &[Rung::Normal], Vec::new(), Moment::default())
    }

    #[test]
    fn every_family_is_registered_and_has_help_that_concludes() {
        let metrics = Metrics::new(&core());
        metrics.count_probe(0, &Outcome::Right(Duration::from_millis(1)));
        metrics.count_change(Rung::Normal, Rung::Graceful, Some(400));
        metrics.count_foreign(true);
        metrics.count_command("drain");
        metrics.update(
            &Status::default(),
            &Writing::default(),
            &Known::default(),
            &core(),
            Moment::default(),
        );
        let text = String::from_utf8(metrics.text()).unwrap();
        assert!(text.contains("carom_bgp_changes_total{from=\"normal\",to=\"graceful\"} 1"), "{text}");
        assert!(text.contains("carom_bgp_probe_seconds_count"), "{text}");
        for (_, family) in FAMILIES {
            assert!(family.help.ends_with('.') && family.help.len() > 20, "{}", family.name);
        }
    }
}
