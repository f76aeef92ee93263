#![no_std]
//! What the kernel side and the user side of the guard share.
