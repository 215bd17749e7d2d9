//! What the stories are told with.

pub mod audit;
pub mod books;
pub mod cluster;
pub mod figures;
pub mod fixtures;
pub mod gate;
pub mod go_operator;
pub mod ledger;
pub mod lives;
pub mod mqadmin;
pub mod node;
pub mod operator;
pub mod pop;
pub mod rocketmq;
pub mod stage;
pub mod wait;
pub mod wire;
