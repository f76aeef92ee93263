//! From the file as written to settings: units become types, zeros become choices, and keys are checked against each other.

use std::collections::BTreeSet;
use std::time::Duration;

use super::file::Reader;
use super::keys::{
    BirdKeys, CanaryKeys, ControlKeys, DamperKeys, DrainKeys, File, JudgeKeys, LeaseKeys, MetricsKeys,
    NodeKeys, ProbeKeys, ServiceKeys, VitalsKeys,
};
use super::settings::{
    Bird, Canary, Damper, Drain, Judge, LocationPattern, Probe, Service, Settings, Vitals,
};
use crate::limits::{CANARIES_MAX, CHECKS_MAX, SERVICES_MAX};

/// Settles what was read. Keys that contradict each other become problems of `reader`; then the settings are not to be used.
pub(super) fn settle(file: File, host_name: &str, reader: &mut Reader) -> Option<Settings> {
    contradictions(&file, reader);
    let File { node, control, metrics, bird, vitals, probe, judge, damper, drain, lease, services } = file;
    let NodeKeys { name, state_dir, lines: _ } = node;
    let ControlKeys { socket: control, lines: _ } = control;
    let MetricsKeys { listen: metrics, lines: _ } = metrics;
    let BirdKeys { socket, state_file, local_as, timeout_ms, reconcile_ms, peers, lines: _ } = bird;
    let VitalsKeys { admin, guard_required, snapshot_age_s_max, lines: _ } = vitals;
    let ProbeKeys {
        interval_ms,
        suspect_interval_ms,
        timeout_ms: probe_ms,
        latency_ms_max,
        late_ms_max,
        namespace,
        lines: _,
    } = probe;
    let JudgeKeys { fall, rise, latency_window, latency_bad_min, lines: _ } = judge;
    let DrainKeys { quiet_requests_per_s, settle_ms, deadline_ms, lines: _ } = drain;
    let LeaseKeys { lease_s, lines: _ } = lease;
    let settings = Settings {
        node: if name.is_empty() { host_name.to_owned() } else { name },
        state_dir,
        control,
        metrics,
        bird: Bird {
            socket,
            state_file,
            local_as: narrow(local_as),
            timeout: millis(timeout_ms),
            reconcile: millis(reconcile_ms),
            peers,
        },
        vitals: admin.map(|admin| Vitals {
            admin,
            guard: guard_required,
            snapshot_age_max: (snapshot_age_s_max > 0).then(|| Duration::from_secs(snapshot_age_s_max)),
        }),
        probe: Probe {
            interval: millis(interval_ms),
            suspect_interval: millis(suspect_interval_ms),
            timeout: millis(probe_ms),
            latency_max: millis(latency_ms_max),
            late_max: millis(late_ms_max),
            namespace: Some(namespace).filter(|name| !name.is_empty()),
        },
        judge: Judge {
            fall: narrow(fall),
            rise: narrow(rise),
            latency_window: narrow(latency_window) as usize,
            latency_bad_min: narrow(latency_bad_min) as usize,
        },
        damper: settle_damper(&damper),
        drain: Drain { quiet_requests_per_s, settle: millis(settle_ms), deadline: millis(deadline_ms) },
        lease: Duration::from_secs(lease_s),
        services: services.into_iter().map(|(service, canaries)| settle_service(service, canaries)).collect(),
    };
    (!settings.services.is_empty()).then_some(settings)
}

fn settle_damper(keys: &DamperKeys) -> Damper {
    let DamperKeys {
        half_life_s,
        suppress,
        reuse,
        suppress_s_max,
        withdrawals_per_minute_max,
        prepended_ms,
        soft_ms,
        last_node,
        last_node_integrity,
        lines: _,
    } = *keys;
    Damper {
        half_life: Duration::from_secs(half_life_s),
        suppress: narrow(suppress),
        reuse: narrow(reuse),
        suppress_max: Duration::from_secs(suppress_s_max),
        withdrawals_per_minute_max: narrow(withdrawals_per_minute_max),
        prepended: millis(prepended_ms),
        soft: millis(soft_ms),
        last_node,
        last_node_integrity,
    }
}

fn settle_service(keys: ServiceKeys, canaries: Vec<CanaryKeys>) -> Service {
    let ServiceKeys {
        name,
        vips,
        ports,
        https_ports,
        https_name,
        couple_families,
        prepends,
        addresses_on_lo,
        lines: _,
    } = keys;
    let canaries = canaries.into_iter().map(|CanaryKeys { host, path, status, location, lines: _ }| Canary {
        host,
        path,
        status: u16::try_from(status).unwrap_or(u16::MAX),
        location: (!location.is_empty()).then(|| LocationPattern::new(&location)),
    });
    let mut canaries: Vec<_> = canaries.collect();
    if canaries.is_empty() {
        canaries.push(Canary::built_in());
    }
    Service {
        name,
        vips,
        ports,
        https_ports,
        https_name: (!https_name.is_empty()).then_some(https_name),
        couple_families,
        prepends: narrow(prepends),
        addresses_on_lo,
        canaries,
    }
}

fn contradictions(file: &File, reader: &mut Reader) {
    let File {
        node: _,
        control: _,
        metrics: _,
        bird: _,
        vitals: _,
        probe,
        judge,
        damper,
        drain,
        lease: _,
        services,
    } = file;
    if services.is_empty() {
        reader.complain(
            None,
            "service",
            "missing",
            "a sidecar without a service announces nothing",
            "write a [[service]]",
        );
    }
    if services.len() > SERVICES_MAX {
        let found = format!("{} services", services.len());
        reader.complain(None, "service", found, format!("expected at most {SERVICES_MAX}"), "remove some");
    }
    if damper.reuse >= damper.suppress {
        let found = format!("{} is not below damper.suppress {}", damper.reuse, damper.suppress);
        let expected = "an announcement would never be suppressed";
        reader.complain(damper.lines.of("reuse"), "damper.reuse", found, expected, "write a smaller number");
    }
    if judge.latency_bad_min > judge.latency_window {
        let found = format!("{} of {} samples", judge.latency_bad_min, judge.latency_window);
        let line = judge.lines.of("latency_bad_min");
        reader.complain(
            line,
            "judge.latency_bad_min",
            found,
            "latency would never count",
            "write a smaller number",
        );
    }
    if drain.settle_ms > drain.deadline_ms {
        let found = format!("{} is over drain.deadline_ms {}", drain.settle_ms, drain.deadline_ms);
        reader.complain(
            drain.lines.of("settle_ms"),
            "drain.settle_ms",
            found,
            "the deadline comes first",
            "write a smaller number",
        );
    }
    if probe.latency_ms_max > probe.timeout_ms {
        let found = format!("{} is over probe.timeout_ms {}", probe.latency_ms_max, probe.timeout_ms);
        let line = probe.lines.of("latency_ms_max");
        reader.complain(
            line,
            "probe.latency_ms_max",
            found,
            "no answer could be slow",
            "write a smaller number",
        );
    }
    let (mut names, mut vips, mut checks) = (BTreeSet::new(), BTreeSet::new(), 0);
    for (service, canaries) in services {
        let ServiceKeys { name, vips: own, ports, https_ports, lines, .. } = service;
        if let Some(port) = https_ports.iter().find(|port| ports.contains(port)) {
            reader.complain(
                lines.of("https_ports"),
                "service.https_ports",
                port.to_string(),
                "a port speaks HTTP or HTTPS",
                "remove it from ports or from https_ports",
            );
        }
        if !names.insert(name) && !name.is_empty() {
            reader.complain(
                lines.of("name"),
                "service.name",
                format!("{name:?}"),
                "every name once",
                "choose another name",
            );
        }
        for vip in own.iter().filter(|vip| !vips.insert(**vip)) {
            reader.complain(
                lines.of("vips"),
                "service.vips",
                vip.to_string(),
                "an address belongs to one service",
                "remove it",
            );
        }
        if canaries.len() > CANARIES_MAX {
            let found = format!("{} canaries", canaries.len());
            reader.complain(
                lines.section,
                "service.canary",
                found,
                format!("expected at most {CANARIES_MAX}"),
                "remove some",
            );
        }
        checks += own.len() * (ports.len() + https_ports.len()) * canaries.len().max(1);
    }
    if checks > CHECKS_MAX {
        let found = format!("{checks} checks (addresses × ports × canaries)");
        reader.complain(
            None,
            "service",
            found,
            format!("expected at most {CHECKS_MAX}"),
            "remove canaries or ports",
        );
    }
}

const fn millis(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// A number whose bounds lie within 32 bits.
fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
