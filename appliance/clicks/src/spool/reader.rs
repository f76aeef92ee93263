//! Reads a segment block by block, while it grows or after a crash, and counts what is damaged instead of stopping at it.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use memchr::memmem;

use super::segment::{BLOCK_HEADER_BYTES, BLOCK_MAGIC, BlockHeader, HEADER_BYTES_MAX, Header};

/// An open segment.
pub struct SegmentReader {
    file: File,
    header: Header,
    /// Where the next block begins.
    offset: u64,
    /// Sequence number that the next block should begin with, once one was seen.
    expected_sequence: Option<u64>,
}

/// What comes next in a segment.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// A whole block: its header and its records.
    Block(BlockHeader, Vec<u8>),
    /// So many records cannot be read any more.
    Damaged(u64),
    /// Nothing yet: the segment ends here, or in the middle of a block. That much is behind the last whole block.
    End {
        /// Bytes of an incomplete block; 0 after a clean end.
        torn_bytes: u64,
    },
}

impl SegmentReader {
    /// Opens the segment at `path`.
    ///
    /// # Errors
    ///
    /// It cannot be read, or its header is damaged: [`io::ErrorKind::InvalidData`].
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut start = Vec::with_capacity(HEADER_BYTES_MAX);
        file.by_ref().take(HEADER_BYTES_MAX as u64).read_to_end(&mut start)?;
        let (header, bytes) = Header::decode(&start).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} has no header of a segment", path.display()),
            )
        })?;
        Ok(Self { file, header, offset: bytes as u64, expected_sequence: None })
    }

    /// Who wrote it.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where the next block begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Goes on at `offset`, which an earlier reader returned. Looks at the headers up to there, so that a gap behind it is
    /// noticed.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn skip_to(&mut self, offset: u64) -> io::Result<()> {
        while self.offset < offset {
            if self.next_header()?.is_none() && matches!(self.next_piece()?, Piece::End { .. }) {
                break;
            }
        }
        Ok(())
    }

    /// The next header, without its records; skips them.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn next_header(&mut self) -> io::Result<Option<BlockHeader>> {
        let length = self.file.metadata()?.len();
        let Some(header) = self.header_at(self.offset)? else { return Ok(None) };
        let end = self.offset + header.total_bytes();
        if end > length {
            return Ok(None);
        }
        self.offset = end;
        self.expected_sequence = Some(header.first_sequence + u64::from(header.records));
        Ok(Some(header))
    }

    /// What comes next.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn next_piece(&mut self) -> io::Result<Piece> {
        let length = self.file.metadata()?.len();
        let Some(header) = self.header_at(self.offset)? else {
            return self.skip_to_the_next_header(length);
        };
        let end = self.offset + header.total_bytes();
        if end > length {
            return Ok(Piece::End { torn_bytes: length.saturating_sub(self.offset) });
        }
        if let Some(expected) = self.expected_sequence
            && header.first_sequence > expected
        {
            self.expected_sequence = Some(header.first_sequence);
            return Ok(Piece::Damaged(header.first_sequence - expected));
        }
        let mut payload = vec![0; header.compressed_bytes as usize];
        self.file.seek(SeekFrom::Start(self.offset + BLOCK_HEADER_BYTES as u64))?;
        self.file.read_exact(&mut payload)?;
        self.offset = end;
        self.expected_sequence = Some(header.first_sequence + u64::from(header.records));
        Ok(match header.open(&payload) {
            Some(records) => Piece::Block(header, records),
            None => Piece::Damaged(u64::from(header.records)),
        })
    }

    fn header_at(&mut self, offset: u64) -> io::Result<Option<BlockHeader>> {
        let mut bytes = [0; BLOCK_HEADER_BYTES];
        self.file.seek(SeekFrom::Start(offset))?;
        match self.file.read_exact(&mut bytes) {
            Ok(()) => Ok(BlockHeader::decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The header here is damaged or not yet there: looks for one behind it. Its sequence number tells what is missing.
    fn skip_to_the_next_header(&mut self, length: u64) -> io::Result<Piece> {
        let end = Piece::End { torn_bytes: length.saturating_sub(self.offset) };
        if length.saturating_sub(self.offset) < BLOCK_HEADER_BYTES as u64 {
            return Ok(end);
        }
        let mut rest = Vec::new();
        self.file.seek(SeekFrom::Start(self.offset))?;
        self.file.by_ref().take(length - self.offset).read_to_end(&mut rest)?;
        let found = memmem::find_iter(&rest[1..], BLOCK_MAGIC)
            .map(|at| at + 1)
            .find(|&at| BlockHeader::decode(&rest[at..]).is_some());
        let Some(at) = found else { return Ok(end) };
        let header = BlockHeader::decode(&rest[at..]).expect("it was just found");
        self.offset += at as u64;
        let missing =
            self.expected_sequence.map_or(0, |expected| header.first_sequence.saturating_sub(expected));
        self.expected_sequence = Some(header.first_sequence);
        Ok(Piece::Damaged(missing))
    }
}
