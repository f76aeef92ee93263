//! The guard with native XDP on a real (virtual) cable: who is dropped at the interface, and who is served beside it.

mod bench;

mod stages;

mod challenges;

mod scanners;

mod life;

mod refusals;
