//! Where a channel lies: an S3-compatible store, an HTTP directory, or a local directory. Every wait and every answer is bounded.

mod open;
mod upload;

pub use upload::Uploaded;

use crate::limits::{LISTED_MAX, REQUEST_TIME_MAX};
use futures_util::StreamExt as _;
use object_store::path::Path;
use object_store::{
    GetOptions, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, UpdateVersion,
};
use rustix::fs::{FlockOperation, flock};
use std::fmt;
use std::fs::File;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Following a channel.
    Read,
    /// Publishing into it; an HTTP directory cannot be published into.
    Write,
}

/// A store, opened at the prefix of one channel. Calls block; none belongs on a shard.
pub struct Store {
    runtime: Runtime,
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    /// The directory, if it is a local one: it has no conditional replacement of its own.
    local: Option<PathBuf>,
    url: String,
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Store at {}", self.url)
    }
}

/// Why a store did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address makes no sense.
    #[error(
        "{url:?} is no address of a channel: {why}; write s3://BUCKET/PREFIX, https://HOST/PATH, or a directory"
    )]
    Address {
        /// As given.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// It does not answer, or refuses.
    #[error("{url}: {name}: {error}")]
    Failed {
        /// The store.
        url: String,
        /// The object.
        name: String,
        /// What it says.
        error: String,
    },
    /// It takes too long.
    #[error("{url}: {name}: no answer within {} s", REQUEST_TIME_MAX.as_secs())]
    Slow {
        /// The store.
        url: String,
        /// The object.
        name: String,
    },
    /// It sends more than there can be.
    #[error("{url}: {name}: more than {bytes_max} bytes")]
    TooLarge {
        /// The store.
        url: String,
        /// The object.
        name: String,
        /// The bound.
        bytes_max: u64,
    },
    /// Somebody else was faster.
    #[error(
        "{url}: {name}: somebody else has written it meanwhile; look at `snapshot-tool list` and do it again"
    )]
    Moved {
        /// The store.
        url: String,
        /// The object.
        name: String,
    },
}

/// An object with the mark by which its next version is told apart.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its ETag; without one every look fetches it anew.
    pub tag: Option<String>,
}

/// What came of a look at an object.
#[derive(Clone, Debug)]
pub enum Look {
    /// It is the one that was seen before.
    Same,
    /// There is none.
    Missing,
    /// It is another one.
    New(Fetched),
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name below the prefix.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// When it was last written, in seconds since 1970.
    pub modified_unix_s: u64,
}

impl Store {
    /// As an operator would write it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where a file of a local directory lies, which needs no copy.
    pub fn local_path(&self, name: &str) -> Option<PathBuf> {
        self.local.as_ref().map(|directory| directory.join(name)).filter(|path| path.is_file())
    }

    /// The object, or `None` if there is none.
    ///
    /// # Errors
    /// It is too large, or the store fails.
    pub fn get(&self, name: &str, bytes_max: usize) -> Result<Option<Fetched>, StoreError> {
        match self.look(name, bytes_max, None)? {
            Look::New(fetched) => Ok(Some(fetched)),
            Look::Same | Look::Missing => Ok(None),
        }
    }

    /// The object, unless it still has this tag.
    ///
    /// # Errors
    /// It is too large, or the store fails.
    pub fn look(&self, name: &str, bytes_max: usize, tag: Option<&str>) -> Result<Look, StoreError> {
        let options = GetOptions { if_none_match: tag.map(str::to_owned), ..GetOptions::default() };
        let too_large =
            || StoreError::TooLarge { url: self.url.clone(), name: name.into(), bytes_max: bytes_max as u64 };
        self.within_time(name, async {
            let result = match self.objects.get_opts(&self.path(name), options).await {
                Ok(result) => result,
                Err(object_store::Error::NotFound { .. }) => return Ok(Look::Missing),
                Err(object_store::Error::NotModified { .. }) => return Ok(Look::Same),
                Err(error) => return Err(self.failed(name, &error)),
            };
            if result.meta.size > bytes_max as u64 {
                return Err(too_large());
            }
            let tag = result.meta.e_tag.clone();
            let mut bytes = Vec::new();
            let mut stream = result.into_stream();
            while let Some(chunk) = stream.next().await {
                let chunk = chunk.map_err(|error| self.failed(name, &error))?;
                if bytes.len() + chunk.len() > bytes_max {
                    return Err(too_large());
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(Look::New(Fetched { bytes, tag }))
        })
    }

    /// Writes an object unless there is one; says whether there was none.
    ///
    /// # Errors
    /// The store fails.
    pub fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, StoreError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        self.within_time(name, async {
            match self.objects.put_opts(&self.path(name), PutPayload::from(bytes), options).await {
                Ok(_) => Ok(true),
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                    Ok(false)
                }
                Err(error) => Err(self.failed(name, &error)),
            }
        })
    }

    /// Replaces an object if it is still the one that was fetched, or is still missing.
    ///
    /// # Errors
    /// Somebody else has written it meanwhile, or the store fails.
    pub fn replace(&self, name: &str, bytes: Vec<u8>, before: Option<&Fetched>) -> Result<(), StoreError> {
        let moved = || StoreError::Moved { url: self.url.clone(), name: name.into() };
        let Some(before) = before else {
            return if self.create(name, bytes)? { Ok(()) } else { Err(moved()) };
        };
        if let Some(directory) = &self.local {
            let lock = directory.join(".lock");
            let failed = |error: &dyn fmt::Display| self.failed(name, error);
            // Held until the end of this block; the kernel lets go of it if the process dies.
            let lock = File::create(lock).map_err(|error| failed(&error))?;
            flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(&error))?;
            // A longer one is another one.
            let now = self.get(name, before.bytes.len()).unwrap_or(None);
            if now.is_none_or(|now| now.bytes != before.bytes) {
                return Err(moved());
            }
            return self.put(name, bytes, PutMode::Overwrite);
        }
        // A store that names no version cannot promise that nobody else has written.
        let Some(tag) = before.tag.clone() else {
            return Err(
                self.failed(name, &"the store gives no ETag, so two publishers could overwrite each other")
            );
        };
        self.put(name, bytes, PutMode::Update(UpdateVersion { e_tag: Some(tag), version: None }))
    }

    fn put(&self, name: &str, bytes: Vec<u8>, mode: PutMode) -> Result<(), StoreError> {
        let options = PutOptions { mode, ..PutOptions::default() };
        self.within_time(name, async {
            match self.objects.put_opts(&self.path(name), PutPayload::from(bytes), options).await {
                Ok(_) => Ok(()),
                Err(object_store::Error::Precondition { .. } | object_store::Error::NotFound { .. }) => {
                    Err(StoreError::Moved { url: self.url.clone(), name: name.into() })
                }
                Err(error) => Err(self.failed(name, &error)),
            }
        })
    }

    /// Everything below a directory of the channel.
    ///
    /// # Errors
    /// The store fails, or lists for ever.
    pub fn list(&self, directory: &str) -> Result<Vec<Entry>, StoreError> {
        let prefix = self.path(directory);
        let strip = |location: &Path| -> Option<String> {
            let parts: Vec<_> =
                location.prefix_match(&self.prefix)?.map(|part| part.as_ref().to_owned()).collect();
            Some(parts.join("/"))
        };
        self.block_on(async {
            let mut listing = self.objects.list(Some(&prefix));
            let mut entries = Vec::new();
            loop {
                let next = tokio::time::timeout(REQUEST_TIME_MAX, listing.next()).await;
                let Some(meta) = next.map_err(|_| self.slow(directory))? else { break };
                let meta = meta.map_err(|error| self.failed(directory, &error))?;
                if entries.len() == LISTED_MAX {
                    let bytes_max = LISTED_MAX as u64;
                    return Err(StoreError::TooLarge {
                        url: self.url.clone(),
                        name: directory.into(),
                        bytes_max,
                    });
                }
                let Some(name) = strip(&meta.location) else { continue };
                let modified_unix_s = u64::try_from(meta.last_modified.timestamp()).unwrap_or(0);
                entries.push(Entry { name, bytes: meta.size, modified_unix_s });
            }
            entries.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(entries)
        })
    }

    /// Removes an object; one that is gone already is no error.
    ///
    /// # Errors
    /// The store fails.
    pub fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.within_time(name, async {
            match self.objects.delete(&self.path(name)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(self.failed(name, &error)),
            }
        })
    }

    pub(crate) fn objects(&self) -> &dyn ObjectStore {
        &*self.objects
    }

    pub(crate) fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), Path::join)
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub(crate) fn failed(&self, name: &str, error: &dyn fmt::Display) -> StoreError {
        StoreError::Failed { url: self.url.clone(), name: name.into(), error: error.to_string() }
    }

    pub(crate) fn slow(&self, name: &str) -> StoreError {
        StoreError::Slow { url: self.url.clone(), name: name.into() }
    }

    fn within_time<T>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let within = self.block_on(async { tokio::time::timeout(REQUEST_TIME_MAX, work).await });
        within.unwrap_or_else(|_| Err(self.slow(name)))
    }
}
