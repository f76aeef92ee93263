//! HOT: the one definition of a click: 56 fixed bytes and five short texts, filled by whoever answers and read by everybody else.
//!
//! The same bytes leave a shard, lie in the spool, and are rendered for receivers. A record is born with the whole address
//! in memory ([`AddressKind::Whole`]); the writer applies the policy before anything reaches a disk.

use std::net::IpAddr;

use crate::kinds::{AddressKind, BotClass, DeviceClass, Outcome, Protocol};
use crate::limits::{CODE_BYTES_MAX, NAME_BYTES_MAX, REFERRER_BYTES_MAX, USER_AGENT_BYTES_MAX};

/// Version of the layout, in each record.
pub const VERSION: u8 = 1;

/// Bytes before the texts.
pub const FIXED_BYTES: usize = 56;

/// The longest record.
pub const RECORD_BYTES_MAX: usize = FIXED_BYTES
    + NAME_BYTES_MAX
    + CODE_BYTES_MAX
    + NAME_BYTES_MAX
    + REFERRER_BYTES_MAX
    + USER_AGENT_BYTES_MAX;

const _: () = assert!(RECORD_BYTES_MAX <= u16::MAX as usize, "the length has 16 bits");

/// Offsets of the fixed fields; numbers are little-endian.
mod field {
    pub(super) const LENGTH: usize = 0;
    pub(super) const VERSION: usize = 2;
    pub(super) const FLAGS: usize = 3;
    pub(super) const UNIX_MS: usize = 4;
    pub(super) const GENERATION: usize = 12;
    pub(super) const STATUS: usize = 20;
    pub(super) const OUTCOME: usize = 22;
    pub(super) const VARIANT: usize = 23;
    pub(super) const BOT: usize = 24;
    pub(super) const DEVICE: usize = 25;
    pub(super) const COUNTRY: usize = 26;
    pub(super) const PROTOCOL: usize = 28;
    pub(super) const LATENCY: usize = 29;
    pub(super) const SAMPLE_RATE: usize = 30;
    pub(super) const ADDRESS_KIND: usize = 34;
    /// Lengths of domain, code, host, referrer and user agent.
    pub(super) const TEXT_LENGTHS: usize = 35;
    pub(super) const ADDRESS: usize = 40;
    const _: () = assert!(TEXT_LENGTHS + 5 == ADDRESS && ADDRESS + 16 == super::FIXED_BYTES);
}

/// Bits of the flags.
mod flag {
    pub(super) const GPC: u8 = 1;
    pub(super) const DNT: u8 = 1 << 1;
    pub(super) const NO_TRACK: u8 = 1 << 2;
    pub(super) const PREFETCH: u8 = 1 << 3;
    pub(super) const TLS: u8 = 1 << 4;
    pub(super) const REFERRER_CUT: u8 = 1 << 5;
    pub(super) const USER_AGENT_CUT: u8 = 1 << 6;
    pub(super) const KNOWN: u8 = (1 << 7) - 1;
}

/// The client's address, as much as is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// What the bytes are.
    pub kind: AddressKind,
    /// IPv6, or IPv4 in its mapped form; a keyed hash in the first eight bytes; or zeros.
    pub bytes: [u8; 16],
}

impl Address {
    /// Nothing is known or kept.
    pub const NONE: Self = Self { kind: AddressKind::None, bytes: [0; 16] };

    /// The whole address, which never leaves the memory of the node.
    #[inline]
    pub fn whole(address: IpAddr) -> Self {
        let bytes = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        Self { kind: AddressKind::Whole, bytes }
    }
}

/// One click. Texts are cut at their bounds when the record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Click<'a> {
    /// When the request was read, by the node's clock, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Generation of the snapshot that answered; 0: none.
    pub generation: u64,
    /// Status code of the answer.
    pub status: u16,
    /// Why it was that answer.
    pub outcome: Outcome,
    /// Which variant of the link was chosen; 0: the link has none.
    pub variant: u8,
    /// Who asked, by the user agent.
    pub bot: BotClass,
    /// What it was asked from, by the user agent.
    pub device: DeviceClass,
    /// ISO 3166-1 alpha-2; zeros: unknown.
    pub country: [u8; 2],
    /// HTTP version.
    pub protocol: Protocol,
    /// From read to reply: the latency lies below 2^n ns and not below 2^(n-1) ns.
    pub latency_log2_ns: u8,
    /// This record stands for so many clicks; at least 1.
    pub sample_rate: u32,
    /// `Sec-GPC: 1` was sent.
    pub gpc: bool,
    /// `DNT: 1` was sent.
    pub dnt: bool,
    /// The no-track parameter was in the query.
    pub no_track: bool,
    /// A browser looked ahead; perhaps nobody clicked.
    pub prefetch: bool,
    /// It came through TLS.
    pub tls: bool,
    /// The referrer's host was longer.
    pub referrer_cut: bool,
    /// The user agent was longer.
    pub user_agent_cut: bool,
    /// The client's address.
    pub address: Address,
    /// Name of the domain, without the `*.` of a wildcard.
    pub domain: &'a [u8],
    /// Canonical code; empty for the root and for what no link has.
    pub code: &'a [u8],
    /// The host below a wildcard domain as the client sent it; empty for others.
    pub host: &'a [u8],
    /// Host of the Referer field.
    pub referrer: &'a [u8],
    /// The User-Agent field.
    pub user_agent: &'a [u8],
}

impl Default for Click<'_> {
    /// A click of nobody on nothing, to be filled.
    fn default() -> Self {
        Self {
            unix_ms: 0,
            generation: 0,
            status: 0,
            outcome: Outcome::Redirected,
            variant: 0,
            bot: BotClass::Person,
            device: DeviceClass::Unknown,
            country: [0; 2],
            protocol: Protocol::Http11,
            latency_log2_ns: 0,
            sample_rate: 1,
            gpc: false,
            dnt: false,
            no_track: false,
            prefetch: false,
            tls: false,
            referrer_cut: false,
            user_agent_cut: false,
            address: Address::NONE,
            domain: b"",
            code: b"",
            host: b"",
            referrer: b"",
            user_agent: b"",
        }
    }
}

impl<'a> Click<'a> {
    /// Writes the record into `buffer`, and returns it.
    #[inline]
    pub fn encode<'b>(&self, buffer: &'b mut [u8; RECORD_BYTES_MAX]) -> &'b [u8] {
        let Self {
            unix_ms,
            generation,
            status,
            outcome,
            variant,
            bot,
            device,
            country,
            protocol,
            latency_log2_ns,
            sample_rate,
            gpc,
            dnt,
            no_track,
            prefetch,
            tls,
            referrer_cut,
            user_agent_cut,
            address,
            domain,
            code,
            host,
            referrer,
            user_agent,
        } = *self;
        let (referrer, referrer_cut) = cut(referrer, REFERRER_BYTES_MAX, referrer_cut);
        let (user_agent, user_agent_cut) = cut(user_agent, USER_AGENT_BYTES_MAX, user_agent_cut);
        let flags = [
            (gpc, flag::GPC),
            (dnt, flag::DNT),
            (no_track, flag::NO_TRACK),
            (prefetch, flag::PREFETCH),
            (tls, flag::TLS),
            (referrer_cut, flag::REFERRER_CUT),
            (user_agent_cut, flag::USER_AGENT_CUT),
        ]
        .into_iter()
        .fold(0, |flags, (set, bit)| if set { flags | bit } else { flags });
        let texts = [
            cut(domain, NAME_BYTES_MAX, false).0,
            cut(code, CODE_BYTES_MAX, false).0,
            cut(host, NAME_BYTES_MAX, false).0,
            referrer,
            user_agent,
        ];
        let mut end = FIXED_BYTES;
        for (place, text) in texts.into_iter().enumerate() {
            buffer[field::TEXT_LENGTHS + place] = text.len() as u8;
            buffer[end..end + text.len()].copy_from_slice(text);
            end += text.len();
        }
        put(buffer, field::LENGTH, &(end as u16).to_le_bytes());
        buffer[field::VERSION] = VERSION;
        buffer[field::FLAGS] = flags;
        put(buffer, field::UNIX_MS, &unix_ms.to_le_bytes());
        put(buffer, field::GENERATION, &generation.to_le_bytes());
        put(buffer, field::STATUS, &status.to_le_bytes());
        buffer[field::OUTCOME] = outcome as u8;
        buffer[field::VARIANT] = variant;
        buffer[field::BOT] = bot as u8;
        buffer[field::DEVICE] = device as u8;
        put(buffer, field::COUNTRY, &country);
        buffer[field::PROTOCOL] = protocol as u8;
        buffer[field::LATENCY] = latency_log2_ns;
        put(buffer, field::SAMPLE_RATE, &sample_rate.to_le_bytes());
        buffer[field::ADDRESS_KIND] = address.kind as u8;
        put(buffer, field::ADDRESS, &address.bytes);
        &buffer[..end]
    }

    /// Reads the record at the start of `bytes`, and says how long it is; `None` if these bytes are none.
    pub fn decode(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let fixed = bytes.first_chunk::<FIXED_BYTES>()?;
        let length = usize::from(u16::from_le_bytes([fixed[0], fixed[1]]));
        let flags = fixed[field::FLAGS];
        if fixed[field::VERSION] != VERSION || flags & !flag::KNOWN != 0 {
            return None;
        }
        let mut rest = bytes.get(FIXED_BYTES..length)?;
        let mut text = |place: usize| {
            let (text, behind) = rest.split_at_checked(usize::from(fixed[field::TEXT_LENGTHS + place]))?;
            rest = behind;
            Some(text)
        };
        let [domain, code, host, referrer, user_agent] = [text(0)?, text(1)?, text(2)?, text(3)?, text(4)?];
        if !rest.is_empty() {
            return None;
        }
        let mut address = [0; 16];
        address.copy_from_slice(&fixed[field::ADDRESS..]);
        let click = Self {
            unix_ms: u64::from_le_bytes(chunk(fixed, field::UNIX_MS)),
            generation: u64::from_le_bytes(chunk(fixed, field::GENERATION)),
            status: u16::from_le_bytes(chunk(fixed, field::STATUS)),
            outcome: Outcome::from_byte(fixed[field::OUTCOME])?,
            variant: fixed[field::VARIANT],
            bot: BotClass::from_byte(fixed[field::BOT])?,
            device: DeviceClass::from_byte(fixed[field::DEVICE])?,
            country: chunk(fixed, field::COUNTRY),
            protocol: Protocol::from_byte(fixed[field::PROTOCOL])?,
            latency_log2_ns: fixed[field::LATENCY],
            sample_rate: u32::from_le_bytes(chunk(fixed, field::SAMPLE_RATE)),
            gpc: flags & flag::GPC != 0,
            dnt: flags & flag::DNT != 0,
            no_track: flags & flag::NO_TRACK != 0,
            prefetch: flags & flag::PREFETCH != 0,
            tls: flags & flag::TLS != 0,
            referrer_cut: flags & flag::REFERRER_CUT != 0,
            user_agent_cut: flags & flag::USER_AGENT_CUT != 0,
            address: Address { kind: AddressKind::from_byte(fixed[field::ADDRESS_KIND])?, bytes: address },
            domain,
            code,
            host,
            referrer,
            user_agent,
        };
        (click.sample_rate > 0).then_some((click, length))
    }
}

/// Every record of `bytes`, one behind the other; ends early at bytes that are none.
pub fn all(mut bytes: &[u8]) -> impl Iterator<Item = Click<'_>> {
    std::iter::from_fn(move || {
        let (click, length) = Click::decode(bytes)?;
        bytes = &bytes[length..];
        Some(click)
    })
}

/// The class of a latency: the least n with `latency < 2^n` ns.
#[inline]
pub const fn latency_class(latency_ns: u64) -> u8 {
    (u64::BITS - latency_ns.leading_zeros()) as u8
}

/// The first `bytes_max` bytes, and whether anything is missing.
#[inline]
fn cut(text: &[u8], bytes_max: usize, was_cut: bool) -> (&[u8], bool) {
    (&text[..text.len().min(bytes_max)], was_cut || text.len() > bytes_max)
}

#[inline]
fn put(buffer: &mut [u8; RECORD_BYTES_MAX], at: usize, bytes: &[u8]) {
    buffer[at..at + bytes.len()].copy_from_slice(bytes);
}

#[inline]
fn chunk<const BYTES: usize>(fixed: &[u8; FIXED_BYTES], at: usize) -> [u8; BYTES] {
    *fixed[at..].first_chunk().expect("the fields lie within the fixed bytes")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(click: &Click<'_>) {
        let mut buffer = [0; RECORD_BYTES_MAX];
        let bytes = click.encode(&mut buffer);
        assert_eq!(Click::decode(bytes), Some((*click, bytes.len())));
        for short in 0..bytes.len() {
            assert_eq!(Click::decode(&bytes[..short]), None, "cut at {short}");
        }
    }

    #[test]
    fn a_record_is_these_bytes() {
        let click = Click {
            unix_ms: 0x0102,
            generation: 7,
            status: 302,
            sample_rate: 4,
            gpc: true,
            address: Address::whole("192.0.2.1".parse().unwrap()),
            domain: b"go",
            code: b"x",
            ..Click::default()
        };
        let mut buffer = [0xff; RECORD_BYTES_MAX];
        let bytes = click.encode(&mut buffer);
        let expected = [
            59, 0, 1, 1, 2, 1, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 46, 1, 1, 0, 0, 0, 0, 0, 11, 0, 4,
            0, 0, 0, 4, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1, b'g', b'o',
            b'x',
        ];
        assert_eq!(bytes, expected);
        check(&click);
    }

    #[test]
    fn long_texts_are_cut_and_say_so() {
        let long = vec![b'x'; 1_000];
        let click = Click { referrer: &long, user_agent: &long, host: &long, ..Click::default() };
        let mut buffer = [0; RECORD_BYTES_MAX];
        let bytes = click.encode(&mut buffer).to_vec();
        let (read, _) = Click::decode(&bytes).unwrap();
        assert_eq!((read.referrer.len(), read.user_agent.len()), (REFERRER_BYTES_MAX, USER_AGENT_BYTES_MAX));
        assert!(read.referrer_cut && read.user_agent_cut);
    }

    #[test]
    fn a_latency_class_holds_what_is_below_its_power_of_two() {
        assert_eq!([0, 1, 2, 3, 4, 1_000, 1 << 20].map(latency_class), [0, 1, 2, 2, 3, 10, 21]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            numbers in any::<(u64, u64, u16, u8, u8, [u8; 2])>(),
            sample_rate in 1_u32..,
            flags in any::<[bool; 7]>(),
            address in any::<[u8; 16]>(),
            texts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 5),
        ) {
            let (unix_ms, generation, status, variant, latency_log2_ns, country) = numbers;
            let [gpc, dnt, no_track, prefetch, tls, referrer_cut, user_agent_cut] = flags;
            check(&Click {
                unix_ms, generation, status, variant, latency_log2_ns, country, sample_rate,
                gpc, dnt, no_track, prefetch, tls, referrer_cut, user_agent_cut,
                outcome: Outcome::Expired, bot: BotClass::Preview, device: DeviceClass::Phone, protocol: Protocol::Http2,
                address: Address { kind: AddressKind::Truncated, bytes: address },
                domain: &texts[0], code: &texts[1], host: &texts[2], referrer: &texts[3], user_agent: &texts[4],
            });
        }

        #[test]
        fn hostile_bytes_are_a_record_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some((_, length)) = Click::decode(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
