//! `generate`: synthetic rows for benchmarks, the same for the same seed.

use crate::exit::Exit;
use anyhow::Context;
use std::io::{self, BufWriter, ErrorKind, Write};

/// Write synthetic rows to standard output, for benchmarks.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// How many rows.
    #[arg(long, value_name = "N")]
    links: u64,
    /// Rows depend on this number alone.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How many domains they belong to.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    domains: u64,
}

/// Digits of codes; seven of them tell 3.5 million million links apart.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CODE_DIGITS: u32 = 7;
const CODES: u128 = 62_u128.pow(CODE_DIGITS);

/// Odd and no multiple of 31, so that multiplying by it permutes the codes.
const SPREAD: u128 = 1_500_450_271;

/// Runs `generate`.
///
/// # Errors
/// If standard output cannot be written. A reader that has seen enough is no error.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    match write_rows(arguments, &mut output).and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Success),
        written => written.context("standard output").map(|()| Exit::Success),
    }
}

fn write_rows(arguments: &Arguments, output: &mut impl Write) -> io::Result<()> {
    let Arguments { links, seed, domains } = *arguments;
    output.write_all(b"domain,code,destination\n")?;
    for number in 0..links {
        let random = mixed(seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        let mut code = [0; CODE_DIGITS as usize];
        let mut rest = (u128::from(number) * SPREAD + u128::from(seed)) % CODES;
        for digit in &mut code {
            *digit = DIGITS[(rest % 62) as usize];
            rest /= 62;
        }
        let code = str::from_utf8(&code).unwrap_or_default();
        let (domain, site, article) = (number % domains, random % 50_000, random >> 20);
        // Lengths like those of real destinations: 60 to 135 bytes, 98 on average.
        let words = (random >> 16) % 6;
        write!(output, "go{domain}.example,{code},https://www.site-{site}.example/articles/{article:013}")?;
        for word in 0..words {
            let letters = (random >> (word * 8)) as u32;
            write!(output, "/section-{letters:x}")?;
        }
        output.write_all(b"\n")?;
    }
    Ok(())
}

/// The finaliser of SplitMix64.
const fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn rows(links: u64, seed: u64) -> String {
        let mut output = Vec::new();
        write_rows(&Arguments { links, seed, domains: 3 }, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn rows_depend_on_the_seed_alone_and_no_key_repeats() {
        let text = rows(20_000, 7);
        assert_eq!(text, rows(20_000, 7));
        assert_ne!(text, rows(20_000, 8));
        let codes: BTreeSet<&str> = text.lines().skip(1).filter_map(|row| row.split(',').nth(1)).collect();
        assert_eq!(codes.len(), 20_000);
        let bytes: usize = text.lines().skip(1).filter_map(|row| row.split(',').nth(2)).map(str::len).sum();
        assert!((90..106).contains(&(bytes / 20_000)), "{} bytes on average", bytes / 20_000);
    }
}
