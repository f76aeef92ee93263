//! The stages, in their order.

use ebpf_abi::maps::{LISTED_ALLOW, LISTED_DENY};
use ebpf_abi::{
    ADMIN_PORTS_MAX, Action, Address, BanKey, BanKind, Family, Mode, PORTS_PER_VIP_MAX, PROTECTED_MAX,
    Policy, ROLE_MANAGEMENT, ROLE_ROUTING, Reason, Stage, Vip,
};

use crate::flow::{Flow, Transport, flag};
use crate::packet::{Header, Packet};
use crate::tables::{Level, Tables};
use crate::verdict::{NOT_MONITORED, Verdict};
use crate::{challenge, ipv4, ipv6, rate, transport};

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;
const VLAN_TAGS_MAX: usize = 2;

const PORT_BGP: u16 = 179;
const PORTS_BFD: [u16; 3] = [3784, 3785, 4784];

/// Decides about one packet at the instant `now_ns`; the packet becomes its own answer if the verdict is to transmit.
#[inline(always)]
pub fn judge<P: Packet, T: Tables>(packet: &mut P, tables: &T, now_ns: u64) -> Verdict {
    let mut bench = Bench { flow: Flow::default(), monitored: NOT_MONITORED, rule: 0, answer_bytes: 0 };
    let reason = match tables.policy() {
        Some(policy) => bench.decide(packet, tables, policy, now_ns),
        None => Reason::NoPolicy,
    };
    let Bench { flow, monitored, rule, answer_bytes } = bench;
    Verdict { reason, monitored, rule, flow, answer_bytes }
}

/// Whether no host has this source, so that its packets are dropped whatever the lists say.
pub fn is_impossible(source: Address) -> bool {
    match source.family() {
        Family::V4 => ipv4::is_impossible(source),
        Family::V6 => ipv6::is_impossible(source),
    }
}

/// What is gathered on the way to a verdict.
struct Bench {
    flow: Flow,
    monitored: u8,
    rule: u32,
    answer_bytes: u16,
}

impl Bench {
    #[inline(always)]
    fn decide<P: Packet, T: Tables>(
        &mut self,
        packet: &mut P,
        tables: &T,
        policy: &Policy,
        now_ns: u64,
    ) -> Reason {
        let vip = match self.find_vip(packet, tables) {
            Ok(vip) => vip,
            Err(reason) if reason.stage().is_none() => return reason,
            Err(reason) => {
                return if self.acts(tables, policy, reason, true) { reason } else { Reason::Accepted };
            }
        };
        // From here on the packet is for us.
        let roles = tables.forget(roles(policy, &self.flow));
        if roles & ROLE_MANAGEMENT != 0 {
            return Reason::Management;
        }
        let read = self.read(packet);
        // From here on it does not matter by which headers the offsets came about.
        self.flow.network_offset = tables.forget(self.flow.network_offset as u64) as u16;
        self.flow.transport_offset = tables.forget(self.flow.transport_offset as u64) as u16;
        self.flow.transport_bytes = tables.forget(self.flow.transport_bytes as u64) as u16;
        if let Err(reason) = read {
            return if self.acts(tables, policy, reason, true) { reason } else { Reason::Accepted };
        }
        if let Some(reason) = self.spared(policy, roles) {
            return reason;
        }
        if let Some(reason) = self.senseless()
            && self.acts(tables, policy, reason, true)
        {
            return reason;
        }
        if let Some(reason) = unserved(vip, &self.flow)
            && self.acts(tables, policy, reason, true)
        {
            return reason;
        }
        let alive = now_ns < tables.alive_until_ns();
        if let Some(reason) = self.listed(tables, policy) {
            return reason;
        }
        let mut reason = self.banned(tables, policy, now_ns, alive);
        if reason.is_none() {
            reason = match self.flow.transport {
                Transport::TCP if !self.flow.opens() => self.stray(tables, policy, now_ns, alive),
                _ => self.limited(tables, policy, now_ns, alive),
            };
        }
        match (reason, self.flow.transport) {
            (Some(reason), _) if reason.action() == Action::Transmit => {
                match challenge::challenge(packet, tables, policy, &self.flow, now_ns) {
                    Ok(answer_bytes) => {
                        self.answer_bytes = answer_bytes;
                        reason
                    }
                    Err(another) => another,
                }
            }
            (Some(reason), _) => reason,
            (None, Transport::ICMP_ERROR) => Reason::IcmpError,
            (None, _) => Reason::Accepted,
        }
    }

    /// Whether a reason acts here and now; if its stage only monitors, or nobody is at home, it is noted.
    #[inline(always)]
    fn acts<T: Tables>(&mut self, tables: &T, policy: &Policy, reason: Reason, alive: bool) -> bool {
        let Some(stage) = reason.stage() else { return true };
        match policy.mode(stage) {
            Mode::Off => false,
            Mode::Enforce if alive || !stage.needs_heartbeat() => true,
            Mode::Enforce | Mode::Monitor => {
                if self.monitored == NOT_MONITORED {
                    self.monitored = tables.forget(reason as u64) as u8;
                }
                false
            }
        }
    }

    /// Reads just enough to know the addresses, and looks the destination up.
    #[inline(always)]
    fn find_vip<'t, P: Packet, T: Tables>(&mut self, packet: &P, tables: &'t T) -> Result<&'t Vip, Reason> {
        let Some(ethernet) = packet.header::<14>(0) else { return Err(Reason::NotIp) };
        let mut ethertype = ethernet.be16::<12>();
        let mut offset = 14;
        for _ in 0..VLAN_TAGS_MAX {
            if ethertype != ETHERTYPE_VLAN && ethertype != ETHERTYPE_QINQ {
                break;
            }
            let Some(tag) = packet.header::<4>(offset) else { return Err(Reason::NotIp) };
            ethertype = tag.be16::<2>();
            offset += 4;
        }
        self.flow.network_offset = offset as u16;
        match ethertype {
            ETHERTYPE_IPV4 => {
                self.flow.version = 4;
                let Some(header) = packet.header::<20>(offset) else { return Err(Reason::Truncated) };
                self.flow.source = Address::from_v4(header.be32::<12>());
                self.flow.destination = Address::from_v4(header.be32::<16>());
                tables.vip(&self.flow.destination).ok_or(Reason::NotVip)
            }
            ETHERTYPE_IPV6 => {
                self.flow.version = 6;
                let Some(header) = packet.header::<40>(offset) else { return Err(Reason::Truncated) };
                self.flow.source = Address { high: header.be64::<8>(), low: header.be64::<16>() };
                self.flow.destination = Address { high: header.be64::<24>(), low: header.be64::<32>() };
                // An IPv4 address in an IPv6 header is nobody's (RFC 4291, 2.5.5.2), and must not find an IPv4 VIP.
                if self.flow.destination.family() == Family::V4 {
                    return Err(Reason::NotVip);
                }
                let vip = tables.vip(&self.flow.destination).ok_or(Reason::NotVip)?;
                // And must not pass for an IPv4 neighbour: the kernel drops such a source as well.
                if self.flow.source.family() == Family::V4 { Err(Reason::BadSource) } else { Ok(vip) }
            }
            ETHERTYPE_ARP => Err(Reason::Arp),
            _ => Err(Reason::NotIp),
        }
    }

    /// Reads all headers of a packet to a VIP.
    #[inline(always)]
    fn read<P: Packet>(&mut self, packet: &P) -> Result<(), Reason> {
        let offset = self.flow.network_offset as usize;
        if self.flow.version == 4 {
            let Some(header) = packet.header::<20>(offset) else { return Err(Reason::Truncated) };
            ipv4::read(packet, header, &mut self.flow)?;
        } else {
            let Some(header) = packet.header::<40>(offset) else { return Err(Reason::Truncated) };
            ipv6::read(packet, header, &mut self.flow)?;
        }
        transport::read(packet, &mut self.flow)
    }

    /// What must never be dropped, whatever the tables say.
    #[inline(always)]
    fn spared(&self, policy: &Policy, roles: u64) -> Option<Reason> {
        let flow = &self.flow;
        match flow.transport {
            Transport::TOO_BIG => Some(Reason::TooBig),
            Transport::NEIGHBOUR_DISCOVERY => Some(Reason::NeighbourDiscovery),
            Transport::TCP => {
                let bgp = flow.destination_port == PORT_BGP || flow.source_port == PORT_BGP;
                if bgp && roles & ROLE_ROUTING != 0 {
                    return Some(Reason::Routing);
                }
                for index in 0..ADMIN_PORTS_MAX {
                    if flow.destination_port != 0 && policy.admin_ports[index] == flow.destination_port {
                        return Some(Reason::AdminPort);
                    }
                }
                None
            }
            Transport::UDP => {
                let port = flow.destination_port;
                let bfd = port == PORTS_BFD[0] || port == PORTS_BFD[1] || port == PORTS_BFD[2];
                if bfd && roles & ROLE_ROUTING != 0 { Some(Reason::Routing) } else { None }
            }
            _ => None,
        }
    }

    /// Well-formed packets that no honest client sends.
    #[inline(always)]
    fn senseless(&self) -> Option<Reason> {
        let Flow { source, destination, version, .. } = self.flow;
        let impossible = if version == 4 { ipv4::is_impossible(source) } else { ipv6::is_impossible(source) };
        if impossible || source == destination {
            return Some(Reason::BadSource);
        }
        if self.flow.transport == Transport::TCP && transport::has_bad_flags(self.flow.tcp_flags) {
            return Some(Reason::BadFlags);
        }
        None
    }

    /// The allow list, then the deny list.
    #[inline(always)]
    fn listed<T: Tables>(&mut self, tables: &T, policy: &Policy) -> Option<Reason> {
        let used = if self.flow.version == 4 { policy.lists_used & 1 } else { policy.lists_used & 2 };
        if used == 0 {
            return None;
        }
        let bits = tables.listed(self.flow.source);
        if bits & LISTED_ALLOW != 0 {
            self.rule = bits >> 8;
            return Some(Reason::Allowed);
        }
        if bits & LISTED_DENY != 0 && self.acts(tables, policy, Reason::Denied, true) {
            self.rule = bits >> 8;
            return Some(Reason::Denied);
        }
        None
    }

    /// Bans that have not expired, of the source or of its network.
    #[inline(always)]
    fn banned<T: Tables>(&mut self, tables: &T, policy: &Policy, now_ns: u64, alive: bool) -> Option<Reason> {
        if policy.mode(Stage::Ban) == Mode::Off {
            return None;
        }
        let mut found =
            tables.ban(&BanKey::source(self.flow.source)).filter(|ban| now_ns < ban.expires_at_ns);
        if found.is_none() && policy.network_bans != 0 {
            found = tables.ban(&BanKey::network(self.flow.source)).filter(|ban| now_ns < ban.expires_at_ns);
        }
        let ban = found?;
        let reason = match BanKind::from_number(ban.kind) {
            BanKind::Drop => Reason::Banned,
            BanKind::Challenge if self.flow.opens() => Reason::ChallengedBan,
            BanKind::Challenge => return None,
        };
        if !self.acts(tables, policy, reason, alive) {
            return None;
        }
        self.rule = ban.cause;
        Some(reason)
    }

    /// Limits of new connections, and of packets that are no connection's: first the hard ones, then the soft ones.
    #[inline(always)]
    fn limited<T: Tables>(
        &mut self,
        tables: &T,
        policy: &Policy,
        now_ns: u64,
        alive: bool,
    ) -> Option<Reason> {
        if policy.mode(Stage::Rate) == Mode::Off && policy.mode(Stage::Challenge) == Mode::Off {
            return None;
        }
        let cell = rate::charged(tables.level(Level::NewConnections), now_ns, rate::LEVEL_PER_CONNECTION);
        tables.set_level(Level::NewConnections, cell);
        let level = rate::level(cell);
        let flooded = level > policy.cpu_soft_level;
        if level > policy.cpu_hard_level && self.acts(tables, policy, Reason::RateNode, alive) {
            return Some(Reason::RateNode);
        }
        let (mut source, mut network) = (0, 0);
        if !flooded {
            let from = self.flow.source;
            source = rate::charge(tables, policy, BanKey::source(from), rate::Kind::Source, now_ns);
            network = rate::charge(tables, policy, BanKey::network(from), rate::Kind::Network, now_ns);
        }
        if source > policy.source_hard_level && self.acts(tables, policy, Reason::RateSource, alive) {
            return Some(Reason::RateSource);
        }
        if network > policy.network_hard_level && self.acts(tables, policy, Reason::RateNetwork, alive) {
            return Some(Reason::RateNetwork);
        }
        if !self.flow.opens() {
            return None;
        }
        let reason = if flooded {
            Reason::ChallengedNode
        } else if source > policy.source_soft_level {
            Reason::ChallengedSource
        } else if network > policy.network_soft_level {
            Reason::ChallengedNetwork
        } else {
            return None;
        };
        if self.acts(tables, policy, reason, alive) { Some(reason) } else { None }
    }

    /// During a flood of segments, each must belong to a connection or carry a cookie.
    #[inline(always)]
    fn stray<T: Tables>(&mut self, tables: &T, policy: &Policy, now_ns: u64, alive: bool) -> Option<Reason> {
        if policy.mode(Stage::Stray) == Mode::Off {
            return None;
        }
        let cell = rate::charged(tables.level(Level::Segments), now_ns, rate::LEVEL_PER_CONNECTION);
        tables.set_level(Level::Segments, cell);
        if rate::level(cell) <= policy.stray_soft_level || tables.connected(&self.flow) {
            return None;
        }
        if self.flow.tcp_flags & (flag::ACK | flag::RST) == flag::ACK && tables.cookie_valid(&self.flow) {
            return Some(Reason::CookieAccepted);
        }
        if self.acts(tables, policy, Reason::Stray, alive) { Some(Reason::Stray) } else { None }
    }
}

/// The roles of a source, of all protected prefixes that contain it.
#[inline(always)]
fn roles(policy: &Policy, flow: &Flow) -> u64 {
    let source = flow.source;
    let mut roles = 0;
    for index in 0..PROTECTED_MAX {
        if index as u32 >= policy.protected_count {
            break;
        }
        let protected = &policy.protected[index];
        if protected.prefix.contains(source) {
            roles |= protected.roles;
        }
    }
    roles
}

/// Ports and protocols that the VIP does not serve.
#[inline(always)]
fn unserved(vip: &Vip, flow: &Flow) -> Option<Reason> {
    let ports = match flow.transport {
        Transport::TCP => &vip.tcp_ports,
        Transport::UDP => &vip.udp_ports,
        Transport::ECHO | Transport::ICMP_ERROR | Transport::TOO_BIG | Transport::NEIGHBOUR_DISCOVERY => {
            return None;
        }
        _ => return Some(Reason::UnservedProtocol),
    };
    // An index, not an iterator: the verifier walks far fewer paths.
    #[allow(clippy::needless_range_loop, reason = "see above")]
    for index in 0..PORTS_PER_VIP_MAX {
        if flow.destination_port != 0 && ports[index] == flow.destination_port {
            return None;
        }
    }
    Some(Reason::UnservedPort)
}
