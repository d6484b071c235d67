//! One row per member with what was done to it, one row per client with what it did.

use std::collections::BTreeSet;

use super::drawn::{self, Drawn, Row};
use super::page::{MARGIN, Scale, WIDTH, escape, push};
use super::verdict::Verdict;
use crate::history::History;

const ROW: f64 = 15.0;
const BAR: f64 = 10.0;
/// A page with more boxes is slow to show: beyond it the good and ordinary ones are thinned out.
const BOXES_MAX: usize = 12_000;

pub fn draw(history: &History, verdict: &Verdict, scale: &Scale) -> String {
    let members = members(history);
    let clients: BTreeSet<Row> = drawn::all(history).map(Drawn::row).collect();
    let rows = members.len() + clients.len();
    let mut svg = scale.open(rows as f64 * ROW, history);
    for (row, member) in members.iter().enumerate() {
        name(&mut svg, row, member);
        for fault in history.faults.iter().filter(|fault| fault.members.iter().any(|name| name == member)) {
            let (from, until) = (scale.x(fault.from_us), scale.x(fault.until_us));
            push(
                &mut svg,
                format_args!(
                    "<rect class=down x={from:.1} y={:.1} width={:.1} height={BAR}><title>{}</title></rect>",
                    top(row),
                    (until - from).max(2.0),
                    escape(&fault.what)
                ),
            );
        }
    }
    let row_of = |operation: Drawn| {
        let position = clients.iter().position(|client| *client == operation.row());
        members.len() + position.expect("clients are those of the operations")
    };
    for (number, (client, member)) in clients.iter().enumerate() {
        let at = member.map(|member| format!(" at {member}")).unwrap_or_default();
        name(&mut svg, members.len() + number, &format!("client {client}{at}"));
    }
    for operation in thinned(history) {
        bar(&mut svg, row_of(operation), operation, scale);
    }
    for operation in drawn::violating(history, verdict) {
        mark(&mut svg, row_of(operation), operation, scale);
    }
    svg.push_str("</svg>\n");
    svg
}

fn members(history: &History) -> Vec<String> {
    let of_faults = history.faults.iter().flat_map(|fault| &fault.members);
    let of_operations = history.operations.iter().map(|operation| &operation.member);
    of_faults.chain(of_operations).collect::<BTreeSet<_>>().into_iter().cloned().collect()
}

fn top(row: usize) -> f64 {
    row as f64 * ROW + (ROW - BAR) / 2.0
}

fn name(svg: &mut String, row: usize, name: &str) {
    let (x, y) = (MARGIN - 8.0, top(row) + BAR - 1.0);
    push(svg, format_args!("<text x={x} y={y:.1} text-anchor=end>{}</text>", escape(name)));
}

/// All that did not go well, and as many others as there is room for.
fn thinned(history: &History) -> impl Iterator<Item = Drawn<'_>> {
    let every = drawn::all(history).count().div_ceil(BOXES_MAX).max(1);
    drawn::all(history)
        .enumerate()
        .filter(move |(number, operation)| !operation.is_acknowledged() || number % every == 0)
        .map(|(_, operation)| operation)
}

fn bar(svg: &mut String, row: usize, operation: Drawn, scale: &Scale) {
    let class = operation.ended().class();
    let (from, until) = (scale.x(operation.call_us()), scale.x(operation.return_us()));
    push(
        svg,
        format_args!(
            "<rect class={class} x={from:.1} y={:.1} width={:.1} height={BAR}><title>{}</title></rect>",
            top(row),
            (until - from).max(1.0),
            escape(&operation.describe())
        ),
    );
}

fn mark(svg: &mut String, row: usize, operation: Drawn, scale: &Scale) {
    bar(svg, row, operation, scale);
    let from = scale.x(operation.call_us()).min(WIDTH - 4.0);
    let width = (scale.x(operation.return_us()) - from).max(1.0) + 4.0;
    push(
        svg,
        format_args!(
            "<rect class=mark x={:.1} y={:.1} width={width:.1} height={}><title>{}</title></rect>",
            from - 2.0,
            top(row) - 2.0,
            BAR + 4.0,
            escape(&operation.describe())
        ),
    );
}
