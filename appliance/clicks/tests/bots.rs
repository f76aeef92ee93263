//! The bot flag against user agents that others collected: crawler-user-agents 1.60.0 (MIT, beside the list).

use clicks::BotClass;
use clicks::agents::classify;

/// User agents of programs, one per line.
const CRAWLERS: &str = include_str!("data/crawler-user-agents.txt");

/// Share of the oracle's crawlers that must be flagged, in per cent.
const AGREEMENT_PERCENT_MIN: f64 = 99.0;

#[test]
fn crawlers_that_others_know_are_no_people() {
    let total = CRAWLERS.lines().count();
    let missed: Vec<&str> =
        CRAWLERS.lines().filter(|line| classify(line.as_bytes()).bot == BotClass::Person).collect();
    let agreement = 100.0 * (total - missed.len()) as f64 / total as f64;
    println!("{agreement:.2} % of {total} crawlers are flagged; missed:\n{}", missed.join("\n"));
    assert!(
        total > 2_000 && agreement >= AGREEMENT_PERCENT_MIN,
        "{agreement:.2} %, missed:\n{}",
        missed.join("\n")
    );
}
