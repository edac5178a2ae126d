//! Messages with texts of users in them.

/// The longest text in backquotes, in characters.
const MOST_QUOTED: usize = 100;

/// The longest message, in characters.
const MOST: usize = 1000;

/// A message on one line: control characters become blanks, and a long text in backquotes and a long
/// message are cut.
pub(crate) fn one_line(message: &str) -> String {
    let parts = message.split('`').enumerate().map(|(index, part)| match index % 2 {
        0 => part.to_owned(),
        _ => cut(part, MOST_QUOTED),
    });
    let message = parts.collect::<Vec<_>>().join("`");
    cut(&message, MOST).replace(|c: char| c.is_control(), " ")
}

/// At most this many characters of a text, with `…` for the rest.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        assert_eq!(one_line("`a\nb` is\tno"), "`a b` is no");
        let long = one_line(&format!("`{}` is none of true, false", "é".repeat(500)));
        assert_eq!(long, format!("`{}…` is none of true, false", "é".repeat(100)));
        let unquoted = one_line(&"x".repeat(100_000));
        assert_eq!(unquoted.chars().count(), 1001);
        let many = one_line(&"`x".repeat(100_000));
        assert_eq!(many.chars().count(), 1001);
    }
}
