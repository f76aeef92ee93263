//! The deny list: links, domains and destinations that are blocked at once, whatever a snapshot says.
//!
//! Modules in reading order: what a rule says, the signed list of rules, where a destination leads, and the compact form that
//! answers on the redirect path.

pub mod destination;
pub mod list;
pub mod rule;
pub mod set;

pub use list::DenyList;
pub use rule::{Answer, Rule, RuleError};
pub use set::DenySet;
