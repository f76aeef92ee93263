//! Measures what it costs a shard to note one deed of a client: `cargo run --release -p carom --example cost_of_a_deed`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use carom::config::settings::Scoring;
use carom::scanners::{Deed, Scores, Source};

const SCORING: Scoring = Scoring {
    threshold: 20,
    half_life: Duration::from_secs(10),
    unknown_code: 1,
    unknown_host: 3,
    junk: 5,
    good: 2,
};
const DEEDS: u32 = 4_000_000;
/// Places of a shard's table.
const PLACES: usize = 16_384;

fn main() {
    // In the cache of a core, as many as there are places, and far more.
    for sources in [64_u32, 16_384, 1_000_000] {
        let epoch = Instant::now();
        let mut scores = Scores::new(SCORING, PLACES, [1, 2, 3, 4], epoch);
        let began = Instant::now();
        for round in 0..DEEDS {
            // A walk that visits all, in no order that a prefetcher knows.
            let source = Source::V4(round.wrapping_mul(2_654_435_761) % sources);
            black_box(scores.record(source, Deed::Good, epoch));
        }
        let ns = began.elapsed().as_nanos() as f64 / f64::from(DEEDS);
        println!("{sources} sources: {ns:.1} ns per deed");
    }
}
