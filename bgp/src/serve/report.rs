//! The status of a running sidecar, put together from the core and from what is known of BIRD.

use super::conductor::Conductor;
use crate::announcement::Rung;
use crate::clock::Moment;
use crate::core::Core;
use crate::core::track::Track;
use crate::ladder::Others;
use crate::status::{AnnouncementStatus, BirdStatus, CheckStatus, SessionStatus, Status};

pub(super) fn status(conductor: &Conductor, commanded: &[Rung]) -> Status {
    let now = Moment::now();
    let (core, known) = (&conductor.core, &conductor.known);
    let sessions = known.sessions.iter().map(|session| SessionStatus {
        peer: session.peer.clone(),
        established: session.established,
        info: session.info.clone(),
        exported: core
            .tracks()
            .iter()
            .zip(&session.exported)
            .filter_map(|(track, rung)| Some((track.announcement.name(), (*rung)?)))
            .collect(),
    });
    let announcements = core.tracks().iter().enumerate().map(|(index, track)| {
        let exported = known
            .sessions
            .iter()
            .filter(|session| session.established)
            .filter_map(|session| session.exported[index])
            .max();
        let reported = known.rungs.get(index).copied().flatten();
        announcement(core, track, commanded[index], reported, exported, now)
    });
    let mut status = Status {
        node: core.settings().node.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        up_s: now.since(conductor.started).as_secs(),
        dry_run: conductor.dry_run,
        bird: BirdStatus { reached: known.reached, info: known.info.clone(), sessions: sessions.collect() },
        announcements: announcements.collect(),
        checks: checks(core, now),
        generation: core
            .vitals()
            .and_then(|(_, vitals)| vitals.snapshot.as_ref())
            .map(|snapshot| snapshot.generation),
        requests_per_s: core.requests_per_s(),
        alarms: Vec::new(),
    };
    status.alarms = alarms(conductor, &status);
    status
}

fn announcement(
    core: &Core,
    track: &Track,
    commanded: Rung,
    reported: Option<Rung>,
    exported: Option<Rung>,
    now: Moment,
) -> AnnouncementStatus {
    let rules = &core.settings().damper;
    let ladder = track.ladder();
    let intent = track.intent();
    AnnouncementStatus {
        name: track.announcement.name(),
        vips: track.announcement.vips.iter().map(ToString::to_string).collect(),
        desired: ladder.phase().rung(),
        commanded,
        reported,
        exported,
        for_s: now.since(track.since()).as_secs(),
        why: track.why().to_owned(),
        verdict: track.verdict().name().into(),
        evidence: track.evidence().to_owned(),
        phase: ladder.phase().name().into(),
        phase_for_s: now.since(ladder.since()).as_secs(),
        falls: ladder.falls(),
        penalty: ladder.penalty().value(rules, now) as u64,
        suppressed_s: ladder.penalty().remaining(rules, now).as_secs(),
        others: match track.others() {
            Others::Unknown => "unknown",
            Others::Unseen => "unseen",
            Others::Seen => "seen",
        }
        .into(),
        intent: intent.map(|intent| intent.wish.name().to_owned()).unwrap_or_default(),
        waiting_for: intent.map(|intent| intent.waiting_for.clone()).unwrap_or_default(),
        intent_ends_in_s: intent.and_then(|intent| intent.until).map(|until| until.since(now).as_secs()),
        frozen_for_s: track.freeze().map(|freeze| freeze.until.since(now).as_secs()),
    }
}

fn checks(core: &Core, now: Moment) -> Vec<CheckStatus> {
    let of = |(plan, check): (&crate::core::checks::CheckPlan, &crate::judge::Check)| CheckStatus {
        name: plan.name.clone(),
        standing: check.standing().name().into(),
        for_s: now.since(check.since()).as_secs(),
        evidence: check.evidence().to_owned(),
    };
    core.plans().iter().zip(core.checks()).map(of).collect()
}

fn alarms(conductor: &Conductor, status: &Status) -> Vec<String> {
    let mut alarms = Vec::new();
    let (known, writing) = (&conductor.known, conductor.records.writing());
    for track in conductor.core.tracks() {
        let phase = track.ladder().phase();
        if phase.is_alarm() {
            alarms.push(format!("{}: {} ({})", track.announcement.name(), phase.meaning(), track.evidence()));
        }
    }
    if !known.reached {
        alarms.push(format!("BIRD does not answer: {}", known.info));
    }
    if !known.failure.is_empty() {
        alarms.push(format!("BIRD has not done what it was told: {}", known.failure));
    }
    for own in status.announcements.iter().filter(|_| known.reached) {
        match own.reported {
            None if !known.rungs.is_empty() => {
                alarms.push(format!("{}: BIRD has no such protocols; include the file of `carom-bgp bird-config --part services`", own.name));
            }
            Some(reported) if reported != own.commanded => {
                alarms.push(format!("{}: BIRD says {reported}, it was told {}", own.name, own.commanded));
            }
            _ => {}
        }
    }
    alarms.extend(
        status
            .bird
            .sessions
            .iter()
            .filter(|session| !session.established)
            .map(|session| format!("session {} is down: {}", session.peer, session.info)),
    );
    let files = [
        &known.state_file,
        &conductor.intents_failure.clone().unwrap_or_default(),
        &writing.failure.clone().unwrap_or_default(),
    ];
    alarms.extend(files.into_iter().filter(|failure| !failure.is_empty()).cloned());
    alarms
}
