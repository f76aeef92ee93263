//! Tests of the task, against the recorder: what is said, in which order, what is repaired, and what a silent BIRD changes.

use super::*;
use crate::announcement::Family;
use crate::speaker::recorded::Recorded;

struct Bench {
    speaker: Speaker<Recorded>,
    reports: mpsc::Receiver<Report>,
    _directory: tempfile::TempDir,
    number: u64,
}

fn web() -> Announcement {
    Announcement { service: "web".into(), family: Family::V4, vips: vec!["192.0.2.1".parse().unwrap()] }
}

impl Bench {
    fn announcing(rung: Rung) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let bird = Bird {
            socket: "/nonexistent".into(),
            state_file: directory.path().join("state.conf"),
            local_as: 65001,
            timeout: Duration::from_millis(250),
            reconcile: Duration::from_secs(1),
            peers: Vec::new(),
        };
        let (sender, reports) = mpsc::channel(100);
        let voice = Recorded::announcing(&[web()], &[rung]);
        let speaker = Speaker::new(voice, vec![web()], &bird, sender);
        Self { speaker, reports, _directory: directory, number: 0 }
    }

    async fn order(&mut self, rung: Rung) -> Vec<Report> {
        self.number += 1;
        self.speaker.obey(Order { number: self.number, rungs: vec![rung], at: Instant::now() }).await;
        self.told()
    }

    async fn read(&mut self) -> Vec<Report> {
        self.speaker.read().await;
        self.told()
    }

    fn told(&mut self) -> Vec<Report> {
        std::iter::from_fn(|| self.reports.try_recv().ok()).collect()
    }

    fn on_file(&self) -> Rung {
        state_file::read(&self.speaker.bird.state_file, &[web()]).unwrap()[0].unwrap()
    }
}

fn rung_read(reports: &[Report]) -> Option<Rung> {
    reports.iter().find_map(|report| match report {
        Report::Read { rungs, .. } => rungs[0],
        _ => None,
    })
}

#[tokio::test]
async fn an_order_is_on_file_done_and_read_back() {
    let mut bench = Bench::announcing(Rung::Withdrawn);
    for rung in [Rung::Normal, Rung::Graceful, Rung::Prepended, Rung::Withdrawn, Rung::Normal] {
        let told = bench.order(rung).await;
        assert!(matches!(told[..], [Report::Done { .. }]), "{told:?}");
        assert_eq!(bench.on_file(), rung);
        assert_eq!(rung_read(&bench.read().await), Some(rung));
    }
}

#[tokio::test]
async fn a_withdrawal_is_said_while_bird_was_silent_and_again_until_it_is_done() {
    let mut bench = Bench::announcing(Rung::Normal);
    bench.order(Rung::Normal).await;
    bench.speaker.voice.failures = 3;
    assert!(matches!(bench.order(Rung::Withdrawn).await[..], [Report::Failed { .. }]));
    assert_eq!(bench.on_file(), Rung::Withdrawn, "a BIRD that starts now must not announce");
    assert!(matches!(bench.read().await[..], [Report::Lost(_)]));
    assert!(matches!(bench.read().await[..], [Report::Lost(_)]));
    let told = bench.read().await;
    assert!(told.iter().any(|report| matches!(report, Report::Done { order: 2, .. })), "{told:?}");
    assert_eq!(rung_read(&bench.read().await), Some(Rung::Withdrawn));
}

#[tokio::test]
async fn a_foreign_change_is_told_and_repaired_but_not_for_ever() {
    let mut bench = Bench::announcing(Rung::Normal);
    bench.order(Rung::Normal).await;
    bench.read().await;
    let mut repaired = 0;
    for _ in 0..10 {
        bench.speaker.voice.meddle("vip_web_v4_normal", false);
        let told = bench.read().await;
        let foreign = told.iter().find_map(|report| match report {
            Report::Foreign { found, repaired, .. } => Some((*found, *repaired)),
            _ => None,
        });
        let (found, done) = foreign.expect("a foreign change is told");
        assert_eq!(found, Rung::Prepended);
        repaired += u32::from(done);
    }
    assert_eq!(repaired, REPAIRS_PER_MINUTE_MAX);
}

#[tokio::test]
async fn a_state_file_that_somebody_changed_is_written_again() {
    let mut bench = Bench::announcing(Rung::Normal);
    bench.order(Rung::Graceful).await;
    for text in ["", "define CAROM_WEB_V4_NORMAL = 0;\n"] {
        std::fs::write(&bench.speaker.bird.state_file, text).unwrap();
        bench.read().await;
        assert_eq!(bench.on_file(), Rung::Graceful);
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_written_stops_no_withdrawal() {
    let mut bench = Bench::announcing(Rung::Normal);
    bench.order(Rung::Normal).await;
    bench.speaker.file = StateFile::new(std::path::Path::new("/nonexistent/state.conf"));
    let told = bench.order(Rung::Withdrawn).await;
    assert!(told.iter().any(|report| matches!(report, Report::Done { .. })), "{told:?}");
    assert!(
        told.iter().any(|report| matches!(report, Report::StateFile(failure) if !failure.is_empty())),
        "{told:?}"
    );
}

#[tokio::test]
async fn others_announce_only_if_every_address_is_seen() {
    let mut bench = Bench::announcing(Rung::Normal);
    let others = |reports: &[Report]| {
        reports.iter().find_map(|report| match report {
            Report::Others(others) => Some(others[0]),
            _ => None,
        })
    };
    assert_eq!(others(&bench.read().await), Some(Others::Unseen));
    bench.speaker.voice.others = true;
    assert_eq!(others(&bench.read().await), Some(Others::Seen));
}
