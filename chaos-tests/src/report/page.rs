//! The report as one HTML page that needs nothing else: verdict, timeline, plots, violations.
//!
//! Drawn as SVG on the server's side, so that the page is a document and not a program. Time runs from left to right, the
//! same for all drawings; faults are bands across all of them.

use std::fmt::Write;

use super::verdict::{Ending, Verdict};
use super::{drawn, plot, timeline};
use crate::history::History;

/// Of every drawing, in pixels.
pub const WIDTH: f64 = 1200.0;
/// Left of the drawings, for names.
pub const MARGIN: f64 = 110.0;

const STYLE: &str = "
body { font: 14px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1330px; color: #222; }
h1 small { font-weight: normal; color: #666; } h2 { margin-top: 1.6em; }
.ok { color: #17723a; } .violated { color: #b3161b; } .undecided { color: #9a6700; }
table { border-collapse: collapse; } td, th { text-align: left; padding: 2px 14px 2px 0; vertical-align: top; }
pre { background: #f6f6f6; padding: 8px; white-space: pre-wrap; } pre.bad { background: #fdeeee; }
svg { display: block; margin: 4px 0 14px; } svg text { font: 11px system-ui, sans-serif; fill: #444; }
.fault { fill: #e5484d; opacity: .13; } .down { fill: #e5484d; opacity: .55; }
.grid { stroke: #ddd; } .axis { stroke: #999; }
.read { fill: #4a83d4; } .write { fill: #2f9e5f; } .failed { fill: #999; } .unknown { fill: #e0a100; }
.mark { fill: none; stroke: #b3161b; stroke-width: 2; }
.p50 { stroke: #4a83d4; } .p99 { stroke: #b3161b; } .rate { stroke: #2f9e5f; } polyline { fill: none; stroke-width: 1.5; }
.key { display: inline-block; width: 11px; height: 11px; margin: 0 4px 0 14px; }
";

/// Facts above the drawings.
pub struct Heading<'a> {
    pub scenario: &'a str,
    pub about: &'a str,
    pub seed: u64,
    pub target: &'a str,
}

pub fn page(heading: &Heading, history: &History, verdict: &Verdict) -> String {
    let scale = Scale::of(history);
    let mut page = String::new();
    let title = escape(heading.scenario);
    let (word, class) = match verdict.ending {
        Ending::Ok => ("OK", "ok"),
        Ending::Violated => ("VIOLATED", "violated"),
        Ending::Undecided => ("UNDECIDED", "undecided"),
    };
    let counts = verdict.operations;
    push(
        &mut page,
        format_args!(
            "<!doctype html><html lang=en><meta charset=utf-8><title>{title}: {word}</title><style>{STYLE}</style>\n\
         <h1>{title}: <span class={class}>{word}</span> <small>seed {} · {}</small></h1><p>{}</p>\n\
         <p>{} operations ok, {} failed, {} of unknown outcome; {} watch records; {:.1} s</p>\n",
            heading.seed,
            escape(heading.target),
            escape(heading.about),
            counts.ok,
            counts.failed,
            counts.unknown,
            history.watches.len() + history.object_watches.len(),
            scale.end_us as f64 / 1e6,
        ),
    );
    if let Some(gap) = verdict.longest_gap() {
        push(&mut page, format_args!("<p>{}</p>\n", escape(&gap)));
    }
    properties(&mut page, verdict);
    push(&mut page, format_args!("<h2>Timeline</h2>{LEGEND}"));
    page.push_str(&timeline::draw(history, verdict, &scale));
    page.push_str("<h2>Throughput</h2>");
    page.push_str(&plot::throughput(history, &scale));
    page.push_str("<h2>Latency</h2><p><span class=key style='background:#4a83d4'></span>median<span class=key style='background:#b3161b'></span>99th percentile, of what was acknowledged</p>");
    page.push_str(&plot::latency(history, &scale));
    faults(&mut page, history);
    page.push_str("</html>\n");
    page
}

const LEGEND: &str = "<p>\
<span class=key style='background:#4a83d4'></span>read<span class=key style='background:#2f9e5f'></span>write\
<span class=key style='background:#999'></span>failed<span class=key style='background:#e0a100'></span>unknown\
<span class=key style='background:#e5484d'></span>fault<span class=key style='border:2px solid #b3161b;width:8px;height:8px'></span>part of a violation. \
Point at an operation to read it.</p>\n";

fn properties(page: &mut String, verdict: &Verdict) {
    page.push_str("<h2>Properties</h2><table>");
    for (name, check) in &verdict.checks {
        let (word, class) = match (check.violations.len(), check.undecided.len()) {
            (0, 0) => ("holds", "ok"),
            (0, _) => ("undecided", "undecided"),
            _ => ("VIOLATED", "violated"),
        };
        push(
            page,
            format_args!(
                "<tr><td>{name}<td class={class}>{word}<td>looked at {}<td>{}\n",
                check.looked_at,
                escape(&check.notes.join("; "))
            ),
        );
    }
    page.push_str("</table>\n");
    for (name, check) in &verdict.checks {
        for reason in &check.undecided {
            push(page, format_args!("<pre>{name}: {}</pre>\n", escape(reason)));
        }
        for violation in check.violations.iter().take(SHOWN) {
            push(page, format_args!("<pre class=bad>{name}: {}</pre>\n", escape(&violation.text)));
        }
    }
}

/// Violations of one property on the page; `verdict.json` has all.
const SHOWN: usize = 20;

fn faults(page: &mut String, history: &History) {
    page.push_str("<h2>Faults</h2><table><tr><th>from<th>until<th>what\n");
    for fault in &history.faults {
        push(
            page,
            format_args!(
                "<tr><td>{:.2} s<td>{:.2} s<td>{}\n",
                fault.from_us as f64 / 1e6,
                fault.until_us as f64 / 1e6,
                escape(&fault.what)
            ),
        );
    }
    page.push_str("</table>\n");
}

/// From microseconds to pixels.
pub struct Scale {
    pub end_us: u64,
}

impl Scale {
    fn of(history: &History) -> Self {
        let operations = drawn::all(history).map(|operation| operation.return_us());
        let faults = history.faults.iter().map(|fault| fault.until_us);
        Self { end_us: operations.chain(faults).max().unwrap_or(0).max(1_000_000) }
    }

    pub fn x(&self, us: u64) -> f64 {
        MARGIN + (WIDTH - MARGIN) * (us as f64 / self.end_us as f64).min(1.0)
    }

    /// An empty drawing with a line for every so many seconds, and a band for every fault.
    pub fn open(&self, height: f64, history: &History) -> String {
        let mut svg =
            format!("<svg width={WIDTH} height={} viewBox='0 0 {WIDTH} {}'>", height + 16.0, height + 16.0);
        let seconds = self.end_us / 1_000_000;
        let step = [1, 2, 5, 10, 30, 60, 300].into_iter().find(|step| seconds / step <= 20).unwrap_or(600);
        for second in (0..=seconds).step_by(step as usize) {
            let x = self.x(second * 1_000_000);
            push(&mut svg, format_args!("<line class=grid x1={x:.1} x2={x:.1} y1=0 y2={height:.0} />"));
            push(
                &mut svg,
                format_args!("<text x={x:.1} y={:.0} text-anchor=middle>{second} s</text>", height + 13.0),
            );
        }
        for fault in &history.faults {
            let (from, until) = (self.x(fault.from_us), self.x(fault.until_us));
            push(
                &mut svg,
                format_args!(
                    "<rect class=fault x={from:.1} y=0 width={:.1} height={height:.0}><title>{}</title></rect>",
                    (until - from).max(1.0),
                    escape(&fault.what)
                ),
            );
        }
        svg
    }
}

pub fn push(page: &mut String, text: std::fmt::Arguments) {
    page.write_fmt(text).expect("writing into a string does not fail");
}

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&#39;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{FaultRecord, Operation, Outcome, Reply, Request};
    use crate::properties::object_fixture::{self, *};
    use crate::report::verdict::Demands;

    #[test]
    fn a_violation_is_on_the_page_and_marked_and_nothing_is_loaded_from_elsewhere() {
        let operation = |times: (u64, u64), request, reply, revision| Operation {
            client: 1,
            member: "m1".to_owned(),
            call_us: times.0,
            return_us: times.1,
            request,
            outcome: Outcome::Ok { revision, reply },
        };
        let put = Request::Put { key: "x".to_owned(), value: "<a>".to_owned(), lease: 0 };
        let get = Request::Get { key: "x".to_owned(), serializable: false };
        let operations = vec![
            operation((0, 10), put, Reply::Put, 2),
            operation((20, 30), get, Reply::Range { kvs: Vec::new(), count: 0 }, 2),
        ];
        let mut history = History { operations, ..History::default() };
        history.faults.push(FaultRecord {
            verb: "kill".to_owned(),
            what: "kill -9 m1".to_owned(),
            members: vec!["m1".to_owned()],
            from_us: 12,
            until_us: 18,
        });
        let verdict = Verdict::judge(&history, &Demands::default());
        let heading = Heading { scenario: "s", about: "a", seed: 1, target: "t" };
        let page = page(&heading, &history, &verdict);
        for expected in ["VIOLATED", "kill -9 m1", "class=mark", "put x &lt;a&gt;", "</svg>"] {
            assert!(page.contains(expected), "{expected} is not on the page:\n{page}");
        }
        assert!(!page.contains("http") && !page.contains("<script"));
    }

    #[test]
    fn requests_of_an_api_are_drawn_as_those_of_a_store_are() {
        let writes = vec![create("a", "<1>", ok(5)), update("a", "2", unknown()), list(ok(6))];
        let mut history = object_fixture::history(writes, vec![]);
        // Long enough to be seen.
        history.object_operations[0].return_us += 500_000;
        let verdict = Verdict::judge(&history, &Demands::default());
        let page = page(&Heading { scenario: "s", about: "a", seed: 1, target: "t" }, &history, &verdict);
        for expected in [
            ">client 1</text>",
            "class=write",
            "class=read",
            "class=unknown",
            "create ConfigMap n/a &lt;1&gt;",
        ] {
            assert!(page.contains(expected), "{expected} is not on the page:\n{page}");
        }
        assert_eq!(page.matches("class=mark").count(), 2, "the lost object's writes:\n{page}");
        let scale = Scale::of(&history);
        for plot in [plot::throughput, plot::latency] {
            assert_ne!(plot(&history, &scale), plot(&History::default(), &scale), "a flat line is drawn");
        }
    }
}
