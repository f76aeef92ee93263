//! The facts a node states about its own health; no judgement.

