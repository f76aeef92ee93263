//! What the operator tells the node: the file as written, and the settings it settles to.
