//! HOT: reads header blocks, field by field, into room that the caller owns.

use crate::limits::{HPACK_TABLE_BYTES, HPACK_UPDATES_PER_BLOCK_MAX};

use super::huffman::{self, Undecodable};
use super::integer;
use super::table::{DynamicTable, ENTRY_OVERHEAD, static_entry};

/// One connection's decoder.
#[derive(Debug)]
pub struct Decoder {
    table: DynamicTable,
    /// What the client's encoder last said about the size of its table.
    size_max: usize,
    /// The most that it may say.
    allowed: usize,
}

/// One field of a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'r> {
    /// Its name, as it was sent.
    pub name: &'r [u8],
    /// Its value, as it was sent.
    pub value: &'r [u8],
}

impl Field<'_> {
    /// What the field counts in the size of a header list (RFC 9113, 10.5.1).
    #[inline]
    pub fn size(&self) -> usize {
        self.name.len() + self.value.len() + ENTRY_OVERHEAD
    }
}

/// Why a field cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The block is wrong, and with it everything that follows on the connection.
    Malformed,
    /// There is no room for the field. It can still be skipped.
    TooLarge,
}

/// Where a literal field goes.
#[derive(Clone, Copy)]
enum Indexing {
    Insert,
    Pass,
}

impl Default for Decoder {
    /// The decoder of a new connection: the client may use a table of 4,096 bytes until it has heard otherwise.
    fn default() -> Self {
        Self { table: DynamicTable::default(), size_max: HPACK_TABLE_BYTES, allowed: HPACK_TABLE_BYTES }
    }
}

impl Decoder {
    /// The client has acknowledged that it gets no dynamic table.
    ///
    /// Its encoder now has to say so at the start of the next block (RFC 7541, 4.2), and the memory goes with that word.
    /// Encoders that never use the table often do not say it, and old ones do not know the setting: their table stays as
    /// it was, bounded as before, instead of ending their connections (decision 0022).
    pub fn forbid_table(&mut self) {
        self.allowed = 0;
    }

    /// Reads the updates of the table's size that may stand at the start of a block, and nowhere else.
    ///
    /// # Errors
    /// [`Fault::Malformed`] for one that is above what is allowed, or one too many.
    #[inline]
    pub fn open(&mut self, block: &mut &[u8]) -> Result<(), Fault> {
        let mut updates = 0;
        while let [0x20..=0x3f, ..] = block {
            let size = integer::read(block, 5)?;
            updates += 1;
            if size > self.allowed || updates > HPACK_UPDATES_PER_BLOCK_MAX {
                return Err(Fault::Malformed);
            }
            self.size_max = size;
            if size == 0 { self.table.clear() } else { self.table.shrink(size) }
        }
        Ok(())
    }

    /// Reads the next field; `None` at the end of the block. What it needs of `room` is cut off from its start. After a
    /// fault, neither the block nor the table has moved.
    ///
    /// # Errors
    /// [`Fault`] says which.
    #[inline]
    pub fn field<'r>(
        &mut self,
        block: &mut &[u8],
        room: &mut &'r mut [u8],
    ) -> Result<Option<Field<'r>>, Fault> {
        let Some(&first) = block.first() else { return Ok(None) };
        let mut rest = *block;
        let field = match first {
            0x80.. => {
                let index = integer::read(&mut rest, 7)?;
                match static_entry(index) {
                    Some((name, value)) => Field { name, value },
                    None => {
                        let (name, value) = self.dynamic_entry(index)?;
                        Field { name: copy(name, room)?, value: copy(value, room)? }
                    }
                }
            }
            0x40..=0x7f => self.literal(&mut rest, 6, Indexing::Insert, room)?,
            // Sizes are updated before the first field.
            0x20..=0x3f => return Err(Fault::Malformed),
            // Without indexing, and never to be indexed: we pass nothing on that could be.
            0x00..=0x1f => self.literal(&mut rest, 4, Indexing::Pass, room)?,
        };
        *block = rest;
        Ok(Some(field))
    }

    /// Reads the rest of a block whose fields nobody wants, so that the table stays that of the client. Returns the size of
    /// what was read; stops as soon as that is more than `size_max`.
    ///
    /// # Errors
    /// [`Fault::Malformed`], or [`Fault::TooLarge`] above `size_max`.
    #[cold]
    pub fn skip(&mut self, mut block: &[u8], size_max: usize) -> Result<usize, Fault> {
        // The shortest code has five bits, and an entry of the table fits as well.
        let mut memory = vec![0; block.len() * 2 + HPACK_TABLE_BYTES];
        let mut size = 0;
        while let Some(field) = self.field(&mut block, &mut &mut memory[..])? {
            size += field.size();
            if size > size_max {
                return Err(Fault::TooLarge);
            }
        }
        Ok(size)
    }

    /// Bytes that the decoder holds from the allocator.
    pub fn held_bytes(&self) -> usize {
        self.table.held_bytes()
    }

    fn dynamic_entry(&self, index: usize) -> Result<(&[u8], &[u8]), Fault> {
        index.checked_sub(62).and_then(|index| self.table.entry(index)).ok_or(Fault::Malformed)
    }

    #[inline]
    fn literal<'r>(
        &mut self,
        rest: &mut &[u8],
        bits: u32,
        indexing: Indexing,
        room: &mut &'r mut [u8],
    ) -> Result<Field<'r>, Fault> {
        let index = integer::read(rest, bits)?;
        let name = match (index, static_entry(index)) {
            (0, _) => text(rest, room)?,
            (_, Some((name, _))) => name,
            (_, None) => copy(self.dynamic_entry(index)?.0, room)?,
        };
        let value = text(rest, room)?;
        if let Indexing::Insert = indexing {
            self.table.insert(name, value, self.size_max);
        }
        Ok(Field { name, value })
    }
}

/// Reads a string (RFC 7541, 5.2) into the start of `room`, and cuts that off.
#[inline]
fn text<'r>(rest: &mut &[u8], room: &mut &'r mut [u8]) -> Result<&'r [u8], Fault> {
    let is_huffman = rest.first().is_some_and(|first| first & 0x80 != 0);
    let bytes = integer::read(rest, 7)?;
    let (raw, behind) = rest.split_at_checked(bytes).ok_or(Fault::Malformed)?;
    let text = if is_huffman {
        let bytes = huffman::decode(raw, room).map_err(|undecodable| match undecodable {
            Undecodable::Malformed => Fault::Malformed,
            Undecodable::TooLong => Fault::TooLarge,
        })?;
        cut(room, bytes)
    } else {
        copy(raw, room)?
    };
    *rest = behind;
    Ok(text)
}

#[inline]
fn copy<'r>(text: &[u8], room: &mut &'r mut [u8]) -> Result<&'r [u8], Fault> {
    room.get_mut(..text.len()).ok_or(Fault::TooLarge)?.copy_from_slice(text);
    Ok(cut(room, text.len()))
}

/// Cuts the first bytes off, which are filled.
#[inline]
fn cut<'r>(room: &mut &'r mut [u8], bytes: usize) -> &'r [u8] {
    let (filled, rest) = std::mem::take(room).split_at_mut(bytes);
    *room = rest;
    filled
}

#[cfg(test)]
mod tests;
