//! How wide text will be, as nothing here can measure it: the widths of Helvetica, which the fonts
//! asked for come close to.

use std::borrow::Cow;

/// Widths of the printable ASCII characters, from the space on, in thousandths of the font's size.
const WIDTHS: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556,
    556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667,
    611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667,
    667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500,
    222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];

/// The width of one character in thousandths of the font's size. What is beyond Latin, Greek and
/// Cyrillic is taken to be square.
fn letter(c: char) -> u16 {
    match c as u32 {
        code @ 0x20..=0x7e => WIDTHS[code as usize - 0x20],
        0xb0 => 400,
        0..=0x1fff => 600,
        _ => 1000,
    }
}

/// The width in pixels of `text` at the font size `size`. A little more than Helvetica's, as Inter
/// is wider.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(|c| f64::from(letter(c))).sum::<f64>() * size * 1.03 / 1000.0
}

/// `text`, cut with an ellipsis if it is wider than `room` pixels at the font size `size`.
pub(super) fn fitted(text: &str, size: f64, room: f64) -> Cow<'_, str> {
    if width(text, size) <= room {
        return Cow::Borrowed(text);
    }
    let mut kept = text.to_owned();
    while kept.pop().is_some() {
        if width(&kept, size) + size <= room {
            break;
        }
    }
    Cow::Owned(format!("{}…", kept.trim_end()))
}

/// `text` in lines of at most `room` pixels at the font size `size`. A word that is wider has a
/// line of its own.
pub(super) fn wrapped(text: &str, size: f64, room: f64) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().map(std::mem::take).unwrap_or_default();
        lines.pop();
        if line.is_empty() {
            lines.push(word.to_owned());
        } else if width(&line, size) + width(word, size) + size * 0.3 <= room {
            lines.push(format!("{line} {word}"));
        } else {
            lines.extend([line, word.to_owned()]);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_fits_is_left_alone() {
        assert_eq!(fitted("GPU 0", 12.0, 100.0), "GPU 0");
        let cut = fitted("GPU-f5da803d-a624-4990-9d1c-aca9c0c6f1f2", 12.0, 100.0);
        assert!(cut.ends_with('…') && width(&cut, 12.0) <= 101.0, "{cut}");
        assert_eq!(fitted("x", 12.0, 0.0), "…");
    }

    #[test]
    fn lines_are_broken_between_words() {
        let lines = wrapped("the quick brown fox jumps over the lazy dog", 12.0, 100.0);
        assert!(lines.len() > 1 && lines.iter().all(|line| width(line, 12.0) <= 100.0));
        assert_eq!(lines.join(" "), "the quick brown fox jumps over the lazy dog");
        assert_eq!(wrapped("", 12.0, 100.0), [""]);
    }
}
