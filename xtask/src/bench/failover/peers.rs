//! The same faults watched over by others, with the settings that they come with: anycast-healthchecker, and exabgp's healthcheck.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use lab::process::Process;
use lab::topology::{AnycastNode, Bfd, Lab, Plan, RouteWatch, Shape, VIP4};
use lab::wait::eventually;

use super::faults::without_canaries;
use super::ledger::{Measure, Rounds};
use super::{publish, since, stagger};

/// What both ask: a canary, by the program that their handbooks show.
const CHECK: &str =
    "/usr/bin/curl --fail --silent --output /dev/null --header Host:canary.carom.invalid http://192.0.2.1/ok";

/// Between two checks of anycast-healthchecker, and twice that of exabgp's.
const INTERVAL: Duration = Duration::from_secs(10);

/// Their slowest step, twice.
const PATIENCE: Duration = Duration::from_secs(90);

/// Runs each of them so many times through two faults.
pub(super) fn run(rounds: &mut Rounds, runs: usize, anycast_healthchecker: &Path) -> Result<()> {
    for contestant in ["exabgp healthcheck", "anycast-healthchecker"] {
        let plan = Plan { bfd: Bfd::Off, ..Plan::of(Shape::Single) };
        let Some(mut lab) = Lab::build(&plan) else {
            bail!("the lab does not run here: it needs root, namespaces and bird2")
        };
        let node = &mut lab.nodes[0];
        publish(node);
        node.start_carom();
        let _watcher = if contestant.starts_with("exabgp") {
            start_exabgp(node)
        } else {
            start_anycast_healthchecker(node, anycast_healthchecker)
        };
        for case in ["carom killed", "canaries missing"] {
            for number in 0..runs {
                eventually(PATIENCE, "the node is announced", || lab.paths(0, VIP4).len() == 1);
                stagger(number, runs, INTERVAL);
                rounds.add(case, Measure::Gone, contestant, round(&mut lab, case))?;
            }
        }
    }
    Ok(())
}

fn round(lab: &mut Lab, case: &str) -> f64 {
    let watch = RouteWatch::open(&lab.routers[0].space);
    let failed = Instant::now();
    let node = &mut lab.nodes[0];
    if case == "carom killed" {
        node.kill_carom();
    } else {
        without_canaries(node);
    }
    let gone = watch.first(VIP4, failed, PATIENCE, "the route goes", |event| event.gone);
    if case == "carom killed" {
        node.start_carom();
    } else {
        publish(node);
    }
    since(failed, gone.at)
}

/// exabgp speaks BGP itself; its health check is as its handbook shows it, with its own intervals, and withdraws.
fn start_exabgp(node: &AnycastNode) -> Process {
    let config = node.directory().join("exabgp.conf");
    let [own, _] = node.addresses();
    let [router, _] = node.router_addresses();
    let (asn, router_asn) = (node.asn(), node.router_asn());
    fs::write(
        &config,
        format!(
            "process watch {{\n run /usr/bin/python3 -m exabgp healthcheck --no-syslog --no-ip-setup --withdraw-on-down \
             --ip {VIP4}/32 --cmd \"{CHECK}\";\n encoder text;\n}}\n\
             neighbor {router} {{\n router-id 10.254.0.1;\n local-address {own};\n local-as {asn};\n peer-as {router_asn};\n \
             family {{ ipv4 unicast; }}\n api {{ processes [ watch ]; }}\n}}\n"
        ),
    )
    .expect("the directory of the lab takes files");
    let mut command = Command::new("/usr/sbin/exabgp");
    command.arg(config).envs([
        ("exabgp.daemon.user", "root"),
        ("exabgp.daemon.drop", "false"),
        ("exabgp.api.cli", "false"),
        ("exabgp.log.destination", "stderr"),
    ]);
    node.space.within(|| Process::start(&mut command, "exabgp", node.directory()))
}

/// anycast-healthchecker writes what a filter of BIRD reads and lets `birdc configure` do the rest.
fn start_anycast_healthchecker(node: &mut AnycastNode, program: &Path) -> Process {
    let file = |name: &str| node.directory().join(name);
    let (prefixes, config, log) =
        (file("prefixes.conf"), file("healthchecker.conf"), file("healthchecker.log"));
    let checks = file("healthchecker.d");
    fs::create_dir_all(&checks).expect("the directory of the lab takes directories");
    let write =
        |path: &Path, text: String| fs::write(path, text).expect("the directory of the lab takes files");
    write(&prefixes, "define ACAST_PS_ADVERTISE = [ 10.189.200.255/32 ];\n".to_owned());
    write(
        &config,
        format!(
            "[DEFAULT]\ninterface = lo\n[daemon]\npidfile = {}\nipv4 = true\nipv6 = false\nbird_conf = {}\n\
             bird_reconfigure_cmd = /usr/sbin/birdc -s {} configure\nloglevel = info\nlog_file = {}\nstderr_file = {}\n",
            file("healthchecker.pid").display(),
            prefixes.display(),
            node.bird.socket().display(),
            log.display(),
            log.display(),
        ),
    );
    write(
        &checks.join("carom.conf"),
        format!("[carom]\ncheck_cmd = {CHECK}\nip_prefix = {VIP4}/32\ncheck_disabled = false\n"),
    );
    let protocols = format!(
        "include \"{}\";\nprotocol static vip_v4 {{ ipv4 {{ import where net ~ ACAST_PS_ADVERTISE; }}; route {VIP4}/32 blackhole; }}\n",
        prefixes.display()
    );
    node.start_bird_with(&protocols, false);
    node.until_sessions_are_up();
    let mut command = Command::new(program);
    command.arg("-f").arg(config).arg("-d").arg(checks);
    node.space.within(|| Process::start(&mut command, "anycast-healthchecker", node.directory()))
}
