//! Transactions over append lists have one order, which keeps to real time: strict serializability.
//!
//! Source: etcd's API guarantees; the way of looking is Elle's (Alvaro and Kingsbury, 2020). A list tells the order of the
//! appends to it, so that for every two transactions that met on a list one knows which came first:
//!
//! ```text
//!  T1 appends b to [a]        T1 → T2: T2 appended to what T1 wrote    (write, write)
//!  T2 appends c to [a b]      T1 → T3: T3 read what T1 wrote           (write, read)
//!  T3 reads [a b]             T3 → T2: T3 did not see what T2 wrote    (read, write)
//! ```
//! A circle of such steps is a transaction that was seen half, or a write that was lost. With the steps of real time added
//! (T1 had returned before T2 was called), a circle is a stale read. Keys are those of `crate::workloads::append`.

use std::collections::{BTreeMap, HashMap};

use super::Check;
use super::dependency::Graph;
use crate::history::{History, Operation, Outcome, Reply, Request};
use crate::workloads::append::PREFIX;

/// The elements of one list as somebody read or wrote them.
type List<'a> = Vec<&'a str>;

/// What one transaction read and wrote, for certain or if it happened at all.
struct Transaction<'a> {
    operation: &'a Operation,
    reads: Vec<(&'a str, List<'a>)>,
    writes: Vec<(&'a str, List<'a>)>,
}

/// Why one transaction came before another; the text is the key.
#[derive(Clone, Copy)]
enum Step<'a> {
    Overwrote(&'a str),
    Read(&'a str),
    DidNotSee(&'a str),
    RealTime,
}

pub fn check(history: &History) -> Check {
    let possible: Vec<Transaction> = history.operations.iter().filter_map(transaction).collect();
    let mut check = Check::looked_at(possible.len());
    let Some(transactions) = that_happened(possible, &mut check) else { return check };
    let Some(longest) = longest_lists(&transactions, &mut check) else { return check };
    let mut graph = Graph::new(transactions.len());
    meetings(&transactions, &longest, &mut graph);
    if let Some(circle) = graph.circle() {
        explain("no order of these transactions explains what they saw", &circle, &transactions, &mut check);
        return check;
    }
    real_time(&transactions, &mut graph);
    if let Some(circle) = graph.circle() {
        let what = "the only orders of these transactions that explain what they saw go against real time";
        explain(what, &circle, &transactions, &mut check);
    }
    check
}

/// None for what is not about lists, or has certainly not happened.
fn transaction(operation: &Operation) -> Option<Transaction<'_>> {
    let Request::Txn { success, failure, .. } = &operation.request else { return None };
    let mut found = Transaction { operation, reads: Vec::new(), writes: Vec::new() };
    match &operation.outcome {
        Outcome::Fail { .. } => return None,
        Outcome::Unknown { .. } => success.iter().for_each(|request| found.add(request, None)),
        Outcome::Ok { reply: Reply::Txn { succeeded, replies }, .. } => {
            let chosen = if *succeeded { success } else { failure };
            chosen.iter().zip(replies).for_each(|(request, reply)| found.add(request, Some(reply)));
        }
        Outcome::Ok { .. } => return None,
    }
    (!found.reads.is_empty() || !found.writes.is_empty()).then_some(found)
}

impl<'a> Transaction<'a> {
    fn add(&mut self, request: &'a Request, reply: Option<&'a Reply>) {
        match (request, reply) {
            (Request::Put { key, value, .. }, _) if key.starts_with(PREFIX) => {
                let list = elements(value);
                // It compared what it read, so that it has read all but the last.
                self.reads.push((key, list[..list.len().saturating_sub(1)].to_vec()));
                self.writes.push((key, list));
            }
            (Request::Get { key, serializable: false }, Some(Reply::Range { kvs, .. }))
                if key.starts_with(PREFIX) =>
            {
                self.reads.push((key, kvs.first().map_or(Vec::new(), |kv| elements(&kv.value))));
            }
            _ => {}
        }
    }

    fn is_acknowledged(&self) -> bool {
        self.operation.reply().is_some()
    }
}

fn elements(value: &str) -> List<'_> {
    value.split(' ').filter(|element| !element.is_empty()).collect()
}

/// Leaves out transactions of unknown outcome whose elements nobody saw. An element that was seen and that nobody can have
/// appended is a violation, and nothing more can be said then.
fn that_happened<'a>(possible: Vec<Transaction<'a>>, check: &mut Check) -> Option<Vec<Transaction<'a>>> {
    let mut writers: HashMap<&str, usize> = HashMap::new();
    for (number, transaction) in possible.iter().enumerate() {
        let appended = transaction.writes.iter().filter_map(|(_, list)| list.last());
        for element in appended {
            writers.insert(element, number);
        }
    }
    let mut happened: Vec<bool> = possible.iter().map(Transaction::is_acknowledged).collect();
    for reader in possible.iter().filter(|reader| reader.is_acknowledged()) {
        for (key, list) in &reader.reads {
            for element in list {
                match writers.get(element) {
                    Some(&writer) => happened[writer] = true,
                    None => {
                        let text = format!(
                            "{element} is in {key}, and nobody appended it, or its transaction was refused:\n  {}",
                            reader.operation.describe()
                        );
                        check.violated(text, vec![reader.operation.clone()]);
                        return None;
                    }
                }
            }
        }
    }
    let happened = possible.into_iter().zip(happened).filter(|(_, happened)| *happened);
    Some(happened.map(|(transaction, _)| transaction).collect())
}

/// The longest list of each key, of which all others must be the beginning.
fn longest_lists<'a>(
    transactions: &[Transaction<'a>],
    check: &mut Check,
) -> Option<BTreeMap<&'a str, List<'a>>> {
    let mut longest: BTreeMap<&str, (List, &Operation)> = BTreeMap::new();
    let seen = || {
        transactions
            .iter()
            .flat_map(|done| done.reads.iter().chain(&done.writes).map(move |seen| (seen, done.operation)))
    };
    for ((key, list), operation) in seen() {
        let known = longest.entry(key).or_insert_with(|| (list.clone(), operation));
        if known.0.len() < list.len() {
            *known = (list.clone(), operation);
        }
    }
    for ((key, list), operation) in seen() {
        let (whole, other) = &longest[key];
        if !whole.starts_with(list) {
            let text = format!(
                "{key} is [{}] to one and [{}] to another, and neither is the beginning of the other:\n  {}\n  {}",
                list.join(" "),
                whole.join(" "),
                operation.describe(),
                other.describe()
            );
            check.violated(text, vec![operation.clone(), (*other).clone()]);
            return None;
        }
    }
    Some(longest.into_iter().map(|(key, (list, _))| (key, list)).collect())
}

/// Steps between transactions that met on a list.
fn meetings<'a>(
    transactions: &[Transaction<'a>],
    longest: &BTreeMap<&'a str, List<'a>>,
    graph: &mut Graph<Step<'a>>,
) {
    // (key, length) → who made the list so long.
    let mut writers: HashMap<(&str, usize), usize> = HashMap::new();
    for (number, transaction) in transactions.iter().enumerate() {
        for (key, list) in &transaction.writes {
            writers.insert((key, list.len()), number);
        }
    }
    for (key, list) in longest {
        for length in 1..list.len() {
            if let (Some(&first), Some(&second)) =
                (writers.get(&(*key, length)), writers.get(&(*key, length + 1)))
            {
                graph.add(first, second, Step::Overwrote(key));
            }
        }
    }
    for (number, transaction) in transactions.iter().enumerate() {
        for (key, list) in &transaction.reads {
            if let Some(&writer) = writers.get(&(*key, list.len())) {
                graph.add(writer, number, Step::Read(key));
            }
            if let Some(&writer) = writers.get(&(*key, list.len() + 1)) {
                graph.add(number, writer, Step::DidNotSee(key));
            }
        }
    }
}

/// One node for each return, in order of time: a transaction leads to its return, and the last return before its call
/// leads to it. So there are as many steps as transactions, not as pairs of them.
fn real_time<'a>(transactions: &[Transaction<'a>], graph: &mut Graph<Step<'a>>) {
    let mut returns: Vec<(u64, usize)> = transactions
        .iter()
        .enumerate()
        .filter(|(_, done)| done.is_acknowledged())
        .map(|(number, done)| (done.operation.return_us, number))
        .collect();
    returns.sort_unstable();
    let mut nodes: Vec<usize> = Vec::new();
    for (_, number) in &returns {
        let node = graph.add_node();
        graph.add(*number, node, Step::RealTime);
        if let Some(&before) = nodes.last() {
            graph.add(before, node, Step::RealTime);
        }
        nodes.push(node);
    }
    for (number, transaction) in transactions.iter().enumerate() {
        let before = returns.partition_point(|(time, _)| *time < transaction.operation.call_us);
        if before > 0 {
            graph.add(nodes[before - 1], number, Step::RealTime);
        }
    }
}

fn explain(what: &str, circle: &[(usize, Step, usize)], transactions: &[Transaction], check: &mut Check) {
    // A circle may begin between two steps of real time: turned so that it begins at a transaction.
    let begin = circle.iter().position(|(from, ..)| *from < transactions.len()).unwrap_or(0);
    let mut text = vec![format!("{what}:")];
    let mut operations = Vec::new();
    for (from, step, _) in circle[begin..].iter().chain(&circle[..begin]) {
        if let Some(transaction) = transactions.get(*from) {
            text.push(format!("  {}", transaction.operation.describe()));
            operations.push(transaction.operation.clone());
            text.push(match step {
                Step::Overwrote(key) => format!("    to whose {key} was appended by"),
                Step::Read(key) => format!("    whose {key} was read by"),
                Step::DidNotSee(key) => format!("    who did not see the {key} of"),
                Step::RealTime => "    which had returned before the call of".to_owned(),
            });
        }
    }
    text.push("  the first of them".to_owned());
    check.violated(text.join("\n"), operations);
}

#[cfg(test)]
#[path = "append_lists_test.rs"]
mod tests;
