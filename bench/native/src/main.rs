//! Measurements in Rust. Each prints `ready`, then takes one number a line: how many to do; it answers with one line
//! of JSON: how many, in how many seconds, with how many seconds of this process's CPU time.
//!
//! ```text
//! lime-bench pow seed|today CHALLENGE-LENGTH [THREADS]    nonces tried by the solver
//! lime-bench sha2                                          blocks hashed by sha2's block function
//! lime-bench clock                                         cycles, by a chain of additions
//! lime-bench requests core|blocking|reqwest URL TASKS      login requests created
//! lime-bench parser                                        events of 700 bytes parsed
//! lime-bench passport JWT JWKS-FILE API-ROOT               passports verified with keys at hand
//! ```

use std::hint::black_box;
use std::io::{self, BufRead, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lime_core::agent::pow::{self, Options, PowDigest};
use lime_core::site::{jwks::KeySet, passport, sse::Parser};
use lime_core::{LimeSite, PassportCheck, SiteConfig};
use rustix::time::{ClockId, clock_gettime};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["pow", digest, length, threads @ ..] => {
            let digest = if *digest == "seed" { PowDigest::Seed } else { PowDigest::Today };
            let threads = threads.first().map_or(Ok(1), |threads| threads.parse())?;
            proof_of_work(digest, length.parse()?, threads)
        }
        ["sha2"] => turns(|blocks| Ok(hash_blocks(blocks))),
        ["clock"] => turns(|cycles| Ok(count_cycles(cycles))),
        ["requests", client, url, tasks] => requests(client, url, tasks.parse()?),
        ["parser"] => parser(),
        ["passport", jwt, keys, api_root] => passports(jwt, keys, api_root),
        _ => Err("see the head of bench/native/src/main.rs".into()),
    }
}

/// Serves the lines of standard input; `work` answers how many it has done.
fn turns(mut work: impl FnMut(u64) -> Result<u64, Failure>) -> Result<(), Failure> {
    println!("ready");
    for line in io::stdin().lock().lines() {
        let (cpu, wall) = (cpu_seconds(), Instant::now());
        let count = work(line?.trim().parse()?)?;
        let (wall, cpu) = (wall.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        println!(r#"{{"count":{count},"wall":{wall},"cpu":{cpu}}}"#);
        io::stdout().flush()?;
    }
    Ok(())
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    #[allow(clippy::cast_precision_loss)]
    let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    seconds
}

/// No digest has 256 zero bits: the search is ended once it has tried enough.
fn proof_of_work(digest: PowDigest, length: usize, threads: usize) -> Result<(), Failure> {
    let options = Options { digest, timeout: Duration::from_secs(600), threads };
    let mut round = 0;
    turns(|count| {
        round += 1;
        let challenge = format!("{round:0length$}");
        let (tried, cancel) = (AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while tried.load(Ordering::Relaxed) < count {
                    std::thread::sleep(Duration::from_micros(200));
                }
                cancel.store(true, Ordering::Relaxed);
            });
            let _ = pow::solve_counted(&challenge, 256, options, &cancel, &tried);
        });
        Ok(tried.into_inner())
    })
}

/// As a solver that uses the crate would: a block that was padded beforehand, its number counted up in place.
fn hash_blocks(count: u64) -> u64 {
    let initial = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    let mut block = [0_u8; 64];
    for number in 0..count {
        block[32..40].copy_from_slice(&number.to_be_bytes());
        let mut state = initial;
        sha2::block_api::compress256(&mut state, std::slice::from_ref(&block));
        black_box(state[0]);
    }
    count
}

/// An addition and an exclusive or take a cycle each, and wait for the one before: how many there are in a second is
/// the core's clock. (The counter that the CPU offers counts at a rate of its own.)
fn count_cycles(count: u64) -> u64 {
    let (mut sum, step) = (black_box(1_u64), black_box(3_u64));
    for _ in 0..count / 32 {
        for _ in 0..16 {
            sum = sum.wrapping_add(step) ^ step;
        }
    }
    black_box(sum);
    count / 32 * 32
}

fn requests(client: &str, url: &str, tasks: usize) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let share = |count: u64| (count / tasks as u64).max(1);
    let config = || SiteConfig {
        site_token: Some("st_bench".into()),
        base_url: Some(format!("{url}/api/v1")),
        ..SiteConfig::default()
    };
    match client {
        "core" => {
            let site = LimeSite::new(config())?;
            turns(|count| {
                let worker = || async {
                    for _ in 0..share(count) {
                        site.create_login_request().await?;
                    }
                    Ok::<_, lime_core::Error>(())
                };
                for done in runtime.block_on(join_all((0..tasks).map(|_| worker()))) {
                    done?;
                }
                Ok(share(count) * tasks as u64)
            })
        }
        "blocking" => {
            let site = LimeSite::new(config())?;
            turns(|count| {
                for _ in 0..count {
                    site.create_login_request().wait()?;
                }
                Ok(count)
            })
        }
        // What one would write without a library: the same request, the same answer read as JSON.
        "reqwest" => {
            let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
            let address = format!("{url}/api/v1/modules/agent-login/requests");
            turns(|count| {
                let worker = || async {
                    for _ in 0..share(count) {
                        let request = client
                            .post(&address)
                            .header("x-site-token", "st_bench")
                            .header("accept", "application/json")
                            .header("content-type", "application/json")
                            .body("{}");
                        let body = request.send().await?.bytes().await?;
                        let answer: serde_json::Value = serde_json::from_slice(&body)?;
                        black_box(answer["data"]["login_request_id"].as_str());
                    }
                    Ok::<_, Failure>(())
                };
                for done in runtime.block_on(join_all((0..tasks).map(|_| worker()))) {
                    done?;
                }
                Ok(share(count) * tasks as u64)
            })
        }
        _ => Err("core, blocking or reqwest".into()),
    }
}

/// Chunks as they come from a socket: 64 KiB, cut anywhere.
fn parser() -> Result<(), Failure> {
    let event = format!(
        "data: {{\"type\":\"approved\",\"login_request_id\":\"lr_0123456789abcdef\",\"agent_passport_jwt\":\"{}\"}}\n\n",
        "p".repeat(700 - 92)
    );
    let stream = event.repeat(10_000);
    turns(|count| {
        let mut seen = 0;
        while seen < count {
            let mut parser = Parser::new();
            for chunk in stream.as_bytes().chunks(64 << 10) {
                let fed = parser.feed(chunk, |event| {
                    black_box(event.data);
                    seen += 1;
                });
                fed.map_err(|_| "too long")?;
            }
        }
        Ok(seen)
    })
}

fn passports(jwt: &str, keys: &str, api_root: &str) -> Result<(), Failure> {
    let keys = KeySet::from_json(&std::fs::read(keys)?)?;
    let check = PassportCheck::default();
    turns(|count| {
        for _ in 0..count {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
            black_box(passport::verify(jwt, &keys, api_root, &check, now)?);
        }
        Ok(count)
    })
}
