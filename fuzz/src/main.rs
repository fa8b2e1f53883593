//! A short run of the fuzz targets, without a fuzzer: their corpora, and inputs that are made of them at random, the same
//! ones on every run. For `make test`; what looks for new ways is libFuzzer, by `make fuzz`.
//!
//!     lime-fuzz                          every target
//!     lime-fuzz TARGET [RUNS [SEED]]     one
//!     lime-fuzz TARGET --file FILE       one, with one input

mod mutate;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use lime_fuzz::{TARGETS, Target};

/// Where the corpora are, one folder for each target.
const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
/// Where an input is left that breaks something.
const FOUND: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../build/fuzz/found");
/// A target that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(300);
const SEED: u64 = 9;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (name, rest) = match &arguments[..] {
        [] => return every(),
        [name, rest @ ..] => (*name, rest),
    };
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        eprintln!("no target {name}");
        return ExitCode::from(2);
    };
    if let ["--file", file] = rest {
        return match fs::read(file) {
            Ok(input) => {
                (target.run)(&input);
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{file}: {error}");
                ExitCode::from(2)
            }
        };
    }
    let number = |at: usize, otherwise: u64| rest.get(at).map_or(Ok(otherwise), |text| text.parse());
    let (Ok(runs), Ok(seed)) = (number(0, target.short_runs), number(1, SEED)) else {
        eprintln!("RUNS and SEED are numbers");
        return ExitCode::from(2);
    };
    one(target, runs, seed)
}

/// Each target in a process of its own, as many at a time as there are cores.
fn every() -> ExitCode {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let places = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..places {
            scope.spawn(|| {
                while let Some(target) = TARGETS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = in_a_process(target.name) {
                        println!("   {} {why}", target.name);
                        failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(target.name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).len();
    println!("fuzz: {} passed, {failed} failed", TARGETS.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn in_a_process(name: &str) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let this = std::env::current_exe().map_err(text)?;
    let mut command = Command::new(this);
    let mut child = command.arg(name).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(text)?;
    let output = child.stdout.take().ok_or("no output")?;
    let (sender, ended) = mpsc::channel();
    let reader = std::thread::spawn(move || sender.send(std::io::read_to_string(output)));
    let hangs = ended.recv_timeout(LIMIT).map(|said| print!("{}", said.unwrap_or_default())).is_err();
    if hangs {
        child.kill().map_err(text)?;
    }
    let status = child.wait().map_err(text)?;
    let _ = reader.join();
    let input = kept(name);
    match (hangs, status.success()) {
        (false, true) => Ok(()),
        (false, false) => Err(format!("has failed ({status}); its input is {}", input.display())),
        (true, _) => Err(format!("hangs; its input is {}", input.display())),
    }
}

/// Where the input stands that is being run: whatever becomes of the process, it can be looked at.
fn kept(name: &str) -> PathBuf {
    Path::new(FOUND).join(name)
}

fn one(target: &Target, runs: u64, seed: u64) -> ExitCode {
    let started = Instant::now();
    let corpus = match corpus(target.name) {
        Ok(corpus) if !corpus.is_empty() => corpus,
        Ok(_) => {
            eprintln!("{} has no corpus", target.name);
            return ExitCode::FAILURE;
        }
        Err(error) => {
            eprintln!("{CORPUS}/{}: {error}", target.name);
            return ExitCode::FAILURE;
        }
    };
    let kept = match mutate::Kept::new(&kept(target.name)) {
        Ok(kept) => kept,
        Err(error) => {
            eprintln!("{FOUND}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let run = |input: &[u8]| {
        kept.put(input);
        (target.run)(input);
    };
    for input in &corpus {
        run(input);
    }
    for number in 0..runs {
        run(&mutate::input(&corpus, target.words, seed, number));
    }
    kept.done();
    let seconds = started.elapsed().as_secs_f64();
    println!("   ok  {:<16}{:>5} inputs, {runs:>7} made of them{seconds:>7.1} s", target.name, corpus.len());
    ExitCode::SUCCESS
}

/// In the order of their names.
fn corpus(name: &str) -> std::io::Result<Vec<Vec<u8>>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(Path::new(CORPUS).join(name))?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    paths.sort();
    paths.iter().map(fs::read).collect()
}
