//! Places at which a test can kill the process, as a power cut would. They are not in release builds.

/// Names a place. In builds with debug assertions the process kills itself here (SIGKILL, nothing is cleaned up) if the environment
/// variable `CAROM_FAILPOINT` holds this name.
pub fn reach(name: &str) {
    #[cfg(debug_assertions)]
    if std::env::var_os("CAROM_FAILPOINT").is_some_and(|wanted| wanted == name) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // The signal is delivered before the call returns to its sender, or shortly after.
        loop {
            std::thread::park();
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}
