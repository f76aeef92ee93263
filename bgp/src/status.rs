//! What the sidecar knows, as one document for programs and one screen for people.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::announcement::Rung;

/// Everything that is known at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Name of the node.
    pub node: String,
    /// Version of the program.
    pub version: String,
    /// Process id of the sidecar.
    pub pid: u32,
    /// Seconds since it started.
    pub up_s: u64,
    /// Whether BIRD is told nothing.
    pub dry_run: bool,
    /// What is known of BIRD.
    pub bird: BirdStatus,
    /// Each announcement.
    pub announcements: Vec<AnnouncementStatus>,
    /// Each check.
    pub checks: Vec<CheckStatus>,
    /// The generation that the node states; `None`: it states nothing.
    pub generation: Option<u64>,
    /// Requests per second without probes; `None`: not known.
    pub requests_per_s: Option<u64>,
    /// What a person should look at.
    pub alarms: Vec<String>,
}

/// What is known of BIRD.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BirdStatus {
    /// Whether it answers.
    pub reached: bool,
    /// Its version, or why it does not answer.
    pub info: String,
    /// Its sessions, as configured.
    pub sessions: Vec<SessionStatus>,
}

/// One BGP session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStatus {
    /// Name of its protocol.
    pub peer: String,
    /// Whether it is established.
    pub established: bool,
    /// What BIRD says of it.
    pub info: String,
    /// The rung that is exported to it, by announcement; those without are not exported.
    pub exported: Vec<(String, Rung)>,
}

/// One announcement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncementStatus {
    /// `service/family`.
    pub name: String,
    /// Its addresses.
    pub vips: Vec<String>,
    /// The rung that health allows.
    pub desired: Rung,
    /// The rung that BIRD was told.
    pub commanded: Rung,
    /// The rung that BIRD reports; `None`: not known.
    pub reported: Option<Rung>,
    /// The rung that is exported to peers; `None`: to none of those that are watched.
    pub exported: Option<Rung>,
    /// Seconds since it was decided.
    pub for_s: u64,
    /// Why.
    pub why: String,
    /// The verdict: `good`, `unknown`, `slow`, `dead`, `wrong`.
    pub verdict: String,
    /// What the verdict comes from.
    pub evidence: String,
    /// The phase of its health.
    pub phase: String,
    /// Seconds in this phase.
    pub phase_for_s: u64,
    /// How often it fell since the start.
    pub falls: u64,
    /// The penalty for that.
    pub penalty: u64,
    /// Seconds until a suppression ends; 0: none.
    pub suppressed_s: u64,
    /// Whether other nodes announce: `seen`, `unseen`, `unknown`.
    pub others: String,
    /// What operators want; empty: nothing.
    pub intent: String,
    /// What that waits for; empty: nothing.
    pub waiting_for: String,
    /// Seconds until it ends by itself; `None`: it does not.
    pub intent_ends_in_s: Option<u64>,
    /// Seconds until a freeze ends; `None`: there is none.
    pub frozen_for_s: Option<u64>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// Its name.
    pub name: String,
    /// `good`, `unknown`, `slow`, `dead`, `wrong`.
    pub standing: String,
    /// Seconds since then.
    pub for_s: u64,
    /// What was found that was not right.
    pub evidence: String,
}

/// One screen. Deviations come first and in full; what is well is counted.
pub fn screen(status: &Status) -> String {
    let mut text = String::new();
    let Status {
        node,
        version,
        pid,
        up_s,
        dry_run,
        bird,
        announcements,
        checks,
        generation,
        requests_per_s,
        alarms,
    } = status;
    let dry = if *dry_run { "  DRY RUN: BIRD is told nothing" } else { "" };
    let _ = writeln!(text, "{node}: carom-bgp {version}, pid {pid}, up {}{dry}", span(*up_s));
    for alarm in alarms {
        let _ = writeln!(text, "  ! {alarm}");
    }
    let reached = if bird.reached { "answers" } else { "DOES NOT ANSWER" };
    let _ = writeln!(text, "\nBIRD {reached}: {}", bird.info);
    for SessionStatus { peer, established, info, exported } in &bird.sessions {
        let state = if *established { "up" } else { "DOWN" };
        let routes: Vec<_> = exported.iter().map(|(name, rung)| format!("{name} {rung}")).collect();
        let routes = if routes.is_empty() { "nothing".into() } else { routes.join(", ") };
        let _ = writeln!(text, "  {peer:<16} {state:<5} {info:<20} exports {routes}");
    }
    let _ =
        writeln!(text, "\n{:<20} {:<11} {:<11} {:<9} why", "announcement", "commanded", "BIRD says", "for");
    for own in announcements {
        let reported = own.reported.map_or("?", Rung::name);
        let _ = writeln!(
            text,
            "{:<20} {:<11} {reported:<11} {:<9} {}",
            own.name,
            own.commanded.name(),
            span(own.for_s),
            own.why
        );
        details(&mut text, own);
    }
    let good = checks.iter().filter(|check| check.standing == "good").count();
    let _ = writeln!(text, "\n{good} of {} checks are good", checks.len());
    for CheckStatus { name, standing, for_s, evidence } in
        checks.iter().filter(|check| check.standing != "good")
    {
        let _ = writeln!(text, "  {standing:<8} {name}, for {} {evidence}", span(*for_s));
    }
    let generation = generation.map_or("unknown".into(), |generation| generation.to_string());
    let rate = requests_per_s.map_or("unknown".into(), |rate| format!("{rate} per second"));
    let _ = writeln!(text, "snapshot generation {generation}, requests {rate}");
    text
}

fn details(text: &mut String, own: &AnnouncementStatus) {
    let _ = writeln!(text, "  {}", own.vips.join(" "));
    if own.verdict != "good" {
        let _ = writeln!(text, "  verdict {}: {}", own.verdict, own.evidence);
    }
    if own.suppressed_s > 0 {
        let _ = writeln!(
            text,
            "  suppressed for {} (penalty {}, {} falls)",
            span(own.suppressed_s),
            own.penalty,
            own.falls
        );
    }
    if !own.intent.is_empty() {
        let ends = own.intent_ends_in_s.map(|s| format!(", ends in {}", span(s))).unwrap_or_default();
        let _ = writeln!(text, "  {}{ends}; others are {}", own.intent, own.others);
    }
    if let Some(frozen) = own.frozen_for_s {
        let _ = writeln!(text, "  frozen for another {}", span(frozen));
    }
}

/// A span of time in its two greatest units.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds / 3600 % 24),
    }
}
