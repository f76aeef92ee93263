//! Replies as a client sees them, read by a parser that is not ours.

/// One reply at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply<'b> {
    pub(crate) status: u16,
    pub(crate) location: Option<&'b [u8]>,
    /// Whether the server closes the connection behind it.
    pub(crate) closing: bool,
    /// Head and body together.
    pub(crate) bytes: usize,
}

/// Why bytes are no reply yet, or never will be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoReply {
    Incomplete,
    Malformed,
}

impl<'b> Reply<'b> {
    /// Reads the first reply in `bytes`.
    pub(crate) fn parse(bytes: &'b [u8]) -> Result<Self, NoReply> {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Response::new(&mut fields);
        let head_bytes = match head.parse(bytes) {
            Ok(httparse::Status::Complete(bytes)) => bytes,
            Ok(httparse::Status::Partial) => return Err(NoReply::Incomplete),
            Err(_) => return Err(NoReply::Malformed),
        };
        let field = |name: &str| {
            head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
        };
        let length =
            field("content-length").and_then(|value| std::str::from_utf8(value).ok()?.parse::<usize>().ok());
        let total = head_bytes + length.ok_or(NoReply::Malformed)?;
        if bytes.len() < total {
            return Err(NoReply::Incomplete);
        }
        Ok(Self {
            status: head.code.ok_or(NoReply::Malformed)?,
            location: field("location"),
            closing: field("connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close")),
            bytes: total,
        })
    }
}

/// The request for a code of the one host.
pub(crate) fn request(code: &str, closing: bool) -> String {
    let connection = if closing { "Connection: close\r\n" } else { "" };
    format!("GET /{code} HTTP/1.1\r\nHost: {}\r\n{connection}\r\n", super::links::HOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_ends_with_its_body() {
        let bytes =
            b"HTTP/1.1 302 Found\r\nLocation: https://a.example/\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1";
        let reply = Reply::parse(bytes).unwrap();
        assert_eq!((reply.status, reply.location), (302, Some(&b"https://a.example/"[..])));
        assert_eq!((reply.bytes, reply.closing), (bytes.len() - 8, false));
        assert_eq!(Reply::parse(&bytes[..reply.bytes - 1]), Err(NoReply::Incomplete));
        assert_eq!(Reply::parse(b"SSH-2.0\r\n\r\n"), Err(NoReply::Malformed));
    }
}
