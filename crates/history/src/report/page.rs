//! Lines of a terminal: escaped, not wider than it, and coloured if it has colours.

use super::columns::{clip, columns, pad, wrap};
use super::escape::escape;
use super::style::Style;

/// The fewest columns that a report takes.
const FEWEST: usize = 40;

/// The most: longer lines are hard to read.
const MOST: usize = 120;

/// What a piece of text is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// Text.
    Plain,
    /// The verdict, and headings.
    Strong,
    /// A fault.
    Fault,
    /// What is to be noticed.
    Notice,
    /// What is read last.
    Quiet,
}

impl Role {
    /// The parameter of the control sequence "select graphic rendition".
    fn sgr(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Strong => Some("1"),
            Self::Fault => Some("31"),
            Self::Notice => Some("1;33"),
            Self::Quiet => Some("2"),
        }
    }
}

/// A text that grows by lines.
pub(super) struct Page {
    pub(super) width: usize,
    has_colour: bool,
    text: String,
}

impl Page {
    /// An empty page.
    pub(super) fn new(style: &Style) -> Self {
        let width = style.width.clamp(FEWEST, MOST);
        Self { width, has_colour: style.has_colour, text: String::new() }
    }

    /// What was written.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// An empty line, and a heading.
    pub(super) fn heading(&mut self, text: &str) {
        self.text.push('\n');
        self.wrapped(Role::Strong, &[], 0, text);
    }

    /// A line. What does not fit is cut.
    pub(super) fn line(&mut self, pieces: &[(Role, &str)]) {
        let mut left = self.width;
        let mut ends_at = self.text.len();
        for (role, text) in pieces {
            let text = clip(&escape(text), left);
            left -= columns(&text).min(left);
            let is_blank = text.trim_end().is_empty();
            match role.sgr().filter(|_| self.has_colour && !is_blank) {
                Some(sgr) => {
                    self.text += &format!("\x1b[{sgr}m{text}\x1b[0m");
                    ends_at = self.text.len();
                }
                None => {
                    self.text += &text;
                    ends_at = ends_at.max(self.text.trim_end_matches(' ').len());
                }
            }
        }
        self.text.truncate(ends_at);
        self.text.push('\n');
    }

    /// Lines: `first` and as much of the text as fits, then the rest, all of the text in the columns from
    /// `indent` on.
    pub(super) fn wrapped(
        &mut self,
        role: Role,
        first: &[(Role, &str)],
        indent: usize,
        text: &str,
    ) {
        let lines = wrap(&escape(text), self.width.saturating_sub(indent));
        for (index, line) in lines.iter().enumerate() {
            let first = if index == 0 { first } else { &[] };
            let used: usize = first.iter().map(|(_, text)| columns(&escape(text))).sum();
            let blanks = pad("", indent.saturating_sub(used));
            let rest = [(Role::Plain, blanks.as_str()), (role, line.as_str())];
            self.line(&[first, &rest].concat());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(has_colour: bool) -> Page {
        let time_zone = jiff::tz::TimeZone::UTC;
        Page::new(&Style { width: 1, has_colour, time_zone })
    }

    #[test]
    fn lines_are_cut_escaped_and_have_no_blanks_at_the_end() {
        let mut page = page(false);
        page.line(&[(Role::Fault, "a\u{1b}[0m"), (Role::Plain, "   ")]);
        page.line(&[(Role::Plain, &"x".repeat(50))]);
        page.wrapped(Role::Plain, &[(Role::Quiet, "one")], 6, &"word ".repeat(9));
        let cut = format!("{}…", "x".repeat(39));
        let expected =
            format!("a\\u{{1b}}[0m\n{cut}\none   {}\n      word word\n", ["word"; 7].join(" "));
        assert_eq!(page.into_text(), expected);
    }

    #[test]
    fn colours_take_no_columns() {
        let mut page = page(true);
        page.line(&[(Role::Fault, &"x".repeat(40)), (Role::Plain, "y")]);
        assert_eq!(page.into_text(), format!("\u{1b}[31m{}\u{1b}[0m\n", "x".repeat(40)));
    }
}
