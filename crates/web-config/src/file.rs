//! The keys of the file and their text, with line numbers.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use serde_saphyr::{DefaultMessageFormatter, Error, MessageFormatter, Spanned};

/// The most bytes of a file.
const MAX_BYTES: u64 = 1 << 20;

/// A text and its line.
pub(crate) type Text = Spanned<String>;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Root {
    pub(crate) tls_server_config: Option<Tls>,
    pub(crate) http_server_config: Option<Http>,
    pub(crate) basic_auth_users: Option<Map>,
    pub(crate) rate_limit: Option<RateLimit>,
}

/// A name, and a text or nothing.
pub(crate) type Map = BTreeMap<String, Spanned<Option<String>>>;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    pub(crate) cert: Option<Text>,
    pub(crate) key: Option<Text>,
    pub(crate) client_ca: Option<Text>,
    pub(crate) cert_file: Option<Text>,
    pub(crate) key_file: Option<Text>,
    pub(crate) client_auth_type: Option<Text>,
    pub(crate) client_ca_file: Option<Text>,
    pub(crate) client_allowed_sans: Option<Spanned<Vec<String>>>,
    pub(crate) min_version: Option<Text>,
    pub(crate) max_version: Option<Text>,
    pub(crate) cipher_suites: Option<Vec<Text>>,
    pub(crate) prefer_server_cipher_suites: Option<Text>,
    pub(crate) curve_preferences: Option<Vec<Text>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    pub(crate) http2: Option<Text>,
    pub(crate) headers: Option<Map>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateLimit {
    pub(crate) interval: Option<Text>,
    pub(crate) burst: Option<Text>,
}

/// What is wrong in a line, and what would be right.
#[derive(Debug)]
pub(crate) struct Mistake {
    pub(crate) line: u64,
    pub(crate) key: String,
    pub(crate) what: String,
}

impl Mistake {
    pub(crate) fn new<T>(at: &Spanned<T>, key: &str, what: impl Display) -> Self {
        Self { line: at.referenced.line(), key: key.to_owned(), what: what.to_string() }
    }
}

/// Reads a configuration file whole.
///
/// # Errors
///
/// It cannot be read, is not a regular file, or has more than 1 MiB.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // To open a pipe could take for ever.
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(io::Error::other("larger than 1 MiB")),
        false => Ok(bytes),
    }
}

/// The keys of the file; `None` if it is empty, which `{}` is not.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Root>, Mistake> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count() as u64;
        Mistake { line, key: "YAML".to_owned(), what: "not UTF-8; write plain text".to_owned() }
    })?;
    let options = serde_saphyr::options! { with_snippet: false };
    let root = serde_saphyr::from_str_with_options::<Option<Root>>(text, options);
    root.map_err(|error| mistake(&error, text))
}

fn mistake(error: &Error, text: &str) -> Mistake {
    let line = error.location().map_or(1, |location| location.line().max(1));
    if let Error::AliasError { error, .. } = error {
        return Mistake { line, ..mistake(error, text) };
    }
    let key = key_in(text, line);
    let (key, what) = match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            (field.clone(), format!("there is no such key; write one of {}", expected.join(", ")))
        }
        Error::DuplicateMappingKey { key: same, .. } => {
            let what = "this key is there twice; leave one of them out".to_owned();
            (same.clone().unwrap_or(key), what)
        }
        Error::Unexpected { expected: "mapping start", .. } => (
            key,
            "only keys with values can be here; write a line `key: value` for each".to_owned(),
        ),
        Error::Unexpected { expected: "sequence start", .. } => {
            (key, "only a list can be here; write [a, b]".to_owned())
        }
        Error::Unexpected { expected: "string scalar", .. } => {
            (key, "only a text can be here; write it in quotes".to_owned())
        }
        Error::MultipleDocuments { .. } => {
            (key, "a second document begins here; leave it out".to_owned())
        }
        other => (key, DefaultMessageFormatter.format_message(other).into_owned()),
    };
    Mistake { line, key, what }
}

/// The key in a line of the text.
fn key_in(text: &str, line: u64) -> String {
    let index = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
    let line = text.lines().nth(index).unwrap_or_default().trim_start_matches(['-', ' ']);
    let is_key = |key: &&str| {
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    };
    let key = line.split_once(':').map(|(key, _)| key).filter(is_key);
    key.unwrap_or("YAML").to_owned()
}

/// A boolean in one of YAML's forms.
pub(crate) fn boolean(key: &str, text: Option<&Text>, default: bool) -> Result<bool, Mistake> {
    let Some(text) = text else { return Ok(default) };
    match text.value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Ok(true),
        "false" | "no" | "off" | "n" => Ok(false),
        _ => Err(Mistake::new(
            text,
            key,
            format!("`{}` is not true or false; write one", text.value),
        )),
    }
}

/// The meaning of a text by a table.
pub(crate) fn one_of<T: Copy>(key: &str, text: &Text, table: &[(&str, T)]) -> Result<T, Mistake> {
    let row = table.iter().find(|(name, _)| *name == text.value);
    row.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let names: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
        let what = format!("`{}` is not supported; write one of {}", text.value, names.join(", "));
        Mistake::new(text, key, what)
    })
}
