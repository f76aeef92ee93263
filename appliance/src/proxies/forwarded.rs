//! HOT: who sent a request that came through proxies: the last hop in `X-Forwarded-For` or `Forwarded` (RFC 7239) that no proxy of
//! ours is.
//!
//! A field is read from its end, where the nearest proxy has written: what stands before the first stranger is that stranger's
//! word, and counts for nothing.

use std::net::{IpAddr, SocketAddr};

use crate::limits::FORWARDED_HOPS_MAX;

/// The field in which proxies say whose requests they send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedField {
    /// `X-Forwarded-For`, and `X-Forwarded-Proto` for HTTPS.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// What a request carries of these fields: of each the last one, which the nearest proxy wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Via<'a> {
    /// `X-Forwarded-For`
    pub forwarded_for: Option<&'a [u8]>,
    /// `X-Forwarded-Proto`
    pub forwarded_proto: Option<&'a [u8]>,
    /// `Forwarded`
    pub forwarded: Option<&'a [u8]>,
}

/// Who sent a request, as far as it can be believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sender {
    /// The address of the last hop that is no proxy of ours; `None` if the fields name none.
    pub address: Option<IpAddr>,
    /// Whether it used HTTPS.
    pub secure: bool,
}

/// Who sent a request that came from a proxy which is believed; `is_proxy` says who else is.
pub fn sender(via: &Via<'_>, field: ForwardedField, is_proxy: impl Fn(IpAddr) -> bool) -> Sender {
    match field {
        ForwardedField::XForwardedFor => {
            let proto = via.forwarded_proto.and_then(|value| value.rsplit(|&byte| byte == b',').next());
            let secure = proto.is_some_and(|proto| proto.trim_ascii().eq_ignore_ascii_case(b"https"));
            let list = via.forwarded_for.unwrap_or_default();
            let hops = list.rsplit(|&byte| byte == b',').map(|hop| Some((address(hop.trim_ascii())?, ())));
            Sender { address: last_stranger(hops, is_proxy).map(|(address, ())| address), secure }
        }
        ForwardedField::Forwarded => {
            let list = via.forwarded.unwrap_or_default();
            let Some((hops, count)) = elements(list) else { return Sender::default() };
            let hops = hops[..count].iter().rev().map(Element::read);
            match last_stranger(hops, is_proxy) {
                Some((address, secure)) => Sender { address: Some(address), secure },
                None => Sender::default(),
            }
        }
    }
}

/// The first of `hops`, nearest first, that is no proxy; or the farthest proxy, if nobody else is named. What cannot be read ends
/// the chain of those who can be believed.
fn last_stranger<T>(
    hops: impl Iterator<Item = Option<(IpAddr, T)>>,
    is_proxy: impl Fn(IpAddr) -> bool,
) -> Option<(IpAddr, T)> {
    let mut last = None;
    for hop in hops.take(FORWARDED_HOPS_MAX) {
        let Some((address, what)) = hop else { break };
        let is_end = !is_proxy(address);
        last = Some((address, what));
        if is_end {
            break;
        }
    }
    last
}

/// An address, perhaps with a port, IPv6 in brackets or without.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?;
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let address: IpAddr = text.parse().ok().or_else(bracketed).or_else(with_port)?;
    Some(address.to_canonical())
}

/// One element of `Forwarded`.
#[derive(Clone, Copy, Debug, Default)]
struct Element<'a> {
    node: Option<&'a [u8]>,
    is_https: bool,
}

impl Element<'_> {
    fn read(&self) -> Option<(IpAddr, bool)> {
        Some((address(self.node?)?, self.is_https))
    }
}

/// The last elements of a `Forwarded` field in order, and how many there are; `None` if the field breaks its grammar anywhere, so
/// that no quote can hide a hop.
fn elements(mut rest: &[u8]) -> Option<([Element<'_>; FORWARDED_HOPS_MAX], usize)> {
    let mut all = [Element::default(); FORWARDED_HOPS_MAX];
    let mut count = 0;
    loop {
        let mut element = Element::default();
        let is_last = loop {
            rest = rest.trim_ascii_start();
            let name_end = rest.iter().position(|&byte| byte == b'=')?;
            let (name, value) = (&rest[..name_end], &rest[name_end + 1..]);
            let (value, behind) = match value.strip_prefix(b"\"") {
                // A quoted pair is never needed here.
                Some(quoted) => {
                    let end = quoted.iter().position(|&byte| matches!(byte, b'"' | b'\\'))?;
                    (&quoted[..end], quoted[end..].strip_prefix(b"\"")?)
                }
                None => {
                    let end =
                        value.iter().position(|&byte| matches!(byte, b';' | b',' | b' ' | b'\t' | b'"'));
                    value.split_at(end.unwrap_or(value.len()))
                }
            };
            if name.eq_ignore_ascii_case(b"for") {
                if element.node.replace(value).is_some() {
                    return None;
                }
            } else if name.eq_ignore_ascii_case(b"proto") {
                element.is_https = value.eq_ignore_ascii_case(b"https");
            }
            let behind = behind.trim_ascii_start();
            match behind.split_first() {
                None => break true,
                Some((b';', behind)) => rest = behind,
                Some((b',', behind)) => {
                    rest = behind;
                    break false;
                }
                Some(_) => return None,
            }
        };
        if count == all.len() {
            all.copy_within(1.., 0);
            count -= 1;
        }
        all[count] = element;
        count += 1;
        if is_last {
            return Some((all, count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_proxy(address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(address) if address.octets()[0] == 10)
    }

    fn check(field: ForwardedField, value: &str, expected: Option<&str>) {
        let value = Some(value.as_bytes());
        let via = match field {
            ForwardedField::XForwardedFor => Via { forwarded_for: value, ..Via::default() },
            ForwardedField::Forwarded => Via { forwarded: value, ..Via::default() },
        };
        let found = sender(&via, field, is_proxy).address;
        assert_eq!(found, expected.map(|address| address.parse().unwrap()), "{value:?}");
    }

    #[test]
    fn the_last_hop_that_is_no_proxy_sent_a_request() {
        let check = |value, expected| check(ForwardedField::XForwardedFor, value, expected);
        check("192.0.2.1", Some("192.0.2.1"));
        check("203.0.113.9, 192.0.2.1", Some("192.0.2.1"));
        check("203.0.113.9,192.0.2.1 , 10.0.0.1,\t10.0.0.2", Some("192.0.2.1"));
        check("10.0.0.1, 10.0.0.2", Some("10.0.0.1"));
        check("2001:db8::1", Some("2001:db8::1"));
        check("[2001:db8::1]:443, 10.0.0.1", Some("2001:db8::1"));
        check("[2001:db8::1]", Some("2001:db8::1"));
        check("192.0.2.1:5555", Some("192.0.2.1"));
        check("::ffff:192.0.2.1", Some("192.0.2.1"));
    }

    #[test]
    fn what_cannot_be_read_ends_the_chain() {
        let check = |value, expected| check(ForwardedField::XForwardedFor, value, expected);
        check("", None);
        check("unknown", None);
        check("192.0.2.1, unknown", None);
        check("192.0.2.1, nonsense, 10.0.0.1", Some("10.0.0.1"));
        check("192.0.2.1,", None);
        check(&format!("192.0.2.1{}", ",10.0.0.1".repeat(FORWARDED_HOPS_MAX)), Some("10.0.0.1"));
    }

    #[test]
    fn elements_of_forwarded_are_read_with_their_quotes() {
        let check = |value, expected| check(ForwardedField::Forwarded, value, expected);
        check("for=192.0.2.1", Some("192.0.2.1"));
        check("For=\"192.0.2.1:80\";by=10.0.0.1;proto=https", Some("192.0.2.1"));
        check("for=203.0.113.9, for=\"[2001:db8::1]:5\" , for=10.0.0.1", Some("2001:db8::1"));
        check("host=\"a,for=203.0.113.9;b\";for=192.0.2.1", Some("192.0.2.1"));
        check("for=192.0.2.1, for=_hidden, for=10.0.0.1", Some("10.0.0.1"));
        check("for=192.0.2.1, by=10.0.0.2", None);
        check("for=192.0.2.1, for=\"203.0.113.9", None);
        check("for=192.0.2.1;for=203.0.113.9", None);
        check("for=192.0.2.1 for=203.0.113.9", None);
        check("for=\"192.0.2.1\\\"\"", None);
        check("", None);
    }

    #[test]
    fn the_nearest_word_about_https_counts() {
        let x = |proto: &str| {
            let via = Via { forwarded_proto: Some(proto.as_bytes()), ..Via::default() };
            sender(&via, ForwardedField::XForwardedFor, is_proxy).secure
        };
        assert!(x("https") && x("http, HTTPS") && !x("https, http") && !x("") && !x("httpsx"));
        let forwarded = |value: &str| {
            let via = Via { forwarded: Some(value.as_bytes()), ..Via::default() };
            sender(&via, ForwardedField::Forwarded, is_proxy).secure
        };
        assert!(forwarded("for=192.0.2.1;proto=https, for=10.0.0.1;proto=http"));
        assert!(!forwarded("for=192.0.2.1;proto=http, for=10.0.0.1;proto=https"));
    }

    proptest! {
        #[test]
        fn only_the_chosen_field_counts_and_no_bytes_make_it_panic(value: Vec<u8>) {
            let via = Via { forwarded_for: Some(&value), ..Via::default() };
            prop_assert_eq!(sender(&via, ForwardedField::Forwarded, is_proxy), Sender::default());
            let via = Via { forwarded: Some(&value), ..Via::default() };
            prop_assert_eq!(sender(&via, ForwardedField::XForwardedFor, is_proxy), Sender::default());
            let _ = sender(&via, ForwardedField::Forwarded, is_proxy);
        }
    }
}
