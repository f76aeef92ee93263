#![no_std]
#![forbid(unsafe_code)]
//! Parsing and decisions of the guard, for host and kernel alike.
