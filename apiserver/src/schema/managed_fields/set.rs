//! Sets of paths into an object, with the algebra that ownership needs.
//!
//! A path can be a member by itself and have members below it: owning a list element and owning its fields are two
//! things. In FieldsV1 the former is written as `.` inside the latter.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::path::Step;
use crate::schema::Typed;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Set {
    members: BTreeSet<Step>,
    /// Never holds an empty set.
    children: BTreeMap<Step, Set>,
}

impl Set {
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.is_empty()
    }

    /// The empty path is the object itself and is not recorded.
    pub(super) fn insert(&mut self, path: &[Step]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    /// Whether the step itself is a member.
    pub(super) fn has(&self, step: &Step) -> bool {
        self.members.contains(step)
    }

    /// What is below a step; None if nothing.
    pub(super) fn below(&self, step: &Step) -> Option<&Set> {
        self.children.get(step)
    }

    pub(super) fn union(mut self, other: &Set) -> Set {
        self.members.extend(other.members.iter().cloned());
        for (step, set) in &other.children {
            let entry = self.children.entry(step.clone()).or_default();
            *entry = std::mem::take(entry).union(set);
        }
        self
    }

    pub(super) fn intersection(&self, other: &Set) -> Set {
        let members = self.members.intersection(&other.members).cloned().collect();
        let both =
            self.children.iter().filter_map(|(step, set)| Some((step, set, other.children.get(step)?)));
        let children = both.map(|(step, a, b)| (step.clone(), a.intersection(b)));
        Set { members, children: children.filter(|(_, set)| !set.is_empty()).collect() }
    }

    /// Takes out exactly the paths of `other`; what is below them stays.
    pub(super) fn difference(&self, other: &Set) -> Set {
        let members = self.members.difference(&other.members).cloned().collect();
        let children = self.children.iter().map(|(step, set)| match other.children.get(step) {
            Some(other) => (step.clone(), set.difference(other)),
            None => (step.clone(), set.clone()),
        });
        Set { members, children: children.filter(|(_, set)| !set.is_empty()).collect() }
    }

    /// Takes out a top-level field and everything below it.
    pub(super) fn remove_field(&mut self, name: &str) {
        let step = Step::field(name);
        self.members.remove(&step);
        self.children.remove(&step);
    }

    /// Every path, members before what is below them.
    pub(super) fn paths(&self) -> Vec<Vec<Step>> {
        let mut paths = Vec::new();
        self.collect(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect(&self, prefix: &mut Vec<Step>, paths: &mut Vec<Vec<Step>>) {
        for step in &self.members {
            paths.push(prefix.iter().chain([step]).cloned().collect());
        }
        for (step, set) in &self.children {
            prefix.push(step.clone());
            set.collect(prefix, paths);
            prefix.pop();
        }
    }

    /// The set with every declared field on the way to a member as a member itself: taking out the last field of a
    /// struct takes out the struct.
    pub(super) fn with_named_parents(&self, ty: Option<Typed<'_>>) -> Set {
        let mut members = self.members.clone();
        let mut children = BTreeMap::new();
        for (step, set) in &self.children {
            let (named, below) = match (step, ty) {
                (Step::Field(name), Some(ty)) => (ty.field(name).is_some(), ty.member(name)),
                (_, Some(ty)) => (false, ty.as_list().map(|list| ty.with(list.element))),
                (_, None) => (false, None),
            };
            if named {
                members.insert(step.clone());
            }
            children.insert(step.clone(), set.with_named_parents(below));
        }
        Set { members, children }
    }

    /// `{"f:spec":{"f:replicas":{}}}`
    pub(super) fn to_fields_v1(&self) -> Value {
        let mut object = Map::new();
        for step in &self.members {
            object.insert(step.encode(), Value::Object(Map::new()));
        }
        for (step, set) in &self.children {
            let mut below = set.to_fields_v1();
            if let (true, Value::Object(below)) = (self.members.contains(step), &mut below) {
                below.insert(".".into(), Value::Object(Map::new()));
            }
            object.insert(step.encode(), below);
        }
        Value::Object(object)
    }

    /// None if the value is not FieldsV1. Steps of unknown sorts are dropped, as the format asks.
    pub(super) fn from_fields_v1(fields: &Value) -> Option<Set> {
        let mut set = Set::default();
        for (key, below) in fields.as_object()? {
            let below = below.as_object()?;
            let Some(step) = Step::parse(key) else { continue };
            if below.is_empty() || below.contains_key(".") {
                set.members.insert(step.clone());
            }
            let below: Map<String, Value> = below
                .iter()
                .filter(|(key, _)| *key != ".")
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            let below = Set::from_fields_v1(&Value::Object(below))?;
            if !below.is_empty() {
                set.children.insert(step, below);
            }
        }
        Some(set)
    }
}
