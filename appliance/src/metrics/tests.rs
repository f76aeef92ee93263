//! Checks that metrics and configuration share: generated documents.

use std::path::Path;

/// Asserts that `docs/reference/<name>` holds `generated`; writes it instead when CAROM_WRITE_REFERENCE is set.
pub(crate) fn check_generated(name: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(name);
    if std::env::var_os("CAROM_WRITE_REFERENCE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "{} is not what its source generates; run the tests of carom once with CAROM_WRITE_REFERENCE=1",
        path.display()
    );
}
