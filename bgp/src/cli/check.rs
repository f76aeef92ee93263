//! What `carom-bgp check` finds: problems of configuration, BIRD and node, each with its fix.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::print;
use crate::announcement::Rung;
use crate::config::{self, Settings};
use crate::core::checks;
use crate::judge::Outcome;
use crate::probe::admin::Admin;
use crate::probe::canary;
use crate::probe::lateness::Lateness;
use crate::probe::source::Source;
use crate::speaker::bird::{Client, Command, contents};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Warning,
    Error,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    level: Level,
    text: String,
    /// What to do; empty: nothing.
    fix: String,
}

fn ok(text: impl Into<String>) -> Finding {
    Finding { level: Level::Ok, text: text.into(), fix: String::new() }
}

fn bad(level: Level, text: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { level, text: text.into(), fix: fix.into() }
}

pub(super) fn run(path: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let findings = match config::load(path) {
        Err(error) => {
            error.to_string().lines().map(|line| bad(Level::Error, line, "correct the file")).collect()
        }
        Ok(settings) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let local = tokio::task::LocalSet::new();
            let mut findings = vec![ok(format!("{}: no mistake", path.display()))];
            findings.extend(local.block_on(&runtime, look(&settings)));
            findings
        }
    };
    let failed = findings.iter().any(|finding| finding.level == Level::Error);
    let text = if json {
        serde_json::to_string(&serde_json::json!({ "ok": !failed, "findings": findings }))? + "\n"
    } else {
        findings.iter().map(line).collect()
    };
    print(&text)?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn line(Finding { level, text, fix }: &Finding) -> String {
    let mark = match level {
        Level::Ok => "ok     ",
        Level::Warning => "warning",
        Level::Error => "ERROR  ",
    };
    let fix = if fix.is_empty() { String::new() } else { format!("\n          fix: {fix}") };
    format!("{mark}  {text}{fix}\n")
}

async fn look(settings: &Settings) -> Vec<Finding> {
    let mut findings = look_at_bird(settings).await;
    if let Some(rules) = &settings.vitals {
        let within = Duration::from_secs(1);
        let stated = match Admin::connect(&rules.admin, within).await {
            Ok(mut admin) => admin.vitals(within).await,
            Err(error) => Err(error.to_string()),
        };
        findings.push(match stated {
            Ok(vitals) if vitals.ready => ok(format!("the node states that it is ready: {}", vitals.node)),
            Ok(vitals) => bad(
                Level::Warning,
                format!("the node states that it is not ready: {:?}", vitals.reasons),
                "see carom's log",
            ),
            Err(error) => {
                bad(Level::Warning, format!("no vitals: {error}"), "start carom, or correct vitals.admin")
            }
        });
    }
    let source = match &settings.probe.namespace {
        None => Ok(Source::Here),
        Some(name) => Source::within(name),
    };
    match source {
        Err(error) => {
            let text = format!("probe.namespace cannot be entered: {error}");
            findings.push(bad(
                Level::Error,
                text,
                "make it with `ip netns add`, or leave it out; `carom-bgp` needs CAP_SYS_ADMIN for it",
            ));
        }
        Ok(source) => findings.extend(look_at_canaries(settings, &source).await),
    }
    findings
}

async fn look_at_canaries(settings: &Settings, source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for plan in checks::plan(settings) {
        let Some(target) = plan.canary else { continue };
        let seen = canary::ask(&target, &settings.probe, source, &Lateness::default()).await;
        findings.push(match seen.outcome {
            Outcome::Right(_) => ok(plan.name),
            Outcome::Failed(why) | Outcome::Wrong(why) => bad(
                Level::Warning,
                format!("{}: {why}", plan.name),
                "the node must have the address, listen on the port, and serve a snapshot with this link",
            ),
            Outcome::Unknown(why) => bad(Level::Warning, format!("{}: {why}", plan.name), "try again"),
        });
    }
    findings
}

async fn look_at_bird(settings: &Settings) -> Vec<Finding> {
    let bird = &settings.bird;
    let mut client = match Client::connect(&bird.socket, bird.timeout).await {
        Ok(client) => client,
        Err(error) => {
            let fix = "start BIRD, correct bird.socket, or become a member of BIRD's group";
            return vec![bad(Level::Error, error.to_string(), fix)];
        }
    };
    let mut findings = vec![ok(format!("BIRD answers: {}", client.greeting()))];
    let rows =
        client.ask(&Command::ShowVips).await.map(|reply| contents::protocols(&reply)).unwrap_or_default();
    for announcement in settings.announcements() {
        let missing: Vec<_> = Rung::ANNOUNCED
            .into_iter()
            .map(|rung| announcement.protocol(rung))
            .filter(|name| !rows.contains_key(name))
            .collect();
        findings.push(if missing.is_empty() {
            ok(format!("{}: BIRD has its protocols", announcement.name()))
        } else {
            bad(
                Level::Error,
                format!("BIRD has no protocol {}", missing.join(", ")),
                "write `carom-bgp bird-config --part services` to a file that bird.conf includes, and `birdc configure`",
            )
        });
    }
    for peer in &bird.peers {
        let row = client
            .ask(&Command::ShowProtocol(peer.clone()))
            .await
            .ok()
            .and_then(|reply| contents::protocols(&reply).remove(peer));
        findings.push(match row {
            Some(row) if row.state == "up" => ok(format!("session {peer} is {}", row.info)),
            Some(row) => bad(
                Level::Warning,
                format!("session {peer} is {}: {}", row.state, row.info),
                "see BIRD's log and the router",
            ),
            None => bad(Level::Error, format!("BIRD has no protocol {peer}"), "correct bird.peers"),
        });
    }
    findings
}
