//! Every test that runs the built program or reads the tree, as one binary.
//!
//! One file a topic; `tidy` fails when a file here is not listed.
#![cfg(test)]

mod authentik;
mod author;
mod cases;
mod crash;
mod exit;
mod fake;
mod fuzz;
mod renew;
mod replay;
mod state;
mod guide;
mod hostile;
mod leak;
mod secrets;
mod ssh;
mod support;
mod tidy;
