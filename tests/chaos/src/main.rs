//! The fault campaign and the soak. `make chaos` and `make soak` start it; see docs/reliability.md.

// A test: what is not as it should be ends it.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod campaign;
mod plan;
mod proxy;
mod run;
mod rust_worker;
mod seen;
mod soak;
mod tls;
mod usage;
mod verdict;
mod wire;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Goes through seeds, and says which ones failed.
    Campaign {
        #[command(flatten)]
        programs: Programs,
        /// The seeds: one, or from the first to the last, as in 1-1000.
        #[arg(required = true)]
        seeds: Vec<campaign::Seeds>,
        /// How many runs go on beside each other: each mostly waits.
        #[arg(long, default_value_t = 6)]
        lanes: usize,
        /// Where the stories of the seeds that failed are written to.
        #[arg(long)]
        stories: PathBuf,
        /// A certificate for 127.0.0.1 and its key, in one file; `SSL_CERT_FILE` names who has signed it.
        #[arg(long)]
        certificate: PathBuf,
        /// Print each seed's story.
        #[arg(long)]
        verbose: bool,
    },
    /// Keeps many sites going, and looks at what their programs use.
    Soak {
        #[command(flatten)]
        programs: Programs,
        #[arg(long)]
        minutes: f64,
        #[arg(long, default_value_t = 100)]
        sites: usize,
        /// A program begins something this often.
        #[arg(long, default_value_t = 100)]
        pace_ms: u64,
        /// Where the samples are written to.
        #[arg(long)]
        samples: PathBuf,
    },
    /// The program of Rust.
    Worker,
}

#[derive(Args)]
struct Programs {
    /// The interpreter of Python.
    #[arg(long)]
    python: String,
    /// The program of Python.
    #[arg(long)]
    python_worker: String,
    /// The program of C.
    #[arg(long)]
    c_worker: String,
}

impl Programs {
    fn commands(self) -> std::io::Result<run::Commands> {
        let own = std::env::current_exe()?.to_string_lossy().into_owned();
        Ok(vec![
            ("rust", vec![own, "worker".to_owned()]),
            ("python", vec![self.python, self.python_worker]),
            ("c", vec![self.c_worker]),
        ])
    }
}

fn main() -> ExitCode {
    let done = match Command::parse().what {
        What::Worker => rust_worker::run().map(|()| true),
        What::Campaign { programs, seeds, lanes, certificate, stories, verbose } => {
            let options = campaign::Options { lanes, certificate, stories, verbose };
            programs.commands().and_then(|commands| campaign::run(&commands, &seeds, &options))
        }
        What::Soak { programs, minutes, sites, pace_ms, samples } => {
            let options = soak::Options { minutes, sites, pace: Duration::from_millis(pace_ms), samples };
            programs.commands().and_then(|commands| soak::run(&commands, &options))
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
