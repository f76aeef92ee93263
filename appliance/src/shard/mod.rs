//! One core: its listener, its connections, its timers, its counters.
