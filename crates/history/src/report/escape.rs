//! Makes text from logs, pods and files safe to print: on a terminal, in a mail.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;

/// The text with control characters, and with characters that are invisible or change the direction of
/// text, written as `\n` or `\u{1b}`.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// A value as indented JSON with a newline at its end. The characters that [`escape`] escapes are written as
/// `\u001b`, so that a reader of JSON gets them as they are and a terminal does not.
///
/// # Errors
///
/// If the value has no form in JSON.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let plain = serde_json::to_string_pretty(value)?;
    let mut text = String::with_capacity(plain.len() + 1);
    for c in plain.chars() {
        // A newline here is between values: in a text it is `\n` already.
        if c == '\n' || !is_unsafe(c) {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text.push('\n');
    Ok(text)
}

/// Whether a character does something else than being shown.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let cases = [
            ("python", "python"),
            ("é 漢 🔥", "é 漢 🔥"),
            ("\u{1b}[31mred", r"\u{1b}[31mred"),
            ("a\nb\tc\r", r"a\nb\tc\r"),
            ("\u{9b}2J", r"\u{9b}2J"),
            ("txt.\u{202e}exe", r"txt.\u{202e}exe"),
            ("a\u{200b}b\u{2066}", r"a\u{200b}b\u{2066}"),
            ("\u{7f}", r"\u{7f}"),
        ];
        for (text, expected) in cases {
            assert_eq!(escape(text), expected);
        }
    }

    #[test]
    fn json_keeps_the_text_and_prints_no_control_character() {
        let texts = ["\u{1b}[31m", "\u{9b}2J\u{7f}", "\u{202e}x\u{e0041}", "é 🔥\n\t"];
        let printed = json(&texts).unwrap();
        assert!(!printed.contains(|c: char| c != '\n' && is_unsafe(c)), "{printed}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&printed).unwrap(), texts);
    }
}
