//! From an address that a person writes to a store with bounds on every wait.

use super::{Access, Store, StoreError};
use crate::limits::{CONNECT_TIME_MAX, REQUEST_TIME_MAX, SILENCE_MAX};
use object_store::aws::AmazonS3Builder;
use object_store::http::HttpBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use std::fmt::Display;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

impl Store {
    /// Opens the store at `s3://BUCKET/PREFIX`, `http(s)://HOST/PATH`, `file:///DIRECTORY` or a directory. S3 takes its endpoint,
    /// region and keys from the usual environment (`AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, …). Nothing is asked
    /// of the store yet; a local directory is made if it is opened for writing.
    ///
    /// # Errors
    /// An address that is none, or a directory that cannot be had.
    pub fn open(url: &str, access: Access) -> Result<Self, StoreError> {
        let bad = |why: &dyn Display| StoreError::Address { url: url.into(), why: why.to_string() };
        let (scheme, rest) = url.split_once("://").unwrap_or(("file", url));
        let prefix_of = |path: &str| Path::parse(path.trim_matches('/')).map_err(|error| bad(&error));
        let (objects, prefix, local): (Arc<dyn ObjectStore>, Path, Option<PathBuf>) = match scheme {
            "file" if rest.is_empty() => return Err(bad(&"it names no directory")),
            "file" => {
                let directory = PathBuf::from(rest);
                if access == Access::Write {
                    fs::create_dir_all(&directory).map_err(|error| bad(&error))?;
                }
                let objects = LocalFileSystem::new_with_prefix(&directory).map_err(|error| bad(&error))?;
                (Arc::new(objects.with_fsync(true)), Path::default(), Some(directory))
            }
            "s3" => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retries());
                // An endpoint without TLS is for tests and private networks; what is fetched is verified anyway.
                let allow_http =
                    std::env::var("AWS_ENDPOINT_URL").is_ok_and(|endpoint| endpoint.starts_with("http://"));
                let objects = builder.with_client_options(client().with_allow_http(allow_http)).build();
                (Arc::new(objects.map_err(|error| bad(&error))?), prefix_of(prefix)?, None)
            }
            "http" | "https" if access == Access::Write => {
                return Err(bad(
                    &"an HTTP directory can only be read: publish into the directory or bucket behind it",
                ));
            }
            "http" | "https" => {
                let builder = HttpBuilder::new().with_url(url).with_retry(retries());
                let objects = builder.with_client_options(client().with_allow_http(true)).build();
                (Arc::new(objects.map_err(|error| bad(&error))?), Path::default(), None)
            }
            _ => return Err(bad(&"its scheme is none of s3, https, http, file")),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(|error| bad(&error))?;
        Ok(Self { runtime, objects, prefix, local, url: url.into() })
    }
}

/// Downloads are as long as they are: their silence is bounded instead, and their rate where they are written.
fn client() -> ClientOptions {
    ClientOptions::new()
        .with_connect_timeout(CONNECT_TIME_MAX)
        .with_read_timeout(SILENCE_MAX)
        .with_timeout_disabled()
}

/// A few quick tries within one request; the next poll is the real retry.
fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(1),
            base: 2.0,
        },
        max_retries: 3,
        retry_timeout: REQUEST_TIME_MAX / 2,
    }
}
