//! Loads, attaches, replaces and pins the programs of the guard.
