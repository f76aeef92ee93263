//! The control protocol of BIRD 2 without sockets: bytes in; greetings, replies and asynchronous lines out.
//!
//! `NNNN-text` continues a reply, `NNNN text` ends it, a leading space repeats the code of the line before, and a leading `+` is
//! asynchronous: it belongs to no reply and may stand before or between its lines.

use std::fmt;
use std::net::IpAddr;

use crate::limits::{BIRD_LINE_BYTES_MAX, BIRD_LINES_MAX};

/// A command. Only what the sidecar needs; every name in it consists of letters, digits and `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Starts a protocol.
    Enable(String),
    /// Stops a protocol.
    Disable(String),
    /// The state of our protocols, which all begin with `vip_`.
    ShowVips,
    /// The state of one protocol.
    ShowProtocol(String),
    /// Version, last restart, last reconfiguration.
    ShowStatus,
    /// Whether a reconfiguration waits for its confirmation.
    ConfigureStatus,
    /// Paths to an address that were learned by BGP and are not being shut down.
    ShowOthers(IpAddr),
    /// The path to an address that is exported to a peer, with attributes.
    ShowExport(IpAddr, String),
    /// From now on tells what BIRD logs, as asynchronous lines.
    EchoAll,
}

impl fmt::Display for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enable(name) => write!(formatter, "enable {name}"),
            Self::Disable(name) => write!(formatter, "disable {name}"),
            Self::ShowVips => formatter.write_str("show protocols \"vip_*\""),
            Self::ShowProtocol(name) => write!(formatter, "show protocols \"{name}\""),
            Self::ShowStatus => formatter.write_str("show status"),
            Self::ConfigureStatus => formatter.write_str("configure status"),
            Self::ShowOthers(vip) => write!(
                formatter,
                "show route {} where source = RTS_BGP && !((65535,0) ~ bgp_community)",
                Prefix(*vip)
            ),
            Self::ShowExport(vip, peer) => write!(formatter, "show route {} export {peer} all", Prefix(*vip)),
            Self::EchoAll => formatter.write_str("echo all"),
        }
    }
}

/// An address as a prefix of its own.
#[derive(Clone, Copy, Debug)]
pub struct Prefix(pub IpAddr);

impl fmt::Display for Prefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => write!(formatter, "{v4}/32"),
            IpAddr::V6(v6) => write!(formatter, "{v6}/128"),
        }
    }
}

/// One line of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Four digits: 0 success, 1 and 2 contents, 8 an error at run time, 9 an error in the command.
    pub code: u16,
    /// What follows.
    pub text: String,
}

/// A whole reply: its last line is the one that ended it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply(pub Vec<Line>);

impl Reply {
    /// The line that says that the command failed, if it did.
    pub fn failure(&self) -> Option<&Line> {
        self.0.iter().find(|line| line.code >= 8000)
    }

    /// The texts of the lines with this code.
    pub fn texts(&self, code: u16) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |line| line.code == code).map(|line| line.text.as_str())
    }
}

/// What was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A whole reply, the greeting (0001) included.
    Reply(Reply),
    /// A line that belongs to no reply: what BIRD logs, or an undone reconfiguration.
    Aside(String),
}

/// What no BIRD says. The connection is of no use afterwards.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A line without code.
    #[error("BIRD sent a line without code: {0:?}")]
    NoCode(String),
    /// A line that repeats the code of the line before, and there is none.
    #[error("BIRD sent a continuation of nothing: {0:?}")]
    NothingToContinue(String),
    /// A line without end.
    #[error("BIRD sent a line of more than {BIRD_LINE_BYTES_MAX} bytes")]
    LongLine,
    /// A reply without end.
    #[error("BIRD sent a reply of more than {BIRD_LINES_MAX} lines")]
    LongReply,
}

/// Takes bytes in any portions.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// Where the first line that was not looked at begins.
    start: usize,
    lines: Vec<Line>,
    error: Option<ProtocolError>,
}

impl Decoder {
    /// Takes more bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next thing that is whole; `None`: more bytes are needed.
    ///
    /// # Errors
    ///
    /// The bytes are not BIRD's. Every later call says so, too.
    pub fn take(&mut self) -> Option<Result<Received, ProtocolError>> {
        if let Some(error) = &self.error {
            return Some(Err(error.clone()));
        }
        loop {
            let rest = &self.bytes[self.start..];
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                return (rest.len() > BIRD_LINE_BYTES_MAX).then(|| self.fail(ProtocolError::LongLine));
            };
            if end > BIRD_LINE_BYTES_MAX {
                return Some(self.fail(ProtocolError::LongLine));
            }
            let text = String::from_utf8_lossy(&rest[..end]).into_owned();
            self.start += end + 1;
            match self.take_line(&text) {
                Ok(None) => {}
                Ok(Some(received)) => return Some(Ok(received)),
                Err(error) => return Some(self.fail(error)),
            }
        }
    }

    fn fail(&mut self, error: ProtocolError) -> Result<Received, ProtocolError> {
        self.error = Some(error.clone());
        Err(error)
    }

    fn take_line(&mut self, text: &str) -> Result<Option<Received>, ProtocolError> {
        if let Some(aside) = text.strip_prefix('+') {
            return Ok(Some(Received::Aside(aside.to_owned())));
        }
        if self.lines.len() >= BIRD_LINES_MAX {
            return Err(ProtocolError::LongReply);
        }
        if let Some(rest) = text.strip_prefix(' ') {
            let Some(last) = self.lines.last() else {
                return Err(ProtocolError::NothingToContinue(text.to_owned()));
            };
            self.lines.push(Line { code: last.code, text: rest.to_owned() });
            return Ok(None);
        }
        let no_code = || ProtocolError::NoCode(text.to_owned());
        let (code, rest) = text.split_at_checked(4).ok_or_else(no_code)?;
        if !code.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(no_code());
        }
        let code = code.parse().map_err(|_| no_code())?;
        let (more, rest) = match rest.as_bytes().first() {
            Some(b'-') => (true, &rest[1..]),
            Some(b' ') => (false, &rest[1..]),
            None => (false, ""),
            Some(_) => return Err(no_code()),
        };
        self.lines.push(Line { code, text: rest.to_owned() });
        Ok((!more).then(|| Received::Reply(Reply(std::mem::take(&mut self.lines)))))
    }
}

#[cfg(test)]
mod tests;
