//! Columns of a terminal: how many a text takes, and how it is broken and cut to fit.

use unicode_width::UnicodeWidthChar;

/// The columns that a text takes which has no control characters.
pub fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

fn columns_of(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// The text in at most this many columns, with `…` for what is cut.
pub fn clip(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let mut clipped = start_of(text, most.saturating_sub(1)).to_owned();
    if most > 0 {
        clipped.push('…');
    }
    clipped
}

/// As much of the text as fits into this many columns.
fn start_of(text: &str, most: usize) -> &str {
    let mut taken = 0;
    let end = text.char_indices().find_map(|(at, c)| {
        taken += columns_of(c);
        (taken > most).then_some(at)
    });
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// The text as lines of at most this many columns, broken between words; a word that does not fit into a line
/// is broken anywhere. There is at least one line.
pub(super) fn wrap(text: &str, most: usize) -> Vec<String> {
    // A wide character takes two.
    let most = most.max(2);
    let mut lines = vec![String::new()];
    for mut word in text.split(' ').filter(|word| !word.is_empty()) {
        let line = lines.last_mut().map_or(0, |line| columns(line));
        let needed = columns(word) + usize::from(line > 0);
        if line > 0 && line + needed > most {
            lines.push(String::new());
        }
        while columns(word) > most {
            let start = start_of(word, most);
            // Combining characters alone take no column; a first character always fits.
            let (start, rest) = word.split_at(start.len());
            if let Some(line) = lines.last_mut() {
                line.push_str(start);
            }
            lines.push(String::new());
            word = rest;
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    if lines.len() > 1 && lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// The text with blanks behind it, up to this many columns.
pub(super) fn pad(text: &str, to: usize) -> String {
    format!("{text}{}", " ".repeat(to.saturating_sub(columns(text))))
}

/// The text with blanks before it, up to this many columns.
pub(super) fn pad_left(text: &str, to: usize) -> String {
    format!("{}{text}", " ".repeat(to.saturating_sub(columns(text))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_wide_character_takes_two_columns() {
        assert_eq!((columns("abc"), columns("漢字"), columns("−×°…")), (3, 4, 4));
        assert_eq!(clip("漢字漢字", 5), "漢字…");
        assert_eq!(clip("漢字漢字", 4), "漢…");
        assert_eq!(clip("abc", 3), "abc");
        assert_eq!(clip("abc", 0), "");
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("x GPU-1234567890 y", 6), ["x", "GPU-12", "345678", "90 y"]);
        assert_eq!(wrap("", 7), [""]);
    }

    proptest! {
        #[test]
        fn lines_fit_and_keep_every_character(text in r"[ a-z漢🔥é]{0,80}", most in 2usize..30) {
            let lines = wrap(&text, most);
            prop_assert!(lines.iter().all(|line| columns(line) <= most), "{lines:?}");
            let letters = |text: &str| text.replace(' ', "");
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
            prop_assert!(columns(&clip(&text, most)) <= most);
        }
    }
}
