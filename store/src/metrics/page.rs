//! Prometheus' text format 0.0.4, as a stock member writes it: the same spelling of numbers, so that `le` labels match.

use std::fmt::{Display, Write as _};

use super::instrument::{Counter, Gauge, Histogram};

/// The text, as far as it is written.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

/// A name and a value, without quotes.
pub type Label<'a> = (&'a str, &'a str);

impl Page {
    pub fn into_text(self) -> String {
        self.text
    }

    pub fn counter(&mut self, name: &str, help: &str, counter: &Counter) {
        self.count(name, help, counter.get());
    }

    pub fn count(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample(name, &[], value as f64);
    }

    pub fn gauge(&mut self, name: &str, help: &str, gauge: &Gauge) {
        self.level(name, help, gauge.get() as f64);
    }

    pub fn level(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        self.buckets(name, &[], histogram);
    }

    /// What comes before the samples of a name.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    pub fn sample(&mut self, name: &str, labels: &[Label<'_>], value: f64) {
        self.write(format_args!("{name}{} {}\n", Labels(labels), Number(value)));
    }

    pub fn buckets(&mut self, name: &str, labels: &[Label<'_>], histogram: &Histogram) {
        let buckets = histogram.cumulative();
        for (bound, count) in &buckets {
            let bound = Number(*bound).to_string();
            let labels = [labels, &[("le", bound.as_str())]].concat();
            self.sample(&format!("{name}_bucket"), &labels, *count as f64);
        }
        self.sample(&format!("{name}_sum"), labels, histogram.sum());
        let all = buckets.last().map_or(0, |(_, count)| *count);
        self.sample(&format!("{name}_count"), labels, all as f64);
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing into a String does not fail.
        let _ = self.text.write_fmt(text);
    }
}

struct Labels<'a>(&'a [Label<'a>]);

impl Display for Labels<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut before = "{";
        for (name, value) in self.0 {
            let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            write!(f, "{before}{name}=\"{value}\"")?;
            before = ",";
        }
        if self.0.is_empty() { Ok(()) } else { f.write_str("}") }
    }
}

/// As Go prints it in its shortest form: with an exponent below 1e-4, and from a million on.
struct Number(f64);

impl Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_infinite() {
            return f.write_str(if self.0 > 0.0 { "+Inf" } else { "-Inf" });
        }
        let scientific = format!("{:e}", self.0);
        let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        if (-4..6).contains(&exponent) {
            return write!(f, "{}", self.0);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(f, "{digits}e{sign}{:02}", exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spelled_as_go_spells_them() {
        let rows = [
            (0.0, "0"),
            (0.512, "0.512"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (524_288.0, "524288"),
            (1_048_576.0, "1.048576e+06"),
            (-1.0, "-1"),
            (2_147_483_648.0, "2.147483648e+09"),
            (f64::INFINITY, "+Inf"),
        ];
        for (value, text) in rows {
            assert_eq!(Number(value).to_string(), text);
        }
    }

    #[test]
    fn a_page_has_the_form_that_scrapers_read() {
        let histogram = Histogram::new([0.1]);
        histogram.observe(0.5);
        let mut page = Page::default();
        page.count("a_total", "Things.", 3);
        page.family("h", "histogram", "Times.");
        page.buckets("h", &[("To", "x\"y")], &histogram);
        let want = r#"# HELP a_total Things.
# TYPE a_total counter
a_total 3
# HELP h Times.
# TYPE h histogram
h_bucket{To="x\"y",le="0.1"} 0
h_bucket{To="x\"y",le="+Inf"} 1
h_sum{To="x\"y"} 0.5
h_count{To="x\"y"} 1
"#;
        assert_eq!(page.into_text(), want);
    }
}
