//! What is checked on a node: every canary on every address and port, and what the node says about itself.

use std::net::{IpAddr, SocketAddr};

use super::health::VITAL_CHECKS;
use super::track::Track;
use crate::announcement::Family;
use crate::config::Settings;
use crate::config::settings::Canary;

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckPlan {
    /// Its name in metrics, status and the audit log.
    pub name: String,
    /// The announcement that it speaks for; `None`: all of them.
    pub announcement: Option<usize>,
    /// What is asked for; `None`: it comes from vitals.
    pub canary: Option<(SocketAddr, Canary)>,
}

impl CheckPlan {
    pub(super) fn announcement_name(&self, tracks: &[Track]) -> String {
        self.announcement.map_or(String::new(), |index| tracks[index].announcement.name())
    }
}

/// All checks: canaries first, vitals last.
pub fn plan(settings: &Settings) -> Vec<CheckPlan> {
    let announcements = settings.announcements();
    let mut plans = Vec::new();
    for service in &settings.services {
        for vip in &service.vips {
            let own = announcements
                .iter()
                .position(|other| other.service == service.name && other.family == Family::of(*vip));
            for port in &service.ports {
                let address = SocketAddr::new(*vip, *port);
                plans.extend(service.canaries.iter().map(|canary| CheckPlan {
                    name: format!("canary http://{}{} at {}", canary.host, canary.path, shown(*vip, *port)),
                    announcement: own,
                    canary: Some((address, canary.clone())),
                }));
            }
        }
    }
    if settings.vitals.is_some() {
        plans.extend(VITAL_CHECKS.iter().map(|name| CheckPlan {
            name: format!("vitals {name}"),
            announcement: None,
            canary: None,
        }));
    }
    plans
}

fn shown(vip: IpAddr, port: u16) -> String {
    SocketAddr::new(vip, port).to_string()
}
