//! What a handful of rounds say together: the median, the spread, and the ratio of two medians.

/// Rounds below this say nothing; every benchmark runs at least as many.
pub(crate) const ROUNDS_MIN: usize = 5;

/// The rounds of one contestant, summed up.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Summary {
    /// Of the finite values among `rounds`; `None` if there is none.
    pub(crate) fn of(rounds: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = rounds.iter().copied().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Some(Self { median, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_the_finite_rounds() {
        for (rounds, expected) in [
            (&[][..], None),
            (&[f64::NAN][..], None),
            (&[3.0][..], Some((3.0, 3.0, 3.0))),
            (&[9.0, 1.0, 2.0][..], Some((2.0, 1.0, 9.0))),
            (&[4.0, 1.0, 2.0, f64::INFINITY, 8.0][..], Some((3.0, 1.0, 8.0))),
        ] {
            let found = Summary::of(rounds).map(|summary| (summary.median, summary.min, summary.max));
            assert_eq!(found, expected, "{rounds:?}");
        }
    }
}
