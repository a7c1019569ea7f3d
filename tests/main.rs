//! Every test that runs the built program or reads the tree, as one binary.
//!
//! One file a topic; `tidy` fails when a file here is not listed.
#![cfg(test)]

mod append;
mod authentik;
mod author;
mod by_hand;
mod caddy;
mod bundled;
mod cases;
mod completions;
mod crash;
mod docs;
mod exit;
mod fake;
mod forged;
mod fuzz;
mod proxmox;
mod renew;
mod replay;
mod state;
mod guide;
mod hostile;
mod interrupted;
mod http;
mod items;
mod leak;
mod left;
mod many;
mod older;
mod narrow;
mod plugin;
mod promise;
mod prompt;
mod screen;
mod secrets;
mod ssh;
mod supply;
mod support;
mod tidy;
mod used;
mod vaultwarden;
