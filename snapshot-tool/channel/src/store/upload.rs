//! A large file into a store, in parts, unless it is there already.

use super::{Store, StoreError};
use crate::content::ContentHash;
use crate::limits::{PART_BYTES, REQUEST_TIME_MAX};
use object_store::{ObjectStoreExt as _, WriteMultipart};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// What an upload did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uploaded {
    /// The store has it now.
    Sent,
    /// The store had it already.
    Known,
}

impl Store {
    /// Brings the file at `path`, whose hash is `hash`, to `name`. An object under a name that is a hash is never replaced; one of
    /// another length is what an upload left that was not atomic, and is written again.
    ///
    /// # Errors
    /// The file cannot be read, is not what `hash` says, or the store fails.
    pub fn upload(&self, name: &str, path: &Path, hash: &ContentHash) -> Result<Uploaded, StoreError> {
        let failed = |error: &dyn std::fmt::Display| self.failed(name, error);
        let mut file = File::open(path).map_err(|error| failed(&error))?;
        let bytes = file.metadata().map_err(|error| failed(&error))?.len();
        let location = self.path(name);
        self.block_on(async {
            let head = tokio::time::timeout(REQUEST_TIME_MAX, self.objects().head(&location)).await;
            match head.map_err(|_| self.slow(name))? {
                Ok(meta) if meta.size == bytes => return Ok(Uploaded::Known),
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failed(&error)),
            }
            let upload = self.objects().put_multipart(&location).await.map_err(|error| failed(&error))?;
            let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
            let mut hasher = blake3::Hasher::new();
            let mut buffer = vec![0; PART_BYTES];
            let sent = async {
                loop {
                    let read = file.read(&mut buffer).map_err(|error| failed(&error))?;
                    if read == 0 {
                        break;
                    }
                    hasher.update(&buffer[..read]);
                    // At most two parts are on their way, so that memory is bounded.
                    upload.wait_for_capacity(2).await.map_err(|error| failed(&error))?;
                    upload.write(&buffer[..read]);
                }
                if ContentHash::from(hasher.finalize()) != *hash {
                    return Err(failed(&format!("{} changed while it was read", path.display())));
                }
                Ok(())
            };
            match sent.await {
                Ok(()) => upload.finish().await.map(|_| Uploaded::Sent).map_err(|error| failed(&error)),
                Err(error) => {
                    // Whoever cannot send can hardly tidy up; unfinished parts have no name.
                    let _ = upload.abort().await;
                    Err(error)
                }
            }
        })
    }
}
