//! What the verifier thinks of the program, bounded so that growth is noticed.

use crate::lab;

/// A million is the kernel's limit; this is where we want to hear of it.
const VERIFIED_INSTRUCTIONS_MAX: u32 = 700_000;

#[test]
fn the_verifier_walks_through_a_bounded_number_of_instructions() {
    let Some((guard, _bpffs)) = lab::guard("verifier bound") else { return };
    let facts = guard.facts().unwrap();
    println!("{facts:?}");
    assert!(facts.verified_instructions <= VERIFIED_INSTRUCTIONS_MAX, "{}", facts.verified_instructions);
}
