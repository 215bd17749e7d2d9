//! Logs on standard error: text for people, JSON for collectors.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One line a message, for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level is neither a level nor a list of `target=level`.
    #[error("log level {level:?}: {source}")]
    Level {
        /// What was asked for.
        level: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Somebody else in this process has set up logging already.
    #[error("logging is already set up")]
    Twice,
}

/// kube-runtime warns of every try to watch that is refused; the caches say it once.
const QUIETED: &str = "kube_runtime::watcher=error";

/// Sends this process's logs to standard error. `level` is a level (`info`) or a list as in `RUST_LOG`
/// (`info,kube=debug`).
///
/// # Errors
/// If the level cannot be read, or logging is already set up in this process.
pub fn init(format: Format, level: &str) -> Result<(), Error> {
    let filter = EnvFilter::try_new(format!("{QUIETED},{level}")).map_err(|source| Error::Level {
        level: level.to_owned(),
        source,
    })?;
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let done = match format {
        Format::Text => lines.finish().try_init(),
        Format::Json => lines.json().flatten_event(true).finish().try_init(),
    };
    done.map_err(|_| Error::Twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_cannot_be_read_is_named() {
        let error = init(Format::Text, "kube=loud").unwrap_err().to_string();
        assert!(error.starts_with("log level \"kube=loud\": "), "{error}");
    }
}
