//! From the file as written to settings: units become types, zeros become choices, and keys are checked against each other.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use ebpf_loader::abi::{Mode, Stage};
use ebpf_loader::{Limit, Modes};

use super::file::Lines;
use super::keys::{
    AccessLogKeys, AdminKeys, DrainKeys, File, GuardKeys, HttpKeys, LimitKeys, ListenKeys, LogKeys, NodeKeys,
    ProxyKeys, ScannerKeys, SnapshotKeys, TlsKeys,
};
use super::problem::Problem;
use super::settings::{
    AccessLog, AdminAddress, Drain, Guard, Listen, Log, Node, Penalties, Scanners, Scoring, Settings,
    Snapshot, Tls,
};
use super::settle_acme;
use super::settle_clicks as clicks;
use crate::limits::{ConnectionLimits, HttpLimits};
use crate::proxies::Proxies;

/// Settles what was read. Keys that contradict each other are added to `problems`; then the settings are not to be used.
pub(super) fn settle(file: File, lines: &Lines, host_name: &str, problems: &mut Vec<Problem>) -> Settings {
    let File {
        node,
        listen,
        tls,
        acme,
        snapshot,
        http,
        proxies,
        limits,
        admin,
        access_log,
        clicks,
        ship,
        privacy,
        log,
        drain,
        guard,
        scanners,
    } = file;
    problems.extend(clicks::ship_without_address(&ship, lines));
    problems.extend(clicks::spool_elsewhere(&clicks, lines));
    problems.extend(clicks::policies_that_differ(&privacy, lines));
    let clicks = clicks::settle_clicks(clicks, ship, &node.state_dir);
    let privacy = clicks::settle_privacy(privacy);
    problems.extend(settle_acme::contradictions(&acme, lines));
    problems.extend(target_over_head(&http, lines));
    problems.extend(https_on_http(&listen, lines));
    problems.extend(admin_on_traffic(&admin, &listen, lines));
    problems.extend(admin_in_public(&admin, lines));

    let NodeKeys { name, state_dir } = node;
    let name = if name.is_empty() { host_name.to_owned() } else { name };
    let ListenKeys { http: addresses, http2_prior_knowledge, https, backlog, shards } = listen;
    let SnapshotKeys { path, poll_interval_ms, lock_memory, keep } = snapshot;
    let HttpKeys {
        header_timeout_ms,
        idle_timeout_ms,
        write_timeout_ms,
        head_bytes_max,
        target_bytes_max,
        fields_max,
        requests_per_connection_max,
        body_discard_bytes_max,
        server,
    } = http;
    let ProxyKeys { announcing, forwarding, field } = proxies;
    let LimitKeys { connections_per_shard_max, connections_per_source_max } = limits;
    let AdminKeys { listen: admin, allow_public: _ } = admin;
    let AccessLogKeys { sample_every, path: target } = access_log;
    let LogKeys { format, level } = log;
    let DrainKeys { announce_ms, deadline_ms } = drain;

    Settings {
        node: Node { name, state_dir },
        listen: Listen {
            http: addresses,
            http2_prior_knowledge,
            https,
            backlog: narrow(backlog),
            shards: NonZeroU32::new(narrow(shards)),
        },
        tls: settle_tls(tls),
        acme: settle_acme::settle_acme(acme),
        snapshot: Snapshot {
            path,
            poll_interval: (poll_interval_ms > 0).then(|| Duration::from_millis(poll_interval_ms)),
            lock_memory,
            keep: narrow(keep),
        },
        http: HttpLimits {
            header_timeout: Duration::from_millis(header_timeout_ms),
            idle_timeout: Duration::from_millis(idle_timeout_ms),
            write_timeout: Duration::from_millis(write_timeout_ms),
            head_bytes_max: narrow(head_bytes_max) as usize,
            target_bytes_max: narrow(target_bytes_max) as usize,
            fields_max: narrow(fields_max) as usize,
            requests_per_connection_max: narrow(requests_per_connection_max),
            body_discard_bytes_max,
        },
        server: Some(server).filter(|server| !server.is_empty()),
        proxies: Proxies { announcing, forwarding, field },
        connections: ConnectionLimits {
            per_shard_max: narrow(connections_per_shard_max) as usize,
            per_source_max: narrow(connections_per_source_max),
        },
        admin,
        access_log: NonZeroU32::new(narrow(sample_every))
            .map(|sample_every| AccessLog { sample_every, target }),
        clicks,
        privacy,
        log: Log { format, level },
        drain: Drain {
            announce: Duration::from_millis(announce_ms),
            deadline: Duration::from_millis(deadline_ms),
        },
        guard: settle_guard(guard),
        scanners: settle_scanners(scanners),
    }
}

fn settle_tls(keys: TlsKeys) -> Tls {
    let TlsKeys {
        certificates,
        poll_interval_ms,
        default_certificate,
        min_version,
        handshake_timeout_ms,
        ticket_secret,
        ticket_epoch_s,
        public_port,
        expiry_warning_days,
    } = keys;
    Tls {
        certificates,
        poll_interval: (poll_interval_ms > 0).then(|| Duration::from_millis(poll_interval_ms)),
        default_certificate: Some(default_certificate).filter(|label| !label.is_empty()),
        min_version,
        handshake_timeout: Duration::from_millis(handshake_timeout_ms),
        ticket_secret,
        ticket_epoch: Duration::from_secs(ticket_epoch_s),
        public_port: NonZeroU16::new(public_port as u16),
        expiry_warning_days: narrow(expiry_warning_days),
    }
}

fn settle_guard(keys: GuardKeys) -> Guard {
    let GuardKeys {
        mode,
        interfaces,
        pins,
        allow_generic,
        vips,
        management,
        routing_peers,
        allow_files,
        deny_files,
        lease_ms,
        parse_mode,
        port_mode,
        deny_mode,
        ban_mode,
        rate_mode,
        challenge_mode,
        stray_mode,
        source_soft_per_s,
        source_hard_per_s,
        network_soft_per_s,
        network_hard_per_s,
        node_soft_per_s,
        node_hard_per_s,
        stray_check_per_s,
        events_per_s,
    } = keys;
    let stages = [
        (Stage::Parse, parse_mode),
        (Stage::Port, port_mode),
        (Stage::Deny, deny_mode),
        (Stage::Ban, ban_mode),
        (Stage::Rate, rate_mode),
        (Stage::Challenge, challenge_mode),
        (Stage::Stray, stray_mode),
    ];
    let modes = stages
        .into_iter()
        .fold(Modes::all(Mode::Off), |modes, (stage, own)| modes.with(stage, milder(mode, own)));
    let limit = |soft, hard| Limit { challenge_per_s: unless_zero(soft), drop_per_s: unless_zero(hard) };
    Guard {
        mode,
        interfaces,
        pins,
        allow_generic,
        vips,
        management,
        routing_peers,
        allow_files,
        deny_files,
        lease: Duration::from_millis(lease_ms),
        modes,
        source: limit(source_soft_per_s, source_hard_per_s),
        network: limit(network_soft_per_s, network_hard_per_s),
        node: limit(node_soft_per_s, node_hard_per_s),
        stray_check_per_s: unless_zero(stray_check_per_s),
        events_per_s: narrow(events_per_s),
    }
}

fn settle_scanners(keys: ScannerKeys) -> Scanners {
    let ScannerKeys {
        mode,
        threshold,
        half_life_s,
        unknown_code_points,
        unknown_host_points,
        junk_points,
        good_points,
        challenge_s,
        ban_first_s,
        ban_max_s,
        bans_per_minute_max,
        exempt,
        exempt_files,
    } = keys;
    Scanners {
        mode,
        scoring: Scoring {
            threshold: narrow(threshold),
            half_life: Duration::from_secs(half_life_s),
            unknown_code: narrow(unknown_code_points),
            unknown_host: narrow(unknown_host_points),
            junk: narrow(junk_points),
            good: narrow(good_points),
        },
        penalties: Penalties {
            challenge: Duration::from_secs(challenge_s),
            ban_first: Duration::from_secs(ban_first_s),
            ban_max: Duration::from_secs(ban_max_s),
            bans_per_minute_max: narrow(bans_per_minute_max),
        },
        exempt,
        exempt_files,
    }
}

/// The less strict of two modes.
fn milder(one: Mode, other: Mode) -> Mode {
    if (one as u8) < other as u8 { one } else { other }
}

/// A rate, where zero means none.
fn unless_zero(per_s: u64) -> Option<u32> {
    Some(narrow(per_s)).filter(|&per_s| per_s > 0)
}

/// A number whose bounds lie within 32 bits.
pub(super) fn narrow(value: u64) -> u32 {
    u32::try_from(value).expect("the bounds of every narrowed key lie within 32 bits, as a test shows")
}

fn target_over_head(http: &HttpKeys, lines: &Lines) -> Option<Problem> {
    let HttpKeys { head_bytes_max: head, target_bytes_max: target, .. } = http;
    (target > head).then(|| Problem {
        line: lines.of("http", "target_bytes_max").or(lines.of("http", "head_bytes_max")),
        key: "http.target_bytes_max".into(),
        found: target.to_string(),
        expected: format!("a target is a part of the head, and http.head_bytes_max is {head}"),
        fix: format!("write target_bytes_max = {head} or less"),
    })
}

fn admin_on_traffic(admin: &AdminKeys, listen: &ListenKeys, lines: &Lines) -> Option<Problem> {
    let AdminAddress::Tcp(address) = admin.listen else { return None };
    let traffic = listen.http.iter().chain(&listen.https).find(|traffic| overlap(**traffic, address))?;
    Some(Problem {
        line: lines.of("admin", "listen").or(lines.of("listen", "http")),
        key: "admin.listen".into(),
        found: format!("{:?}", address.to_string()),
        expected: format!(
            "traffic arrives on {:?}, and metrics must not be served there",
            traffic.to_string()
        ),
        fix: "write another port".into(),
    })
}

fn https_on_http(listen: &ListenKeys, lines: &Lines) -> Option<Problem> {
    let is_taken = |secure: &&SocketAddr| listen.http.iter().any(|plain| overlap(*plain, **secure));
    let taken = listen.https.iter().find(is_taken)?;
    Some(Problem {
        line: lines.of("listen", "https"),
        key: "listen.https".into(),
        found: format!("{:?}", taken.to_string()),
        expected: "listen.http has it, and one port speaks one protocol".into(),
        fix: "write another port, usually 443".into(),
    })
}

/// Whether one connection could arrive at both.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let same_family = one.is_ipv4() == other.is_ipv4();
    let same_address = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_family && same_address
}

fn admin_in_public(admin: &AdminKeys, lines: &Lines) -> Option<Problem> {
    let AdminAddress::Tcp(address) = admin.listen else { return None };
    (!address.ip().is_loopback() && !admin.allow_public).then(|| Problem {
        line: lines.of("admin", "listen"),
        key: "admin.listen".into(),
        found: format!("{:?}", address.to_string()),
        expected: "other machines reach it, and nobody is asked for a password".into(),
        fix:
            "write a loopback address or \"unix:/run/carom/admin.sock\", or allow it with allow_public = true"
                .into(),
    })
}
