//! The `rocketmq-operator` binary: parses the command line and calls the library.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use kube::CustomResourceExt;
use rocketmq_operator::api::{Broker, NameService};
use rocketmq_operator::runtime::logging;
use rocketmq_operator::settings::{Command, Settings};

fn main() -> ExitCode {
    let done = match Settings::parse().command {
        Command::Run(settings) => logging::init(settings.log_format, &settings.log_level).map_err(Into::into),
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

/// Writes each definition as one YAML document.
fn print_definitions() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for definition in [NameService::crd(), Broker::crd()] {
        writeln!(out, "---\n{}", serde_yaml_ng::to_string(&definition)?.trim_end())?;
    }
    Ok(())
}
