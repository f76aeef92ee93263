//! HOT: where a redirect points: a stored destination, with the query of the request if the link wants it.

/// The value of a Location field, checked: nothing in it can end the field early or start another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location<'a> {
    destination: &'a [u8],
    query: &'a [u8],
}

impl<'a> Location<'a> {
    /// `destination` with `query` behind it; `None` if one of them holds a control byte, or the destination is empty.
    /// An empty query adds nothing.
    pub fn new(destination: &'a [u8], query: &'a [u8]) -> Option<Self> {
        let sendable = |text: &[u8]| !text.iter().any(u8::is_ascii_control);
        (!destination.is_empty() && sendable(destination) && sendable(query)).then_some(Self { destination, query })
    }
}
