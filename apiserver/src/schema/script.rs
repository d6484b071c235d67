//! Test scripts: what is done, and what came of it, in one file that `UPDATE_EXPECT=1` rewrites.
//!
//! ```text
//! # What this file is about.
//! === title of a case
//! > command
//! body of the command, YAML
//! < what came of it
//! ```
//! Every case starts with a fresh state. Lines of output start with `< `.

use serde_json::Value;

use super::body::{self, Format};

/// Runs every command and gives back the script with what came of each.
pub(super) fn run<S: Default>(script: &str, mut act: impl FnMut(&mut S, &str, &str) -> String) -> String {
    let mut state = S::default();
    let mut out = String::new();
    let mut lines = script.lines().filter(|line| !line.starts_with('<')).peekable();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        if line.starts_with("===") {
            state = S::default();
        }
        let Some(command) = line.strip_prefix("> ") else { continue };
        let mut body = String::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with(['>', '=', '#']) && !line.is_empty()) {
            body.push_str(line);
            body.push('\n');
        }
        out.push_str(&body);
        for line in act(&mut state, command, &body).lines() {
            out.push_str(format!("< {line}").trim_end());
            out.push('\n');
        }
    }
    out
}

pub(super) fn yaml(text: &str) -> Value {
    body::parse(text.as_bytes(), Format::Yaml).expect("the script has valid YAML").into_value()
}

pub(super) fn to_yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).expect("JSON is YAML")
}

/// `apps/v1 Deployment`
pub(super) fn kind(text: &str) -> super::Gvk<'_> {
    let (api_version, kind) = text.split_once(' ').expect("apiVersion and kind");
    super::Gvk::parse(api_version, kind).expect("an apiVersion")
}
