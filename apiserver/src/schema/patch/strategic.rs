//! Strategic merge patch: a merge patch that knows which lists are merged element by element, and by which key.
//!
//! In: the object as served and the patch, both JSON. Out: the new object. The strategies come from the schema of
//! the kind; free-form parts merge like a plain merge patch. Source: k8s.io/apimachinery
//! `util/strategicpatch` (behaviour, not code).

use serde_json::{Map, Value};

use super::directives::{
    DELETE_FROM_LIST, Directive, ELEMENT_ORDER, Error, PATCH, RETAIN_KEYS, directive, plain,
};
use super::order::{Identity, arrange};
use crate::error::ApiError;
use crate::schema::Gvk;
use crate::schema::types::{PatchStrategy, Typed};

type Object = Map<String, Value>;

pub fn strategic<'k>(kind: impl Into<Gvk<'k>>, old: &Value, patch: &[u8]) -> Result<Value, ApiError> {
    let kind = kind.into();
    let Some(ty) = kind.typed() else {
        return Err(ApiError::unsupported_media_type(&[
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/apply-patch+yaml",
        ]));
    };
    let patch = match serde_json::from_slice(patch) {
        Ok(Value::Object(patch)) => patch,
        Ok(_) | Err(_) => return Err(Error::BadDocument.into()),
    };
    let Value::Object(old) = old.clone() else { return Err(Error::BadDocument.into()) };
    Ok(Value::Object(merge_map(old, patch, Some(ty))?))
}

/// `ty` is None where the schema ends: in free-form JSON.
fn merge_map(mut old: Object, mut patch: Object, ty: Option<Typed<'_>>) -> Result<Object, Error> {
    match directive(&patch)? {
        Some(Directive::Replace) => {
            patch.remove(PATCH);
            return Ok(patch);
        }
        Some(Directive::Delete) => return Ok(Object::new()),
        Some(Directive::Merge) => {
            patch.remove(PATCH);
        }
        None => {}
    }
    retain_keys(&mut old, &mut patch)?;
    order_elements(&mut old, &mut patch, ty)?;
    for (key, value) in patch {
        match key.strip_prefix(DELETE_FROM_LIST) {
            Some(list) => delete_from_list(&mut old, list, value)?,
            None => merge_member(&mut old, key, value, ty)?,
        }
    }
    Ok(old)
}

fn merge_member(old: &mut Object, key: String, value: Value, ty: Option<Typed<'_>>) -> Result<(), Error> {
    let current = old.remove(&key);
    let merged = match (current, value) {
        (_, Value::Null) => return Ok(()),
        (Some(Value::Object(current)), Value::Object(value)) => {
            Some(Value::Object(merge_map(current, value, ty.and_then(|ty| ty.member(&key)))?))
        }
        (Some(Value::Array(current)), Value::Array(value)) => {
            Some(Value::Array(merge_list_member(current, value, &key, ty)?))
        }
        (_, value) => plain(value),
    };
    if let Some(merged) = merged {
        old.insert(key, merged);
    }
    Ok(())
}

fn merge_list_member(
    old: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
    ty: Option<Typed<'_>>,
) -> Result<Vec<Value>, Error> {
    match strategy(ty, key) {
        Some(strategy) if strategy.merge => merge_list(old, patch, strategy, key, element_type(ty, key)),
        Some(_) | None => Ok(match plain(Value::Array(patch)) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        }),
    }
}

fn strategy<'s>(ty: Option<Typed<'s>>, key: &str) -> Option<&'s PatchStrategy> {
    ty?.field(key)?.patch.as_ref()
}

fn element_type<'s>(ty: Option<Typed<'s>>, key: &str) -> Option<Typed<'s>> {
    let list = ty?.member(key)?;
    list.as_list().map(|shape| list.with(shape.element))
}

fn merge_list(
    old: Vec<Value>,
    patch: Vec<Value>,
    strategy: &PatchStrategy,
    name: &str,
    element: Option<Typed<'_>>,
) -> Result<Vec<Value>, Error> {
    if old.iter().chain(&patch).any(Value::is_array) {
        return Err(Error::ListOfLists);
    }
    if !old.iter().chain(&patch).any(Value::is_object) {
        return Ok(merge_scalars(old, patch));
    }
    let key = strategy.key.as_deref().ok_or_else(|| Error::NoKeyDeclared(name.to_owned()))?;
    let by = Identity(Some(key));
    let server = old.clone();
    let (kept, patch) = apply_element_directives(old, patch, key)?;
    let wanted = patch.clone();
    let merged = merge_elements(kept, patch, key, element)?;
    Ok(arrange(merged, &wanted, &server, by))
}

fn merge_scalars(old: Vec<Value>, patch: Vec<Value>) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::with_capacity(old.len() + patch.len());
    for item in old.iter().chain(&patch) {
        if !merged.contains(item) {
            merged.push(item.clone());
        }
    }
    arrange(merged, &patch, &old, Identity(None))
}

/// Takes out elements with `$patch`: they delete elements of the old list, or replace all of it.
fn apply_element_directives(
    mut old: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), Error> {
    let mut rest = Vec::with_capacity(patch.len());
    let mut replace = false;
    for item in patch {
        let Value::Object(map) = &item else {
            rest.push(item);
            continue;
        };
        match directive(map)? {
            None => rest.push(item),
            Some(Directive::Replace) => replace = true,
            Some(Directive::Merge) => return Err(Error::MergeInList),
            Some(Directive::Delete) => {
                let wanted = map.get(key).ok_or_else(|| no_merge_key(&item, key))?;
                old.retain(|one| one.get(key) != Some(wanted));
            }
        }
    }
    if replace { Ok((Vec::new(), rest)) } else { Ok((old, rest)) }
}

fn merge_elements(
    mut old: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
    element: Option<Typed<'_>>,
) -> Result<Vec<Value>, Error> {
    for item in patch {
        let wanted = item.get(key).ok_or_else(|| no_merge_key(&item, key))?;
        match old.iter().position(|one| one.get(key) == Some(wanted)) {
            Some(at) => {
                let (Value::Object(current), Value::Object(item)) = (old[at].take(), item) else {
                    return Err(Error::BadDocument);
                };
                old[at] = Value::Object(merge_map(current, item, element)?);
            }
            None => old.extend(plain(item)),
        }
    }
    Ok(old)
}

fn no_merge_key(item: &Value, key: &str) -> Error {
    Error::NoMergeKey { map: item.clone(), key: key.to_owned() }
}

fn delete_from_list(old: &mut Object, list: &str, unwanted: Value) -> Result<(), Error> {
    let Value::Array(unwanted) = unwanted else { return Err(Error::BadPrimitiveList) };
    if let Some(Value::Array(items)) = old.get_mut(list) {
        items.retain(|item| !unwanted.contains(item));
    }
    Ok(())
}

/// `$retainKeys`: members of the old object that are not listed go.
fn retain_keys(old: &mut Object, patch: &mut Object) -> Result<(), Error> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let keys: Vec<String> = serde_json::from_value(keys).map_err(|_| Error::BadRetainKeys)?;
    let mut set = patch.iter().filter(|(key, value)| !value.is_null() && !key.starts_with('$'));
    if set.any(|(key, _)| !keys.contains(key)) {
        return Err(Error::RetainKeysMismatch);
    }
    old.retain(|key, _| keys.contains(key));
    Ok(())
}

/// `$setElementOrder/<list>`: merges the list now and puts it into the order; the list leaves the patch.
fn order_elements(old: &mut Object, patch: &mut Object, ty: Option<Typed<'_>>) -> Result<(), Error> {
    let orders: Vec<String> = patch.keys().filter(|key| key.starts_with(ELEMENT_ORDER)).cloned().collect();
    for directive in orders {
        let Some(Value::Array(order)) = patch.remove(&directive) else { return Err(Error::BadElementOrder) };
        let name = &directive[ELEMENT_ORDER.len()..];
        if let Some(unwanted) = patch.remove(&format!("{DELETE_FROM_LIST}{name}")) {
            delete_from_list(old, name, unwanted)?;
        }
        let by = Identity(strategy(ty, name).and_then(|strategy| strategy.key.as_deref()));
        let additions = match patch.remove(name) {
            Some(Value::Array(items)) => Some(items),
            Some(other) => {
                // Not a list (null deletes it): the order has no say.
                patch.insert(name.to_owned(), other);
                continue;
            }
            None => None,
        };
        check_order(additions.as_deref().unwrap_or_default(), &order, by)?;
        let merged = match (old.remove(name), additions) {
            (Some(Value::Array(current)), Some(additions)) => {
                let server = current.clone();
                arrange(merge_list_member(current, additions, name, ty)?, &order, &server, by)
            }
            (Some(Value::Array(current)), None) => arrange(current.clone(), &order, &current, by),
            (_, Some(additions)) => match plain(Value::Array(additions)) {
                Some(Value::Array(items)) => arrange(items, &order, &[], by),
                _ => continue,
            },
            (_, None) => continue,
        };
        old.insert(name.to_owned(), Value::Array(merged));
    }
    Ok(())
}

/// The elements of the patch must stand in the order list, in its order. Deletions need not.
fn check_order(patch: &[Value], order: &[Value], by: Identity<'_>) -> Result<(), Error> {
    let mut rest = order;
    for item in patch.iter().filter(|item| item.get(PATCH).is_none()) {
        match by.position(rest, item) {
            Some(at) => rest = &rest[at + 1..],
            None => {
                let patch = Value::Array(patch.to_vec());
                return Err(Error::OrderMismatch { patch, order: Value::Array(order.to_vec()) });
            }
        }
    }
    Ok(())
}
