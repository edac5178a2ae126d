//! A matcher that finds samples on a page.

use std::cmp::Reverse;
use std::fmt;

use super::family::{Page, Sample, describe};

/// How many samples a failure message shows.
const SHOWN: usize = 5;

/// What a test looks for: a name, labels that must be there among others, perhaps a value.
#[derive(Clone, PartialEq, Debug)]
#[must_use]
pub struct Match {
    name: String,
    labels: Vec<(String, String)>,
    without: Vec<String>,
    value: Option<f64>,
}

/// Looks for samples of this name.
pub fn metric(name: impl Into<String>) -> Match {
    Match { name: name.into(), labels: Vec::new(), without: Vec::new(), value: None }
}

impl Match {
    /// Demands a label of this value.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// Demands that there is no label of this name.
    pub fn without(mut self, name: impl Into<String>) -> Self {
        self.without.push(name.into());
        self
    }

    /// Demands this very value.
    pub fn value(mut self, value: impl Into<f64>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// Whether a sample on the page matches.
    #[must_use]
    pub fn is_in(&self, page: &Page) -> bool {
        page.all_samples().any(|sample| self.fits(sample))
    }

    /// Whether no sample on the page matches.
    #[must_use]
    pub fn absent_from(&self, page: &Page) -> bool {
        !self.is_in(page)
    }

    /// The samples that match, in the order of the page.
    #[must_use]
    pub fn find_in<'a>(&self, page: &'a Page) -> Vec<&'a Sample> {
        page.all_samples().filter(|sample| self.fits(sample)).collect()
    }

    /// Fails the test, with the samples that come closest, unless one matches.
    ///
    /// # Panics
    ///
    /// When no sample matches.
    #[track_caller]
    pub fn assert_in(&self, page: &Page) {
        assert!(self.is_in(page), "{self} is not on the page.\n{}", self.closest_in(page));
    }

    /// Fails the test, with the samples that match, if any does.
    ///
    /// # Panics
    ///
    /// When a sample matches.
    #[track_caller]
    pub fn assert_absent_from(&self, page: &Page) {
        let found = self.find_in(page);
        assert!(
            found.is_empty(),
            "{self} should not be on the page, and there is:\n{}",
            list(found.into_iter())
        );
    }

    fn fits(&self, sample: &Sample) -> bool {
        sample.name == self.name
            && self.labels.iter().all(|(name, value)| sample.label(name) == Some(value))
            && self.without.iter().all(|name| sample.label(name).is_none())
            && self.value.is_none_or(|value| sample.value == value)
    }

    /// Shown when nothing matches: the samples of the name that have most in common with the matcher, or,
    /// for an unknown name, the names that begin most like it.
    fn closest_in(&self, page: &Page) -> String {
        let mut samples = page.samples(&self.name);
        if !samples.is_empty() {
            samples.sort_by_key(|sample| Reverse(self.likeness(sample)));
            return format!("Closest of {}:\n{}", samples.len(), list(samples.into_iter()));
        }
        let mut names: Vec<&str> = page.families.iter().map(|family| &*family.name).collect();
        names.sort_by_key(|name| Reverse(shared_start(name, &self.name)));
        names.truncate(SHOWN);
        format!("No sample has that name; families of similar names: {}", names.join(", "))
    }

    fn likeness(&self, sample: &Sample) -> usize {
        let labels = self.labels.iter().filter(|(n, v)| sample.label(n) == Some(v)).count();
        let without = self.without.iter().filter(|name| sample.label(name).is_none()).count();
        labels + without + usize::from(self.value == Some(sample.value))
    }
}

impl Page {
    /// The value of the only sample that matches, or `None` if none does.
    ///
    /// # Panics
    ///
    /// When several samples match.
    #[track_caller]
    pub fn value_of(&self, matcher: &Match) -> Option<f64> {
        let found = matcher.find_in(self);
        assert!(
            found.len() < 2,
            "{matcher} means {} samples, for instance\n  {}\n  {}",
            found.len(),
            found[0],
            found[1]
        );
        found.first().map(|sample| sample.value)
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe(f, &self.name, &self.labels)?;
        for name in &self.without {
            write!(f, " without {name}")?;
        }
        match self.value {
            Some(value) => write!(f, " {value}"),
            None => Ok(()),
        }
    }
}

fn list<'a>(samples: impl Iterator<Item = &'a Sample>) -> String {
    let lines: Vec<String> =
        samples.take(SHOWN).map(|sample| format!("  line {}: {sample}", sample.line)).collect();
    lines.join("\n")
}

fn shared_start(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    fn page() -> Page {
        Page::parse(concat!(
            "# HELP heat Heat (C).\n",
            "# TYPE heat gauge\n",
            "heat{gpu=\"0\",host=\"n1\"} 60\n",
            "heat{gpu=\"1\",host=\"n1\"} 61\n",
            "# HELP power Power (W).\n",
            "# TYPE power gauge\n",
            "power{gpu=\"0\"} 6.5\n",
        ))
        .unwrap()
    }

    fn message(check: impl FnOnce(&Page) + std::panic::UnwindSafe) -> String {
        let page = page();
        *catch_unwind(move || check(&page)).unwrap_err().downcast::<String>().unwrap()
    }

    #[test]
    fn matches_by_name_labels_and_value() {
        let page = page();
        assert!(metric("heat").is_in(&page));
        assert!(metric("heat").label("gpu", "1").value(61).is_in(&page));
        assert!(metric("power").without("host").value(6.5).is_in(&page));
        assert!(metric("heat").without("host").absent_from(&page));
        assert!(metric("heat").label("gpu", "1").value(60).absent_from(&page));
        assert!(metric("hea").absent_from(&page));
        assert_eq!(metric("heat").find_in(&page).len(), 2);
    }

    #[test]
    fn the_value_of_one_sample() {
        let page = page();
        assert_eq!(page.value_of(&metric("heat").label("gpu", "1")), Some(61.0));
        assert_eq!(page.value_of(&metric("heat").label("gpu", "2")), None);
        let several = message(|page| assert_eq!(page.value_of(&metric("heat")), None));
        assert!(several.contains("heat means 2 samples"), "{several}");
    }

    #[test]
    fn a_failure_shows_the_closest_samples() {
        let text = message(|page| metric("heat").label("gpu", "1").value(9).assert_in(page));
        assert_eq!(
            text,
            "heat{gpu=\"1\"} 9 is not on the page.\nClosest of 2:\n  line 4: \
             heat{gpu=\"1\",host=\"n1\"} 61\n  line 3: heat{gpu=\"0\",host=\"n1\"} 60"
        );
    }

    #[test]
    fn a_failure_with_an_unknown_name_shows_similar_ones() {
        let text = message(|page| metric("powder").assert_in(page));
        assert!(text.ends_with("similar names: power, heat"), "{text}");
    }

    #[test]
    fn a_failed_absence_shows_what_is_there() {
        let text = message(|page| metric("heat").label("gpu", "0").assert_absent_from(page));
        assert!(text.ends_with("there is:\n  line 3: heat{gpu=\"0\",host=\"n1\"} 60"), "{text}");
    }
}
