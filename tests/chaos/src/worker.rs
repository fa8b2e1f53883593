//! A program of one language that does what it is told: sites, agents and gates.
//!
//! It reads one order a line and tells what happened in lines, fields apart by tabs:
//!
//! | order | tells |
//! |---|---|
//! | `open` api root, broker, agent token, API key, time-out in ms, platform, site token… | `opened` |
//! | `login` job, number of the site, `1` if its agent is to sign in | `created` job id, or `create` job kind; `login` job kind |
//! | `gate` job, action, dedup key or nothing, time-out in ms | `ran` job from inside the function; `gate` job kind |
//! | `close` | `closed` when all clients are |
//!
//! At any time it tells `event` site id how (`approved`, `expired`) from inside the handler, and then, for an
//! `approved` one, `session` id kind: whether the passport was good; and `gap` site id of an event that is lost. A
//! kind is `ok` or that of the error.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::usage::Usage;

/// A running program. It is killed when it is dropped.
pub struct Worker {
    pub language: &'static str,
    process: Child,
    orders: ChildStdin,
    told: UnboundedReceiver<String>,
    /// What it has when no clients are open.
    pub at_rest: Option<Usage>,
}

impl Worker {
    /// Starts it; what it writes to its standard error goes to ours.
    pub fn start(language: &'static str, command: &[String]) -> std::io::Result<Self> {
        let [program, arguments @ ..] = command else {
            return Err(std::io::Error::other(format!("there is no program for {language}")));
        };
        let mut process = Command::new(program)
            .args(arguments)
            // With one for each thread that there ever was, memory that is free would be spread over more and more.
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| std::io::Error::other(format!("{program}: {error}")))?;
        let (Some(orders), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(std::io::Error::other("a pipe is missing"));
        };
        let (sender, told) = unbounded_channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { language, process, orders, told, at_rest: None })
    }

    /// Gives an order. A program that is gone is noticed by what it does not tell.
    pub fn order(&mut self, fields: &[&str]) {
        let _ = self.orders.write_all(format!("{}\n", fields.join("\t")).as_bytes());
    }

    /// The next thing that it tells; `None` when it has ended.
    pub async fn told(&mut self) -> Option<Vec<String>> {
        Some(self.told.recv().await?.split('\t').map(str::to_owned).collect())
    }

    /// What it has now.
    pub fn usage(&self) -> Option<Usage> {
        Usage::of(self.process.id())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
