//! Where a row stands, in the 64 bits that the writer keeps of it.

/// An input and a line of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Place of the input among the inputs, counted from 0.
    pub input: u16,
    /// Line, counted from 1; from 2^48 on it is no longer told apart.
    pub line: u64,
}

const LINE_BITS: u32 = 48;
const LINE_MAX: u64 = (1 << LINE_BITS) - 1;

impl Place {
    /// Both in one number that grows with the order of rows.
    pub const fn pack(self) -> u64 {
        let line = if self.line > LINE_MAX { LINE_MAX } else { self.line };
        (self.input as u64) << LINE_BITS | line
    }

    /// Back from one number.
    pub const fn unpack(packed: u64) -> Self {
        Self { input: (packed >> LINE_BITS) as u16, line: packed & LINE_MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_packing_in_order() {
        let places =
            [(0, 1), (0, LINE_MAX), (1, 1), (u16::MAX, LINE_MAX)].map(|(input, line)| Place { input, line });
        for place in places {
            assert_eq!(Place::unpack(place.pack()), place);
        }
        assert!(places.map(Place::pack).is_sorted());
    }
}
