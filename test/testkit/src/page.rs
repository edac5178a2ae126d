//! Reads a page of the text format 0.0.4, and says whether a sample is on it.
//!
//! The reader is stricter than the format, because it judges only pages that heatsink itself
//! writes. Beyond the format it demands: HELP, then TYPE, once each, before the samples of every
//! family, and at least one sample; no comments, blank lines, timestamps, trailing commas or empty
//! braces; single blanks; only finite values; no label name that begins with `__`.
//!
//! ```
//! use testkit::page::{Page, metric};
//!
//! let page = Page::parse("# HELP t Heat (C).\n# TYPE t gauge\nt{gpu=\"3\"} 61\n")?;
//! assert!(metric("t").label("gpu", "3").value(61).is_in(&page));
//! metric("t").label("gpu", "4").assert_absent_from(&page);
//! # Ok::<(), testkit::page::PageError>(())
//! ```

mod line;
mod matching;
mod read;

use std::fmt;

pub use matching::{Match, metric};

/// A page that was read without finding fault.
#[derive(Clone, PartialEq, Debug)]
pub struct Page {
    /// In the order of the page.
    pub families: Vec<Family>,
}

/// All that the page says under one name.
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

/// The word of a TYPE line.
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
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageError {
    /// The line at fault, counted from 1.
    pub line: usize,
    /// The line itself.
    pub text: String,
    /// What is wrong with it.
    pub fault: String,
}

impl Page {
    /// Reads a page.
    ///
    /// # Errors
    ///
    /// The first fault that is found, with its line.
    pub fn parse(text: &str) -> Result<Self, PageError> {
        read::read(text)
    }

    /// The family of this name.
    pub fn family(&self, name: &str) -> Option<&Family> {
        self.families.iter().find(|family| family.name == name)
    }

    /// The samples whose line bears this name, in the order of the page.
    pub fn samples(&self, name: &str) -> Vec<&Sample> {
        self.all_samples().filter(|sample| sample.name == name).collect()
    }

    /// Every sample, in the order of the page.
    pub fn all_samples(&self) -> impl Iterator<Item = &Sample> {
        self.families.iter().flat_map(|family| &family.samples)
    }

    /// The value of the only sample that matches, or `None` if none does.
    ///
    /// # Panics
    ///
    /// When several samples match: the test then did not say which it means.
    #[track_caller]
    pub fn value_of(&self, wanted: &Match) -> Option<f64> {
        let found = wanted.find_in(self);
        assert!(
            found.len() < 2,
            "{wanted} means {} samples, for instance\n  {}\n  {}",
            found.len(),
            found[0],
            found[1]
        );
        found.first().map(|sample| sample.value)
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
        matching::describe(f, &self.name, &self.labels)?;
        write!(f, " {}", self.value)
    }
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: {:?}", self.line, self.fault, self.text)
    }
}

impl std::error::Error for PageError {}
