//! HOT: the few fields that decide how a request is framed and routed; all others are checked and forgotten.

use super::target::is_authority;
use super::{Body, Refusal, Version, Wishes};
use crate::proxies::forwarded::Via;

/// What the fields of one head have said so far.
#[derive(Default)]
pub(crate) struct Fields<'a> {
    pub(crate) host: Option<&'a [u8]>,
    pub(crate) expects_continue: bool,
    pub(crate) user_agent: Option<&'a [u8]>,
    pub(crate) referer: Option<&'a [u8]>,
    pub(crate) wishes: Wishes,
    pub(crate) via: Via<'a>,
    pub(crate) content_length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

/// What all fields together say about the bytes behind the head.
pub(super) struct Framing {
    pub(super) body: Body,
    pub(super) keep_alive: bool,
}

impl<'a> Fields<'a> {
    /// Takes one field; the value has no white space at its ends.
    #[inline]
    pub(crate) fn add(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), Refusal> {
        // Most fields of a browser have a length that none of ours has.
        match name.len() {
            3 if name.eq_ignore_ascii_case(b"dnt") => {
                self.wishes.dnt |= value == b"1";
                Ok(())
            }
            7 if name.eq_ignore_ascii_case(b"sec-gpc") => {
                self.wishes.gpc |= value == b"1";
                Ok(())
            }
            5 | 7 | 9 | 11 if is_purpose(name) => {
                self.wishes.prefetch |= is_ahead_of_time(value);
                Ok(())
            }
            4 if name.eq_ignore_ascii_case(b"host") => self.add_host(value),
            6 if name.eq_ignore_ascii_case(b"expect") => {
                // Other expectations may be ignored (RFC 9110, 10.1.1).
                self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue");
                Ok(())
            }
            7 if name.eq_ignore_ascii_case(b"referer") => {
                self.referer.get_or_insert(value);
                Ok(())
            }
            10 if name.eq_ignore_ascii_case(b"user-agent") => {
                self.user_agent.get_or_insert(value);
                Ok(())
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.add_connection(value);
                Ok(())
            }
            9 if name.eq_ignore_ascii_case(b"forwarded") => {
                self.via.forwarded = Some(value);
                Ok(())
            }
            15 if name.eq_ignore_ascii_case(b"x-forwarded-for") => {
                self.via.forwarded_for = Some(value);
                Ok(())
            }
            17 if name.eq_ignore_ascii_case(b"x-forwarded-proto") => {
                self.via.forwarded_proto = Some(value);
                Ok(())
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.add_content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.add_transfer_encoding(value),
            _ => Ok(()),
        }
    }

    /// Concludes, once the head has ended.
    #[inline]
    pub(super) fn framing(&self, version: Version) -> Result<Framing, Refusal> {
        let http11 = version == Version::Http11;
        if http11 && self.host.is_none() {
            return Err(Refusal::HostMissing);
        }
        // A recipient that knows only HTTP/1.0 would not see the chunks (RFC 9112, 6.1).
        if self.chunked && !http11 {
            return Err(Refusal::TransferEncoding);
        }
        let body = match (self.content_length, self.chunked) {
            (None | Some(0), false) => Body::None,
            (Some(bytes), false) => Body::Length(bytes),
            (None, true) => Body::Chunked,
            (Some(_), true) => return Err(Refusal::LengthAndEncoding),
        };
        Ok(Framing { body, keep_alive: !self.close && (http11 || self.keep_alive) })
    }

    #[inline]
    fn add_host(&mut self, value: &'a [u8]) -> Result<(), Refusal> {
        if self.host.is_some() {
            return Err(Refusal::HostRepeated);
        }
        if !is_authority(value) {
            return Err(Refusal::HostInvalid);
        }
        self.host = Some(value);
        Ok(())
    }

    fn add_connection(&mut self, value: &[u8]) {
        for option in value.split(|&byte| byte == b',') {
            let option = option.trim_ascii();
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// RFC 9112, 6.3 lets a recipient accept equal repetitions; two recipients that differ about it can be played off
    /// against each other, so that one number it is.
    fn add_content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.content_length.is_some() || value.is_empty() {
            return Err(Refusal::ContentLength);
        }
        let mut bytes: u64 = 0;
        for &byte in value {
            if !byte.is_ascii_digit() {
                return Err(Refusal::ContentLength);
            }
            bytes = bytes
                .checked_mul(10)
                .and_then(|bytes| bytes.checked_add(u64::from(byte - b'0')))
                .ok_or(Refusal::ContentLength)?;
        }
        self.content_length = Some(bytes);
        Ok(())
    }

    fn add_transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::TransferEncoding);
        }
        self.chunked = true;
        Ok(())
    }
}

/// Fields that tell a visit from a look ahead: the standard one, and what browsers sent before it.
fn is_purpose(name: &[u8]) -> bool {
    [b"sec-purpose".as_slice(), b"purpose", b"x-purpose", b"x-moz"]
        .iter()
        .any(|purpose| name.eq_ignore_ascii_case(purpose))
}

fn is_ahead_of_time(value: &[u8]) -> bool {
    [b"prefetch".as_slice(), b"preview"]
        .iter()
        .any(|word| value.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)))
}
