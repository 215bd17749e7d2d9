//! The `rocketmq-operator` binary: parses the command line and calls the library.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use rocketmq_operator::admin::TcpAdmin;
use rocketmq_operator::api;
use rocketmq_operator::runtime::{logging, run};
use rocketmq_operator::settings::{self, Command, Settings};

/// Threads that run the reconciles; they wait most of their time, and each costs memory.
const WORKERS: usize = 2;

/// Threads for what the operating system only offers as blocking calls: name lookups.
const BLOCKING: usize = 2;

fn main() -> ExitCode {
    let done = match Settings::parse().command {
        Command::Run(settings) => operate(*settings),
        Command::Crds => print_definitions(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "rocketmq-operator: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the operator until it is told to stop, or has to.
fn operate(settings: settings::Run) -> Result<(), Box<dyn Error>> {
    logging::init(settings.log_format, &settings.log_level)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING)
        .enable_all()
        .build()?;
    let ended = runtime.block_on(run::run(settings, Arc::new(TcpAdmin::default())));
    // What still runs after this is not waited for: it is a lookup, or was given up.
    runtime.shutdown_background();
    Ok(ended?)
}

/// Writes each definition as one YAML document.
fn print_definitions() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for definition in api::crds() {
        writeln!(out, "---\n{}", serde_yaml_ng::to_string(&definition)?.trim_end())?;
    }
    Ok(())
}
