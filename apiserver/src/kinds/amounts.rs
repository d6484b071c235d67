//! Resource lists are kept to thousandths: what is finer is rounded up, as core/v1 defaulting does.

use balsa_proto::meta::quantity::Quantity;
use serde_json::Value;

use super::walk::each_mut;

/// The lists are the objects that the patterns address, names to quantities in their canonical form.
pub(super) fn to_thousandths(object: &mut Value, patterns: &[&str]) {
    for pattern in patterns {
        each_mut(object, pattern, &mut |list| {
            list.as_object_mut().into_iter().flatten().for_each(|(_, amount)| round_up(amount));
        });
    }
}

/// In canonical form only what is finer than a thousandth ends in these letters.
fn round_up(amount: &mut Value) {
    let is_finer = |text: &&str| text.ends_with(['n', 'u']);
    let Some(text) = amount.as_str().filter(is_finer) else { return };
    if let Ok(quantity) = Quantity::parse(text) {
        *amount = Quantity::from_millis(quantity.milli_value()).to_string().into();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::to_thousandths;

    #[test]
    fn what_is_finer_than_a_thousandth_is_rounded_up() {
        let mut object = json!({"spec": {"hard": {"a": "1500u", "b": "1n", "c": "2500m", "d": "1Gi"}}});
        to_thousandths(&mut object, &["spec.hard"]);
        assert_eq!(object["spec"]["hard"], json!({"a": "2m", "b": "1m", "c": "2500m", "d": "1Gi"}));
    }
}
