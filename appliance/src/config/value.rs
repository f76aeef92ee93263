//! The kinds of values that a configuration holds: how each is read, and what it expects.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;

use clicks::policy::AddressPolicy;
use clicks::spool::WhenFull;
use ebpf_loader::abi::Mode;
use toml::Spanned;
use toml::de::DeValue;

use super::settings::{AdminAddress, LogFormat, LogLevel, LogTarget, TlsVersion};
use crate::clicks::ship::Receiver;
use crate::limits::{Bounds, LISTEN_ADDRESSES_MAX, SOCKET_PATH_BYTES_MAX, TEXT_BYTES_MAX};
use crate::proxies::ForwardedField;

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
    pub(super) fn new(written: &Spanned<DeValue<'_>>) -> Self {
        let (expected, fix) = Default::default();
        Self { span: written.span(), found: shown(written.get_ref()), expected, fix }
    }

    pub(super) fn expecting(self, expected: impl Into<String>) -> Self {
        Self { expected: expected.into(), ..self }
    }

    pub(super) fn fixed_by(self, fix: impl Into<String>) -> Self {
        Self { fix: fix.into(), ..self }
    }

    pub(super) fn one<T>(self) -> Result<T, Vec<Self>> {
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
}

/// What a text may hold.
#[derive(Clone, Copy)]
pub(super) struct TextRule {
    pub(super) bytes_max: usize,
    /// What it consists of: completes "a string of at most n bytes".
    pub(super) alphabet: &'static str,
    pub(super) allows: fn(&str) -> bool,
}

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
}

impl Value for PathBuf {
    type Rule = ();

    fn read(written: &Spanned<DeValue<'_>>, (): ()) -> Result<Self, Vec<Wrong>> {
        match written.get_ref() {
            DeValue::String(text) => absolute(written, text),
            _ => Wrong::new(written).fixed_by("write it in quotes").one(),
        }
    }

    fn expected((): ()) -> String {
        "an absolute path".into()
    }
}

/// A path that means the same whatever directory the node is started in.
pub(super) fn absolute(written: &Spanned<DeValue<'_>>, text: &str) -> Result<PathBuf, Vec<Wrong>> {
    let wrong = Wrong::new(written);
    if text.len() > TEXT_BYTES_MAX {
        return wrong.expecting(format!("a path of at most {TEXT_BYTES_MAX} bytes")).one();
    }
    if text.contains('\0') {
        return wrong.expecting("a path without NUL").one();
    }
    if !text.starts_with('/') {
        return wrong.fixed_by(format!("write the whole path, such as \"/var/lib/carom/{text}\"")).one();
    }
    Ok(PathBuf::from(text))
}

impl Value for Option<PathBuf> {
    type Rule = ();

    fn read(written: &Spanned<DeValue<'_>>, (): ()) -> Result<Self, Vec<Wrong>> {
        match written.get_ref() {
            DeValue::String(text) if text.is_empty() => Ok(None),
            _ => PathBuf::read(written, ()).map(Some),
        }
    }

    fn expected((): ()) -> String {
        "an absolute path, or \"\" for none".into()
    }
}

/// How many addresses a list may have.
#[derive(Clone, Copy)]
pub(super) struct AddressRule {
    pub(super) count_min: usize,
}

impl Value for Vec<SocketAddr> {
    type Rule = AddressRule;

    fn read(written: &Spanned<DeValue<'_>>, rule: AddressRule) -> Result<Self, Vec<Wrong>> {
        let entries = match written.get_ref() {
            DeValue::Array(entries) => entries,
            DeValue::String(text) => return Wrong::new(written).fixed_by(format!("write [{text:?}]")).one(),
            _ => return Wrong::new(written).one(),
        };
        if entries.len() < rule.count_min {
            return Wrong { found: "an empty list".into(), ..Wrong::new(written) }
                .fixed_by("write at least one address")
                .one();
        }
        if entries.len() > LISTEN_ADDRESSES_MAX {
            return Wrong { found: format!("{} addresses", entries.len()), ..Wrong::new(written) }
                .fixed_by(format!("write {LISTEN_ADDRESSES_MAX} or fewer"))
                .one();
        }
        let mut addresses: Self = Vec::new();
        let mut wrong = Vec::new();
        for entry in entries {
            match listen_address(entry) {
                // Port 0 means "any free port", so two of them are two listeners.
                Ok(address) if address.port() != 0 && addresses.contains(&address) => {
                    wrong.push(
                        Wrong::new(entry)
                            .expecting("every address once: two listeners cannot share one")
                            .fixed_by("remove one"),
                    );
                }
                Ok(address) => addresses.push(address),
                Err(mistake) => wrong.push(mistake),
            }
        }
        if wrong.is_empty() { Ok(addresses) } else { Err(wrong) }
    }

    fn expected(AddressRule { count_min }: AddressRule) -> String {
        format!(
            "a list of {count_min} to {LISTEN_ADDRESSES_MAX} addresses with ports, such as \"192.0.2.1:80\" or \"[2001:db8::1]:80\""
        )
    }
}

fn listen_address(written: &Spanned<DeValue<'_>>) -> Result<SocketAddr, Wrong> {
    let DeValue::String(text) = written.get_ref() else {
        return Err(Wrong::new(written).expecting(ADDRESS_EXPECTED).fixed_by("write it in quotes"));
    };
    let address = socket_address(written, text)?;
    match address {
        SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_some() => Err(Wrong::new(written)
            .expecting("an address that a socket for IPv6 alone can have")
            .fixed_by("write the IPv4 address itself")),
        address => Ok(address),
    }
}

const ADDRESS_EXPECTED: &str = "an IP address and a port";

/// An address and a port, or what is likely to be missing from it.
fn socket_address(written: &Spanned<DeValue<'_>>, text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| {
        let wrong = Wrong::new(written).expecting(ADDRESS_EXPECTED);
        let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
        if let Ok(ip) = text.parse::<std::net::IpAddr>() {
            // "::1:80" is an address by itself; its writer meant a port.
            let with_port = SocketAddr::new(ip, 80);
            return wrong.fixed_by(format!("write a port behind it, such as \"{with_port}\""));
        }
        if host.is_empty() && port.parse::<u16>().is_ok() {
            return wrong.fixed_by(format!("write \"0.0.0.0:{port}\", \"[::]:{port}\", or both"));
        }
        if host.parse::<std::net::IpAddr>().is_ok() && port.parse::<u16>().is_err() {
            return wrong.fixed_by("write a port from 0 to 65535");
        }
        wrong.fixed_by("write numbers: names are not looked up")
    })
}

impl Value for AdminAddress {
    type Rule = ();

    fn read(written: &Spanned<DeValue<'_>>, (): ()) -> Result<Self, Vec<Wrong>> {
        let DeValue::String(text) = written.get_ref() else {
            return Wrong::new(written).fixed_by("write it in quotes").one();
        };
        match text.strip_prefix("unix:") {
            Some(path) if path.len() > SOCKET_PATH_BYTES_MAX => Wrong::new(written)
                .expecting(format!(
                    "a socket path of at most {SOCKET_PATH_BYTES_MAX} bytes, as the system demands"
                ))
                .fixed_by("choose a shorter directory")
                .one(),
            Some(path) if !path.starts_with('/') => Wrong::new(written)
                .fixed_by(format!("write the whole path, such as \"unix:/run/carom/{path}\""))
                .one(),
            Some(path) => absolute(written, path).map(Self::Unix),
            None => socket_address(written, text).map(Self::Tcp).map_err(|wrong| vec![wrong]),
        }
    }

    fn expected((): ()) -> String {
        "an address with a port, or \"unix:\" and an absolute path".into()
    }
}

impl Value for LogTarget {
    type Rule = ();

    fn read(written: &Spanned<DeValue<'_>>, (): ()) -> Result<Self, Vec<Wrong>> {
        match written.get_ref() {
            DeValue::String(text) if text == "-" => Ok(Self::Stdout),
            _ => PathBuf::read(written, ()).map(Self::File),
        }
    }

    fn expected((): ()) -> String {
        "\"-\" for standard output, or an absolute path".into()
    }
}

/// Reads one of a few names.
fn choice<T: Copy>(written: &Spanned<DeValue<'_>>, choices: &[(&str, T)]) -> Result<T, Vec<Wrong>> {
    let DeValue::String(text) = written.get_ref() else { return Wrong::new(written).one() };
    match choices.iter().find(|(name, _)| name == text) {
        Some((_, value)) => Ok(*value),
        None => {
            let near = super::nearest(text, choices.iter().map(|(name, _)| *name));
            let fix = near.map(|name| format!("write {name:?}")).unwrap_or_default();
            Wrong::new(written).fixed_by(fix).one()
        }
    }
}

/// Names a few choices: `"a", "b" or "c"`.
fn either<T>(choices: &[(&str, T)]) -> String {
    let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
    let (last, others) = names.split_last().expect("there is a choice");
    format!("{} or {last}", others.join(", "))
}

const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

const LOG_LEVELS: &[(&str, LogLevel)] = &[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

impl Value for LogFormat {
    type Rule = ();

    fn read(written: &Spanned<DeValue<'_>>, (): ()) -> Result<Self, Vec<Wrong>> {
        choice(written, LOG_FORMATS)
    }

    fn expected((): ()) -> String {
        either(LOG_FORMATS)
    }
}

impl Value for LogLevel {
    type Rule = ();

    fn read(written: &Spanned<DeValue<'_>>, (): ()) -> Result<Self, Vec<Wrong>> {
        choice(written, LOG_LEVELS)
    }

    fn expected((): ()) -> String {
        either(LOG_LEVELS)
    }
}

const TLS_VERSIONS: &[(&str, TlsVersion)] = &[("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];

impl Value for TlsVersion {
    type Rule = ();

    fn read(written: &Spanned<DeValue<'_>>, (): ()) -> Result<Self, Vec<Wrong>> {
        choice(written, TLS_VERSIONS)
    }

    fn expected((): ()) -> String {
        either(TLS_VERSIONS)
    }
}

const FORWARDED_FIELDS: &[(&str, ForwardedField)] =
    &[("x-forwarded-for", ForwardedField::XForwardedFor), ("forwarded", ForwardedField::Forwarded)];

impl Value for ForwardedField {
    type Rule = ();

    fn read(written: &Spanned<DeValue<'_>>, (): ()) -> Result<Self, Vec<Wrong>> {
        choice(written, FORWARDED_FIELDS)
    }

    fn expected((): ()) -> String {
        either(FORWARDED_FIELDS)
    }
}

const MODES: &[(&str, Mode)] = &[("off", Mode::Off), ("monitor", Mode::Monitor), ("enforce", Mode::Enforce)];

impl Value for Mode {
    type Rule = ();

    fn read(written: &Spanned<DeValue<'_>>, (): ()) -> Result<Self, Vec<Wrong>> {
        choice(written, MODES)
    }

    fn expected((): ()) -> String {
        either(MODES)
    }
}

const ADDRESS_POLICIES: &[(&str, AddressPolicy)] =
    &[("truncate", AddressPolicy::Truncate), ("hash", AddressPolicy::Hash), ("omit", AddressPolicy::Omit)];

const WHEN_FULL: &[(&str, WhenFull)] =
    &[("drop_oldest", WhenFull::DropOldest), ("drop_newest", WhenFull::DropNewest)];

const RECEIVERS: &[(&str, Receiver)] = &[
    ("none", Receiver::None),
    ("nats", Receiver::Nats),
    ("kafka", Receiver::Kafka),
    ("http", Receiver::Http),
    ("file", Receiver::File),
];

/// Implements `Value` for an enum by its table of names.
macro_rules! choices {
    ($($Type:ty: $table:ident;)+) => {$(
        impl Value for $Type {
            type Rule = ();

            fn read(written: &Spanned<DeValue<'_>>, (): ()) -> Result<Self, Vec<Wrong>> {
                choice(written, $table)
            }

            fn expected((): ()) -> String {
                either($table)
            }
        }
    )+};
}

choices! {
    AddressPolicy: ADDRESS_POLICIES;
    WhenFull: WHEN_FULL;
    Receiver: RECEIVERS;
}
