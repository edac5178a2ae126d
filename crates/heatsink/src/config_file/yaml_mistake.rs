//! Mistakes that the YAML library finds, in words for users.

use serde_saphyr::{Error, Location};

/// What is wrong with a file, and where.
pub(super) struct Mistake {
    /// The line, from 1 on.
    pub(super) line: Option<u64>,
    /// The key, where the library names one.
    pub(super) key: Option<String>,
    /// The mistake, and what to write.
    pub(super) what: String,
}

impl Mistake {
    /// A mistake that the library finds in `text`.
    pub(super) fn new(error: &Error, text: &str) -> Self {
        let error = error.without_snippet();
        if let Error::AliasError { error, .. } = error {
            return Self::new(error, text);
        }
        let key = match error {
            Error::DuplicateMappingKey { key, .. } => key.clone(),
            Error::SerdeUnknownField { field, .. } => Some(field.clone()),
            Error::SerdeMissingField { field, .. } => Some((*field).to_owned()),
            _ => None,
        };
        let location = error.location();
        Self { line: location.map(|it| it.line()), key, what: what(error, text) }
    }
}

fn what(error: &Error, text: &str) -> String {
    let is_list = error.location().is_some_and(|location| is_list(text, location));
    let what = match error {
        Error::Unexpected { expected: "string scalar", .. } if is_list => {
            "has more than one value; write one"
        }
        Error::Unexpected { expected: "string scalar", .. } => {
            "has keys of its own; write one value"
        }
        Error::Unexpected { expected: "mapping start", .. } => {
            "has no keys; write lines of the form `key: value`"
        }
        Error::Unexpected { expected: "sequence start", .. } => "is no list; write `[a, b]`",
        Error::NullIntoString { .. } => "has no value; write one, or leave the line out",
        Error::MultipleDocuments { .. } => "a second document begins here; write one",
        Error::DuplicateMappingKey { .. } => "stands twice; leave one of them out",
        Error::SerdeMissingField { .. } => "is missing; write it",
        Error::SerdeUnknownField { expected, .. } => {
            return format!("no such key; the keys here are {}", expected.join(", "));
        }
        Error::Eof { .. } => "the file ends too early; is a bracket or a quote open?",
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "too many aliases, or too deep; write the values out"
        }
        // The line is said already.
        other => {
            let text = other.to_string();
            return text.split(" at line ").next().unwrap_or_default().to_owned();
        }
    };
    what.to_owned()
}

/// Whether a list begins there.
fn is_list(text: &str, location: Location) -> bool {
    rest(text, location).is_some_and(|rest| rest.starts_with('[') || rest.starts_with("- "))
}

/// The rest of the line from there on.
fn rest(text: &str, location: Location) -> Option<&str> {
    let line = text.lines().nth(usize::try_from(location.line()).ok()?.checked_sub(1)?)?;
    let column = usize::try_from(location.column()).ok()?.checked_sub(1)?;
    let (start, _) = line.char_indices().nth(column)?;
    Some(&line[start..])
}

/// The last of these keys that is written before the end of a line.
pub(super) fn last_key<'a>(text: &str, line: u64, keys: &[&'a str]) -> Option<&'a str> {
    let most = usize::try_from(line).ok()?;
    let lines: Vec<&str> = text.lines().take(most).collect();
    let place = |line: &str, key: &str| {
        let starts = line.match_indices(key).map(|(start, _)| start).filter(|start| {
            let before = line[..*start].trim_end();
            let is_start = before.is_empty() || before.ends_with(['-', '{', ',']);
            is_start && line[start + key.len()..].trim_start().starts_with(':')
        });
        starts.last()
    };
    lines.iter().rev().find_map(|line| {
        let found = keys.iter().filter_map(|key| Some((place(line, key)?, *key)));
        found.max().map(|(_, key)| key)
    })
}
