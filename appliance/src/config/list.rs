//! Lists of addresses, networks, interfaces and files: how their entries are read.

use std::net::IpAddr;
use std::path::PathBuf;

use ebpf_loader::Cidr;
use snapshot_format::{CODE_BYTES_MAX, HOST_BYTES_MAX, canonical_host};
use toml::Spanned;
use toml::de::DeValue;

use super::settings::{HostName, PathPattern};
use super::value::{Value, Wrong, absolute};
use crate::limits::INTERFACE_NAME_BYTES_MAX;

/// What a list with this many entries at most may hold.
pub(super) trait Entry: Sized + PartialEq {
    /// What an entry is: completes "a list of at most n".
    const PLURAL: &'static str;

    fn read(written: &Spanned<DeValue<'_>>, text: &str) -> Result<Self, Vec<Wrong>>;
}

impl<T: Entry> Value for Vec<T> {
    /// Most entries.
    type Rule = usize;

    fn read(written: &Spanned<DeValue<'_>>, entries_max: usize) -> Result<Self, Vec<Wrong>> {
        let entries = match written.get_ref() {
            DeValue::Array(entries) => entries,
            DeValue::String(text) => return Wrong::new(written).fixed_by(format!("write [{text:?}]")).one(),
            _ => return Wrong::new(written).one(),
        };
        if entries.len() > entries_max {
            return Wrong { found: format!("{} entries", entries.len()), ..Wrong::new(written) }
                .fixed_by(format!("write {entries_max} or fewer"))
                .one();
        }
        let (mut list, mut wrong) = (Self::new(), Vec::new());
        for entry in entries {
            let DeValue::String(text) = entry.get_ref() else {
                wrong.push(Wrong::new(entry).fixed_by("write each entry in quotes"));
                continue;
            };
            match T::read(entry, text) {
                Ok(value) if list.contains(&value) => {
                    wrong.push(Wrong::new(entry).expecting("every entry once").fixed_by("remove one"));
                }
                Ok(value) => list.push(value),
                Err(mistakes) => wrong.extend(mistakes),
            }
        }
        if wrong.is_empty() { Ok(list) } else { Err(wrong) }
    }

    fn expected(entries_max: usize) -> String {
        format!("a list of at most {entries_max} {}", T::PLURAL)
    }
}

impl Entry for IpAddr {
    const PLURAL: &'static str = "addresses without ports, such as \"192.0.2.1\" or \"2001:db8::1\"";

    fn read(written: &Spanned<DeValue<'_>>, text: &str) -> Result<Self, Vec<Wrong>> {
        match text.parse::<Self>() {
            Ok(address) if address.is_unspecified() || address.is_multicast() => Wrong::new(written)
                .expecting("an address that clients can connect to")
                .fixed_by("write the address itself")
                .one(),
            Ok(address) => Ok(address),
            Err(_) => {
                Wrong::new(written).expecting("an IP address").fixed_by("write numbers without a port").one()
            }
        }
    }
}

impl Entry for Cidr {
    const PLURAL: &'static str = "networks, such as \"192.0.2.0/24\" or \"2001:db8::/32\"";

    fn read(written: &Spanned<DeValue<'_>>, text: &str) -> Result<Self, Vec<Wrong>> {
        text.parse().or_else(|error| {
            Wrong::new(written).expecting("a network").fixed_by(format!("correct it: {error}")).one()
        })
    }
}

impl Entry for PathBuf {
    const PLURAL: &'static str = "absolute paths";

    fn read(written: &Spanned<DeValue<'_>>, text: &str) -> Result<Self, Vec<Wrong>> {
        absolute(written, text)
    }
}

impl Entry for String {
    const PLURAL: &'static str = "names of interfaces, such as \"eth0\"";

    fn read(written: &Spanned<DeValue<'_>>, text: &str) -> Result<Self, Vec<Wrong>> {
        let fits = !text.is_empty() && text.len() <= INTERFACE_NAME_BYTES_MAX;
        if fits
            && !text.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control())
            && text != "."
            && text != ".."
        {
            return Ok(text.to_owned());
        }
        Wrong::new(written)
            .expecting(format!(
                "the name of an interface, 1 to {INTERFACE_NAME_BYTES_MAX} bytes without slashes"
            ))
            .fixed_by("`ip link` shows the names")
            .one()
    }
}

impl Entry for PathPattern {
    const PLURAL: &'static str =
        "paths without a leading slash, such as \"favicon.ico\" or \".well-known/*\"";

    fn read(written: &Spanned<DeValue<'_>>, text: &str) -> Result<Self, Vec<Wrong>> {
        let start = text.strip_suffix('*').unwrap_or(text);
        let fits = !text.is_empty()
            && text.len() <= CODE_BYTES_MAX
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits && !start.contains('*') && !text.starts_with('/') {
            return Ok(Self(text.to_owned()));
        }
        Wrong::new(written)
            .expecting("a path without a leading slash, with `*` at its end only")
            .fixed_by("write it as it stands behind the host's slash")
            .one()
    }
}

impl Entry for HostName {
    const PLURAL: &'static str = "domains, such as \"go.example\"";

    fn read(written: &Spanned<DeValue<'_>>, text: &str) -> Result<Self, Vec<Wrong>> {
        let mut buffer = [0; HOST_BYTES_MAX];
        match canonical_host(text.as_bytes(), &mut buffer) {
            Ok(host) => Ok(Self(String::from_utf8_lossy(host).into_owned())),
            Err(_) => Wrong::new(written)
                .expecting("a host name")
                .fixed_by("write it without scheme and `*.`")
                .one(),
        }
    }
}
