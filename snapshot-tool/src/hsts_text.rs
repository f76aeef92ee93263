//! Strict-Transport-Security as people write it: the value of the field (RFC 6797, 6.1).

use snapshot_format::Hsts;

/// Two years: what the makers of browsers recommend. Longer is a mistyped number.
pub const HSTS_MAX_AGE_S_MAX: u32 = 63_072_000;

/// A year: what the lists that are built into browsers ask for.
const PRELOAD_MAX_AGE_S_MIN: u32 = 31_536_000;

/// What `text` says; nothing, if it is empty.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn parse(text: &str) -> Result<Option<Hsts>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let mut parts = text.split(';').map(str::trim);
    let max_age_s = parts
        .next()
        .and_then(|part| part.strip_prefix("max-age="))
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .filter(|&seconds| seconds <= HSTS_MAX_AGE_S_MAX);
    let Some(max_age_s) = max_age_s else {
        return Err(format!("hsts begins with max-age=N, N from 0 to {HSTS_MAX_AGE_S_MAX} seconds"));
    };
    let mut hsts = Hsts { max_age_s, subdomains: false, preload: false };
    for part in parts {
        match part.to_ascii_lowercase().as_str() {
            "includesubdomains" => hsts.subdomains = true,
            "preload" => hsts.preload = true,
            _ => {
                return Err(format!(
                    "\"{part}\" is no part of hsts: includeSubDomains or preload is expected"
                ));
            }
        }
    }
    if hsts.preload && (!hsts.subdomains || max_age_s < PRELOAD_MAX_AGE_S_MIN) {
        return Err(format!(
            "browsers accept preload only with includeSubDomains and a max-age of {PRELOAD_MAX_AGE_S_MIN} or more"
        ));
    }
    Ok(Some(hsts))
}

/// The value of the field.
pub fn render(hsts: &Hsts) -> String {
    let Hsts { max_age_s, subdomains, preload } = hsts;
    let subdomains = if *subdomains { "; includeSubDomains" } else { "" };
    let preload = if *preload { "; preload" } else { "" };
    format!("max-age={max_age_s}{subdomains}{preload}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_sent() {
        let check = |text: &str, sent: &str| {
            let hsts = parse(text).unwrap();
            assert_eq!(hsts.map(|hsts| render(&hsts)).unwrap_or_default(), sent, "{text}");
        };
        check("", "");
        check("max-age=0", "max-age=0");
        check("max-age=300;includesubdomains", "max-age=300; includeSubDomains");
        check("max-age=31536000; includeSubDomains; preload", "max-age=31536000; includeSubDomains; preload");
    }

    #[test]
    fn what_browsers_would_not_take_is_refused() {
        let check = |text: &str, start: &str| {
            let message = parse(text).unwrap_err();
            assert!(message.starts_with(start), "{text}: {message}");
        };
        check("300", "hsts begins with max-age=N");
        check("max-age=+3", "hsts begins with max-age=N");
        check("max-age=63072001", "hsts begins with max-age=N");
        check("max-age=3; subdomains", "\"subdomains\" is no part");
        check("max-age=31536000; preload", "browsers accept preload only");
        check("max-age=300; includeSubDomains; preload", "browsers accept preload only");
    }
}
