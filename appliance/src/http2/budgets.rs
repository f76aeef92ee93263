//! HOT: how often a client may do what is allowed and gets nothing done: a budget per kind, which requests refill.

use super::Offence;

/// Something that a client may do, but not without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Chore {
    /// A stream is cancelled, or opened beyond the bound.
    Reset,
    Settings,
    Ping,
    Priority,
    WindowUpdate,
    /// DATA with little in it.
    SmallData,
    /// A frame of an unknown type.
    Unknown,
    /// A request that is refused, or a frame on a stream that is gone.
    Refusal,
}

/// How much of each chore is left, in quarters.
#[derive(Debug)]
pub(super) struct Budgets([u16; Chore::ALL.len()]);

/// What one chore costs.
const COST: u16 = 4;

/// What a kind of chore may cost.
struct Price {
    /// How many may come without a request.
    burst: u16,
    /// By how many quarters each answered request refills it.
    refill: u16,
}

impl Chore {
    const ALL: [Self; 8] = [
        Self::Reset,
        Self::Settings,
        Self::Ping,
        Self::Priority,
        Self::WindowUpdate,
        Self::SmallData,
        Self::Unknown,
        Self::Refusal,
    ];

    /// Bursts are what the busiest browsers and tools need, several times over; refills are what they need per request.
    const fn price(self) -> Price {
        match self {
            // A person who types and cancels; three answered requests of four may not be cancelled.
            Self::Reset => Price { burst: 100, refill: 1 },
            // One at the start, and one when a window is resized.
            Self::Settings => Price { burst: 16, refill: 1 },
            // Keep-alive and measurements, one per request at most.
            Self::Ping => Price { burst: 32, refill: 4 },
            // Firefox builds a tree of six at the start.
            Self::Priority => Price { burst: 100, refill: 8 },
            // Two for each body that we send.
            Self::WindowUpdate => Price { burst: 200, refill: 16 },
            Self::SmallData => Price { burst: 100, refill: 4 },
            // Browsers send one of them now and then, so that servers keep ignoring them (RFC 8701).
            Self::Unknown => Price { burst: 64, refill: 8 },
            // HTTP/1 ends at the first one.
            Self::Refusal => Price { burst: 16, refill: 0 },
        }
    }

    fn offence(self) -> Offence {
        match self {
            Self::Reset => Offence::ResetFlood,
            Self::Settings => Offence::SettingsFlood,
            Self::Ping => Offence::PingFlood,
            Self::Priority => Offence::PriorityFlood,
            Self::WindowUpdate => Offence::WindowUpdateFlood,
            Self::SmallData => Offence::EmptyFlood,
            Self::Unknown => Offence::UnknownFlood,
            Self::Refusal => Offence::RefusalFlood,
        }
    }
}

impl Budgets {
    pub(super) fn new() -> Self {
        Self(Chore::ALL.map(|chore| chore.price().burst * COST))
    }

    /// Pays for one chore.
    ///
    /// # Errors
    /// What the client did, if nothing is left.
    #[inline]
    pub(super) fn spend(&mut self, chore: Chore) -> Result<(), Offence> {
        let left = &mut self.0[chore as usize];
        *left = left.checked_sub(COST).ok_or_else(|| chore.offence())?;
        Ok(())
    }

    /// A request was answered.
    #[inline]
    pub(super) fn refill(&mut self) {
        for (left, chore) in self.0.iter_mut().zip(Chore::ALL) {
            let Price { burst, refill } = chore.price();
            *left = (*left + refill).min(burst * COST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chore_has_its_own_cell() {
        for (index, chore) in Chore::ALL.into_iter().enumerate() {
            assert_eq!(chore as usize, index);
        }
    }

    #[test]
    fn a_burst_is_allowed_and_the_next_one_is_an_offence() {
        for chore in Chore::ALL {
            let mut budgets = Budgets::new();
            for _ in 0..chore.price().burst {
                assert_eq!(budgets.spend(chore), Ok(()), "{chore:?}");
            }
            assert_eq!(budgets.spend(chore), Err(chore.offence()));
            for other in Chore::ALL.into_iter().filter(|&other| other != chore) {
                assert_eq!(budgets.spend(other), Ok(()), "{other:?} is not paid from {chore:?}");
            }
        }
    }

    #[test]
    fn requests_refill_a_budget_up_to_its_burst() {
        let mut budgets = Budgets::new();
        for _ in 0..1_000 {
            budgets.refill();
        }
        assert_eq!(budgets.0, Budgets::new().0);
        for _ in 0..100 {
            budgets.spend(Chore::Reset).unwrap();
        }
        for _ in 0..4 {
            budgets.refill();
        }
        assert_eq!(budgets.spend(Chore::Reset), Ok(()));
        assert_eq!(budgets.spend(Chore::Reset), Err(Offence::ResetFlood));
    }
}
