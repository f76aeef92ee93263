//! The snapshot a node serves: opening, keeping a private copy, swapping.
