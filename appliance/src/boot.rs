//! From settings to a serving node, and back to nothing.
