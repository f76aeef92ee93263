//! The sidecar that announces the node by BGP while it is well.
