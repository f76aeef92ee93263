//! Tests of the whole: real processes, real sockets, the lab.
