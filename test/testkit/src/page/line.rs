//! One line of a page: a HELP, a TYPE or a sample.

use super::family::{FamilyKind, Fault};

/// Names and values, in the order of the line.
type Labels = Vec<(String, String)>;

/// A line.
#[derive(Debug)]
pub(super) enum Line {
    /// `# HELP name text`
    Help { name: String, text: String },
    /// `# TYPE name word`
    Type { name: String, kind: FamilyKind },
    /// `name{label="value"} 1`
    Sample { name: String, labels: Labels, value: f64 },
}

/// Reads a line, given without its newline; the error is its fault.
pub(super) fn read(line: &str) -> Result<Line, Fault> {
    if line.is_empty() {
        return Err("a blank line".into());
    }
    if let Some(rest) = line.strip_prefix("# HELP ") {
        let (name, text) = rest.split_once(' ').ok_or("HELP without a text")?;
        check_metric_name(name)?;
        return Ok(Line::Help { name: name.into(), text: unescape_help(text)? });
    }
    if let Some(rest) = line.strip_prefix("# TYPE ") {
        let (name, word) = rest.split_once(' ').ok_or("TYPE without a type")?;
        check_metric_name(name)?;
        return Ok(Line::Type { name: name.into(), kind: kind(word)? });
    }
    if line.starts_with('#') {
        return Err("a comment that is neither HELP nor TYPE".into());
    }
    sample(line)
}

fn kind(word: &str) -> Result<FamilyKind, Fault> {
    Ok(match word {
        "counter" => FamilyKind::Counter,
        "gauge" => FamilyKind::Gauge,
        "histogram" => FamilyKind::Histogram,
        "summary" => FamilyKind::Summary,
        "untyped" => FamilyKind::Untyped,
        _ => return Err(format!("unknown type `{word}`").into()),
    })
}

fn sample(line: &str) -> Result<Line, Fault> {
    let end = line.find(['{', ' ']).ok_or("a sample without a value")?;
    let (name, rest) = line.split_at(end);
    check_metric_name(name)?;
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (Vec::new(), rest),
    };
    let value = rest.strip_prefix(' ').ok_or("no blank before the value")?;
    Ok(Line::Sample { name: name.into(), labels, value: number(value)? })
}

/// The labels, and what follows their closing brace. A brace inside a value is not that one.
fn labels(inside: &str) -> Result<(Labels, &str), Fault> {
    let mut labels = Labels::new();
    let mut rest = inside;
    loop {
        let (name, after) = rest.split_once('=').ok_or("a label without `=`")?;
        check_label_name(name)?;
        if labels.iter().any(|(other, _)| other == name) {
            return Err(format!("label `{name}` twice").into());
        }
        let quoted = after.strip_prefix('"').ok_or("a label value without a quote")?;
        let (value, after) = label_value(quoted)?;
        labels.push((name.into(), value));
        rest = match after.strip_prefix(',') {
            Some(next) => next,
            None => {
                let after = after.strip_prefix('}').ok_or("neither `,` nor `}` after a label")?;
                return Ok((labels, after));
            }
        };
    }
}

/// A label value up to its closing quote, escapes undone, and what follows the quote.
fn label_value(quoted: &str) -> Result<(String, &str), Fault> {
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Ok((value, &quoted[at + 1..])),
            '\\' => match chars.next() {
                Some((_, '\\')) => value.push('\\'),
                Some((_, '"')) => value.push('"'),
                Some((_, 'n')) => value.push('\n'),
                _ => return Err("an unknown escape in a label value".into()),
            },
            other => value.push(other),
        }
    }
    Err("a label value without its closing quote".into())
}

fn unescape_help(text: &str) -> Result<String, Fault> {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            plain.push(char);
            continue;
        }
        match chars.next() {
            Some('\\') => plain.push('\\'),
            Some('n') => plain.push('\n'),
            _ => return Err("an unknown escape in a help text".into()),
        }
    }
    Ok(plain)
}

/// A finite decimal number. Rust's own parser takes the same, and `inf` and `nan`.
fn number(text: &str) -> Result<f64, Fault> {
    let fault = || Fault::from(format!("`{text}` is not a finite decimal number"));
    let legal = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e'));
    let value: f64 = text.parse().map_err(|_| fault())?;
    if legal && value.is_finite() { Ok(value) } else { Err(fault()) }
}

fn check_metric_name(name: &str) -> Result<(), Fault> {
    check_name(name, |char| char == ':')
}

fn check_label_name(name: &str) -> Result<(), Fault> {
    if name.starts_with("__") {
        return Err(format!("label `{name}` is reserved for Prometheus itself").into());
    }
    check_name(name, |_| false)
}

fn check_name(name: &str, also: impl Fn(char) -> bool) -> Result<(), Fault> {
    let starts_well = !name.starts_with(|char: char| char.is_ascii_digit());
    let legal = |char: char| char.is_ascii_alphanumeric() || char == '_' || also(char);
    if !name.is_empty() && starts_well && name.chars().all(legal) {
        return Ok(());
    }
    Err(format!("`{name}` is not a legal name").into())
}
