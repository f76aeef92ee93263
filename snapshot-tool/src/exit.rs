//! What the process says when it ends.

use std::process::ExitCode;

/// Exit codes, the same for every subcommand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well; for `diff`: no difference; for `lookup`: a link was found.
    Success,
    /// An error, nothing was published; for `diff`: a difference; for `lookup`: no link.
    Failure,
    /// The command line makes no sense; for `diff` and `lookup`: any error, so that a difference or a miss stays apart.
    Usage,
    /// Published, and some rows were refused.
    RowsRefused,
    /// Not published: the number of links changed by more than is allowed.
    ChangeRefused,
}

impl Exit {
    /// The number that a shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::RowsRefused => 3,
            Self::ChangeRefused => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
