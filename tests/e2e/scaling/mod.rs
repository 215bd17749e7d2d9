//! A cluster is made larger and smaller while the ledger runs: nothing is lost, and nothing is restarted that need not be.

mod groups;
mod name_servers;
mod replicas;
mod scale_in;
