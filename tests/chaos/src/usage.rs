//! What a program has of the machine, as the kernel tells.

use std::fs;

/// Threads, descriptors and memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub threads: usize,
    pub descriptors: usize,
    pub resident_kib: u64,
}

impl Usage {
    /// Of this process, if it is there.
    pub fn of(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some(Self {
            threads: usize::try_from(field("Threads:")?).ok()?,
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count(),
            resident_kib: field("VmRSS:")?,
        })
    }
}

/// How a series of samples grows: by how much in a step, and how sure that is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// By least squares.
    pub slope: f64,
    /// The standard error of the slope.
    pub error: f64,
}

impl Trend {
    /// Of samples at even steps; none of fewer than three.
    #[allow(clippy::cast_precision_loss)] // a few thousand samples of some megabytes
    pub fn of(samples: &[f64]) -> Option<Self> {
        let count = samples.len() as f64;
        if samples.len() < 3 {
            return None;
        }
        let (middle, mean) = ((count - 1.0) / 2.0, samples.iter().sum::<f64>() / count);
        let steps = || samples.iter().enumerate().map(|(step, sample)| (step as f64 - middle, sample - mean));
        let spread: f64 = steps().map(|(step, _)| step * step).sum();
        let slope = steps().map(|(step, sample)| step * sample).sum::<f64>() / spread;
        let residue: f64 = steps().map(|(step, sample)| (sample - slope * step).powi(2)).sum();
        Some(Self { slope, error: (residue / (count - 2.0) / spread).sqrt() })
    }

    /// Whether it certainly grows by more than this in a step.
    pub fn exceeds(&self, bound: f64) -> bool {
        self.slope - 3.0 * self.error > bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trend_is_told_from_noise() {
        let noise = |step: u32| f64::from((step * 7919) % 13);
        let flat: Vec<f64> = (0..200).map(noise).collect();
        assert!(!Trend::of(&flat).unwrap().exceeds(0.0));
        let growing: Vec<f64> = (0..200).map(|step| noise(step) + 0.5 * f64::from(step)).collect();
        let trend = Trend::of(&growing).unwrap();
        assert!(trend.exceeds(0.4) && !trend.exceeds(0.5), "{trend:?}");
    }

    #[test]
    fn this_process_is_seen() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.threads >= 1 && usage.descriptors >= 3 && usage.resident_kib > 100);
    }
}
