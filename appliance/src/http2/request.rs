//! HOT: a header block as a request: pseudo-header fields, names and values as RFC 9113, 8 wants them, or a refusal.

use crate::http::bytes::{PATH, QUERY, TOKEN, is, skip};
use crate::http::{Body, Fields, Head, Method, Refusal, Version, find_control, is_authority};
use crate::limits::{HEADER_BOMB_FACTOR, HttpLimits, METHOD_BYTES_MAX};

use super::Offence;
use super::hpack::{Decoder, Fault, Field};

/// Room for the unpacked fields of one request; a shard needs one.
#[derive(Debug)]
pub struct Scratch(Box<[u8]>);

impl Scratch {
    /// Room for requests within these limits.
    pub fn new(limits: &HttpLimits) -> Self {
        Self(vec![0; limits.head_bytes_max].into_boxed_slice())
    }
}

/// What a header block says.
#[expect(clippy::large_enum_variant, reason = "it lives for one call, on the stack of the hot path")]
pub(super) enum Reading<'s> {
    /// A request.
    Request(Request<'s>),
    /// Something that gets no answer, or one of its own. The table is as it should be.
    Refused(Refusal),
}

/// A request that is well-formed as far as its head goes.
pub(super) struct Request<'s> {
    pub(super) head: Head<'s>,
    pub(super) content_length: Option<u64>,
}

/// Reads the block of a request.
///
/// # Errors
/// What the client did, if the connection cannot go on.
#[inline]
pub(super) fn read<'s>(
    decoder: &mut Decoder,
    block: &[u8],
    limits: &HttpLimits,
    scratch: &'s mut Scratch,
) -> Result<Reading<'s>, Offence> {
    let mut parts = Parts::default();
    let collected = collect(decoder, block, limits, scratch, &mut parts)?;
    Ok(match collected.and_then(|()| parts.conclude(limits)) {
        Ok(request) => Reading::Request(request),
        Err(reason) => Reading::Refused(reason),
    })
}

/// Reads the block of trailers, which nobody wants: `Err` within says that they are malformed.
///
/// # Errors
/// What the client did, if the connection cannot go on.
#[cold]
pub(super) fn read_trailers(
    decoder: &mut Decoder,
    block: &[u8],
    limits: &HttpLimits,
    scratch: &mut Scratch,
) -> Result<Result<(), Refusal>, Offence> {
    let mut parts = Parts { is_past_pseudo: true, ..Parts::default() };
    collect(decoder, block, limits, scratch, &mut parts)
}

/// Reads a block only for the table's sake.
///
/// # Errors
/// What the client did, if the connection cannot go on.
#[cold]
pub(super) fn ignore(decoder: &mut Decoder, mut block: &[u8], limits: &HttpLimits) -> Result<(), Offence> {
    decoder.open(&mut block).map_err(|_| Offence::Compression)?;
    skip_rest(decoder, block, limits, 0)
}

fn skip_rest(decoder: &mut Decoder, rest: &[u8], limits: &HttpLimits, size: usize) -> Result<(), Offence> {
    let size_max = (limits.head_bytes_max * HEADER_BOMB_FACTOR).saturating_sub(size);
    match decoder.skip(rest, size_max) {
        Ok(_) => Ok(()),
        Err(Fault::Malformed) => Err(Offence::Compression),
        Err(Fault::TooLarge) => Err(Offence::HeaderBomb),
    }
}

/// Hands the fields of a block to `parts`, until one of them is refused; what is left is skipped.
#[inline]
fn collect<'s>(
    decoder: &mut Decoder,
    mut block: &[u8],
    limits: &HttpLimits,
    scratch: &'s mut Scratch,
    parts: &mut Parts<'s>,
) -> Result<Result<(), Refusal>, Offence> {
    let mut room = &mut scratch.0[..];
    let (mut size, mut count) = (0, 0);
    decoder.open(&mut block).map_err(|_| Offence::Compression)?;
    let reason = loop {
        match decoder.field(&mut block, &mut room) {
            Ok(None) => return Ok(Ok(())),
            Ok(Some(field)) => {
                size += field.size();
                count += usize::from(!field.name.starts_with(b":"));
                if size > limits.head_bytes_max {
                    break Refusal::HeadTooLarge;
                }
                if count > limits.fields_max {
                    break Refusal::FieldsTooMany;
                }
                if let Err(reason) = parts.add(field) {
                    break reason;
                }
            }
            Err(Fault::TooLarge) => break Refusal::HeadTooLarge,
            Err(Fault::Malformed) => return Err(Offence::Compression),
        }
    };
    skip_rest(decoder, block, limits, size)?;
    Ok(Err(reason))
}

/// What the fields of a block have said so far.
#[derive(Default)]
struct Parts<'s> {
    method: Option<&'s [u8]>,
    scheme: Option<&'s [u8]>,
    authority: Option<&'s [u8]>,
    path: Option<&'s [u8]>,
    is_past_pseudo: bool,
    fields: Fields<'s>,
}

impl<'s> Parts<'s> {
    #[inline]
    fn add(&mut self, field: Field<'s>) -> Result<(), Refusal> {
        let Field { name, value } = field;
        if let [b':', ..] = name {
            let place = match name {
                b":method" => &mut self.method,
                b":scheme" => &mut self.scheme,
                b":authority" => &mut self.authority,
                b":path" => &mut self.path,
                _ => return Err(Refusal::PseudoField),
            };
            if self.is_past_pseudo || place.is_some() {
                return Err(Refusal::PseudoField);
            }
            *place = Some(value);
            return Ok(());
        }
        self.is_past_pseudo = true;
        // RFC 9113, 8.2.1.
        if name.is_empty() || !name.iter().all(|&byte| is(byte, TOKEN) && !byte.is_ascii_uppercase()) {
            return Err(Refusal::FieldName);
        }
        if !is_field_value(value) {
            return Err(Refusal::FieldValue);
        }
        // RFC 9113, 8.2.2.
        match name {
            b"connection" | b"proxy-connection" | b"keep-alive" | b"transfer-encoding" | b"upgrade" => {
                Err(Refusal::ConnectionField)
            }
            b"te" if value != b"trailers" => Err(Refusal::ConnectionField),
            _ => self.fields.add(name, value),
        }
    }

    #[inline]
    fn conclude(self, limits: &HttpLimits) -> Result<Request<'s>, Refusal> {
        let Self { method, scheme, authority, path, is_past_pseudo: _, fields } = self;
        let token = method.ok_or(Refusal::PseudoField)?;
        if token.is_empty() || token.len() > METHOD_BYTES_MAX || skip(token, TOKEN, 0) < token.len() {
            return Err(Refusal::Method);
        }
        let method = Method::from_token(token);
        let host = host(authority, fields.host)?;
        let (target, path, query) = if method == Method::Connect {
            // RFC 9113, 8.5. It is answered 405, whichever host it names.
            if scheme.is_some() || path.is_some() || authority.is_none() {
                return Err(Refusal::PseudoField);
            }
            (host, &b""[..], None)
        } else {
            let scheme = scheme.ok_or(Refusal::PseudoField)?;
            if scheme != b"https" && scheme != b"http" {
                return Err(Refusal::Target);
            }
            split(method, path.ok_or(Refusal::PseudoField)?, limits)?
        };
        let body = match fields.content_length {
            None | Some(0) => Body::None,
            Some(bytes) => Body::Length(bytes),
        };
        let head = Head {
            method,
            target,
            path,
            query,
            host: Some(host),
            version: Version::Http2,
            keep_alive: true,
            body,
            expects_continue: fields.expects_continue,
            user_agent: fields.user_agent,
            referer: fields.referer,
            wishes: fields.wishes,
            via: fields.via,
        };
        Ok(Request { head, content_length: fields.content_length })
    }
}

/// No control byte but tabs, and no white space at its ends.
#[inline]
fn is_field_value(value: &[u8]) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if is_space(value.first()) || is_space(value.last()) {
        return false;
    }
    let mut at = 0;
    loop {
        at = find_control(value, at);
        match value.get(at) {
            None => return true,
            Some(b'\t') => at += 1,
            Some(_) => return false,
        }
    }
}

/// The one host that both places name (RFC 9113, 8.3.1).
#[inline]
fn host<'s>(authority: Option<&'s [u8]>, host: Option<&'s [u8]>) -> Result<&'s [u8], Refusal> {
    let found = match (authority, host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            return Err(Refusal::HostDiffers);
        }
        (Some(found), _) | (None, Some(found)) => found,
        (None, None) => return Err(Refusal::HostMissing),
    };
    // The host of an http URI is not empty (RFC 9110, 4.2.1).
    if matches!(found, [] | [b':', ..]) || !is_authority(found) {
        return Err(Refusal::HostInvalid);
    }
    Ok(found)
}

type Target<'s> = (&'s [u8], &'s [u8], Option<&'s [u8]>);

/// The target, its path without the leading slash, and its query.
#[inline]
fn split<'s>(method: Method<'_>, target: &'s [u8], limits: &HttpLimits) -> Result<Target<'s>, Refusal> {
    if target.len() > limits.target_bytes_max {
        return Err(Refusal::TargetTooLong);
    }
    let path_end = skip(target, PATH, 0);
    let query = match target.get(path_end) {
        None => None,
        Some(b'?') if skip(target, QUERY, path_end + 1) == target.len() => Some(&target[path_end + 1..]),
        Some(_) => return Err(Refusal::Target),
    };
    match &target[..path_end] {
        [b'/', path @ ..] => Ok((target, path, query)),
        b"*" if method == Method::Options && query.is_none() => Ok((target, b"", None)),
        _ => Err(Refusal::Target),
    }
}

#[cfg(test)]
mod tests;
