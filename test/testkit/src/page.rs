//! Reads a page of the text format 0.0.4, and finds samples on it.
//!
//! The reader is stricter than the format, because it reads only pages that heatsink
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

mod family;
mod line;
mod matching;
mod read;

pub use family::{Family, FamilyKind, Fault, Page, PageError, Sample};
pub use matching::{Match, metric};
