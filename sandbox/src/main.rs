//! `lime-sandbox`: the LIME platform and the Sesame broker on a local port.

#![forbid(unsafe_code)]

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use lime_sandbox::{Info, Options, OptionsError, Platform, Sandbox};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// A local, stateful emulation of the LIME platform and the Sesame broker, for demos and tests.
///
/// It listens on 127.0.0.1 only and ends on SIGTERM and SIGINT.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,

    /// Print one line of JSON with the address and the tokens instead of text
    #[arg(long)]
    json: bool,

    /// Wire forms: those of the seed releases, of today's, or forms that both understand
    #[arg(long, value_enum, default_value_t)]
    platform: Platform,

    /// Leading zero bits that a proof of work needs
    #[arg(long, value_name = "BITS", default_value_t = 15, allow_negative_numbers = true)]
    difficulty: i64,

    /// Seconds that a login request lives
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0)]
    request_ttl: f64,

    /// Seconds between two keepalives of an event stream
    #[arg(long, value_name = "SECONDS", default_value_t = 15.0)]
    keepalive: f64,

    /// Seconds that an approval lives
    #[arg(long, value_name = "SECONDS", default_value_t = 3600.0)]
    approval_ttl: f64,

    /// Seconds that a long poll is held at most; 0 answers at once
    #[arg(long, value_name = "SECONDS", default_value_t = 25.0)]
    long_poll: f64,

    /// The site's token, made up and not a real one; random when left out
    #[arg(long, value_name = "TOKEN")]
    site_token: Option<String>,

    /// The agent's token, made up and not a real one; random when left out
    #[arg(long, value_name = "TOKEN")]
    agent_token: Option<String>,

    /// The broker's API key, made up and not a real one; from the state file or random when left out
    #[arg(long, value_name = "KEY")]
    sesame_api_key: Option<String>,

    /// What webhooks are signed with; from the state file or random when left out
    #[arg(long, value_name = "SECRET")]
    webhook_secret: Option<String>,

    /// Keep approvals, API keys and webhooks in this file, over restarts and kills
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,

    /// End when standard input does, so that a test run never leaves a sandbox behind
    #[arg(long)]
    exit_with_parent: bool,

    /// Do not log requests (with --json none are logged anyway)
    #[arg(long)]
    quiet: bool,
}

impl Arguments {
    fn options(self) -> Options {
        let mut options = Options::new()
            .port(self.port)
            .platform(self.platform)
            .difficulty(self.difficulty)
            .request_ttl_seconds(self.request_ttl)
            .keepalive_seconds(self.keepalive)
            .approval_ttl_seconds(self.approval_ttl)
            .long_poll_seconds(self.long_poll);
        options.site_token = self.site_token;
        options.agent_token = self.agent_token;
        options.sesame_api_key = self.sesame_api_key;
        options.webhook_secret = self.webhook_secret;
        options.state_file = self.state;
        // Whoever reads JSON is a program, and may not read stderr: a full pipe would stop us.
        options.log_requests = !self.quiet && !self.json;
        options
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(run(arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "lime-sandbox: {error}");
            // As for arguments that cannot be parsed.
            let usage =
                error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<OptionsError>);
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

async fn run(arguments: Arguments) -> io::Result<()> {
    // Before the address is known to anybody, so that no signal can come too early.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (json, exit_with_parent) = (arguments.json, arguments.exit_with_parent);
    let sandbox = Sandbox::start(arguments.options()).await?;
    announce(sandbox.info(), json)?;
    until_told(&mut terminate, &mut interrupt, exit_with_parent).await;
    Ok(())
}

fn announce(info: &Info, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(info)?)?;
    } else {
        writeln!(
            out,
            "LIME sandbox {} – an emulation for tests, not the platform\n\n\
             export LIME_API_BASE={}\n\
             export LIME_BASE_URL={}\n\
             export LIME_SITE_TOKEN={}\n\
             export LIME_AGENT_TOKEN={}\n\
             export SESAME_BROKER_URL={}\n\
             export SESAME_API_KEY={}\n\
             export SESAME_WEBHOOK_SECRET={}\n\n\
             Inbox:       {}/\n\
             Control API: {}   (Ctrl-C ends the sandbox)",
            info.version,
            info.lime_api_base,
            info.lime_base_url,
            info.site_token,
            info.agent_token,
            info.sesame_url,
            info.sesame_api_key,
            info.webhook_secret,
            info.sesame_url,
            info.control_url,
        )?;
    }
    out.flush()
}

async fn until_told(terminate: &mut Signal, interrupt: &mut Signal, exit_with_parent: bool) {
    let (end, ended) = oneshot::channel::<()>();
    if exit_with_parent {
        // A plain thread: a read of standard input cannot be given up, and must not hold
        // the runtime's shutdown.
        std::thread::spawn(move || {
            let mut sink = [0; 256];
            let mut stdin = io::stdin().lock();
            loop {
                match stdin.read(&mut sink) {
                    Ok(0) => break,
                    Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                    _ => {}
                }
            }
            drop(end);
        });
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = ended => {}
        }
    } else {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}
