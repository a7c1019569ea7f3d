//! What a runbook, its fake and its tests say of each other.
//!
//! A test that names what is not there has a mistake. What only looks wrong is a warning: routes
//! that nothing calls, keys that the fake's answers never have. To know the answers the cases are
//! rehearsed: nothing real is called, run or written, and nothing is waited for. No warning is said
//! that is not sure.

mod answers;
mod names;
mod routes;

use std::sync::Arc;

use crate::fake::Fake;
use crate::runbook::Runbook;
use crate::testing::Case;
use crate::world::World;
pub use answers::answers;
pub use names::{inputs, names};
pub use routes::routes;

/// A runbook with what lies beside it, each without mistakes of its own.
pub struct Pack<'a> {
    /// The runbook.
    pub runbook: &'a Runbook,
    /// Its fake, with those of the services whose runbooks it uses beside it.
    pub fake: &'a Arc<Fake>,
    /// Its cases.
    pub cases: &'a [Case],
    /// Clock and environment.
    pub world: &'a World,
}

#[cfg(test)]
mod tests;
