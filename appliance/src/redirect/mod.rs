//! What a request deserves: head, snapshot and time in, reply out.
