//! How rustls is told what a shard wants: versions, key exchange, certificates, tickets.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, ProducesTickets, ServerConfig};
use rustls::version::{TLS12, TLS13};

use super::Store;
use super::resolver::{Choice, Resolver};
use super::stream::{ALPN_HTTP1, ALPN_HTTP2, Stream};
use crate::config::settings::{Tls, TlsVersion};

/// What is spoken inside of TLS, the preferred first.
const APPLICATIONS: &[&[u8]] = &[ALPN_HTTP2, ALPN_HTTP1];

/// Makes the streams of one shard.
pub struct Acceptor {
    config: Arc<ServerConfig>,
    choice: Arc<Choice>,
}

impl Acceptor {
    /// An acceptor over certificates and tickets that all shards share.
    ///
    /// # Errors
    ///
    /// rustls does not accept the settings, which would be a bug of ours.
    pub fn new(
        settings: &Tls,
        store: Arc<ArcSwap<Store>>,
        tickets: Arc<dyn ProducesTickets>,
    ) -> Result<Self, rustls::Error> {
        let resolver = Resolver::new(store);
        let choice = resolver.choice();
        let versions: &[_] = match settings.min_version {
            TlsVersion::Tls12 => &[&TLS13, &TLS12],
            TlsVersion::Tls13 => &[&TLS13],
        };
        // X25519MLKEM768 first, then X25519 and the NIST curves: the order of rustls.
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = APPLICATIONS.iter().map(|name| name.to_vec()).collect();
        // A replayed first flight would count a click twice.
        config.max_early_data_size = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = tickets;
        config.send_tls13_tickets = 1;
        Ok(Self { config: Arc::new(config), choice })
    }

    /// A stream for a connection that was accepted.
    ///
    /// # Errors
    ///
    /// See [`Stream::new`].
    pub fn stream(&self) -> Result<Stream, rustls::Error> {
        Stream::new(Arc::clone(&self.config))
    }

    /// What the resolver of these streams last did.
    pub fn choice(&self) -> &Choice {
        &self.choice
    }
}
