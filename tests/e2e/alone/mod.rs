//! Stories that need the operator, or the whole node, to themselves. libtest takes them first, by their name.

mod article;
mod bench;
mod bench_copy;
mod idle;
mod killed;
mod killed_while_moving;
mod killed_while_rolling;
mod killed_while_scaling;
mod process;
mod restart;
