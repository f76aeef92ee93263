//! What is checked on a node: every canary on every address and port, and what the node says about itself.

use std::net::SocketAddr;

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
    pub canary: Option<Target>,
}

/// A canary and where it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The address and port.
    pub address: SocketAddr,
    /// Over TLS, and which host the handshake names; `None`: in clear text.
    pub tls: Option<Sni>,
    /// What is asked for.
    pub canary: Canary,
}

/// The host that a handshake names, if it names one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sni(pub Option<String>);

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
            let plain = service.ports.iter().map(|port| (*port, None));
            let secure =
                service.https_ports.iter().map(|port| (*port, Some(Sni(service.https_name.clone()))));
            for (port, tls) in plain.chain(secure) {
                let address = SocketAddr::new(*vip, port);
                let scheme = if tls.is_some() { "https" } else { "http" };
                plans.extend(service.canaries.iter().map(|canary| CheckPlan {
                    name: format!("canary {scheme}://{}{} at {address}", canary.host, canary.path),
                    announcement: own,
                    canary: Some(Target { address, tls: tls.clone(), canary: canary.clone() }),
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
