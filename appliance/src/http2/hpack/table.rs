//! HOT: the two tables of HPACK: the static one (RFC 7541, appendix A), and the dynamic one of a connection.

use std::collections::VecDeque;

/// Bytes by which an entry is larger than its name and value (RFC 7541, 4.1).
pub(super) const ENTRY_OVERHEAD: usize = 32;

/// Names and values, from index 1 on.
#[rustfmt::skip]
const STATIC: [(&[u8], &[u8]); 61] = [
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
];

/// The entry with this index in the static table; `None` if there is none.
#[inline]
pub(super) fn static_entry(index: usize) -> Option<(&'static [u8], &'static [u8])> {
    STATIC.get(index.wrapping_sub(1)).copied()
}

/// The dynamic table that a client's encoder fills. It holds no memory until something is inserted.
#[derive(Debug, Default)]
pub(super) struct DynamicTable {
    /// From the oldest to the newest.
    entries: VecDeque<Entry>,
    /// Names and values of the entries in their order, behind what is left of evicted ones.
    bytes: Vec<u8>,
    /// The sum of the sizes of all entries.
    size: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    name_bytes: u16,
    value_bytes: u16,
}

impl Entry {
    fn size(self) -> usize {
        usize::from(self.name_bytes) + usize::from(self.value_bytes) + ENTRY_OVERHEAD
    }

    fn end(self) -> usize {
        self.start as usize + usize::from(self.name_bytes) + usize::from(self.value_bytes)
    }
}

impl DynamicTable {
    /// The entry with this index, counted from 0 for the newest; `None` if there is none.
    #[inline]
    pub(super) fn entry(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let place = self.entries.len().checked_sub(index.checked_add(1)?)?;
        let entry = *self.entries.get(place)?;
        let text = &self.bytes[entry.start as usize..entry.end()];
        Some(text.split_at(entry.name_bytes.into()))
    }

    /// Evicts the oldest entries until the rest takes at most `size_max` bytes.
    pub(super) fn shrink(&mut self, size_max: usize) {
        while self.size > size_max {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.size -= oldest.size();
        }
    }

    /// Gives all memory back.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Inserts an entry, and evicts for it; one that is larger than the whole table empties it (RFC 7541, 4.4).
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], size_max: usize) {
        let size = name.len() + value.len() + ENTRY_OVERHEAD;
        self.shrink(size_max.saturating_sub(size));
        if size > size_max {
            return;
        }
        self.make_room(name.len() + value.len(), size_max);
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        // Both fit into 16 bits, because a table never has more than a few KiB.
        let (name_bytes, value_bytes) = (name.len() as u16, value.len() as u16);
        self.entries.push_back(Entry { start, name_bytes, value_bytes });
        self.size += size;
    }

    /// Bytes that the table holds from the allocator.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Moves the live bytes to the front if `more` would need memory beyond the table's own size.
    fn make_room(&mut self, more: usize, size_max: usize) {
        if self.bytes.len() + more <= size_max {
            return;
        }
        let start = self.entries.front().map_or(self.bytes.len(), |oldest| oldest.start as usize);
        self.bytes.drain(..start);
        for entry in &mut self.entries {
            entry.start -= start as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_static_table_begins_and_ends_as_in_the_standard() {
        assert_eq!(static_entry(0), None);
        assert_eq!(static_entry(1), Some((&b":authority"[..], &b""[..])));
        assert_eq!(static_entry(8), Some((&b":status"[..], &b"200"[..])));
        assert_eq!(static_entry(46), Some((&b"location"[..], &b""[..])));
        assert_eq!(static_entry(61), Some((&b"www-authenticate"[..], &b""[..])));
        assert_eq!(static_entry(62), None);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_list_of_strings(
            steps in proptest::collection::vec((0..60_usize, 0..90_usize, 0..30_u8), 0..120),
        ) {
            let mut table = DynamicTable::default();
            let mut oracle: VecDeque<(Vec<u8>, Vec<u8>)> = VecDeque::new();
            let size = |entry: &(Vec<u8>, Vec<u8>)| entry.0.len() + entry.1.len() + 32;
            let mut size_max = 300;
            for (place, (name, value, kind)) in steps.into_iter().enumerate() {
                if kind == 0 {
                    size_max = value * 4;
                    table.shrink(size_max);
                } else {
                    let entry = (vec![place as u8; name], vec![kind; value]);
                    table.insert(&entry.0, &entry.1, size_max);
                    oracle.push_front(entry);
                }
                while oracle.iter().map(size).sum::<usize>() > size_max {
                    oracle.pop_back();
                }
                for (index, (name, value)) in oracle.iter().enumerate() {
                    prop_assert_eq!(table.entry(index), Some((&name[..], &value[..])));
                }
                prop_assert_eq!(table.entry(oracle.len()), None);
                prop_assert!(table.bytes.len() <= 360, "evicted bytes do not pile up");
            }
        }
    }
}
