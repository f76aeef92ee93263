//! Builds, proves and inspects snapshots of all links.

