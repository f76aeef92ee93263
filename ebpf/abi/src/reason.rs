//! Why the guard did what it did: each reason with a number, a name, an action and what an operator should conclude.

use crate::Stage;

/// What happens to the packet; the numbers are those of XDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Action {
    /// The packet is gone.
    Drop = 1,
    /// The kernel's stack sees the packet.
    Pass = 2,
    /// An answer leaves by the way the packet came.
    Transmit = 3,
}

impl Action {
    /// The name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Pass => "pass",
            Self::Transmit => "transmit",
        }
    }

    /// The action that XDP calls by this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Drop),
            2 => Some(Self::Pass),
            3 => Some(Self::Transmit),
            _ => None,
        }
    }
}

macro_rules! reasons {
    ($($number:literal $variant:ident $name:literal $action:ident $stage:expr, $help:literal;)*) => {
        /// Why a packet passed, was dropped or was answered. Numbers never change their meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Reason {
            $(#[doc = $help] $variant = $number,)*
        }

        impl Reason {
            /// All reasons in order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The label in metrics and output.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What the reason does to the packet when its stage is enforced.
            #[inline(always)]
            pub const fn action(self) -> Action {
                match self { $(Self::$variant => Action::$action,)* }
            }

            /// The stage whose mode decides whether the reason acts; none for reasons that always hold.
            #[inline(always)]
            pub const fn stage(self) -> Option<Stage> {
                match self { $(Self::$variant => $stage,)* }
            }

            /// What an operator should conclude.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }

            /// The reason with this number.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

reasons! {
    0 NoPolicy "no_policy" Pass None,
        "no policy of this version is written: the guard is blind and lets everything pass";
    1 NotIp "not_ip" Pass None, "neither IPv4 nor IPv6 behind at most two VLAN tags: none of our business";
    2 Arp "arp" Pass None, "address resolution is never dropped";
    3 NeighbourDiscovery "neighbour_discovery" Pass None, "IPv6 neighbour discovery is never dropped";
    4 Routing "routing" Pass None, "BGP or BFD of a configured peer is never dropped";
    5 Management "management" Pass None, "packets of a management prefix are never dropped";
    6 AdminPort "admin_port" Pass None, "the port that the node is administered by is never dropped";
    7 TooBig "too_big" Pass None, "path MTU discovery: anycast depends on it, it is never dropped";
    8 NotVip "not_vip" Pass None, "addressed to something else than a service address";
    9 Allowed "allowed" Pass None, "the source is on the allow list";
    10 Accepted "accepted" Pass None, "nothing speaks against the packet";
    11 IcmpError "icmp_error" Pass None, "an ICMP error about traffic of a service address";
    12 Trickle "trickle" Pass None,
        "a challenged SYN that went to the kernel, once a second, so that the kernel keeps honouring cookies";
    13 Owned "owned" Pass None, "a SYN for a connection that a socket still owns: only the kernel can answer it";
    14 CookieAccepted "cookie_accepted" Pass None, "a segment that carries a valid cookie: the kernel makes the connection";

    16 Truncated "truncated" Drop Some(Stage::Parse), "shorter than its own headers say: broken sender or scanner";
    17 BadHeader "bad_header" Drop Some(Stage::Parse), "IP version, header length or total length make no sense";
    18 ExtensionHeaders "extension_headers" Drop Some(Stage::Parse),
        "IPv6 extension headers that no client of a redirect needs, or too many of them";
    19 Fragment "fragment" Drop Some(Stage::Parse),
        "fragments to a service address: redirects never need them, attacks do; many from honest networks mean a wrong MSS";
    20 BadTransport "bad_transport" Drop Some(Stage::Parse), "TCP or UDP header with impossible lengths or port zero";
    21 BadFlags "bad_flags" Drop Some(Stage::Parse), "TCP flags that no stack sends: a scanner";
    22 BadSource "bad_source" Drop Some(Stage::Parse),
        "a source that cannot send: multicast, loopback, unspecified, broadcast or the service address itself";
    24 UnservedPort "unserved_port" Drop Some(Stage::Port), "a port that the service address does not serve: a scanner";
    25 UnservedProtocol "unserved_protocol" Drop Some(Stage::Port), "neither TCP, UDP nor a useful ICMP message";
    28 Denied "denied" Drop Some(Stage::Deny), "the source is on the deny list";
    32 Banned "banned" Drop Some(Stage::Ban), "the source is banned until its ban expires";
    36 RateSource "rate_source" Drop Some(Stage::Rate), "one source opens connections above its hard limit";
    37 RateNetwork "rate_network" Drop Some(Stage::Rate), "one network opens connections above its hard limit";
    38 RateNode "rate_node" Drop Some(Stage::Rate), "the node gets more new connections than its hard limit";
    40 ChallengedBan "challenged_ban" Transmit Some(Stage::Ban), "a suspicious shared source had to prove its address";
    41 ChallengedSource "challenged_source" Transmit Some(Stage::Challenge),
        "a source above its soft limit had to prove its address";
    42 ChallengedNetwork "challenged_network" Transmit Some(Stage::Challenge),
        "a source in a network above its soft limit had to prove its address";
    43 ChallengedNode "challenged_node" Transmit Some(Stage::Challenge),
        "the node is above its soft limit: everybody has to prove their address";
    44 Unchallengeable "unchallengeable" Drop Some(Stage::Challenge), "a challenge was due but the kernel made no cookie";
    48 Stray "stray" Drop Some(Stage::Stray), "a segment without connection or valid cookie, during a flood of segments";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::REASON_SLOTS;

    #[test]
    fn every_reason_has_its_own_number_and_name_and_fits_the_counters() {
        let mut names = BTreeSet::new();
        for &reason in Reason::ALL {
            assert_eq!(Reason::from_number(reason as u8), Some(reason));
            assert!((reason as usize) < REASON_SLOTS);
            assert!(names.insert(reason.name()), "{} twice", reason.name());
            assert!(reason.help().len() > 20);
        }
    }

    #[test]
    fn a_reason_that_does_not_pass_belongs_to_a_stage() {
        for &reason in Reason::ALL {
            assert_eq!(reason.action() == Action::Pass, reason.stage().is_none(), "{reason:?}");
        }
    }
}
