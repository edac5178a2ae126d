//! The file of `--config-file`: YAML with the long names of flags and their values, or a file of
//! dcgm-exporter, which has a key `version`.

mod dcgm_exporter;
mod entries;
#[cfg(test)]
mod tests;
mod yaml_mistake;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_saphyr::Spanned;

use self::entries::settable;
pub(crate) use self::entries::{ConfigFile, Entry};
use self::yaml_mistake::Mistake;
use crate::flag::{Form, Row};
use crate::flags::{CONFIG_FILE, CheckedRow};
use crate::message::one_line;

impl ConfigFile {
    /// Reads a file, and checks each value with its flag.
    ///
    /// # Errors
    ///
    /// The first mistake, as `file:line: key: what is wrong`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = web_config::read_file(path);
        let text = text.with_context(|| format!("cannot read {}", path.display()));
        let text = String::from_utf8(text.context(&CONFIG_FILE)?);
        let text = text.map_err(|_| anyhow!("{}: not UTF-8; write it as text", path.display()))?;
        Self::parse(path, &text).map_err(|error| anyhow!(one_line(&format!("{error:#}"))))
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let mut file = Self {
            path: path.to_owned(),
            entries: Vec::new(),
            counters: None,
            groups: Arc::new([]),
            ignored: Vec::new(),
            is_empty: false,
        };
        let is_empty =
            |line: &str| line.is_empty() || line.starts_with('#') || matches!(line, "---" | "...");
        if text.lines().all(|line| is_empty(line.trim())) {
            file.is_empty = true;
            return Ok(file);
        }
        if has_version(text) {
            dcgm_exporter::read(&mut file, text)?;
            return Ok(file);
        }
        let mut current = None;
        let mut mistake = None;
        let read = serde_saphyr::with_deserializer_from_str(text, |yaml| {
            let (current, mistake) = (&mut current, &mut mistake);
            Settings { file: &mut file, current, mistake }.deserialize(yaml)
        });
        match (mistake, read) {
            (Some(mistake), _) => Err(mistake),
            (None, Err(error)) => Err(file.syntax(&error, text, current)),
            (None, Ok(())) => Ok(file),
        }
    }

    /// A mistake that the YAML library finds, with the key and line that were read last.
    fn syntax(
        &self,
        error: &serde_saphyr::Error,
        text: &str,
        current: Option<(String, u64)>,
    ) -> anyhow::Error {
        let Mistake { line, key, what } = Mistake::new(error, text);
        let (current, line_of_key) = current.unzip();
        let line = line.filter(|_| key.is_some()).or(line_of_key).or(line);
        match (key.or(current), line) {
            (Some(key), Some(line)) => anyhow!("{}: {what}", self.at(line, &key)),
            (None, Some(line)) => anyhow!("{}:{line}: {what}", self.path.display()),
            (_, None) => anyhow!("{}: {what}", self.path.display()),
        }
    }
}

/// Whether a file is one of dcgm-exporter, which has a key `version`, also if a mistake follows it.
fn has_version(text: &str) -> bool {
    let mut found = false;
    let place = &mut found;
    // The mistake is found again when the file is read.
    let _ = serde_saphyr::with_deserializer_from_str(text, |yaml| {
        VersionSearch(place).deserialize(yaml)
    });
    found
}

struct VersionSearch<'a>(&'a mut bool);

impl<'de> DeserializeSeed<'de> for VersionSearch<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, yaml: D) -> Result<(), D::Error> {
        yaml.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for VersionSearch<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a key `version`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            *self.0 |= key == "version";
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Keys of dcgm-exporter's files.
const KEYS_OF_DCGM_EXPORTER: [&str; 5] =
    ["metrics", "collection", "collections", "sources", "server"];

/// Reads a mapping from names of flags to values into a file.
struct Settings<'a> {
    file: &'a mut ConfigFile,
    /// The key whose value is read, and its line.
    current: &'a mut Option<(String, u64)>,
    mistake: &'a mut Option<anyhow::Error>,
}

impl<'de> DeserializeSeed<'de> for Settings<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, yaml: D) -> Result<(), D::Error> {
        yaml.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Settings<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("lines of the form `flag: value`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { file, current, mistake } = self;
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let (line, key) = (key.referenced.line(), key.value);
            *current = Some((key.clone(), line));
            let read = row_of(&key).with_context(|| file.at(line, &key)).map(|checked| {
                let text = match checked.row.form {
                    Form::List => map.next_value::<Items>().map(|items| items.0),
                    _ => map.next_value::<Option<String>>().map(Ok),
                };
                (checked, text)
            });
            let (checked, text) = match read {
                Ok((checked, text)) => (checked, text?),
                Err(error) => return Err(stop(mistake, error)),
            };
            *current = None;
            let text = text
                .and_then(|text| text.context("has no value; write one, or leave the line out"));
            let row = checked.row;
            let added = text
                .with_context(|| file.at(line, &key))
                .and_then(|text| file.add(Entry { row, text, line, key }, checked));
            added.map_err(|error| stop(mistake, error))?;
        }
        Ok(())
    }
}

/// Keeps a mistake, and returns an error that ends the reading.
fn stop<E: serde::de::Error>(place: &mut Option<anyhow::Error>, mistake: anyhow::Error) -> E {
    *place = Some(mistake);
    E::custom("a mistake")
}

/// The row of a key.
fn row_of(key: &str) -> Result<CheckedRow> {
    let is_it = |row: &Row| row.long == key || row.alias == Some(key);
    match settable().find(|checked| is_it(checked.row)) {
        Some(checked) if std::ptr::eq(checked.row, &CONFIG_FILE.row) => {
            bail!("a file cannot name another one; use the flag or its variable")
        }
        Some(checked) => Ok(checked),
        None if KEYS_OF_DCGM_EXPORTER.contains(&key) => {
            bail!("no flag has this name; a file of dcgm-exporter begins with `version: 1`")
        }
        None => {
            let key = if key.len() > 64 { "" } else { key };
            let names = settable().flat_map(|checked| [Some(checked.row.long), checked.row.alias]);
            let names = names.flatten().filter(|name| *name != CONFIG_FILE.row.long);
            let near = names.map(|name| (strsim::damerau_levenshtein(key, name), name)).min();
            match near.filter(|(distance, _)| *distance <= 3 && 2 * distance <= key.len()) {
                Some((_, name)) => bail!("no flag has this name; did you mean `{name}`?"),
                None => bail!("no flag has this name; `heatsink --help` lists them"),
            }
        }
    }
}

/// The items of a list, or one text; joined with commas. `None` if there is no value.
struct Items(Result<Option<String>>);

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(yaml: D) -> Result<Self, D::Error> {
        yaml.deserialize_any(ItemsVisitor)
    }
}

struct ItemsVisitor;

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Items;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list, or one text")
    }

    fn visit_unit<E>(self) -> Result<Items, E> {
        Ok(Items(Ok(None)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Items, E> {
        Ok(Items(Ok(Some(text.to_owned()))))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Items, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Items, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Items, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Items, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Items, A::Error> {
        let mut items: Vec<String> = Vec::new();
        let mut mistake = None;
        while let Some(item) = list.next_element::<String>()? {
            if item.contains(',') {
                mistake =
                    Some(anyhow!("`{item}` has a comma, which separates items; write two items"));
            }
            items.push(item);
        }
        if items.is_empty() {
            mistake = Some(anyhow!("is an empty list; write one item, or leave the line out"));
        }
        Ok(Items(mistake.map_or_else(|| Ok(Some(items.join(","))), Err)))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Items, A::Error> {
        Err(A::Error::custom("expected a list, or one text"))
    }
}
