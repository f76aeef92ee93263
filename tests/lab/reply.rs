//! A strict reader of replies, which also holds every reply to the rules that all replies obey.

/// Longest reply that a case accepts.
const REPLY_BYTES_MAX: usize = 128 * 1024;

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Fields in order; names as they were sent.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Content; empty in reply to HEAD.
    pub body: Vec<u8>,
}

impl Reply {
    /// Takes one reply off the front of `received`; nothing while it is not whole.
    ///
    /// # Errors
    /// Says what RFC 9112 or the project's own rules do not allow.
    pub fn take(received: &mut Vec<u8>, to_head: bool) -> Result<Option<Self>, String> {
        let Some(head_end) = received.windows(4).position(|window| window == b"\r\n\r\n") else {
            if received.len() > REPLY_BYTES_MAX {
                return Err(format!("{} bytes and no end of the head", received.len()));
            }
            return Ok(None);
        };
        let mut reply = Self::parse_head(&received[..head_end + 2])?;
        let announced = reply.check_rules()?;
        let body_bytes = if to_head { 0 } else { announced };
        let start = head_end + 4;
        let Some(body) = received.get(start..start + body_bytes) else { return Ok(None) };
        reply.body = body.to_vec();
        received.drain(..start + body_bytes);
        Ok(Some(reply))
    }

    /// The value of the one field of this name.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        let mut values = self.fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let first = values.next().map(|(_, value)| &**value);
        assert!(values.next().is_none(), "{name} comes twice in {self:?}");
        first
    }

    /// The value of the one field of this name, as text; empty if there is none.
    pub fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(self.field(name).unwrap_or_default()).into_owned()
    }

    /// Where it redirects to; empty if it does not.
    pub fn location(&self) -> String {
        self.text("location")
    }

    /// Whether the server says that it will close.
    pub fn closes(&self) -> bool {
        self.field("connection") == Some(b"close")
    }

    /// The content as text.
    pub fn body_text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn parse_head(head: &[u8]) -> Result<Self, String> {
        let mut lines = head.split_inclusive(|&byte| byte == b'\n');
        let status_line = line(lines.next().unwrap_or_default())?;
        let status = match status_line {
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1', b' ', code @ ..]
                if code.len() > 4 && code[3] == b' ' =>
            {
                std::str::from_utf8(&code[..3]).ok().and_then(|code| code.parse().ok())
            }
            _ => None,
        };
        let status =
            status.ok_or_else(|| format!("status line {:?}", String::from_utf8_lossy(status_line)))?;
        let fields = lines.map(|raw| {
            let line = line(raw)?;
            let colon = line.iter().position(|&byte| byte == b':').ok_or("a field without a colon")?;
            let name = &line[..colon];
            if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') {
                return Err(format!("field name {:?}", String::from_utf8_lossy(name)));
            }
            let value = line[colon + 1..].strip_prefix(b" ").ok_or("no space after the colon")?;
            if value.trim_ascii() != value || value.iter().any(u8::is_ascii_control) {
                return Err(format!("field value {:?}", String::from_utf8_lossy(value)));
            }
            Ok((String::from_utf8_lossy(name).into_owned(), value.to_vec()))
        });
        Ok(Self { status, fields: fields.collect::<Result<_, String>>()?, body: Vec::new() })
    }

    /// What holds for every reply of a node; returns the announced length.
    fn check_rules(&self) -> Result<usize, String> {
        let once = |name: &str| {
            let count = self.fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).count();
            if count > 1 { Err(format!("{name} comes {count} times")) } else { Ok(self.field(name)) }
        };
        let must = |holds: bool, rule: &str| if holds { Ok(()) } else { Err(format!("{rule}: {self:?}")) };
        must(once("transfer-encoding")?.is_none(), "a reply is never chunked")?;
        must(once("date")?.is_some_and(is_date), "a reply has one Date in the form of RFC 9110, 5.6.7")?;
        let redirects = matches!(self.status, 301 | 302 | 303 | 307 | 308);
        must(once("location")?.is_some() == redirects, "exactly the redirects have a Location")?;
        let cache = once("cache-control")?;
        must(cache.is_some(), "a reply says who may keep it")?;
        let kept = redirects || self.status == 200;
        must(kept || cache == Some(b"no-store"), "what is neither redirect nor document is kept by nobody")?;
        must(once("allow")?.is_some() == matches!(self.status, 204 | 405), "204 and 405 have Allow")?;
        must(once("retry-after")?.is_some() == (self.status == 503), "503 says when to come back")?;
        let connection = once("connection")?;
        must(
            matches!(connection, None | Some(b"close" | b"keep-alive")),
            "Connection is close or keep-alive",
        )?;
        let length = once("content-length")?;
        must(length.is_some() == (self.status != 204), "only 204 has no Content-Length")?;
        let digits = std::str::from_utf8(length.unwrap_or(b"0")).unwrap_or_default();
        must(
            !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()),
            "Content-Length is a number",
        )?;
        let announced = digits.parse().map_err(|_| format!("Content-Length {digits}"))?;
        must(announced <= REPLY_BYTES_MAX, "a reply is short")?;
        must(!redirects || announced == 0, "a redirect has no content")?;
        must(once("content-type")?.is_some() == (announced > 0), "exactly content has a type")?;
        Ok(announced)
    }
}

fn line(raw: &[u8]) -> Result<&[u8], String> {
    let line = raw.strip_suffix(b"\r\n").ok_or("a line does not end in CR LF")?;
    if line.contains(&b'\r') { Err("a bare CR".into()) } else { Ok(line) }
}

/// The shape of `Sun, 06 Nov 1994 08:49:37 GMT`.
fn is_date(value: &[u8]) -> bool {
    let shape = b"Aaa, 00 Aaa 0000 00:00:00 GMT";
    value.len() == shape.len()
        && value.iter().zip(shape).all(|(byte, shape)| match shape {
            b'A' | b'a' => byte.is_ascii_alphabetic(),
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
        })
}
