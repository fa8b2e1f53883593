//! Many seeds, some beside each other, and what came of them.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;
use std::{fs, io, thread};

use crate::plan::Plan;
use crate::run::{Commands, Lane, Outcome};
use crate::usage::Trend;

/// By how much a program may grow in a run. A gate with a `dedup_key` is remembered for the life of the process,
/// by design; a client, a task or a connection that is kept is more than this.
const GROWTH_KIB: f64 = 4.0;
/// Runs of a program from which its trend is looked at, and those before that are left out.
const FEWEST_RUNS: usize = 60;
const WARM_UP: usize = 20;

/// Some seeds.
#[derive(Debug, Clone)]
pub struct Seeds(RangeInclusive<u64>);

impl FromStr for Seeds {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Ok(Self(first.parse()?..=last.parse()?))
    }
}

/// How to go through them.
pub struct Options {
    pub lanes: usize,
    /// Of the platform, where a plan has TLS.
    pub certificate: PathBuf,
    pub stories: PathBuf,
    pub verbose: bool,
}

/// Goes through all seeds; whether all is well.
pub fn run(commands: &Commands, seeds: &[Seeds], options: &Options) -> io::Result<bool> {
    let seeds: Vec<u64> = seeds.iter().flat_map(|seeds| seeds.0.clone()).collect();
    let began = Instant::now();
    let next = AtomicUsize::new(0);
    let (sender, outcomes) = mpsc::channel();
    let mut report = Report::default();
    thread::scope(|scope| -> io::Result<()> {
        let lanes: Vec<_> = (0..options.lanes.clamp(1, seeds.len()))
            .map(|number| {
                let (sender, seeds, next) = (sender.clone(), &seeds, &next);
                scope.spawn(move || -> io::Result<()> {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                    runtime.block_on(async {
                        let mut lane = Lane::start(commands.clone(), &options.certificate).await?;
                        while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                            let outcome = lane.seed(seed).await?;
                            if sender.send((number, seed, outcome)).is_err() {
                                break;
                            }
                        }
                        Ok(())
                    })
                })
            })
            .collect();
        drop(sender);
        for (lane, seed, outcome) in outcomes {
            report.take(lane, seed, outcome, options)?;
        }
        for lane in lanes {
            lane.join().map_err(|_| io::Error::other("a lane of the campaign panicked"))??;
        }
        Ok(())
    })?;
    report.look_at_memory();
    report.print(began.elapsed().as_secs());
    Ok(report.failed.is_empty() && report.growing.is_empty())
}

#[derive(Default)]
struct Report {
    seeds: usize,
    failed: Vec<u64>,
    counts: BTreeMap<String, u64>,
    /// Of each lane's programs, run by run.
    memory: HashMap<(usize, &'static str), Vec<f64>>,
    growing: Vec<String>,
}

impl Report {
    fn take(&mut self, lane: usize, seed: u64, outcome: Outcome, options: &Options) -> io::Result<()> {
        self.seeds += 1;
        if options.verbose {
            println!("{:#?}\n{}", Plan::of(seed), outcome.story.join("\n"));
        }
        if !outcome.findings.is_empty() {
            fs::create_dir_all(&options.stories)?;
            let path = options.stories.join(format!("seed-{seed}.txt"));
            let findings = outcome.findings.join("\n");
            let story = outcome.story.join("\n");
            fs::write(&path, format!("{findings}\n\n{:#?}\n\n{story}\n", Plan::of(seed)))?;
            println!(
                "seed {seed} FAILED, repeat it with: make chaos SEED={seed}  (its story: {})",
                path.display()
            );
            for finding in &outcome.findings {
                println!("   {finding}");
            }
            self.failed.push(seed);
            // Its programs were started anew.
            self.memory.retain(|(of, _), _| *of != lane);
        }
        for (what, count) in outcome.counts {
            *self.counts.entry(what).or_default() += count;
        }
        for (language, resident) in outcome.memory {
            #[allow(clippy::cast_precision_loss)] // some megabytes
            self.memory.entry((lane, language)).or_default().push(resident as f64);
        }
        Ok(())
    }

    fn look_at_memory(&mut self) {
        let mut trends: BTreeMap<&str, Vec<Trend>> = BTreeMap::new();
        for ((_, language), samples) in &self.memory {
            if samples.len() >= FEWEST_RUNS
                && let Some(trend) = Trend::of(&samples[WARM_UP..])
            {
                trends.entry(language).or_default().push(trend);
                if trend.exceeds(GROWTH_KIB) {
                    self.growing.push(format!("{language} grows by {:.1} KiB in a run", trend.slope));
                }
            }
        }
        for (language, trends) in trends {
            let slopes: Vec<String> =
                trends.iter().map(|trend| format!("{:.2} ± {:.2}", trend.slope, trend.error)).collect();
            println!("   memory of {language}, KiB a run: {}", slopes.join(", "));
        }
    }

    fn print(&self, seconds: u64) {
        for (what, count) in &self.counts {
            println!("   {count:7}  {what}");
        }
        for growing in &self.growing {
            println!("   FAILED: {growing}");
        }
        let failed = self.failed.len();
        println!("chaos: {} passed, {failed} failed, in {seconds} s", self.seeds - failed);
    }
}
