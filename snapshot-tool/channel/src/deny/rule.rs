//! One rule: what is blocked, in one spelling.

use super::destination::{decoded_path, odd_host};
use snapshot_format::{
    CODE_BYTES_MAX, CaseMode, HOST_BYTES_MAX, TrailingSlash, canonical_code, canonical_host,
};
use std::fmt;
use std::str::FromStr;

/// What a blocked request is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    /// 410: it is gone.
    Gone,
    /// 451: the law wants it so.
    Legal,
}

impl Answer {
    /// The status code.
    pub const fn code(self) -> u16 {
        match self {
            Self::Gone => 410,
            Self::Legal => 451,
        }
    }

    /// From a status code.
    pub const fn from_code(code: u16) -> Option<Self> {
        match code {
            410 => Some(Self::Gone),
            451 => Some(Self::Legal),
            _ => None,
        }
    }
}

/// What is blocked. Written as `KIND VALUE`; equal rules have equal texts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// `link HOST/CODE`: one link. A host that begins with `*.` stands for the wildcard domain of that name.
    Link {
        /// Canonical host, with `*.` if it is a wildcard.
        host: String,
        /// Canonical code under the strictest mode; bytes beyond visible ASCII are escaped.
        code: String,
    },
    /// `domain HOST`: every link of a domain; `*.HOST` for every name below.
    Domain(String),
    /// `host HOST`: every link that leads to this host; `*.HOST` for every name below.
    Host(String),
    /// `prefix HOST/PATH`: every link that leads below this path, whatever scheme and port.
    Prefix {
        /// As a browser takes it.
        host: String,
        /// Path and query, without escapes, as bytes in ISO 8859-1 characters.
        path: String,
    },
}

/// A text that is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// No such kind.
    #[error("{0:?} is no kind of rule: link, domain, host or prefix")]
    Kind(String),
    /// A value that is impossible for its kind.
    #[error("{value:?}: {why}")]
    Value {
        /// As given.
        value: String,
        /// What is wrong.
        why: &'static str,
    },
}

impl Rule {
    /// A rule from its kind and value, brought into its one spelling.
    ///
    /// # Errors
    /// Nothing that could ever match.
    pub fn new(kind: &str, value: &str) -> Result<Self, RuleError> {
        let wrong = |why| RuleError::Value { value: value.into(), why };
        if value.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(wrong("it holds a space or a control byte; write %20"));
        }
        let own_host = |text: &str| {
            let (star, name) = text.strip_prefix("*.").map_or(("", text), |name| ("*.", name));
            let ascii = odd_host(&format!("https://{name}/")).ok_or_else(|| wrong("this is no host name"))?;
            let mut buffer = [0; HOST_BYTES_MAX];
            let host =
                canonical_host(ascii.as_bytes(), &mut buffer).map_err(|_| wrong("this is no host name"))?;
            Ok(format!("{star}{}", String::from_utf8_lossy(host)))
        };
        match kind {
            "link" => {
                let value = value.strip_prefix("https://").or(value.strip_prefix("http://")).unwrap_or(value);
                let (host, code) = value.split_once('/').ok_or_else(|| wrong("write HOST/CODE"))?;
                let mut buffer = [0; CODE_BYTES_MAX];
                let code =
                    canonical_code(code.as_bytes(), CaseMode::Sensitive, TrailingSlash::Strict, &mut buffer);
                let code = code.map_err(|_| wrong("no link can have this code"))?;
                Ok(Self::Link { host: own_host(host)?, code: escaped(code) })
            }
            "domain" => own_host(value).map(Self::Domain),
            "host" => {
                let (star, name) = value.strip_prefix("*.").map_or(("", value), |name| ("*.", name));
                if name.contains(['/', '?', '#', '@']) {
                    return Err(wrong("write a host alone, or use prefix"));
                }
                let host =
                    odd_host(&format!("https://{name}/")).ok_or_else(|| wrong("this is no host name"))?;
                Ok(Self::Host(format!("{star}{host}")))
            }
            "prefix" => {
                let value = value.split_once("://").map_or(value, |(_, rest)| rest);
                let url = format!("https://{value}");
                let (host, path) =
                    odd_host(&url).zip(decoded_path(&url)).ok_or_else(|| wrong("this is no URL"))?;
                if path == b"/" {
                    return Err(wrong("without a path this is a host: use host"));
                }
                // Bytes as characters, so that a path needs no escapes of its own in memory.
                Ok(Self::Prefix { host, path: path.iter().map(|&byte| char::from(byte)).collect() })
            }
            _ => Err(RuleError::Kind(kind.into())),
        }
    }

    /// As it is written, in the order of lists.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Link { .. } => "link",
            Self::Domain(_) => "domain",
            Self::Host(_) => "host",
            Self::Prefix { .. } => "prefix",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link { host, code } => write!(formatter, "link {host}/{code}"),
            Self::Domain(host) => write!(formatter, "domain {host}"),
            Self::Host(host) => write!(formatter, "host {host}"),
            Self::Prefix { host, path } => {
                write!(formatter, "prefix {host}")?;
                path.chars().try_for_each(|character| match character {
                    '%' | '#' => write!(formatter, "%{:02X}", u32::from(character)),
                    '!'..='~' => write!(formatter, "{character}"),
                    _ => write!(formatter, "%{:02X}", u32::from(character)),
                })
            }
        }
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (kind, value) = text.split_once(' ').ok_or_else(|| RuleError::Kind(text.into()))?;
        Self::new(kind, value)
    }
}

/// Visible ASCII as it is, other bytes escaped.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'!'..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}
