//! Panels of type `text`: Markdown as plain lines.

use anyhow::Result;

use super::Panel;
use super::colour::TEXT;
use super::letters::wrapped;
use super::svg::{Style, Svg};

pub(super) fn draw(svg: &mut Svg, panel: &Panel<'_>) -> Result<()> {
    let area = panel.body;
    let mut y = area.y;
    for line in panel.option("/content").lines() {
        let level = line.chars().take_while(|c| *c == '#').count();
        let size = [13.0, 20.0, 17.0, 15.0].get(level).copied().unwrap_or(13.0);
        let style = Style::new(size, TEXT);
        let style = if level > 0 { style.bold() } else { style };
        let (mark, indent) = if bullet(line) { ("•", 14.0) } else { ("", 0.0) };
        for (number, text) in wrapped(&plain(line), size, area.w - indent).iter().enumerate() {
            y += size * 1.45;
            if y > area.bottom() + 2.0 {
                return Ok(());
            }
            if number == 0 && !mark.is_empty() {
                svg.text((area.x, y), &style, mark);
            }
            svg.text((area.x + indent, y), &style, text);
        }
    }
    Ok(())
}

fn bullet(line: &str) -> bool {
    line.trim_start().starts_with("- ") || line.trim_start().starts_with("* ")
}

/// A line without its markup; of a link, its text stays.
fn plain(line: &str) -> String {
    let line = line.trim_start_matches('#').trim_start();
    let line = if bullet(line) { &line[2..] } else { line };
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, inside, after)) = link(rest) {
        out.push_str(before);
        out.push_str(inside);
        rest = after;
    }
    out.push_str(rest);
    out.replace("**", "").replace("__", "").replace('`', "")
}

/// The first link in `text`: what is before it, its text, and what is after it.
fn link(text: &str) -> Option<(&str, &str, &str)> {
    let middle = text.find("](")?;
    let start = text[..middle].rfind('[')?;
    let end = middle + text[middle..].find(')')?;
    Some((&text[..start], &text[start + 1..middle], &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_taken_away() {
        for (line, text) in [
            ("## A **bold** title", "A bold title"),
            ("- see [the docs](https://example.com/x) and `code`", "see the docs and code"),
            ("[a](b) [c](d)", "a c"),
            ("a ] ( b", "a ] ( b"),
            ("2 * 3", "2 * 3"),
        ] {
            assert_eq!(plain(line), text);
        }
    }
}
