//! The control thread: admin listener, signals, snapshot watch, drain.

pub mod state;

pub mod admin;
