//! The index of live keys: an ordered tree with subtree counts, shared with readers by copying paths.
//!
//! It answers without a disk: which keys live in a range, how many (in O(log n)), and the metadata of each. A clone is one
//! pointer and never changes; the writer copies only the nodes on the path of a change, and none that no reader holds.
//! Contents: live keys at the current revision only. The past is in the column families.
//!
//! A B+tree: leaves hold up to [`LEAF_MAX`] entries, branches up to [`BRANCH_MAX`] children, each with its lowest key and
//! its count of entries. All leaves are at one depth. A node that becomes small is merged into its neighbour when both
//! fit in one; the lowest key of a child is a lower bound that may be stale after a removal, which searches allow for.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::codec::{Kind, Meta};
use super::key_range::KeyRange;
use crate::revision::Revision;

const LEAF_MAX: usize = 32;
const BRANCH_MAX: usize = 32;
/// How full nodes are that are built all at once: some may grow before they have to be split.
const BUILT: usize = 24;
/// Neighbours that together hold no more than this are merged: room is left for what comes next.
const MERGE_MAX: usize = 24;

/// What the index knows of a live key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    pub modified: Revision,
    pub create_revision: i64,
    pub version: i64,
    pub lease: i64,
}

impl Live {
    pub fn meta(&self) -> Meta {
        Meta {
            kind: Kind::Put,
            create_revision: self.create_revision,
            version: self.version,
            lease: self.lease,
        }
    }
}

type Key = Arc<[u8]>;

#[derive(Debug, Clone)]
enum Node {
    Leaf(Vec<(Key, Live)>),
    Branch(Vec<Child>),
}

#[derive(Debug, Clone)]
struct Child {
    /// No key below is less than this.
    lowest: Key,
    count: usize,
    node: Arc<Node>,
}

#[derive(Debug, Clone)]
pub struct Index {
    root: Arc<Node>,
    count: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(Vec::new())), count: 0 }
    }
}

impl Index {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn get(&self, key: &[u8]) -> Option<&Live> {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Leaf(entries) => {
                    let at = entries.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
                    return Some(&entries[at].1);
                }
                Node::Branch(children) => node = &children[child_for(children, key)].node,
            }
        }
    }

    /// Replaces or adds.
    pub fn insert(&mut self, key: &[u8], live: Live) {
        let (added, split) = insert(Arc::make_mut(&mut self.root), key, live);
        self.count += usize::from(added);
        if let Some(right) = split {
            let left = std::mem::replace(&mut self.root, Arc::new(Node::Leaf(Vec::new())));
            let left = Child { lowest: lowest_key(&left), count: self.count - right.count, node: left };
            self.root = Arc::new(Node::Branch(vec![left, right]));
        }
    }

    pub fn remove(&mut self, key: &[u8]) -> Option<Live> {
        self.get(key)?;
        let removed = remove(Arc::make_mut(&mut self.root), key);
        self.count -= usize::from(removed.is_some());
        while let Node::Branch(children) = &*self.root
            && children.len() == 1
        {
            self.root = children[0].node.clone();
        }
        removed
    }

    /// The same with `changes` in it, which are sorted by key, one for each; `None` takes a key away. For many changes at
    /// once: every node is made anew, which costs less than to look for the place of each.
    pub fn merged(&self, changes: impl IntoIterator<Item = (Arc<[u8]>, Option<Live>)>) -> Index {
        let mut changes = changes.into_iter().peekable();
        let mut built = Builder::default();
        each(&self.root, &mut |key, live| {
            while let Some((new, change)) = changes.next_if(|(new, _)| new < key) {
                built.push(new, change);
            }
            match changes.next_if(|(new, _)| new == key) {
                Some((_, change)) => built.push(key.clone(), change),
                None => built.push(key.clone(), Some(*live)),
            }
        });
        changes.for_each(|(new, change)| built.push(new, change));
        built.finish()
    }

    /// How many live keys are in the range.
    pub fn count(&self, range: &KeyRange) -> usize {
        let below_end = range.end_bound().map_or(self.count, |end| self.rank(&end));
        below_end.saturating_sub(self.rank(range.start()))
    }

    /// How many live keys are less than `key`.
    fn rank(&self, key: &[u8]) -> usize {
        let mut node = &*self.root;
        let mut rank = 0;
        loop {
            match node {
                Node::Leaf(entries) => return rank + entries.partition_point(|(k, _)| **k < *key),
                Node::Branch(children) => {
                    let at = child_for(children, key);
                    rank += children[..at].iter().map(|child| child.count).sum::<usize>();
                    node = &children[at].node;
                }
            }
        }
    }

    /// Visits the live keys of the range in order until `visit` breaks.
    pub fn visit<B>(
        &self,
        range: &KeyRange,
        visit: &mut impl FnMut(&[u8], &Live) -> ControlFlow<B>,
    ) -> Option<B> {
        let end = range.end_bound();
        match visit_node(&self.root, range.start(), end.as_deref(), visit) {
            ControlFlow::Break(Some(stop)) => Some(stop),
            ControlFlow::Break(None) | ControlFlow::Continue(()) => None,
        }
    }

    /// The live keys of the range in order; at most `limit` of them unless `limit` is 0.
    pub fn range(&self, range: &KeyRange, limit: usize) -> Vec<(Arc<[u8]>, Live)> {
        let mut found = Vec::new();
        let end = range.end_bound();
        let _ = collect(&self.root, range.start(), end.as_deref(), limit, &mut found);
        found
    }
}

/// An index from entries in ascending order.
#[derive(Default)]
struct Builder {
    leaf: Vec<(Key, Live)>,
    leaves: Vec<Child>,
}

impl Builder {
    fn push(&mut self, key: Key, live: Option<Live>) {
        let Some(live) = live else { return };
        if self.leaf.len() == BUILT {
            let leaf = std::mem::replace(&mut self.leaf, Vec::with_capacity(BUILT));
            self.leaves.push(as_child(Node::Leaf(leaf)));
        }
        self.leaf.push((key, live));
    }

    fn finish(self) -> Index {
        let mut level = self.leaves;
        level.push(as_child(Node::Leaf(self.leaf)));
        while level.len() > 1 {
            let mut children = level.into_iter().peekable();
            level = Vec::new();
            while children.peek().is_some() {
                level.push(as_child(Node::Branch(children.by_ref().take(BUILT).collect())));
            }
        }
        let root = level.pop().expect("a level has a node at least");
        Index { root: root.node, count: root.count }
    }
}

fn each(node: &Node, visit: &mut impl FnMut(&Key, &Live)) {
    match node {
        Node::Leaf(entries) => entries.iter().for_each(|(key, live)| visit(key, live)),
        Node::Branch(children) => children.iter().for_each(|child| each(&child.node, visit)),
    }
}

/// The child that would hold `key`.
fn child_for(children: &[Child], key: &[u8]) -> usize {
    children.partition_point(|child| *child.lowest <= *key).saturating_sub(1)
}

fn lowest_key(node: &Node) -> Key {
    match node {
        Node::Leaf(entries) => entries.first().map_or_else(|| Arc::from(&[][..]), |(key, _)| key.clone()),
        Node::Branch(children) => children[0].lowest.clone(),
    }
}

fn count_of(node: &Node) -> usize {
    match node {
        Node::Leaf(entries) => entries.len(),
        Node::Branch(children) => children.iter().map(|child| child.count).sum(),
    }
}

fn as_child(node: Node) -> Child {
    Child { lowest: lowest_key(&node), count: count_of(&node), node: Arc::new(node) }
}

/// Returns whether a key was added, and the right half if the node had to be split.
fn insert(node: &mut Node, key: &[u8], live: Live) -> (bool, Option<Child>) {
    match node {
        Node::Leaf(entries) => match entries.binary_search_by(|(k, _)| (**k).cmp(key)) {
            Ok(at) => {
                entries[at].1 = live;
                (false, None)
            }
            Err(at) => {
                let appended = at == entries.len();
                entries.insert(at, (Arc::from(key), live));
                (true, split(entries, LEAF_MAX, appended).map(|right| as_child(Node::Leaf(right))))
            }
        },
        Node::Branch(children) => {
            let at = child_for(children, key);
            let child = &mut children[at];
            if *key < *child.lowest {
                child.lowest = Arc::from(key);
            }
            let (added, right) = insert(Arc::make_mut(&mut child.node), key, live);
            child.count += usize::from(added);
            let Some(right) = right else { return (added, None) };
            child.count -= right.count;
            let appended = at + 1 == children.len();
            children.insert(at + 1, right);
            (added, split(children, BRANCH_MAX, appended).map(|right| as_child(Node::Branch(right))))
        }
    }
}

/// In ascending inserts (most of Kubernetes' keys, and the start-up) the left half stays full.
fn split<T>(items: &mut Vec<T>, max: usize, appended: bool) -> Option<Vec<T>> {
    if items.len() <= max {
        return None;
    }
    let at = if appended { items.len() - 1 } else { items.len() / 2 };
    Some(items.split_off(at))
}

fn remove(node: &mut Node, key: &[u8]) -> Option<Live> {
    match node {
        Node::Leaf(entries) => {
            let at = entries.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
            Some(entries.remove(at).1)
        }
        Node::Branch(children) => {
            let at = child_for(children, key);
            let removed = remove(Arc::make_mut(&mut children[at].node), key)?;
            children[at].count -= 1;
            shrink(children, at);
            Some(removed)
        }
    }
}

/// Drops the child at `at` if it is empty, or merges it with a neighbour if both fit in one.
fn shrink(children: &mut Vec<Child>, at: usize) {
    if children[at].count == 0 && children.len() > 1 {
        children.remove(at);
        return;
    }
    for left in [at.wrapping_sub(1), at] {
        if left < children.len()
            && left + 1 < children.len()
            && width(&children[left]) + width(&children[left + 1]) <= MERGE_MAX
        {
            let right = children.remove(left + 1);
            children[left].count += right.count;
            append(Arc::make_mut(&mut children[left].node), &right.node);
            return;
        }
    }
}

fn width(child: &Child) -> usize {
    match &*child.node {
        Node::Leaf(entries) => entries.len(),
        Node::Branch(children) => children.len(),
    }
}

fn append(left: &mut Node, right: &Node) {
    match (left, right) {
        (Node::Leaf(left), Node::Leaf(right)) => left.extend_from_slice(right),
        (Node::Branch(left), Node::Branch(right)) => left.extend_from_slice(right),
        (Node::Leaf(_), Node::Branch(_)) | (Node::Branch(_), Node::Leaf(_)) => {
            unreachable!("neighbours are at one depth")
        }
    }
}

/// Breaks with `None` past the end of the range.
fn visit_node<B>(
    node: &Node,
    start: &[u8],
    end: Option<&[u8]>,
    visit: &mut impl FnMut(&[u8], &Live) -> ControlFlow<B>,
) -> ControlFlow<Option<B>> {
    match node {
        Node::Leaf(entries) => {
            for (key, live) in &entries[entries.partition_point(|(k, _)| **k < *start)..] {
                if end.is_some_and(|end| **key >= *end) {
                    return ControlFlow::Break(None);
                }
                if let ControlFlow::Break(stop) = visit(key, live) {
                    return ControlFlow::Break(Some(stop));
                }
            }
        }
        Node::Branch(children) => {
            for child in &children[child_for(children, start)..] {
                visit_node(&child.node, start, end, visit)?;
            }
        }
    }
    ControlFlow::Continue(())
}

/// As [`visit_node`], keeping the shared keys.
fn collect(
    node: &Node,
    start: &[u8],
    end: Option<&[u8]>,
    limit: usize,
    found: &mut Vec<(Arc<[u8]>, Live)>,
) -> ControlFlow<()> {
    match node {
        Node::Leaf(entries) => {
            for (key, live) in &entries[entries.partition_point(|(k, _)| **k < *start)..] {
                if end.is_some_and(|end| **key >= *end) || (limit > 0 && found.len() == limit) {
                    return ControlFlow::Break(());
                }
                found.push((key.clone(), *live));
            }
        }
        Node::Branch(children) => {
            for child in &children[child_for(children, start)..] {
                collect(&child.node, start, end, limit, found)?;
            }
        }
    }
    ControlFlow::Continue(())
}
