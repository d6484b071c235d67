//! Words of the Kubernetes API machinery that every part shares.

pub mod field_selector;
pub mod quantity;
pub mod selector;

pub use field_selector::FieldSelector;
pub use quantity::Quantity;
pub use selector::Selector;
