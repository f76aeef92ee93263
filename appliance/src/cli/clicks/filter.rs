//! Which records are wanted.

use clap::Args;
use clicks::{Click, Outcome};

/// Options that `tail` and `top` share.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// Only this domain.
    #[arg(long)]
    domain: Option<String>,
    /// Only this code.
    #[arg(long)]
    code: Option<String>,
    /// Only this outcome, such as `redirected` or `not_found`.
    #[arg(long, value_parser = outcome)]
    outcome: Option<Outcome>,
}

fn outcome(text: &str) -> Result<Outcome, String> {
    Outcome::ALL.iter().copied().find(|outcome| outcome.label() == text).ok_or_else(|| {
        let names: Vec<_> = Outcome::ALL.iter().map(|outcome| outcome.label()).collect();
        format!("one of {}", names.join(", "))
    })
}

impl Filter {
    pub(super) fn wants(&self, click: &Click<'_>) -> bool {
        let Self { domain, code, outcome } = self;
        domain.as_ref().is_none_or(|domain| domain.as_bytes() == click.domain)
            && code.as_ref().is_none_or(|code| code.as_bytes() == click.code)
            && outcome.is_none_or(|outcome| outcome == click.outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_fits_all_options_is_wanted() {
        let click =
            Click { domain: b"go.example", code: b"a", outcome: Outcome::Expired, ..Click::default() };
        let filter = |domain: Option<&str>, code: Option<&str>, outcome| Filter {
            domain: domain.map(str::to_owned),
            code: code.map(str::to_owned),
            outcome,
        };
        assert!(filter(None, None, None).wants(&click));
        assert!(filter(Some("go.example"), Some("a"), Some(Outcome::Expired)).wants(&click));
        assert!(!filter(Some("go.example"), Some("b"), None).wants(&click));
        assert!(!filter(None, None, Some(Outcome::Redirected)).wants(&click));
        assert!(outcome("expired").is_ok() && outcome("expird").is_err());
    }
}
