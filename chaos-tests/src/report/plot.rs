//! Throughput and latency over time, as lines.

use super::drawn::{self, Drawn};
use super::page::{MARGIN, Scale, WIDTH, push};
use crate::history::History;

const HEIGHT: f64 = 150.0;
/// Points of a line.
const BUCKETS: u64 = 150;

/// Acknowledged operations per second.
pub fn throughput(history: &History, scale: &Scale) -> String {
    let width_us = bucket_us(scale);
    let rates: Vec<f64> =
        buckets(history, scale).iter().map(|bucket| bucket.len() as f64 * 1e6 / width_us as f64).collect();
    let most = rates.iter().copied().fold(1.0, f64::max);
    let mut svg = scale.open(HEIGHT, history);
    axis(&mut svg, &format!("{most:.0} / s"));
    line(&mut svg, "rate", rates.iter().map(|rate| rate / most), scale);
    svg.push_str("</svg>\n");
    svg
}

/// Median and 99th percentile, on a logarithmic scale from 0.1 ms to 10 s.
pub fn latency(history: &History, scale: &Scale) -> String {
    let sorted: Vec<Vec<u64>> = buckets(history, scale)
        .into_iter()
        .map(|bucket| {
            let mut times: Vec<u64> = bucket.iter().map(|done| done.return_us() - done.call_us()).collect();
            times.sort_unstable();
            times
        })
        .collect();
    let mut svg = scale.open(HEIGHT, history);
    axis(&mut svg, "10 s");
    for (us, name) in [(1_000, "1 ms"), (10_000, "10 ms"), (100_000, "100 ms"), (1_000_000, "1 s")] {
        let y = HEIGHT * (1.0 - logarithmic(us));
        push(&mut svg, format_args!("<line class=grid x1={MARGIN} x2={WIDTH} y1={y:.1} y2={y:.1} />"));
        push(
            &mut svg,
            format_args!("<text x={} y={:.1} text-anchor=end>{name}</text>", MARGIN - 8.0, y + 4.0),
        );
    }
    for (class, percent) in [("p50", 50), ("p99", 99)] {
        let heights = sorted.iter().map(|times| quantile(times, percent).map_or(0.0, logarithmic));
        line(&mut svg, class, heights, scale);
    }
    svg.push_str("</svg>\n");
    svg
}

fn bucket_us(scale: &Scale) -> u64 {
    scale.end_us.div_ceil(BUCKETS).max(1)
}

/// Acknowledged operations by the time of their return.
fn buckets<'a>(history: &'a History, scale: &Scale) -> Vec<Vec<Drawn<'a>>> {
    let width = bucket_us(scale);
    let mut buckets = vec![Vec::new(); usize::try_from(scale.end_us / width + 1).unwrap_or(0)];
    for operation in drawn::all(history).filter(|done| done.is_acknowledged()) {
        let number = usize::try_from(operation.return_us() / width).unwrap_or(usize::MAX);
        if let Some(bucket) = buckets.get_mut(number) {
            bucket.push(operation);
        }
    }
    buckets
}

fn quantile(sorted: &[u64], percent: usize) -> Option<u64> {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied()
}

/// 0.1 ms is 0, 10 s is 1.
fn logarithmic(us: u64) -> f64 {
    ((us.max(100) as f64 / 100.0).log10() / 5.0).min(1.0)
}

fn axis(svg: &mut String, most: &str) {
    push(svg, format_args!("<line class=axis x1={MARGIN} x2={WIDTH} y1={HEIGHT} y2={HEIGHT} />"));
    push(svg, format_args!("<text x={} y=11 text-anchor=end>{most}</text>", MARGIN - 8.0));
}

/// `heights` are between 0 and 1, one per bucket.
fn line(svg: &mut String, class: &str, heights: impl Iterator<Item = f64>, scale: &Scale) {
    let width = bucket_us(scale);
    let points: Vec<String> = (0u64..)
        .zip(heights)
        .map(|(number, height)| {
            format!("{:.1},{:.1}", scale.x(number * width + width / 2), HEIGHT * (1.0 - height))
        })
        .collect();
    push(svg, format_args!("<polyline class={class} points='{}' />", points.join(" ")));
}
