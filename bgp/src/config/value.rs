//! The kinds of values that a configuration holds: how each is read, and what it expects.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use super::settings::{Address, LastNode};
use crate::limits::{Bounds, NAME_BYTES_MAX, PORT, SOCKET_PATH_BYTES_MAX, TEXT_BYTES_MAX};

/// A type that a key can have. `Rule` is what differs between two keys of the same type.
pub(super) trait Value: Sized {
    type Rule: Copy;

    /// Takes the value that was written, or says what is wrong with it.
    fn read(written: &Spanned<DeValue<'_>>, rule: Self::Rule) -> Result<Self, Vec<Wrong>>;

    /// What a key with this rule takes: a noun phrase.
    fn expected(rule: Self::Rule) -> String;

    /// Why the rule is as it is: a clause that completes "because".
    fn reason(_rule: Self::Rule) -> Option<&'static str> {
        None
    }

    /// What stands for a key that must be written and is not, until all problems are told.
    fn nothing() -> Self;
}

/// One thing that is wrong with a value.
pub(super) struct Wrong {
    /// Where, in bytes of the file.
    pub(super) span: Range<usize>,
    pub(super) found: String,
    /// What is expected instead; empty: what the key expects.
    pub(super) expected: String,
    /// What to write; empty: whatever the key expects, or nothing for the default.
    pub(super) fix: String,
}

impl Wrong {
    fn new(written: &Spanned<DeValue<'_>>) -> Self {
        let (expected, fix) = Default::default();
        Self { span: written.span(), found: shown(written.get_ref()), expected, fix }
    }

    fn expecting(self, expected: impl Into<String>) -> Self {
        Self { expected: expected.into(), ..self }
    }

    fn fixed_by(self, fix: impl Into<String>) -> Self {
        Self { fix: fix.into(), ..self }
    }

    fn one<T>(self) -> Result<T, Vec<Self>> {
        Err(vec![self])
    }
}

/// Characters of a value that a message repeats.
const SHOWN_CHARS_MAX: usize = 80;

/// A written value as a message repeats it.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.chars().count() > SHOWN_CHARS_MAX => {
            let start: String = text.chars().take(SHOWN_CHARS_MAX).collect();
            format!("{start:?} and more, {} bytes", text.len())
        }
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(integer) => integer.to_string(),
        DeValue::Float(float) => float.to_string(),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Datetime(datetime) => datetime.to_string(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a section".into(),
    }
}

impl Value for u64 {
    type Rule = Bounds;

    fn read(written: &Spanned<DeValue<'_>>, bounds: Bounds) -> Result<Self, Vec<Wrong>> {
        let wrong = || Wrong::new(written);
        match written.get_ref() {
            DeValue::Integer(integer) => match i128::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(value) if value < i128::from(bounds.min) => {
                    wrong().fixed_by(format!("write {} or more", bounds.min)).one()
                }
                Ok(value) if value <= i128::from(bounds.max) => Ok(value as u64),
                _ => wrong().fixed_by(format!("write {} or less", bounds.max)).one(),
            },
            DeValue::String(text) if text.parse::<u64>().is_ok() => {
                wrong().fixed_by("remove the quotes").one()
            }
            _ => wrong().one(),
        }
    }

    fn expected(Bounds { min, max, reason: _ }: Bounds) -> String {
        format!("an integer from {min} to {max}")
    }

    fn reason(bounds: Bounds) -> Option<&'static str> {
        Some(bounds.reason)
    }

    fn nothing() -> Self {
        1
    }
}

impl Value for bool {
    type Rule = ();

    fn read(written: &Spanned<DeValue<'_>>, (): ()) -> Result<Self, Vec<Wrong>> {
        match written.get_ref() {
            DeValue::Boolean(boolean) => Ok(*boolean),
            DeValue::String(_) => Wrong::new(written).fixed_by("write true or false, without quotes").one(),
            _ => Wrong::new(written).fixed_by("write true or false").one(),
        }
    }

    fn expected((): ()) -> String {
        "true or false".into()
    }

    fn nothing() -> Self {
        false
    }
}

/// What a text may hold.
#[derive(Clone, Copy)]
pub(super) struct TextRule {
    pub(super) bytes_max: usize,
    /// What it consists of: completes "a string of at most n bytes".
    pub(super) alphabet: &'static str,
    pub(super) allows: fn(&str) -> bool,
}

/// A name that can be part of a symbol of BIRD.
pub(super) const SYMBOL: TextRule = TextRule {
    bytes_max: NAME_BYTES_MAX,
    alphabet: " of lower-case letters, digits and _, beginning with a letter",
    allows: |text| {
        text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    },
};

impl Value for String {
    type Rule = TextRule;

    fn read(written: &Spanned<DeValue<'_>>, rule: TextRule) -> Result<Self, Vec<Wrong>> {
        match written.get_ref() {
            DeValue::String(text) if text.len() > rule.bytes_max => Wrong::new(written)
                .fixed_by(format!("shorten it by {} bytes", text.len() - rule.bytes_max))
                .one(),
            DeValue::String(text) if (rule.allows)(text) => Ok(text.clone().into_owned()),
            DeValue::String(_) => Wrong::new(written).fixed_by("remove the other characters").one(),
            _ => Wrong::new(written).fixed_by("write it in quotes").one(),
        }
    }

    fn expected(rule: TextRule) -> String {
        format!("a string of at most {} bytes{}", rule.bytes_max, rule.alphabet)
    }

    fn nothing() -> Self {
        Self::new()
    }
}

impl Value for PathBuf {
    /// Bytes at most.
    type Rule = usize;

    fn read(written: &Spanned<DeValue<'_>>, bytes_max: usize) -> Result<Self, Vec<Wrong>> {
        match written.get_ref() {
            DeValue::String(text) => absolute(written, text, bytes_max),
            _ => Wrong::new(written).fixed_by("write it in quotes").one(),
        }
    }

    fn expected(bytes_max: usize) -> String {
        format!("an absolute path of at most {bytes_max} bytes, without quotes or control characters")
    }

    fn nothing() -> Self {
        Self::new()
    }
}

/// A path that means the same whatever directory the sidecar is started in, and that BIRD can name in quotes.
fn absolute(written: &Spanned<DeValue<'_>>, text: &str, bytes_max: usize) -> Result<PathBuf, Vec<Wrong>> {
    let wrong = Wrong::new(written);
    if text.len() > bytes_max {
        return wrong.fixed_by("choose a shorter directory").one();
    }
    if text.chars().any(|c| c.is_control() || c == '"') {
        return wrong.fixed_by("remove the other characters").one();
    }
    if !text.starts_with('/') {
        return wrong.fixed_by(format!("write the whole path, such as \"/run/carom-bgp/{text}\"")).one();
    }
    Ok(PathBuf::from(text))
}

impl Value for Option<Address> {
    type Rule = ();

    fn read(written: &Spanned<DeValue<'_>>, (): ()) -> Result<Self, Vec<Wrong>> {
        let DeValue::String(text) = written.get_ref() else {
            return Wrong::new(written).fixed_by("write it in quotes").one();
        };
        if text.is_empty() {
            return Ok(None);
        }
        match text.strip_prefix("unix:") {
            Some(path) => {
                absolute(written, path, SOCKET_PATH_BYTES_MAX).map(|path| Some(Address::Unix(path)))
            }
            None => match text.parse::<SocketAddr>() {
                Ok(address) => Ok(Some(Address::Tcp(address))),
                Err(_) => {
                    Wrong::new(written).fixed_by("write numbers and a port: names are not looked up").one()
                }
            },
        }
    }

    fn expected((): ()) -> String {
        format!(
            "an address with a port, \"unix:\" and an absolute path of at most {SOCKET_PATH_BYTES_MAX} bytes, or \"\" for none"
        )
    }

    fn nothing() -> Self {
        None
    }
}

impl Value for LastNode {
    type Rule = ();

    fn read(written: &Spanned<DeValue<'_>>, (): ()) -> Result<Self, Vec<Wrong>> {
        match written.get_ref().as_str() {
            Some("keep") => Ok(Self::Keep),
            Some("withdraw") => Ok(Self::Withdraw),
            _ => Wrong::new(written).one(),
        }
    }

    fn expected((): ()) -> String {
        "\"keep\" or \"withdraw\"".into()
    }

    fn nothing() -> Self {
        Self::Keep
    }
}

/// What a list may hold.
pub(super) trait Entry: Sized + PartialEq {
    /// What an entry is: completes "a list of n to m".
    const PLURAL: &'static str;

    fn read(written: &DeValue<'_>) -> Option<Self>;
}

/// Fewest and most entries.
#[derive(Clone, Copy)]
pub(super) struct Entries {
    pub(super) min: usize,
    pub(super) max: usize,
}

impl<T: Entry> Value for Vec<T> {
    type Rule = Entries;

    fn read(written: &Spanned<DeValue<'_>>, Entries { min, max }: Entries) -> Result<Self, Vec<Wrong>> {
        let entries = match written.get_ref() {
            DeValue::Array(entries) => entries,
            DeValue::String(text) => return Wrong::new(written).fixed_by(format!("write [{text:?}]")).one(),
            _ => return Wrong::new(written).one(),
        };
        if entries.len() < min || entries.len() > max {
            let wrong = Wrong { found: format!("{} entries", entries.len()), ..Wrong::new(written) };
            return wrong.fixed_by(format!("write {min} to {max}")).one();
        }
        let (mut list, mut wrong) = (Self::new(), Vec::new());
        for entry in entries {
            match T::read(entry.get_ref()) {
                Some(value) if list.contains(&value) => {
                    wrong.push(Wrong::new(entry).expecting("every entry once").fixed_by("remove one"));
                }
                Some(value) => list.push(value),
                None => wrong.push(Wrong::new(entry).expecting(T::PLURAL).fixed_by("correct this entry")),
            }
        }
        if wrong.is_empty() { Ok(list) } else { Err(wrong) }
    }

    fn expected(Entries { min, max }: Entries) -> String {
        format!("a list of {min} to {max} {}", T::PLURAL)
    }

    fn nothing() -> Self {
        Self::new()
    }
}

impl Entry for IpAddr {
    const PLURAL: &'static str = "addresses without ports, such as \"192.0.2.1\" or \"2001:db8::1\"";

    fn read(written: &DeValue<'_>) -> Option<Self> {
        let address: Self = written.as_str()?.parse().ok()?;
        let mapped = matches!(address, Self::V6(v6) if v6.to_ipv4_mapped().is_some());
        (!mapped && !address.is_unspecified() && !address.is_multicast()).then_some(address)
    }
}

impl Entry for u16 {
    const PLURAL: &'static str = "ports from 1 to 65535";

    fn read(written: &DeValue<'_>) -> Option<Self> {
        let integer = written.as_integer()?;
        let value = u64::from_str_radix(integer.as_str(), integer.radix()).ok()?;
        (value >= PORT.min).then(|| Self::try_from(value).ok()).flatten()
    }
}

impl Entry for String {
    const PLURAL: &'static str = "names of BGP protocols, of letters, digits and _";

    fn read(written: &DeValue<'_>) -> Option<Self> {
        let text = written.as_str()?;
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (plain && !text.is_empty() && text.len() <= 64).then(|| text.to_owned())
    }
}

/// A visible text without blanks.
pub(super) const VISIBLE: TextRule = TextRule {
    bytes_max: TEXT_BYTES_MAX,
    alphabet: " of visible ASCII characters",
    allows: |text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()),
};
