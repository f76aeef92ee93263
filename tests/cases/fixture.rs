//! The links that most cases ask for: every status, flag and setting of a domain at least once.

use std::fs;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use lab::{Domains, Row, Site, tool};

/// Host of plain links, with the defaults of a domain that no file mentions.
pub(crate) const GO: &str = "go.example";
/// Host whose settings are the opposite of the defaults.
pub(crate) const SHOP: &str = "shop.example";
/// Host where a slash at the end counts, links are permanent and nobody keeps them.
pub(crate) const STRICT: &str = "strict.example";

/// Seconds since 1970.
pub(crate) fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Settings of the domains.
pub(crate) fn domains() -> Domains {
    Domains::default()
        .with(
            SHOP,
            r#"status = 307
case = "insensitive"
query = "append"
cache = "public"
cache_max_age_s = 3600
root = "https://root.test/?a=b"
root_status = 308
not_found = "https://lost.test/search?from=shop#top"
not_found_status = 303"#,
        )
        .with(
            STRICT,
            r#"status = 301
trailing_slash = "strict"
cache = "no-store"
root = "https://strict.test/""#,
        )
        .with("*.brand.example", "status = 308\nnot_found = \"https://brand.test/lost\"")
        .with("own.brand.example", "cache_max_age_s = 0")
        .with("*.deep.brand.example", "")
}

fn rows() -> Vec<Row> {
    let now = unix_s();
    let (hour_ago, hour_ahead) = (now - 3_600, now + 3_600);
    vec![
        Row::new(GO, "plain", "https://plain.test/"),
        Row::new(GO, "s301", "https://301.test/").status(301),
        Row::new(GO, "s302", "https://302.test/").status(302),
        Row::new(GO, "s303", "https://303.test/").status(303),
        Row::new(GO, "s307", "https://307.test/").status(307),
        Row::new(GO, "s308", "https://308.test/").status(308),
        Row::new(GO, "disabled", "https://disabled.test/").disabled(),
        Row::new(GO, "deleted", "https://deleted.test/").deleted(),
        Row::new(GO, "deleted-and-disabled", "https://deleted.test/").deleted().disabled(),
        Row::new(GO, "future", "https://future.test/").not_before(hour_ahead),
        Row::new(GO, "expired", "https://expired.test/").expires(hour_ago),
        Row::new(GO, "expired-and-disabled", "https://expired.test/").expires(hour_ago).disabled(),
        Row::new(GO, "current", "https://current.test/").not_before(hour_ago).expires(hour_ahead),
        Row::new(GO, "Case", "https://upper.test/"),
        Row::new(GO, "case", "https://lower.test/"),
        Row::new(GO, "append", "https://append.test/path?own=1#part").query("append"),
        Row::new(GO, "dir/sub", "https://sub.test/"),
        Row::new(GO, "a%2Fb", "https://escaped-slash.test/"),
        Row::new(GO, "a/b", "https://slash.test/"),
        Row::new(GO, "100%25", "https://percent.test/"),
        Row::new(GO, "two words", "https://words.test/"),
        Row::new(GO, "grün", "https://gruen.test/"),
        Row::new(GO, "🦀", "https://crab.test/"),
        Row::new(SHOP, "Offer", "https://offer.test/?utm=1#buy"),
        Row::new(SHOP, "mute", "https://mute.test/").query("drop"),
        Row::new(SHOP, "soon", "https://soon.test/").expires(now + 600),
        Row::new(STRICT, "with/", "https://with.test/"),
        Row::new(STRICT, "without", "https://without.test/"),
        Row::new("*.brand.example", "any", "https://any.brand.test/"),
        Row::new("own.brand.example", "any", "https://own.brand.test/"),
        Row::new("*.deep.brand.example", "any", "https://deep.brand.test/"),
    ]
}

/// A site with these links. The snapshot is built once, through the tool.
pub(crate) fn site() -> Site {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let directory = Site::new();
        fs::read(tool::build(directory.path(), 1, &domains(), &rows())).unwrap()
    });
    let site = Site::new();
    site.publish_bytes(built);
    site
}
