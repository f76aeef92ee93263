//! Every bound of the node, with its reason.
