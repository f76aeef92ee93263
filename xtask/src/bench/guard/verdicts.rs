//! Nanoseconds per packet of each verdict, with full tables, beside a program that does nothing and beside xdp-filter.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};
use aya::Ebpf;
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use ebpf_loader::abi::{BanKind, Mode, Reason};
use ebpf_loader::frames::{self, flags};
use ebpf_loader::{Cidr, Guard, Limit, Question, Settings};

use super::place::{NODE_CPU, VIP};
use super::subjects::{self, VIP_V6, banned_v4, banned_v6, listed_v4, listed_v6, load, time, time_guard};
use crate::bench::Effort;
use crate::bench::machine::Pinned;
use crate::bench::report::{Better, Metric, Report};

const COST: Metric = Metric { name: "CPU time per packet", unit: "ns", better: Better::Less };
const OVER: Metric = Metric { name: "above the no-op", unit: "ns", better: Better::Less };

pub(super) const NOOP: &str = "no-op program";
const CAROM: &str = "carom's guard";
const FILTER: &str = "xdp-filter";

/// Runs per measurement; what cannot be repeated on the same packet is run once per call, so often.
const REPEAT: u32 = 1_000_000;
const SINGLE_RUNS: u32 = 20_000;

/// What the drop of a banned source, and the pass of a legitimate packet, may cost above the no-op.
const AIM: &str =
    "aim: 60 ns above the no-op for the drop of a banned source, 120 ns for the pass of a legitimate packet";

/// A packet, and the verdict that it must get, or nothing is worth measuring.
struct Case {
    name: String,
    frame: Vec<u8>,
    reason: Reason,
    /// What xdp-filter must do, where it can be asked the same.
    filtered: Option<u32>,
}

const DROP: u32 = 1;
const PASS: u32 = 2;

/// The packets whose verdict does not depend on what else arrives.
fn calm() -> Vec<Case> {
    let mut cases = Vec::new();
    for (family, vip, client, foreign, banned, listed) in [
        ("IPv4", VIP, "198.51.100.7", "192.0.2.99", IpAddr::from(banned_v4(4711)), listed_v4(4711).address()),
        ("IPv6", VIP_V6, "2001:db8:1::7", "2001:db8::99", banned_v6(4711).into(), listed_v6(4711).address()),
    ] {
        let address = |text: &str| text.parse().unwrap_or(banned);
        let from = |source: IpAddr| SocketAddr::new(source, 40_000);
        let at = |port| SocketAddr::new(address(vip), port);
        let client = from(address(client));
        let mut add = |name: &str, frame, reason, filtered| {
            cases.push(Case { name: format!("{family}, {name}"), frame, reason, filtered });
        };
        let elsewhere = SocketAddr::new(address(foreign), 80);
        add("to another address: passes", Question::syn(client, elsewhere), Reason::NotVip, Some(PASS));
        add("SYN of a client: passes", Question::syn(client, at(80)), Reason::Accepted, Some(PASS));
        let segment = frames::tcp(client, at(80), flags::ACK, &[0; 12], b"GET / HTTP/1.1\r\n\r\n");
        add("segment of a client: passes", segment, Reason::Accepted, Some(PASS));
        add("banned source: dropped", Question::syn(from(banned), at(80)), Reason::Banned, Some(DROP));
        add("listed source: dropped", Question::syn(from(listed), at(80)), Reason::Denied, None);
        add("unserved port: dropped", Question::syn(client, at(23)), Reason::UnservedPort, None);
        let nonsense = frames::tcp(client, at(80), flags::SYN | flags::FIN, &[], &[]);
        add("SYN and FIN: dropped", nonsense, Reason::BadFlags, None);
    }
    cases
}

/// Those of a flood: the limits are set so low that every packet is over them.
fn flooded() -> [(Settings, Case); 3] {
    let settings =
        |node, stray_check_per_s| Settings { node, stray_check_per_s, ..subjects::settings(Mode::Enforce) };
    let (client, vip) = (([198, 51, 100, 7], 40_000).into(), ([192, 0, 2, 80], 80).into());
    let case = |name: &str, frame, reason| Case { name: name.to_owned(), frame, reason, filtered: None };
    let soft = Limit { challenge_per_s: Some(0), drop_per_s: None };
    let hard = Limit { challenge_per_s: Some(0), drop_per_s: Some(0) };
    let syn = || Question::syn(client, vip);
    let segment = frames::tcp(client, vip, flags::ACK, &[0; 12], &[]);
    [
        (settings(hard, None), case("IPv4, SYN above the hard limit: dropped", syn(), Reason::RateNode)),
        (
            settings(Limit::default(), Some(0)),
            case("IPv4, stray segment in a flood: dropped", segment, Reason::Stray),
        ),
        (
            settings(soft, None),
            case("IPv4, SYN above the soft limit: answered", syn(), Reason::ChallengedNode),
        ),
    ]
}

/// Measures all verdicts in alternating rounds.
pub(super) fn measure(
    guard: &mut Guard,
    programs: &mut Ebpf,
    effort: &Effort,
    report: &mut Report,
) -> Result<()> {
    let _pinned = Pinned::to(NODE_CPU)?;
    let filter = match subjects::xdp_filter() {
        Ok(filter) => Some(filter),
        Err(error) => {
            report.note(format!("{FILTER}: left out, {error:#}"));
            None
        }
    };
    let facts = guard.facts()?;
    report.note(format!(
        "the verifier walked through {} instructions of at most 1,000,000; {} bytes of machine code",
        facts.verified_instructions, facts.jited_bytes
    ));
    report.note(AIM);
    guard.tables_mut().apply(&subjects::settings(Mode::Enforce))?;
    for case in calm() {
        println!("{}", case.name);
        right(guard, &case)?;
        for round in 0..effort.rounds {
            let cost = |which: usize, guard: &Guard, programs: &mut Ebpf| match which {
                0 => Ok(Some((NOOP, time(load(programs, "idle")?, &case.frame, REPEAT)?))),
                1 => Ok(Some((CAROM, time_guard(guard, &case.frame, REPEAT)?))),
                _ => match (&filter, case.filtered) {
                    (Some(filter), Some(action)) => {
                        let options =
                            TestRunOptions { data_in: Some(&case.frame), ..TestRunOptions::default() };
                        let got = filter.test_run(options)?.return_value;
                        ensure!(got == action, "{FILTER} answers {got}: {}", case.name);
                        Ok(Some((FILTER, time(filter, &case.frame, REPEAT)?)))
                    }
                    _ => anyhow::Ok(None),
                },
            };
            let mut costs = Vec::new();
            for turn in 0..3 {
                costs.extend(cost((turn + round) % 3, guard, programs)?);
            }
            told(&case.name, &costs, report);
        }
    }
    wide_bans(guard, programs, effort, report)?;
    for (settings, case) in flooded() {
        println!("{}", case.name);
        guard.tables_mut().apply(&settings)?;
        // One SYN per second and listener goes to the kernel unanswered: this is the one.
        guard_once(guard, &case.frame)?;
        right(guard, &case)?;
        // An answered packet is another one: it cannot be run again.
        let single = case.reason.action() == ebpf_loader::abi::Action::Transmit;
        for _ in 0..effort.rounds {
            let idle = load(programs, "idle")?;
            let costs = if single {
                [
                    (NOOP, one_by_one(|| run_once(idle, &case.frame))?),
                    (CAROM, one_by_one(|| guard_once(guard, &case.frame))?),
                ]
            } else {
                [(NOOP, time(idle, &case.frame, REPEAT)?), (CAROM, time_guard(guard, &case.frame, REPEAT)?)]
            };
            told(&case.name, &costs, report);
        }
    }
    guard.tables_mut().apply(&subjects::settings(Mode::Enforce))?;
    Ok(())
}

/// One ban of a network makes every packet look for one more.
fn wide_bans(guard: &mut Guard, programs: &mut Ebpf, effort: &Effort, report: &mut Report) -> Result<()> {
    let network: Cidr = "100.64.0.0/24".parse()?;
    guard.tables_mut().unban(Cidr::host(banned_v4(0).into()))?;
    guard.tables_mut().ban(network, BanKind::Drop, Duration::from_secs(3600), 1)?;
    let frame = Question::syn(([198, 51, 100, 7], 40_000).into(), ([192, 0, 2, 80], 80).into());
    let name = "IPv4, SYN of a client while networks are banned: passes";
    let case = Case { name: name.to_owned(), frame, reason: Reason::Accepted, filtered: None };
    println!("{name}");
    right(guard, &case)?;
    for _ in 0..effort.rounds {
        let noop = time(load(programs, "idle")?, &case.frame, REPEAT)?;
        told(name, &[(NOOP, noop), (CAROM, time_guard(guard, &case.frame, REPEAT)?)], report);
    }
    Ok(())
}

/// The verdict must be the one whose cost is asked for.
fn right(guard: &Guard, case: &Case) -> Result<()> {
    let got = guard.explain(&Question::about(&case.frame))?.reason;
    ensure!(got == case.reason, "{}: judged as {}", case.name, got.name());
    Ok(())
}

fn told(case: &str, costs: &[(&'static str, f64)], report: &mut Report) {
    let floor = costs.iter().find(|(name, _)| *name == NOOP).map_or(f64::NAN, |(_, cost)| *cost);
    for (name, cost) in costs {
        report.add(case, COST, name, *cost);
    }
    for (name, cost) in costs.iter().filter(|(name, _)| *name != NOOP) {
        report.add(case, OVER, name, cost - floor);
    }
}

fn run_once(program: &Xdp, frame: &[u8]) -> Result<()> {
    program.test_run(TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() })?;
    Ok(())
}

fn guard_once(guard: &Guard, frame: &[u8]) -> Result<()> {
    guard.time(frame, 1)?;
    Ok(())
}

/// Nanoseconds of one call, the system call included.
fn one_by_one(run: impl Fn() -> Result<()>) -> Result<f64> {
    let before = crate::bench::machine::thread_cpu_time();
    for _ in 0..SINGLE_RUNS {
        run()?;
    }
    Ok((crate::bench::machine::thread_cpu_time() - before).as_secs_f64() * 1e9 / f64::from(SINGLE_RUNS))
}
