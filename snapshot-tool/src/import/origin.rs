//! The origins that links are imported from, and how each answers by default.

use super::collector::Collector;
use super::{apache, cloudflare, haproxy, kutt, netlify, nginx, table, yourls};
use crate::settings::Settings;
use snapshot_format::{CaseMode, QueryMode, Status};

/// A shortener or redirect map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Origin {
    /// Shlink: CSV of its web client or command line.
    Shlink,
    /// YOURLS: SQL dump or CSV.
    Yourls,
    /// Kutt: JSON of its API.
    Kutt,
    /// dub: CSV of its dashboard.
    Dub,
    /// Bitly: CSV of an export.
    Bitly,
    /// Cloudflare Bulk Redirects: CSV.
    Cloudflare,
    /// Netlify: a _redirects file.
    Netlify,
    /// nginx: map blocks.
    Nginx,
    /// HAProxy: a map file.
    Haproxy,
    /// Apache httpd: a RewriteMap of type txt.
    Apache,
    /// Any CSV, its columns named by --map.
    Csv,
}

impl Origin {
    /// How links of this origin answer where they do not say: what its users see today.
    ///
    /// Sources: Shlink 5.1 (302, forwards the query), YOURLS 1.10 (301 in its code), Kutt (302), dub (302, any case, forwards the
    /// query), Bitly (301), Cloudflare Bulk Redirects (301), Netlify (301, passes the query through), nginx map (keys in any
    /// case), Apache httpd 2.4 (302, passes the query through where the substitution has none), HAProxy (302).
    pub(super) fn settings(self) -> Settings {
        let settings = Settings::default();
        match self {
            Self::Shlink => Settings { query: QueryMode::Append, ..settings },
            Self::Yourls | Self::Bitly | Self::Cloudflare => {
                Settings { status: Status::MovedPermanently, ..settings }
            }
            Self::Dub => Settings { query: QueryMode::Append, case: CaseMode::Insensitive, ..settings },
            Self::Netlify => {
                Settings { status: Status::MovedPermanently, query: QueryMode::Append, ..settings }
            }
            Self::Nginx => Settings { case: CaseMode::Insensitive, ..settings },
            Self::Apache => Settings { query: QueryMode::Append, ..settings },
            Self::Kutt | Self::Haproxy | Self::Csv => settings,
        }
    }

    /// Reads all of an input.
    ///
    /// # Errors
    /// If the input is none of this origin; single entries that are wrong do not get here.
    pub(super) fn import(
        self,
        bytes: &[u8],
        tables: &table::Reading<'_>,
        collector: &mut Collector,
    ) -> anyhow::Result<()> {
        match self {
            Self::Shlink | Self::Dub | Self::Bitly => tables.known(bytes, collector),
            Self::Csv => tables.mapped(bytes, collector),
            Self::Yourls if yourls::is_dump(bytes) => yourls::import(bytes, collector),
            Self::Yourls => tables.known(bytes, collector),
            Self::Kutt if kutt::is_json(bytes) => kutt::import(bytes, collector),
            Self::Kutt => tables.known(bytes, collector),
            Self::Cloudflare => cloudflare::import(bytes, collector),
            Self::Netlify => netlify::import(bytes, collector),
            Self::Nginx => nginx::import(bytes, collector),
            Self::Haproxy => haproxy::import(bytes, collector),
            Self::Apache => apache::import(bytes, collector),
        }
    }
}
