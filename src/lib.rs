//! Executes runbooks: procedures in TOML, run step by step with durable state.
//!
//! Modules stand in the order in which data flows; each uses only what stands below it.
//! `tests/tidy.rs` reads this order and fails on an upward `use`.

pub mod cli;
pub mod library;
pub mod show;
pub mod schema;
pub mod review;
pub mod testing;
pub mod engine;
pub mod plan;
pub mod runbook;
pub mod step;
pub mod typed;
pub mod fake;
pub mod reader;
pub mod report;
pub mod journal;
// what they stand on
pub mod scope;
pub mod template;
pub mod jq;
pub mod patience;
pub mod terminal;
pub mod transport;
pub mod redact;
pub mod value;
pub mod world;
pub mod crash;
pub mod diag;
pub mod printable;
pub mod wrap;
pub mod source;
pub mod exit;
