//! A graph of what came before what, and the shortest circle in it.
//!
//! Transactions that can be put in one order have no circle; a circle is the proof that there is no order (Adya, "Weak
//! Consistency", 1999; Alvaro and Kingsbury, "Elle", 2020). Quick where a search for the order is not: linear in the edges.

use std::collections::VecDeque;

/// Searches for the shortest circle begin at so many nodes of a knot.
const STARTS_MAX: usize = 200;

/// Nodes are numbers; an edge carries why.
pub struct Graph<E> {
    next: Vec<Vec<(usize, E)>>,
}

impl<E: Copy> Graph<E> {
    pub fn new(nodes: usize) -> Self {
        Self { next: (0..nodes).map(|_| Vec::new()).collect() }
    }

    pub fn add_node(&mut self) -> usize {
        self.next.push(Vec::new());
        self.next.len() - 1
    }

    /// `from` came before `to`. A node may come before itself only by a mistake of the caller, and is left out.
    pub fn add(&mut self, from: usize, to: usize, why: E) {
        if from != to {
            self.next[from].push((to, why));
        }
    }

    /// A short circle as edges (from, why, to) in turn; `None` if there is an order.
    pub fn circle(&self) -> Option<Vec<(usize, E, usize)>> {
        let knot = self.knot()?;
        let mut inside = vec![false; self.next.len()];
        knot.iter().for_each(|&node| inside[node] = true);
        knot.iter()
            .take(STARTS_MAX)
            .filter_map(|&start| self.way_back(start, &inside))
            .min_by_key(|circle| circle.len())
    }

    /// Shortest way from `start` to itself.
    fn way_back(&self, start: usize, inside: &[bool]) -> Option<Vec<(usize, E, usize)>> {
        let mut came: Vec<Option<(usize, E)>> = vec![None; self.next.len()];
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            for &(to, why) in self.next[node].iter().filter(|(to, _)| inside[*to]) {
                if came[to].is_none() {
                    came[to] = Some((node, why));
                    queue.push_back(to);
                }
            }
            if came[start].is_some() {
                break;
            }
        }
        let mut circle = Vec::new();
        let mut node = start;
        loop {
            let (from, why) = came[node]?;
            circle.push((from, why, node));
            node = from;
            if node == start {
                circle.reverse();
                return Some(circle);
            }
        }
    }

    /// Nodes that are left when those that nothing leads to, or that lead nowhere, are taken away again and again; `None`
    /// if that takes all of them away. Every circle is in it.
    fn knot(&self) -> Option<Vec<usize>> {
        let mut back: Vec<Vec<usize>> = vec![Vec::new(); self.next.len()];
        for (from, edges) in self.next.iter().enumerate() {
            edges.iter().for_each(|(to, _)| back[*to].push(from));
        }
        let forward: Vec<Vec<usize>> =
            self.next.iter().map(|edges| edges.iter().map(|(to, _)| *to).collect()).collect();
        let mut there = vec![true; self.next.len()];
        peel(&mut there, &forward, &back);
        peel(&mut there, &back, &forward);
        let knot: Vec<usize> = (0..there.len()).filter(|&node| there[node]).collect();
        (!knot.is_empty()).then_some(knot)
    }
}

/// Takes away nodes that no node that is left leads to.
fn peel(there: &mut [bool], forward: &[Vec<usize>], back: &[Vec<usize>]) {
    let mut left: Vec<usize> =
        back.iter().map(|from| from.iter().filter(|node| there[**node]).count()).collect();
    let mut free: Vec<usize> = (0..there.len()).filter(|&node| there[node] && left[node] == 0).collect();
    while let Some(node) = free.pop() {
        there[node] = false;
        for &to in forward[node].iter().filter(|to| there[**to]) {
            left[to] -= 1;
            if left[to] == 0 {
                free.push(to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(nodes: usize, edges: &[(usize, usize)]) -> Option<Vec<usize>> {
        let mut graph = Graph::new(nodes);
        edges.iter().for_each(|&(from, to)| graph.add(from, to, ()));
        graph.circle().map(|circle| circle.into_iter().map(|(from, ..)| from).collect())
    }

    #[test]
    fn what_can_be_ordered_has_no_circle() {
        assert_eq!(check(4, &[(0, 1), (1, 2), (0, 2), (3, 2)]), None);
        assert_eq!(check(0, &[]), None);
    }

    #[test]
    fn the_shortest_circle_is_found() {
        let long_way = [(0, 1), (1, 2), (2, 3), (3, 0)];
        assert_eq!(check(5, &long_way), Some(vec![0, 1, 2, 3]));
        let mut with_short_one = long_way.to_vec();
        with_short_one.extend([(2, 1), (4, 0)]);
        assert_eq!(check(5, &with_short_one), Some(vec![1, 2]));
    }
}
