//! A whole page: what must hold between its lines.

use std::collections::HashSet;

use super::family::{Family, FamilyKind, Fault, Page, PageError, Sample};
use super::line::{self, Line};

impl Page {
    /// Reads a page.
    ///
    /// # Errors
    ///
    /// The first fault that is found, with its line.
    pub fn parse(text: &str) -> Result<Self, PageError> {
        read(text)
    }
}

/// Reads all lines and checks them against each other.
fn read(text: &str) -> Result<Page, PageError> {
    let mut reading = Reading::default();
    let mut lines = text.split('\n').collect::<Vec<_>>();
    // What follows the last newline is not a line, and must be nothing.
    let unfinished = lines.pop().unwrap_or_default();
    for (index, text) in lines.iter().enumerate() {
        let number = index + 1;
        line::read(text)
            .and_then(|line| reading.take(line, number))
            .map_err(|fault| PageError { line: number, text: (*text).into(), fault })?;
    }
    if !unfinished.is_empty() {
        let fault = "the last line does not end with a newline".into();
        return Err(PageError { line: lines.len() + 1, text: unfinished.into(), fault });
    }
    reading.close().map_err(|fault| {
        let text = lines.last().copied().unwrap_or_default().into();
        PageError { line: lines.len(), text, fault }
    })?;
    Ok(Page { families: reading.families })
}

/// What has been read so far.
#[derive(Default)]
struct Reading {
    families: Vec<Family>,
    /// The HELP line whose TYPE must come next.
    help: Option<(String, String)>,
    /// Names that HELP lines have used.
    names: HashSet<String>,
    /// Series by name and sorted labels.
    series: HashSet<(String, Vec<(String, String)>)>,
}

impl Reading {
    fn take(&mut self, line: Line, number: usize) -> Result<(), Fault> {
        match line {
            Line::Help { name, text } => {
                self.close()?;
                if !self.names.insert(name.clone()) {
                    return Err(format!("family `{name}` begins a second time").into());
                }
                self.help = Some((name, text));
                Ok(())
            }
            Line::Type { name, kind } => match self.help.take() {
                Some((of, help)) if of == name => {
                    self.families.push(Family { name, kind, help, samples: Vec::new() });
                    Ok(())
                }
                Some((of, _)) => Err(format!("TYPE of `{name}` after HELP of `{of}`").into()),
                None => Err(format!("TYPE of `{name}` without its HELP just before").into()),
            },
            Line::Sample { name, labels, value } => {
                self.take_sample(Sample { name, labels, value, line: number })
            }
        }
    }

    fn take_sample(&mut self, sample: Sample) -> Result<(), Fault> {
        if let Some((name, _)) = &self.help {
            return Err(format!("a sample where the TYPE of `{name}` should be").into());
        }
        let family = self.families.last_mut().ok_or("a sample before any HELP and TYPE")?;
        if !belongs(&sample, family) {
            return Err(format!("a sample of another name inside family `{}`", family.name).into());
        }
        // To Prometheus a label without a value is no label, and order means nothing.
        let mut identity = sample.labels.clone();
        identity.retain(|(_, value)| !value.is_empty());
        identity.sort();
        if !self.series.insert((sample.name.clone(), identity)) {
            return Err("a series twice".into());
        }
        family.samples.push(sample);
        Ok(())
    }

    /// Checks that the last family has its TYPE and a sample.
    fn close(&self) -> Result<(), Fault> {
        if let Some((name, _)) = &self.help {
            return Err(format!("HELP of `{name}` without its TYPE").into());
        }
        match self.families.last() {
            Some(family) if family.samples.is_empty() => {
                Err(format!("family `{}` has no sample", family.name).into())
            }
            _ => Ok(()),
        }
    }
}

/// Whether a sample may be in a family: histograms and summaries have suffixes.
fn belongs(sample: &Sample, family: &Family) -> bool {
    let Some(suffix) = sample.name.strip_prefix(family.name.as_str()) else { return false };
    match family.kind {
        FamilyKind::Histogram => matches!(suffix, "_bucket" | "_sum" | "_count"),
        FamilyKind::Summary => matches!(suffix, "" | "_sum" | "_count"),
        FamilyKind::Counter | FamilyKind::Gauge | FamilyKind::Untyped => suffix.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_and_its_escapes_undone() {
        let page = Page::parse(concat!(
            "# HELP a Back\\\\slash \"quoted\"\\nand more.\n",
            "# TYPE a gauge\n",
            "a{x=\"q\\\"b\\\\n\\n}, {\",y=\"\"} -1.5e-7\n",
            "a 3\n",
            "# HELP b \n",
            "# TYPE b histogram\n",
            "b_bucket{le=\"+Inf\"} 2\n",
            "b_sum 1\n",
            "b_count 2\n",
        ))
        .unwrap();
        assert_eq!(page.families[0].help, "Back\\slash \"quoted\"\nand more.");
        let first = page.samples("a")[0];
        assert_eq!(first.label("x"), Some("q\"b\\n\n}, {"));
        assert_eq!(first.label("y"), Some(""));
        assert_eq!(first.value, -1.5e-7);
        assert_eq!(first.line, 3);
        assert_eq!(page.families[1].kind, FamilyKind::Histogram);
        assert_eq!(page.families[1].samples.len(), 3);
        assert_eq!(page.all_samples().count(), 5);
    }

    #[test]
    fn an_empty_page_is_a_page() {
        assert_eq!(Page::parse(""), Ok(Page { families: Vec::new() }));
    }

    #[test]
    fn every_fault_is_reported() {
        let head = "# HELP a A.\n# TYPE a gauge\n";
        let faults = [
            ("a 1\n", 1, "before any HELP"),
            ("# TYPE a gauge\na 1\n", 1, "without its HELP"),
            ("# HELP a A.\na 1\n", 2, "where the TYPE"),
            ("# HELP a A.\n# TYPE b gauge\n", 2, "after HELP of `a`"),
            ("# HELP a A.\n", 1, "without its TYPE"),
            ("# HELP a A.\n# HELP b B.\n", 2, "without its TYPE"),
            ("# HELP a\n", 1, "HELP without a text"),
            ("# HELP a \\t\n", 1, "unknown escape in a help"),
            ("# HELP a \\\n", 1, "unknown escape in a help"),
            ("# HELP 1a A.\n", 1, "not a legal name"),
            ("# HELP a A.\n# TYPE a\n", 2, "TYPE without"),
            ("# HELP a A.\n# TYPE a label\n", 2, "unknown type"),
            ("# HELP a A.\n# TYPE a gauge\n", 2, "has no sample"),
            ("# EOF\n", 1, "neither HELP nor TYPE"),
            ("\n", 1, "blank line"),
            ("{head}a 1", 3, "does not end with a newline"),
            ("{head}a\n", 3, "without a value"),
            ("{head}a  1\n", 3, "finite decimal"),
            ("{head}a 1 1700000000000\n", 3, "finite decimal"),
            ("{head}a NaN\n", 3, "finite decimal"),
            ("{head}a +Inf\n", 3, "finite decimal"),
            ("{head}a 1e999\n", 3, "finite decimal"),
            ("{head}a 1_000\n", 3, "finite decimal"),
            ("{head}a 1\r\n", 3, "finite decimal"),
            ("{head}b 1\n", 3, "another name"),
            ("{head}a_sum 1\n", 3, "another name"),
            ("{head}a{} 1\n", 3, "without `=`"),
            ("{head}a{x=\"1\",} 1\n", 3, "without `=`"),
            ("{head}a{x=1} 1\n", 3, "without a quote"),
            ("{head}a{x=\"1} 1\n", 3, "closing quote"),
            ("{head}a{x=\"\\t\"} 1\n", 3, "unknown escape in a label"),
            ("{head}a{x=\"1\"y=\"2\"} 1\n", 3, "neither `,` nor `}`"),
            ("{head}a{x=\"1\"}1\n", 3, "no blank"),
            ("{head}a{x=\"1\",x=\"2\"} 1\n", 3, "`x` twice"),
            ("{head}a{x-y=\"1\"} 1\n", 3, "not a legal name"),
            ("{head}a{=\"1\"} 1\n", 3, "not a legal name"),
            ("{head}a{__x=\"1\"} 1\n", 3, "reserved"),
            ("{head}a 1\na 1\n", 4, "a series twice"),
            ("{head}a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\n", 4, "a series twice"),
            ("{head}a 1\na{x=\"\"} 1\n", 4, "a series twice"),
            ("{head}a 1\n# HELP b B.\n# TYPE b gauge\nb 1\na 2\n", 7, "another name"),
            ("{head}a 1\n# HELP a A.\n", 4, "a second time"),
            ("{head}a 1\n# TYPE a gauge\n", 4, "without its HELP"),
        ];
        for (text, line, fault) in faults {
            let text = text.replace("{head}", head);
            let error = Page::parse(&text).unwrap_err();
            assert_eq!(error.line, line, "{text:?}: {error}");
            assert!(error.fault.to_string().contains(fault), "{text:?}: {error}");
        }
    }
}
