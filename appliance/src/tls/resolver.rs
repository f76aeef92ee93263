//! Which certificate a client gets: by the name it asks for and the signatures it understands.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{Names, Store};

/// What a resolver last did, for the shard that drives it. Both belong to one thread; the lock is never contended, and only
/// there because rustls asks for something that could be shared.
#[derive(Debug, Default)]
pub struct Choice {
    refused: AtomicBool,
    names: Mutex<Option<Arc<Names>>>,
}

impl Choice {
    /// Forgets what happened before.
    #[inline]
    pub(super) fn reset(&self) {
        self.refused.store(false, Relaxed);
    }

    /// Whether no certificate was found.
    pub(super) fn was_refused(&self) -> bool {
        self.refused.load(Relaxed)
    }

    /// The names of the certificate that was chosen since this was last asked.
    #[inline]
    pub(super) fn take_names(&self) -> Option<Arc<Names>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The resolver of one shard.
pub struct Resolver {
    store: Arc<ArcSwap<Store>>,
    choice: Arc<Choice>,
}

impl Resolver {
    /// A resolver over the certificates that `store` holds at each handshake.
    pub fn new(store: Arc<ArcSwap<Store>>) -> Self {
        Self { store, choice: Arc::default() }
    }

    /// What it last did.
    pub fn choice(&self) -> Arc<Choice> {
        Arc::clone(&self.choice)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let store = self.store.load();
        let Some(pair) = store.choose(hello.server_name(), hello.signature_schemes()) else {
            self.choice.refused.store(true, Relaxed);
            return None;
        };
        *self.choice.names.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&pair.names));
        Some(Arc::clone(&pair.key))
    }
}
