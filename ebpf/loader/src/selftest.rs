//! Packets that must pass and packets that must be dropped, asked of the loaded program before it meets real ones, and before its rules do.

use std::net::{IpAddr, SocketAddr};

use ebpf_abi::maps::{LISTED_ALLOW, LISTED_DENY};
use ebpf_abi::{Action, Mode, Policy, ROLE_MANAGEMENT, Reason, Stage, Vip};
use ebpf_logic::is_impossible;
use ebpf_logic::twin::frames::{self, flags};
use thiserror::Error;

use crate::tables::from_abi;
use crate::{Candidate, Cidr, Explanation, Guard, GuardError, Lists, Question, Settings};

/// VIPs that are tried; all are of the same making.
const VIPS_MAX: usize = 8;
/// Networks of each list and family that are tried.
const SAMPLES_MAX: usize = 8;

/// A self-test that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfTest {
    /// Packets that were asked about.
    pub packets: usize,
}

/// Why the program must not be attached.
#[derive(Debug, Error)]
pub enum SelfTestFailure {
    /// The program decides otherwise than it must.
    #[error("self-test: {what} must {must}, but the program would {action} it ({reason})", action = .got.action.name(), reason = .got.reason.name())]
    Wrong {
        /// The packet.
        what: String,
        /// What it must.
        must: &'static str,
        /// What the program answered.
        got: Box<Explanation>,
    },
    /// The program could not be asked.
    #[error("self-test: {0}")]
    Guard(#[from] GuardError),
}

/// What a packet must.
#[derive(Clone, Copy)]
enum Must {
    /// Pass for this reason.
    PassFor(Reason),
    /// Be dropped for this reason, or be noted for it while the stage monitors.
    DropFor(Reason),
    /// Get further than parsing and ports.
    Reach,
}

impl Guard {
    /// Makes settings, lists or both valid, if the loaded program treats every packet of the corpus as it must under them.
    /// Until then no packet meets them; what is not given stays as it is.
    ///
    /// # Errors
    /// The first packet that the program would treat wrongly, or what cannot be written: then nothing has changed.
    pub fn swap(
        &mut self,
        settings: Option<&Settings>,
        lists: Option<&Lists>,
    ) -> Result<SelfTest, SelfTestFailure> {
        if settings.is_none() {
            // What the lists are added to must be sane itself.
            self.self_test()?;
        }
        let candidate = self.tables_mut().prepare(settings, lists)?;
        match self.test(&candidate, lists) {
            Ok(passed) => {
                self.tables_mut().commit(candidate)?;
                Ok(passed)
            }
            Err(failure) => {
                self.tables_mut().discard(candidate)?;
                Err(failure)
            }
        }
    }

    /// Asks about every kind of packet that the valid rules make a promise about.
    ///
    /// # Errors
    /// The first packet that the program would treat wrongly.
    pub fn self_test(&self) -> Result<SelfTest, SelfTestFailure> {
        let policy = self.tables().policy()?.unwrap_or_default();
        self.ask_all(&policy, &Lists::default(), false)
    }

    /// The same of rules that are prepared and not valid yet, and of samples of the lists that come with them.
    ///
    /// # Errors
    /// The first packet that the program would treat wrongly.
    pub fn test(&self, candidate: &Candidate, lists: Option<&Lists>) -> Result<SelfTest, SelfTestFailure> {
        self.ask_all(&candidate.policy, lists.unwrap_or(&Lists::default()), true)
    }

    fn ask_all(&self, policy: &Policy, lists: &Lists, candidate: bool) -> Result<SelfTest, SelfTestFailure> {
        let vips = self.tables().vips_of(policy)?;
        let mut packets = 0;
        for (what, frame, must) in corpus(policy, &vips, lists) {
            let got = self.explain(&Question { candidate, ..Question::about(&frame) })?;
            packets += 1;
            if candidate && got.reason == Reason::NoPolicy {
                return Err(GuardError::Stale(self.origin().to_owned()).into());
            }
            if let Some(must) = violated(policy, must, &got) {
                return Err(SelfTestFailure::Wrong { what, must, got: Box::new(got) });
            }
        }
        Ok(SelfTest { packets })
    }
}

fn violated(policy: &Policy, must: Must, got: &Explanation) -> Option<&'static str> {
    match must {
        Must::PassFor(reason) => (got.reason != reason).then_some("pass for its own reason"),
        Must::DropFor(reason) => {
            let stage = reason.stage().unwrap_or(Stage::Parse);
            match policy.mode(stage) {
                Mode::Off => None,
                Mode::Monitor => (got.monitored != Some(reason)).then_some("be noted"),
                Mode::Enforce => (got.reason != reason).then_some("be dropped"),
            }
        }
        Must::Reach => {
            let early = matches!(got.reason.stage(), Some(Stage::Parse | Stage::Port))
                || got.reason == Reason::NotVip;
            (early || got.action == Action::Drop && got.reason.stage().is_none())
                .then_some("reach the served port")
        }
    }
}

fn corpus(policy: &Policy, vips: &[(IpAddr, Vip)], lists: &Lists) -> Vec<(String, Vec<u8>, Must)> {
    let mut corpus = vec![("an ARP request".to_owned(), frames::arp(), Must::PassFor(Reason::Arp))];
    for (address, vip) in vips.iter().take(VIPS_MAX) {
        of_vip(&mut corpus, policy, *address, vip);
    }
    for v4 in [true, false] {
        let port = |vip: &Vip| {
            vip.tcp_ports.into_iter().find(|port| *port != 0 && !policy.admin_ports.contains(port))
        };
        let served = vips.iter().filter(|(address, _)| address.is_ipv4() == v4);
        if let Some(to) =
            served.filter_map(|(address, vip)| Some(SocketAddr::new(*address, port(vip)?))).next()
        {
            of_lists(&mut corpus, policy, to, lists);
        }
    }
    corpus
}

/// Samples of the lists, spread over them: what is allowed passes, what is denied is dropped.
fn of_lists(corpus: &mut Vec<(String, Vec<u8>, Must)>, policy: &Policy, to: SocketAddr, lists: &Lists) {
    let entries = || lists.entries().filter(|(network, _)| network.address().is_ipv4() == to.is_ipv4());
    for wanted in [LISTED_ALLOW, LISTED_DENY] {
        let listed = || entries().filter(|(_, bits)| bits & wanted != 0);
        let every = listed().count().div_ceil(SAMPLES_MAX).max(1);
        for (network, _) in listed().step_by(every) {
            let source = Cidr::host(network.address());
            let address = crate::cidr::to_abi(source.address());
            if managed(policy, source.address()) || source.address() == to.ip() || is_impossible(address) {
                continue;
            }
            // Within the network may be another one.
            let around = entries().filter(|(around, _)| around.covers(&source));
            let bits = around.max_by_key(|(around, _)| around.length()).map_or(0, |(_, bits)| bits);
            let (kind, must) = if bits & LISTED_ALLOW != 0 {
                ("allowed", Must::PassFor(Reason::Allowed))
            } else {
                ("denied", Must::DropFor(Reason::Denied))
            };
            let syn = Question::syn(SocketAddr::new(source.address(), 40_000), to);
            corpus.push((format!("a SYN from {}, which is {kind}, to {to}", source.address()), syn, must));
        }
    }
}

/// Whether the management is there, which everything passes.
fn managed(policy: &Policy, address: IpAddr) -> bool {
    let mut protected = policy.protected.iter().take(policy.protected_count as usize);
    protected.any(|entry| {
        entry.roles & ROLE_MANAGEMENT != 0 && entry.prefix.contains(crate::cidr::to_abi(address))
    })
}

fn of_vip(corpus: &mut Vec<(String, Vec<u8>, Must)>, policy: &Policy, vip: IpAddr, served: &Vip) {
    let (client, router, foreign): (IpAddr, IpAddr, IpAddr) = match vip {
        IpAddr::V4(_) => ([198, 51, 100, 7].into(), [10, 0, 0, 1].into(), [198, 51, 100, 8].into()),
        IpAddr::V6(_) => (
            "2001:db8:ffff::7".parse().unwrap_or(vip),
            "fe80::1".parse().unwrap_or(vip),
            "2001:db8:ffff::8".parse().unwrap_or(vip),
        ),
    };
    let protected = policy.protected.iter().take(policy.protected_count as usize);
    let managed = |address| managed(policy, address);
    let mut add = |what: &str, frame, must| corpus.push((format!("{what} to {vip}"), frame, must));
    if !managed(router) {
        let (kind, code) = if vip.is_ipv4() { (3, 4) } else { (2, 0) };
        add("a packet-too-big message", frames::icmp(router, vip, kind, code), Must::PassFor(Reason::TooBig));
        if vip.is_ipv6() {
            let solicitation = frames::icmp(router, vip, 135, 0);
            add("a neighbour solicitation", solicitation, Must::PassFor(Reason::NeighbourDiscovery));
        }
    }
    for entry in protected {
        let source = from_abi(entry.prefix.bits);
        if source.is_ipv4() == vip.is_ipv4() && entry.roles & ROLE_MANAGEMENT != 0 {
            let frame = Question::syn(SocketAddr::new(source, 9999), SocketAddr::new(vip, 9));
            add("a packet of the management", frame, Must::PassFor(Reason::Management));
        }
    }
    if managed(client) {
        return;
    }
    let from = SocketAddr::new(client, 40_000);
    for &port in served.tcp_ports.iter().filter(|port| **port != 0 && !policy.admin_ports.contains(port)) {
        add("a SYN", Question::syn(from, SocketAddr::new(vip, port)), Must::Reach);
        let nothing = frames::tcp(from, SocketAddr::new(vip, port), 0, &[], &[]);
        add("a segment without flags", nothing, Must::DropFor(Reason::BadFlags));
        let finished = frames::tcp(from, SocketAddr::new(vip, port), flags::SYN | flags::FIN, &[], &[]);
        add("a segment with SYN and FIN", finished, Must::DropFor(Reason::BadFlags));
    }
    for &port in policy.admin_ports.iter().filter(|port| **port != 0) {
        let frame = Question::syn(from, SocketAddr::new(vip, port));
        add("a SYN of an administrator", frame, Must::PassFor(Reason::AdminPort));
    }
    let unserved = (1..).find(|port| !served.tcp_ports.contains(port) && !policy.admin_ports.contains(port));
    let frame = Question::syn(from, SocketAddr::new(vip, unserved.unwrap_or(1)));
    add("a SYN for a port that is not served", frame, Must::DropFor(Reason::UnservedPort));
    let mut fragment = Question::syn(from, SocketAddr::new(vip, 1));
    if vip.is_ipv4() {
        fragment[20] = 0x20;
    } else {
        fragment = frames::extended(fragment, 44, 8);
    }
    add("a fragment", fragment, Must::DropFor(Reason::Fragment));
    corpus.push((
        format!("a packet to {foreign}, which is no VIP"),
        Question::syn(from, SocketAddr::new(foreign, 80)),
        Must::PassFor(Reason::NotVip),
    ));
}
