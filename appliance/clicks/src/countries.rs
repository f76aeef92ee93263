//! Which country an address is in, by a database in the MaxMind DB format that somebody else made.

use std::net::Ipv6Addr;

use maxminddb::{MaxMindDbError, PathElement, Reader, WithinOptions};

use crate::kinds::AddressKind;
use crate::limits::COUNTRY_SAMPLES_MAX;
use crate::record::Address;

/// Where databases keep the code: MaxMind and DB-IP, IP to Location, IPinfo.
const PATHS: [&[PathElement<'static>]; 3] = [
    &[PathElement::Key("country"), PathElement::Key("iso_code")],
    &[PathElement::Key("country_code")],
    &[PathElement::Key("country")],
];

/// No country is known.
pub const UNKNOWN: [u8; 2] = [0; 2];

/// Why a file is no database of countries.
#[derive(Debug, thiserror::Error)]
pub enum CountriesError {
    /// It is damaged, or something else.
    #[error(transparent)]
    Unreadable(#[from] MaxMindDbError),
    /// It is a good database of something else.
    #[error(
        "it is of type {found:?} and names no country where known databases do (country.iso_code, country_code, country)"
    )]
    NoCountries {
        /// What it calls itself.
        found: String,
    },
}

/// A database in memory.
pub struct Countries {
    reader: Reader<Vec<u8>>,
    path: &'static [PathElement<'static>],
}

impl Countries {
    /// Checks all of the database in `bytes`. Takes a second or two for a large one.
    ///
    /// # Errors
    ///
    /// It is damaged, or knows no countries.
    pub fn new(bytes: Vec<u8>) -> Result<Self, CountriesError> {
        let reader = Reader::from_source(bytes)?;
        reader.verify()?;
        let Some(path) = path_of(&reader)? else {
            return Err(CountriesError::NoCountries { found: reader.metadata().database_type.clone() });
        };
        Ok(Self { reader, path })
    }

    /// ISO 3166-1 alpha-2 code of the country of a whole address; [`UNKNOWN`] for everything else.
    pub fn of(&self, address: Address) -> [u8; 2] {
        if address.kind != AddressKind::Whole {
            return UNKNOWN;
        }
        let ip = Ipv6Addr::from(address.bytes).to_canonical();
        let found = self.reader.lookup(ip).and_then(|network| network.decode_path::<&str>(self.path));
        found.ok().flatten().and_then(code).unwrap_or(UNKNOWN)
    }

    /// When it was built, by its maker's clock, in seconds since 1970.
    pub fn built_unix_s(&self) -> u64 {
        self.reader.metadata().build_epoch
    }
}

/// The first of the known places where one of the first networks has a code.
fn path_of(reader: &Reader<Vec<u8>>) -> Result<Option<&'static [PathElement<'static>]>, MaxMindDbError> {
    for network in reader.networks(WithinOptions::default())?.take(COUNTRY_SAMPLES_MAX) {
        let network = network?;
        let names = |path: &&[PathElement<'_>]| {
            network.decode_path::<&str>(path).ok().flatten().and_then(code).is_some()
        };
        if let Some(path) = PATHS.into_iter().find(names) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Two capital letters, or nothing.
fn code(text: &str) -> Option<[u8; 2]> {
    let code: [u8; 2] = text.as_bytes().try_into().ok()?;
    code.iter().all(u8::is_ascii_uppercase).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by the package mmdb_writer, which nobody here wrote; how: beside the files.
    const DATABASE: &[u8] = include_bytes!("../tests/data/countries.mmdb");
    const LATER: &[u8] = include_bytes!("../tests/data/countries-later.mmdb");

    fn check(bytes: &[u8], address: &str, expected: &[u8; 2]) {
        let countries = Countries::new(bytes.into()).unwrap();
        let whole = Address::whole(address.parse().unwrap());
        assert_eq!(countries.of(whole), *expected, "{address}");
    }

    #[test]
    fn an_address_is_in_the_country_that_the_database_says() {
        check(DATABASE, "127.77.88.99", b"DE");
        check(DATABASE, "192.0.2.127", b"AT");
        check(DATABASE, "192.0.2.128", b"CH");
        check(DATABASE, "2001:db8:1:2::3", b"JP");
        check(DATABASE, "198.51.100.1", &UNKNOWN);
        check(DATABASE, "2001:db8:2::1", &UNKNOWN);
        // The other way to name countries.
        check(LATER, "127.77.88.99", b"FR");
    }

    #[test]
    fn what_is_no_whole_address_has_no_country() {
        let countries = Countries::new(DATABASE.into()).unwrap();
        let whole = Address::whole("192.0.2.1".parse().unwrap());
        for kind in [AddressKind::None, AddressKind::Truncated, AddressKind::Hashed] {
            assert_eq!(countries.of(Address { kind, ..whole }), UNKNOWN);
        }
    }

    #[test]
    fn a_damaged_database_is_refused_or_answers_without_harm() {
        let addresses = ["127.0.0.1", "192.0.2.1", "2001:db8:1::1"];
        for place in 0..DATABASE.len() {
            let mut damaged = DATABASE.to_vec();
            damaged[place] ^= 0x55;
            if let Ok(countries) = Countries::new(damaged) {
                for address in addresses {
                    let found = countries.of(Address::whole(address.parse().unwrap()));
                    assert!(found == UNKNOWN || found.iter().all(u8::is_ascii_uppercase));
                }
            }
            assert!(Countries::new(DATABASE[..place].to_vec()).is_err(), "cut at {place}");
        }
    }
}
