//! Bans outlive an upgrade to a version with other tables: they are copied from where the earlier one has pinned them.

use std::io::ErrorKind;

use aya::maps::{HashMap, Map, MapData, MapError};
use ebpf_abi::{Ban, BanKey, maps};

use crate::plain::Plain;
use crate::tables::{Tables, table};
use crate::{GuardError, Pins};

/// Bytes of a key: since version 3 a word, before that prefix, length and four zero bytes.
const KEY_BYTES: [usize; 2] = [8, 16];
/// Bytes of a value, in all versions.
const VALUE_BYTES: usize = 16;

impl Tables {
    /// Writes the bans of the newest earlier version, where this one has none for the source.
    pub(crate) fn inherit_bans(&mut self, pins: &Pins) -> Result<(), GuardError> {
        let Some(path) = pins.earlier(maps::BANS).into_iter().next() else { return Ok(()) };
        let map = MapData::from_pin(path).map_err(table(maps::BANS))?;
        let info = map.info().map_err(table(maps::BANS))?;
        let sizes = (info.key_size() as usize, info.value_size() as usize);
        let map = Map::from_map_data(map).map_err(table(maps::BANS))?;
        match sizes {
            (bytes, VALUE_BYTES) if bytes == KEY_BYTES[0] => self.inherit(map, u64::from_ne_bytes),
            (bytes, VALUE_BYTES) if bytes == KEY_BYTES[1] => self.inherit(map, word_of_version_2),
            // Of a version that is not known here: a downgrade.
            _ => Ok(()),
        }
    }

    fn inherit<const KEY: usize>(&mut self, map: Map, word: fn([u8; KEY]) -> u64) -> Result<(), GuardError>
    where
        [u8; KEY]: aya::Pod,
    {
        const BPF_NOEXIST: u64 = 1;
        let earlier: HashMap<_, [u8; KEY], Plain<Ban>> = map.try_into().map_err(table(maps::BANS))?;
        for (key, ban) in earlier.iter().filter_map(Result::ok) {
            match self.bans.insert(word(key), ban, BPF_NOEXIST) {
                Err(MapError::SyscallError(error)) if error.io_error.kind() == ErrorKind::AlreadyExists => {}
                written => written.map_err(table(maps::BANS))?,
            }
        }
        Ok(())
    }
}

fn word_of_version_2(key: [u8; 16]) -> u64 {
    let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = key;
    let (bits, length) = (u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u32::from_ne_bytes([i, j, k, l]));
    BanKey { bits, length, padding: 0 }.packed()
}
