//! The syntax of the text formats: escapes, numbers, labels, HELP and TYPE lines, sample lines.

use std::time::{Duration, SystemTime};

use model::Value;

/// A number in a sample or a label.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    /// A whole number that may be negative.
    Int(i64),
    /// A whole number that counts something.
    Count(u64),
    /// A float.
    Float(f64),
}

impl Number {
    /// The number of a value; `None` for a text, NaN and infinities.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Int(int) => Some(Self::Int(*int)),
            Value::Float(float) => Self::finite(*float),
            Value::Text(_) => None,
        }
    }

    /// A float; `None` for NaN and infinities.
    pub(crate) fn finite(float: f64) -> Option<Self> {
        float.is_finite().then_some(Self::Float(float))
    }

    /// Appends it.
    pub(crate) fn push_to(self, out: &mut String) {
        match self {
            Self::Int(int) => out.push_str(itoa::Buffer::new().format(int)),
            Self::Count(count) => out.push_str(itoa::Buffer::new().format(count)),
            // The shortest digits that read back as the same number, with an exponent where zeros
            // would hide them: a bit error rate of 1e-15 is not 0.000000.
            Self::Float(float) => {
                // Many floats are whole numbers, most often 0.
                let whole = float as i32;
                if f64::from(whole).to_bits() == float.to_bits() {
                    return out.push_str(itoa::Buffer::new().format(whole));
                }
                let mut buffer = ryu::Buffer::new();
                let shown = buffer.format(float);
                out.push_str(shown.strip_suffix(".0").unwrap_or(shown));
            }
        }
    }
}

impl From<u64> for Number {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<u32> for Number {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<Duration> for Number {
    /// In seconds.
    fn from(duration: Duration) -> Self {
        Self::Float(duration.as_secs_f64())
    }
}

impl From<bool> for Number {
    fn from(holds: bool) -> Self {
        Self::Count(u64::from(holds))
    }
}

/// Labels as they stand between the braces of a sample line. A line only copies them.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Labels(String);

impl Labels {
    /// Adds a label with a text.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.separate();
        push_text(&mut self.0, name, value);
    }

    /// Adds a label with a number.
    pub(crate) fn number(&mut self, name: &str, value: impl Into<Number>) {
        self.separate();
        push_number(&mut self.0, name, value.into());
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As they stand between the braces.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn separate(&mut self) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
    }
}

/// The text of families, and the births of their series.
#[derive(Default)]
pub(crate) struct Output {
    pub(crate) text: String,
    /// Only for a format that shows births: where the line of a series begins in `text`, and when the
    /// series was born. Ascending.
    pub(crate) births: Option<Vec<(usize, SystemTime)>>,
}

/// A family being written. Its HELP and TYPE lines are written with its first sample, so that a family
/// without samples leaves nothing on the page.
pub(crate) struct Family<'a> {
    out: &'a mut Output,
    name: &'a str,
    head: &'a str,
    begun: bool,
}

impl<'a> Family<'a> {
    /// A family that has no sample yet. `head` has its HELP and TYPE lines.
    pub(crate) fn new(out: &'a mut Output, name: &'a str, head: &'a str) -> Self {
        Self { out, name, head, begun: false }
    }

    /// Writes a sample.
    pub(crate) fn sample(&mut self, labels: &Labels, value: impl Into<Number>) {
        self.line(labels).value(value);
    }

    /// Begins a sample that has more labels than these.
    pub(crate) fn line(&mut self, labels: &Labels) -> Line<'_> {
        self.begin();
        let out = &mut self.out.text;
        out.push_str(self.name);
        if labels.0.is_empty() {
            return Line { out, open: false };
        }
        out.push('{');
        out.push_str(&labels.0);
        Line { out, open: true }
    }

    /// Begins a sample of a counter. `birth` is a time at which its count was 0; `None` if it is not known.
    pub(crate) fn counter(&mut self, birth: Option<SystemTime>, labels: &Labels) -> Line<'_> {
        self.begin();
        if let (Some(birth), Some(births)) = (birth, &mut self.out.births) {
            births.push((self.out.text.len(), birth));
        }
        self.line(labels)
    }

    fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            self.out.text.push_str(self.head);
        }
    }
}

/// The HELP and TYPE lines of a family in the text format. `kind` is the word of the TYPE line.
pub(crate) fn head(name: &str, kind: &str, help: &str) -> Box<str> {
    head_with(name, kind, help, |text| memchr::memchr2(b'\\', b'\n', text))
}

/// The HELP and TYPE lines of a family in OpenMetrics, which escapes quotes in help texts, too.
pub(crate) fn openmetrics_head(name: &str, kind: &str, help: &str) -> Box<str> {
    head_with(name, kind, help, find_special)
}

fn head_with(
    name: &str,
    kind: &str,
    help: &str,
    find_special: impl Fn(&[u8]) -> Option<usize>,
) -> Box<str> {
    let mut head = format!("# HELP {name} ");
    push_escaped(&mut head, help, find_special);
    head.push_str("\n# TYPE ");
    head.push_str(name);
    head.push(' ');
    head.push_str(kind);
    head.push('\n');
    head.into()
}

/// A sample being written: labels are added until a value ends it.
#[must_use = "a line without a value breaks the page"]
pub(crate) struct Line<'a> {
    out: &'a mut String,
    open: bool,
}

impl Line<'_> {
    /// Adds a label with a text.
    pub(crate) fn text(mut self, name: &str, value: &str) -> Self {
        self.separate();
        push_text(self.out, name, value);
        self
    }

    /// Adds a label with a number.
    pub(crate) fn number(mut self, name: &str, value: impl Into<Number>) -> Self {
        self.separate();
        push_number(self.out, name, value.into());
        self
    }

    /// Ends the line with its value.
    pub(crate) fn value(self, value: impl Into<Number>) {
        self.out.push_str(if self.open { "} " } else { " " });
        value.into().push_to(self.out);
        self.out.push('\n');
    }

    fn separate(&mut self) {
        self.out.push(if self.open { ',' } else { '{' });
        self.open = true;
    }
}

fn push_text(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str("=\"");
    push_escaped(out, value, find_special);
    out.push('"');
}

fn push_number(out: &mut String, name: &str, value: Number) {
    out.push_str(name);
    out.push_str("=\"");
    value.push_to(out);
    out.push('"');
}

/// The first character of a label value that is escaped.
fn find_special(text: &[u8]) -> Option<usize> {
    memchr::memchr3(b'\\', b'"', b'\n', text)
}

/// Appends a text with a backslash before each special character, a newline as `\n`. Special
/// characters are ASCII.
///
/// Other control characters stay as they are: the format allows them.
fn push_escaped(out: &mut String, text: &str, find_special: impl Fn(&[u8]) -> Option<usize>) {
    let mut rest = text;
    while let Some(at) = find_special(rest.as_bytes()) {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'\n' => "\\n",
            b'"' => "\\\"",
            _ => "\\\\",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(number: Number) -> String {
        let mut out = String::new();
        number.push_to(&mut out);
        out
    }

    #[test]
    fn numbers_are_short_and_exact() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (71.0, "71"),
            (-1.5, "-1.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (71.25, "71.25"),
            (1e-4, "0.0001"),
            (1e-15, "1e-15"),
            (1_234_567_890_123_456.0, "1234567890123456"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (1e16, "1e16"),
            (f64::MAX, "1.7976931348623157e308"),
            (5e-324, "5e-324"),
        ];
        for (float, text) in cases {
            assert_eq!(formatted(Number::Float(float)), text);
        }
        assert_eq!(formatted(Number::Int(i64::MIN)), "-9223372036854775808");
        assert_eq!(formatted(Number::Count(u64::MAX)), "18446744073709551615");
        assert_eq!(formatted(true.into()), "1");
    }

    #[test]
    fn non_finite_numbers_and_texts_are_none() {
        assert!(Number::of(&Value::Float(f64::NAN)).is_none());
        assert!(Number::of(&Value::Float(f64::NEG_INFINITY)).is_none());
        assert!(Number::of(&Value::Text("61".into())).is_none());
    }

    #[test]
    fn labels_and_help_are_escaped_each_in_its_way() {
        let mut labels = Labels::default();
        labels.text("a", "q\" b\\ n\n r\r");
        labels.number("b", Number::Int(-1));
        let mut out = Output::default();
        let head = head("f", "gauge", "q\" b\\ n\n");
        Family::new(&mut out, "f", &head).sample(&labels, 2_u64);
        assert_eq!(
            out.text,
            "# HELP f q\" b\\\\ n\\n\n# TYPE f gauge\n\
             f{a=\"q\\\" b\\\\ n\\n r\r\",b=\"-1\"} 2\n"
        );
    }

    #[test]
    fn a_line_takes_labels_until_its_value() {
        let mut out = Output::default();
        let mut family = Family::new(&mut out, "f", "# HELP\n# TYPE\n");
        family.line(&Labels::default()).number("b", 1_u32).text("c", "\"").value(2_u64);
        let mut labels = Labels::default();
        labels.text("a", "x");
        family.line(&labels).number("b", 1_u32).value(Duration::from_millis(1500));
        family.line(&labels).value(true);
        let lines: Vec<&str> = out.text.lines().skip(2).collect();
        assert_eq!(lines, ["f{b=\"1\",c=\"\\\"\"} 2", "f{a=\"x\",b=\"1\"} 1.5", "f{a=\"x\"} 1"]);
    }

    #[test]
    fn a_family_without_samples_leaves_nothing() {
        let mut out = Output::default();
        let _without_samples = Family::new(&mut out, "f", "# HELP\n# TYPE\n");
        assert_eq!(out.text, "");
    }

    #[test]
    fn births_are_kept_with_the_place_of_their_line_if_they_are_shown() {
        let birth = std::time::UNIX_EPOCH + Duration::from_secs(5);
        let write = |births| {
            let mut out = Output { text: "x 1\n".into(), births };
            let mut family = Family::new(&mut out, "f", "# HELP\n");
            family.counter(None, &Labels::default()).value(1_u64);
            let line = family.counter(Some(birth), &Labels::default());
            line.number("a", 1_u64).value(2_u64);
            out
        };
        let without = write(None);
        assert_eq!(without.text, "x 1\n# HELP\nf 1\nf{a=\"1\"} 2\n");
        let with = write(Some(Vec::new()));
        assert_eq!(with.text, without.text);
        assert_eq!(with.births, Some(vec![(with.text.find("f{").unwrap(), birth)]));
    }
}
