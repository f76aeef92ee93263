//! Packets that must pass and packets that must be dropped, asked of the loaded program before it meets real ones.

use std::net::{IpAddr, SocketAddr};

use ebpf_abi::{Action, Mode, Policy, Reason, Stage, Vip};
use ebpf_logic::twin::frames::{self, flags};
use thiserror::Error;

use crate::tables::from_abi;
use crate::{Explanation, Guard, GuardError, Question};

/// VIPs that are tried; all are of the same making.
const VIPS_MAX: usize = 8;

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
    /// Asks about every kind of packet that the policy makes a promise about; run it before attaching and after changes.
    ///
    /// # Errors
    /// The first packet that the program would treat wrongly.
    pub fn self_test(&self) -> Result<SelfTest, SelfTestFailure> {
        let policy = self.tables().policy()?.unwrap_or_default();
        let vips = self.tables().vips()?;
        let mut packets = 0;
        for (what, frame, must) in corpus(&policy, &vips) {
            let got = self.explain(&Question::about(&frame))?;
            packets += 1;
            if let Some(must) = violated(&policy, must, &got) {
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

fn corpus(policy: &Policy, vips: &[(IpAddr, Vip)]) -> Vec<(String, Vec<u8>, Must)> {
    let mut corpus = vec![("an ARP request".to_owned(), frames::arp(), Must::PassFor(Reason::Arp))];
    for (address, vip) in vips.iter().take(VIPS_MAX) {
        of_vip(&mut corpus, policy, *address, vip);
    }
    corpus
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
    let managed = |address: IpAddr| {
        protected
            .clone()
            .any(|entry| entry.roles & 1 != 0 && entry.prefix.contains(crate::cidr::to_abi(address)))
    };
    let mut add = |what: &str, frame, must| corpus.push((format!("{what} to {vip}"), frame, must));
    if !managed(router) {
        let (kind, code) = if vip.is_ipv4() { (3, 4) } else { (2, 0) };
        add("a packet-too-big message", frames::icmp(router, vip, kind, code), Must::PassFor(Reason::TooBig));
        if vip.is_ipv6() {
            let solicitation = frames::icmp(router, vip, 135, 0);
            add("a neighbour solicitation", solicitation, Must::PassFor(Reason::NeighbourDiscovery));
        }
    }
    for entry in protected.clone() {
        let source = from_abi(entry.prefix.bits);
        if source.is_ipv4() == vip.is_ipv4() && entry.roles & 1 != 0 {
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
