//! A strict parser of the PROXY header, versions 1 and 2 (HAProxy, proxy-protocol.txt), that copies and allocates nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::limits::PROXY_HEADER_BYTES_MAX;

/// The first bytes of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The first bytes of version 1.
const PROXY: &[u8; 6] = b"PROXY ";
/// The longest line of version 1, its line end included (2.1).
const LINE_BYTES_MAX: usize = 107;
/// The fixed part of version 2.
const FIXED_BYTES: usize = 16;
/// The type of the part that tells of TLS (2.2.5).
const TLV_SSL: u8 = 0x20;
/// The client connected over TLS (2.2.6).
const CLIENT_SSL: u8 = 0x01;

/// What a proxy announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Whose connection it is; `None`: the proxy's own, such as a check of health.
    pub client: Option<SocketAddr>,
    /// Whether the client speaks TLS with the proxy; only version 2 can tell.
    pub secure: bool,
}

/// What the parser found at the start of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// No verdict yet: more bytes are needed.
    Partial,
    /// A header, and how many bytes it takes.
    Whole(Announced, usize),
    /// No header.
    Fault(HeaderFault),
}

/// Why there is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// The connection begins with something else.
    Missing,
    /// The header is longer than [`PROXY_HEADER_BYTES_MAX`], or than a line may be.
    TooLong,
    /// What is said makes no sense, or is of a version, family or transport that no listener of ours has.
    Malformed,
}

/// Reads the header at the start of `input`. The verdict depends on the bytes alone, never on how they were cut: a prefix gets the
/// verdict of the whole or [`Header::Partial`].
pub fn parse(input: &[u8]) -> Header {
    let begins = |start: &[u8]| input.iter().zip(start).all(|(found, expected)| found == expected);
    if begins(SIGNATURE) {
        binary(input)
    } else if begins(PROXY) {
        line(input)
    } else {
        Header::Fault(HeaderFault::Missing)
    }
}

fn line(input: &[u8]) -> Header {
    let window = &input[..input.len().min(LINE_BYTES_MAX)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if window.len() < LINE_BYTES_MAX {
            Header::Partial
        } else {
            Header::Fault(HeaderFault::TooLong)
        };
    };
    let announced =
        window[..end].strip_suffix(b"\r").and_then(|line| str::from_utf8(line).ok()).and_then(words);
    match announced {
        Some(client) => Header::Whole(Announced { client, secure: false }, end + 1),
        None => Header::Fault(HeaderFault::Malformed),
    }
}

/// Whose connection a line announces.
fn words(line: &str) -> Option<Option<SocketAddr>> {
    let mut words = line.split(' ');
    let (_, protocol) = (words.next()?, words.next()?);
    if protocol == "UNKNOWN" {
        // What follows is to be ignored (2.1).
        return Some(None);
    }
    let [client, server, client_port, server_port] =
        [words.next()?, words.next()?, words.next()?, words.next()?];
    if words.next().is_some() {
        return None;
    }
    let address = |text: &str| match protocol {
        "TCP4" => text.parse().ok().map(IpAddr::V4),
        "TCP6" => text.parse().ok().map(IpAddr::V6),
        _ => None,
    };
    let (client, _) = (address(client)?, address(server)?);
    let (client_port, _) = (port(client_port)?, port(server_port)?);
    Some(Some(SocketAddr::new(client.to_canonical(), client_port)))
}

/// A port in decimal without signs or leading zeros.
fn port(text: &str) -> Option<u16> {
    let canonical = text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9'));
    text.parse().ok().filter(|_| canonical)
}

fn binary(input: &[u8]) -> Header {
    let malformed = Header::Fault(HeaderFault::Malformed);
    // Each byte is judged when it comes.
    let command = match input.get(12) {
        None => return Header::Partial,
        Some(0x20) => Command::Local,
        Some(0x21) => Command::Proxy,
        Some(_) => return malformed,
    };
    let family = match input.get(13) {
        None => return Header::Partial,
        Some(0x00) => Family::Unknown,
        Some(0x11) => Family::Tcp4,
        Some(0x21) => Family::Tcp6,
        // Of others the proxy has no business with us, except to ask how we are.
        Some(0x12 | 0x22 | 0x31 | 0x32) if command == Command::Local => Family::Unknown,
        Some(_) => return malformed,
    };
    let Some(length) = input.get(14..FIXED_BYTES) else { return Header::Partial };
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    let addresses_bytes = match family {
        Family::Unknown => 0,
        Family::Tcp4 => 12,
        Family::Tcp6 => 36,
    };
    if FIXED_BYTES + length > PROXY_HEADER_BYTES_MAX {
        return Header::Fault(HeaderFault::TooLong);
    }
    if length < addresses_bytes {
        return malformed;
    }
    let Some(content) = input.get(FIXED_BYTES..FIXED_BYTES + length) else { return Header::Partial };
    let bytes = FIXED_BYTES + length;
    if command == Command::Local {
        return Header::Whole(Announced { client: None, secure: false }, bytes);
    }
    let (addresses, rest) = content.split_at(addresses_bytes);
    let port = |at: usize| u16::from_be_bytes([addresses[at], addresses[at + 1]]);
    let client = match family {
        // Nobody knows whose connection it is, so that nothing behind is of use.
        Family::Unknown => return Header::Whole(Announced { client: None, secure: false }, bytes),
        Family::Tcp4 => {
            let octets = addresses.first_chunk::<4>().expect("there are 12 bytes");
            SocketAddr::new(Ipv4Addr::from(*octets).into(), port(8))
        }
        Family::Tcp6 => {
            let octets = addresses.first_chunk::<16>().expect("there are 36 bytes");
            SocketAddr::new(IpAddr::V6(Ipv6Addr::from(*octets)).to_canonical(), port(32))
        }
    };
    match is_secure(rest) {
        Some(secure) => Header::Whole(Announced { client: Some(client), secure }, bytes),
        None => malformed,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    Local,
    Proxy,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Unknown,
    Tcp4,
    Tcp6,
}

/// Whether the parts behind the addresses say that the client speaks TLS; `None` if they do not fill their place exactly.
fn is_secure(mut rest: &[u8]) -> Option<bool> {
    let mut secure = false;
    while !rest.is_empty() {
        let (&[kind, high, low], behind) = rest.split_first_chunk::<3>()?;
        let (value, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
        if kind == TLV_SSL {
            // A byte of flags and four of a verification; then parts of its own.
            let (&[flags, ..], _) = value.split_first_chunk::<5>()?;
            secure |= flags & CLIENT_SSL != 0;
        }
        rest = behind;
    }
    Some(secure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every prefix is partial, and the whole has this verdict, whatever stands behind.
    #[track_caller]
    fn check(header: &[u8], expected: Result<(Option<&str>, bool), HeaderFault>) {
        let found = parse(header);
        match expected {
            Ok((client, secure)) => {
                let client = client.map(|client| client.parse().unwrap());
                let whole = Header::Whole(Announced { client, secure }, header.len());
                assert_eq!(found, whole, "{}", header.escape_ascii());
                assert_eq!(parse(&[header, b"GET / HTTP/1.1\r\n"].concat()), whole);
                for end in 0..header.len() {
                    assert_eq!(parse(&header[..end]), Header::Partial, "{}", header[..end].escape_ascii());
                }
            }
            Err(fault) => assert_eq!(found, Header::Fault(fault), "{}", header.escape_ascii()),
        }
    }

    /// A header of version 2.
    fn v2(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
        [SIGNATURE, &[command, family][..], &(content.len() as u16).to_be_bytes(), content].concat()
    }

    const V4: &[u8] = b"\xc0\0\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb";

    #[test]
    fn lines_of_version_1_name_the_client() {
        check(b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", Ok((Some("192.0.2.1:56324"), false)));
        check(b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", Ok((Some("[2001:db8::1]:1"), false)));
        check(b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", Ok((Some("192.0.2.1:1"), false)));
        check(b"PROXY UNKNOWN\r\n", Ok((None, false)));
        check(b"PROXY UNKNOWN ffff::1 ffff::1 65535 65535\r\n", Ok((None, false)));
    }

    #[test]
    fn lines_that_are_not_exact_are_refused() {
        for line in [
            &b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n"[..],
            b"PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 1\r\n",
            b"PROXY  TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 65536 2\r\n",
            b"PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP6 192.0.2.1 ::1 1 2\r\n",
            b"PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n",
            b"PROXY \r\n",
            b"PROXY \xff\r\n",
        ] {
            check(line, Err(HeaderFault::Malformed));
        }
        check(&[b"PROXY UNKNOWN ", &[b'x'; 93][..]].concat(), Err(HeaderFault::TooLong));
        for other in
            [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01", b"proxy TCP4", b"\r\n\r\n\0\r\nQUIT\r", b"PROXYX"]
        {
            check(other, Err(HeaderFault::Missing));
        }
    }

    #[test]
    fn headers_of_version_2_name_the_client_and_whether_it_speaks_tls() {
        check(&v2(0x21, 0x11, V4), Ok((Some("192.0.2.1:56324"), false)));
        let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1], &[0; 16], &[0, 7, 0, 8]].concat();
        check(&v2(0x21, 0x21, &v6), Ok((Some("[2001:db8::1]:7"), false)));
        let alpn = [V4, b"\x01\0\x02h2"].concat();
        check(&v2(0x21, 0x11, &alpn), Ok((Some("192.0.2.1:56324"), false)));
        let tls = [&alpn[..], b"\x20\0\x0d\x01\0\0\0\0\x21\0\x05TLS13"].concat();
        check(&v2(0x21, 0x11, &tls), Ok((Some("192.0.2.1:56324"), true)));
        check(&v2(0x20, 0x00, b""), Ok((None, false)));
        check(&v2(0x20, 0x31, &[0; 216]), Ok((None, false)));
        check(&v2(0x21, 0x00, b"anything"), Ok((None, false)));
    }

    #[test]
    fn headers_of_version_2_that_are_not_exact_are_refused() {
        check(&v2(0x11, 0x11, V4), Err(HeaderFault::Malformed));
        check(&v2(0x22, 0x11, V4), Err(HeaderFault::Malformed));
        check(&v2(0x21, 0x12, V4), Err(HeaderFault::Malformed));
        check(&v2(0x21, 0x31, &[0; 216]), Err(HeaderFault::Malformed));
        check(&v2(0x21, 0x11, &V4[..11]), Err(HeaderFault::Malformed));
        check(&v2(0x21, 0x21, V4), Err(HeaderFault::Malformed));
        check(&v2(0x21, 0x11, &[V4, b"\x01\0"].concat()), Err(HeaderFault::Malformed));
        check(&v2(0x21, 0x11, &[V4, b"\x01\0\x03h2"].concat()), Err(HeaderFault::Malformed));
        check(&v2(0x21, 0x11, &[V4, b"\x20\0\x04\x01\0\0\0"].concat()), Err(HeaderFault::Malformed));
        check(&v2(0x21, 0x11, &[0; PROXY_HEADER_BYTES_MAX]), Err(HeaderFault::TooLong));
    }

    proptest! {
        #[test]
        fn any_bytes_get_a_verdict_that_does_not_change_with_more(
            kind in 0..4_u8, input in proptest::collection::vec(any::<u8>(), 0..64), more: Vec<u8>,
        ) {
            let start: &[u8] = [b"".as_slice(), PROXY, SIGNATURE, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"][usize::from(kind)];
            let input = [start, &input].concat();
            let verdict = parse(&input);
            if verdict != Header::Partial {
                prop_assert_eq!(parse(&[&input[..], &more].concat()), verdict);
            }
            if let Header::Whole(_, bytes) = verdict {
                prop_assert!(bytes <= input.len().min(PROXY_HEADER_BYTES_MAX));
            }
        }
    }
}
