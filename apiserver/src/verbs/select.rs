//! Which objects of a resource a list or watch is about: namespace, label selector and field selector.

use balsa_proto::meta::field_selector::FieldSelector;
use balsa_proto::meta::selector::Selector;

use crate::cache::CachedObject;
use crate::error::ApiError;
use crate::kinds::Kind;
use crate::pipeline::Target;

#[derive(Clone, Debug)]
pub struct Selection {
    /// Empty: all.
    pub namespace: String,
    pub labels: Selector,
    pub fields: FieldSelector,
}

impl Selection {
    pub fn parse(target: &Target, labels: &str, fields: &str) -> Result<Selection, ApiError> {
        let labels = Selector::parse(labels)
            .map_err(|error| ApiError::bad_request(format!("unable to parse requirement: {error}")))?;
        let parsed =
            FieldSelector::parse(fields).map_err(|error| ApiError::bad_request(error.to_string()))?;
        check_fields(target.kind, &parsed)?;
        Ok(Selection { namespace: target.namespace.clone(), labels, fields: parsed })
    }

    pub fn everything(namespace: &str) -> Selection {
        Selection {
            namespace: namespace.to_owned(),
            labels: Selector::everything(),
            fields: FieldSelector::default(),
        }
    }

    /// The one name that can match.
    pub fn name(&self) -> Option<&str> {
        self.fields.required_value("metadata.name")
    }

    /// Whether no selector narrows the namespace; only then can the remaining items be counted.
    pub fn takes_all(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    pub fn matches(&self, object: &CachedObject) -> bool {
        (self.namespace.is_empty() || object.namespace == self.namespace)
            && (self.fields.is_everything() || self.fields.matches_with(|field| object.field(field)))
            && (self.labels.is_everything() || self.labels.matches(&object.labels))
    }
}

fn check_fields(kind: &'static Kind, fields: &FieldSelector) -> Result<(), ApiError> {
    fields
        .terms()
        .iter()
        .try_for_each(|term| kind.check_field_label(&term.field))
        .map_err(ApiError::bad_request)
}
