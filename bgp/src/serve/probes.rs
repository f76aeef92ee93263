//! The tasks that probe: one per canary, address and port, and one for the node's vitals; regular while all is well, fast in doubt.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until, timeout};

use super::conductor::Fact;
use crate::config::Settings;
use crate::config::settings::Vitals as Rules;
use crate::core::checks::CheckPlan;
use crate::probe::admin::Admin;
use crate::probe::canary;
use crate::probe::lateness::Lateness;
use crate::probe::source::Source;

/// How a probing task is hurried.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The next result may change something: ask soon.
    pub(super) soon: Notify,
    /// Something happened to the node: ask now.
    pub(super) now: Notify,
}

/// Starts the tasks; returns how each canary is hurried, in the order of the checks.
pub(super) fn start(
    settings: &Arc<Settings>,
    plans: &[CheckPlan],
    source: &Source,
    lateness: &Lateness,
    facts: &mpsc::Sender<Fact>,
) -> Vec<Arc<Pace>> {
    let canaries = plans.iter().enumerate().filter_map(|(check, plan)| Some((check, plan.canary.clone()?)));
    let count = plans.iter().filter(|plan| plan.canary.is_some()).count().max(1);
    let paces: Vec<_> = canaries
        .map(|(check, target)| {
            let pace = Arc::new(Pace::default());
            let (settings, source, lateness) = (settings.clone(), source.clone(), lateness.clone());
            let (facts, own) = (facts.clone(), pace.clone());
            // Spread over the interval, so that not all checks ask in the same millisecond.
            let mut next = Instant::now()
                + settings.probe.interval * u32::try_from(check).unwrap_or(0)
                    / u32::try_from(count).unwrap_or(1);
            spawn_local(async move {
                loop {
                    tokio::select! {
                        () = sleep_until(next) => {}
                        () = own.now.notified() => {}
                        () = own.soon.notified() => tokio::time::sleep(settings.probe.suspect_interval).await,
                    }
                    next = Instant::now() + settings.probe.interval;
                    let seen = canary::ask(&target, &settings.probe, &source, &lateness).await;
                    if facts.send(Fact::Seen { check, seen }).await.is_err() {
                        return;
                    }
                }
            });
            pace
        })
        .collect();
    if let Some(rules) = &settings.vitals {
        spawn_local(ask_vitals(settings.clone(), rules.clone(), facts.clone()));
    }
    paces
}

/// Asks for vitals at the pace of probes. The end of the connection is told at once.
async fn ask_vitals(settings: Arc<Settings>, rules: Rules, facts: mpsc::Sender<Fact>) {
    // A control thread is allowed to be slower than a click: it is no witness of those.
    let within = (settings.probe.timeout * 5).max(Duration::from_millis(500));
    let mut kept: Option<Admin> = None;
    loop {
        let next = Instant::now() + settings.probe.interval;
        let mut connection = match kept.take() {
            Some(connection) => Ok(connection),
            None => Admin::connect(&rules.admin, within)
                .await
                .map_err(|error| format!("no connection for vitals: {error}")),
        };
        let stated = match &mut connection {
            Ok(connection) => connection.vitals(within).await,
            Err(error) => Err(error.clone()),
        };
        let usable = stated.is_ok();
        if facts.send(Fact::Vitals(stated.map(Box::new))).await.is_err() {
            return;
        }
        match connection {
            Ok(mut connection) if usable => {
                let wait = next.saturating_duration_since(Instant::now());
                if timeout(wait, connection.ended()).await.is_ok() {
                    if facts.send(Fact::NodeGone).await.is_err() {
                        return;
                    }
                    sleep_until(next).await;
                } else {
                    kept = Some(connection);
                }
            }
            _ => sleep_until(next).await,
        }
    }
}
