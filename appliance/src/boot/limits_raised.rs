//! Raises the limits of the process as far as it may.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of descriptors to its hard limit, and that of locked memory beyond it if we are privileged. Returns how
/// many descriptors there may be.
pub(super) fn raise() -> u64 {
    let unlimited = Rlimit { current: None, maximum: None };
    if setrlimit(Resource::Memlock, unlimited).is_err() {
        raise_to_maximum(Resource::Memlock);
    }
    raise_to_maximum(Resource::Nofile);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn raise_to_maximum(resource: Resource) {
    let limit = getrlimit(resource);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, ..limit };
        if let Err(error) = setrlimit(resource, raised) {
            tracing::warn!(?resource, %error, "cannot raise a limit of the process");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_descriptors_becomes_the_hard_one() {
        let maximum = getrlimit(Resource::Nofile).maximum;
        assert_eq!(raise(), maximum.unwrap_or(u64::MAX));
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }
}
