//! What the operator tells the node: the file as written, and the settings it settles to.

pub mod settings;

pub use settings::Settings;
