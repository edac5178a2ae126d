//! The families and samples of a page.

use std::fmt;

/// A page that was read without finding fault.
#[derive(Clone, PartialEq, Debug)]
pub struct Page {
    /// In the order of the page.
    pub families: Vec<Family>,
}

/// One family: its HELP, its TYPE and its samples.
#[derive(Clone, PartialEq, Debug)]
pub struct Family {
    /// The name in its HELP and TYPE lines.
    pub name: String,
    /// Its type.
    pub kind: FamilyKind,
    /// Its help text, escapes undone.
    pub help: String,
    /// In the order of the page; never empty.
    pub samples: Vec<Sample>,
}

/// The type of a family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FamilyKind {
    /// `counter`
    Counter,
    /// `gauge`
    Gauge,
    /// `histogram`
    Histogram,
    /// `summary`
    Summary,
    /// `untyped`
    Untyped,
}

/// One line with a value.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// The name on the line: that of its family, for histograms and summaries with their suffix.
    pub name: String,
    /// In the order of the page, escapes undone.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
    /// The line that it was read from, counted from 1.
    pub line: usize,
}

/// Why a text is not a page.
#[derive(Clone, PartialEq, Eq, thiserror::Error, Debug)]
#[error("line {line}: {fault}: {text:?}")]
pub struct PageError {
    /// The line at fault, counted from 1.
    pub line: usize,
    /// The line itself.
    pub text: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a line.
#[derive(Clone, PartialEq, Eq, thiserror::Error, Debug)]
#[error("{0}")]
pub struct Fault(String);

impl<T: Into<String>> From<T> for Fault {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl Page {
    /// The family of this name.
    pub fn family(&self, name: &str) -> Option<&Family> {
        self.families.iter().find(|family| family.name == name)
    }

    /// The samples of this name, in the order of the page.
    pub fn samples(&self, name: &str) -> Vec<&Sample> {
        self.all_samples().filter(|sample| sample.name == name).collect()
    }

    /// Every sample, in the order of the page.
    pub fn all_samples(&self) -> impl Iterator<Item = &Sample> {
        self.families.iter().flat_map(|family| &family.samples)
    }
}

impl Sample {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe(f, &self.name, &self.labels)?;
        write!(f, " {}", self.value)
    }
}

/// Writes a name and labels as a page does, for people: not meant to be read back.
pub(super) fn describe(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    labels: &[(String, String)],
) -> fmt::Result {
    f.write_str(name)?;
    for (index, (name, value)) in labels.iter().enumerate() {
        write!(f, "{}{name}={value:?}", if index == 0 { '{' } else { ',' })?;
    }
    f.write_str(if labels.is_empty() { "" } else { "}" })
}
