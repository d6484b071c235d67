//! What a load did: figures and text as etcd's benchmark tool reports them.

use std::collections::BTreeMap;
use std::time::Duration;

const BUCKETS: usize = 10;
const BAR_WIDTH: usize = 40;
const PERCENTILES: [f64; 8] = [10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9];

/// One request that was answered.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Since the load began.
    pub began: Duration,
    pub took: Duration,
}

#[derive(Debug, Default)]
pub struct Report {
    pub samples: Vec<Sample>,
    /// What was refused, and how often.
    pub errors: BTreeMap<String, u64>,
    pub total: Duration,
}

/// Seconds.
#[derive(Debug, PartialEq)]
pub struct Stats {
    pub slowest: f64,
    pub fastest: f64,
    pub average: f64,
    pub stddev: f64,
    pub per_second: f64,
}

impl Report {
    pub fn merge(&mut self, other: Report) {
        self.samples.extend(other.samples);
        for (error, count) in other.errors {
            *self.errors.entry(error).or_default() += count;
        }
    }

    pub fn record(&mut self, began: Duration, took: Duration, outcome: Result<(), tonic::Status>) {
        match outcome {
            Ok(()) => self.samples.push(Sample { began, took }),
            Err(status) => *self.errors.entry(status.message().to_owned()).or_default() += 1,
        }
    }

    pub fn stats(&self) -> Stats {
        let seconds = self.sorted();
        let count = seconds.len().max(1) as f64;
        let average = seconds.iter().sum::<f64>() / count;
        let variance = seconds.iter().map(|s| (s - average).powi(2)).sum::<f64>() / count;
        Stats {
            slowest: seconds.last().copied().unwrap_or(0.0),
            fastest: seconds.first().copied().unwrap_or(0.0),
            average,
            stddev: variance.sqrt(),
            per_second: seconds.len() as f64 / self.total.as_secs_f64().max(f64::MIN_POSITIVE),
        }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut seconds: Vec<f64> = self.samples.iter().map(|sample| sample.took.as_secs_f64()).collect();
        seconds.sort_by(f64::total_cmp);
        seconds
    }

    /// Four digits after the point, or as many as there are.
    pub fn text(&self, precise: bool) -> String {
        let number = |value: f64| if precise { value.to_string() } else { format!("{value:.4}") };
        let mut out = String::new();
        if !self.samples.is_empty() {
            let stats = self.stats();
            let seconds = self.sorted();
            out.push_str(&format!(
                "\nSummary:\n  Total:\t{} secs.\n  Slowest:\t{} secs.\n  Fastest:\t{} secs.\n  Average:\t{} secs.\n  \
                 Stddev:\t{} secs.\n  Requests/sec:\t{}\n",
                number(self.total.as_secs_f64()),
                number(stats.slowest),
                number(stats.fastest),
                number(stats.average),
                number(stats.stddev),
                number(stats.per_second),
            ));
            out.push_str(&histogram(&seconds, number));
            out.push_str("\nLatency distribution:\n");
            for percentile in PERCENTILES {
                let value = at_percentile(&seconds, percentile);
                out.push_str(&format!("  {percentile}% in {} secs.\n", number(value)));
            }
        }
        if !self.errors.is_empty() {
            out.push_str("\nError distribution:\n");
            for (error, count) in &self.errors {
                out.push_str(&format!("  [{count}]\t{error}\n"));
            }
        }
        out
    }

    /// One line of comma-separated figures per second of the load.
    pub fn series(&self, began_unix_seconds: u64) -> String {
        let mut seconds: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for sample in &self.samples {
            let millis = sample.took.as_secs_f64() * 1000.0;
            seconds.entry((sample.began + sample.took).as_secs()).or_default().push(millis);
        }
        let mut out = String::from(
            "\nSample in one second (unix latency throughput):\n\
             UNIX-SECOND,MIN-LATENCY-MS,AVG-LATENCY-MS,MAX-LATENCY-MS,AVG-THROUGHPUT\n",
        );
        for (second, millis) in seconds {
            let least = millis.iter().copied().fold(f64::INFINITY, f64::min);
            let most = millis.iter().copied().fold(0.0, f64::max);
            let average = millis.iter().sum::<f64>() / millis.len() as f64;
            let unix = began_unix_seconds + second;
            out.push_str(&format!("{unix},{least:.3},{average:.3},{most:.3},{}\n", millis.len()));
        }
        out
    }
}

/// The least value that so many percent do not exceed; 0 of none.
pub fn at_percentile(sorted: &[f64], percentile: f64) -> f64 {
    let rank = (percentile / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(0.0)
}

fn histogram(sorted: &[f64], number: impl Fn(f64) -> String) -> String {
    let (fastest, slowest) = (sorted[0], sorted[sorted.len() - 1]);
    let step = (slowest - fastest) / BUCKETS as f64;
    let bounds: Vec<f64> =
        (0..BUCKETS).map(|at| fastest + step * at as f64).chain(std::iter::once(slowest)).collect();
    let mut counts = vec![0usize; bounds.len()];
    for value in sorted {
        let at = bounds.iter().position(|bound| value <= bound).unwrap_or(BUCKETS);
        counts[at] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    let mut out = String::from("\nResponse time histogram:\n");
    for (bound, count) in bounds.iter().zip(&counts) {
        let bar = "∎".repeat(count * BAR_WIDTH / most);
        out.push_str(&format!("  {} [{count}]\t|{bar}\n", number(*bound)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_as_the_benchmark_tool_writes_it() {
        let mut report = Report { total: Duration::from_secs(2), ..Report::default() };
        for millis in [1, 2, 3, 4] {
            report.record(Duration::ZERO, Duration::from_millis(millis), Ok(()));
        }
        report.record(Duration::ZERO, Duration::ZERO, Err(tonic::Status::unavailable("gone")));
        let text = report.text(false);
        for line in [
            "  Total:\t2.0000 secs.",
            "  Slowest:\t0.0040 secs.",
            "  Average:\t0.0025 secs.",
            "  Requests/sec:\t2.0000",
            "  0.0010 [1]\t|∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎",
            "  50% in 0.0020 secs.",
            "  99.9% in 0.0040 secs.",
            "  [1]\tgone",
        ] {
            assert!(text.lines().any(|found| found == line), "no line {line:?} in\n{text}");
        }
        assert_eq!(report.series(100).lines().last(), Some("100,1.000,2.500,4.000,4"));
    }

    #[test]
    fn percentiles_of_nothing_are_nothing() {
        assert_eq!(at_percentile(&[], 50.0), 0.0);
        assert_eq!(Report::default().text(false), "");
    }
}
