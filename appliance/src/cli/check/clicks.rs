//! What `carom check` says about recorded clicks: the database of countries.

use super::{Finding, warning};
use crate::clicks::country;
use crate::config::Settings;

/// Reads the database as the node would. The node starts without it, so nothing here is an error.
pub fn judge(settings: &Settings) -> Option<Finding> {
    let path = settings.clicks.as_ref()?.country_database.as_ref()?;
    let problem = country::read(path).err()?;
    Some(warning(
        "clicks.country_database",
        format!("{} cannot be used, and countries would stay empty: {problem}", path.display()),
        "name a file in the MaxMind DB format that knows countries, such as GeoLite2-Country.mmdb; or leave the key out",
    ))
}
