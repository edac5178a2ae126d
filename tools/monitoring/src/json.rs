//! JSON for review: an object or array that fits on a line has a line.

use std::fmt::Write as _;

use serde_json::Value;

/// The longest line of more than one value, in characters.
const WIDTH: usize = 100;

/// `value` as text, with two blanks for each level and a newline at its end.
pub fn pretty(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, 0, 0);
    text.push('\n');
    text
}

/// `before` is what already stands on the line: indent and key.
fn write(text: &mut String, value: &Value, indent: usize, before: usize) {
    let line = one_line(value);
    // A comma may follow.
    if before + line.chars().count() < WIDTH {
        *text += &line;
        return;
    }
    let inner = indent + 2;
    match value {
        Value::Object(map) => {
            for (index, (key, value)) in map.iter().enumerate() {
                let key = format!("{}: ", Value::from(key.as_str()));
                let start = if index == 0 { "{" } else { "," };
                // Writing to a string cannot fail.
                let _ = write!(text, "{start}\n{:inner$}{key}", "");
                write(text, value, inner, inner + key.chars().count());
            }
            let _ = write!(text, "\n{:indent$}}}", "");
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let start = if index == 0 { "[" } else { "," };
                let _ = write!(text, "{start}\n{:inner$}", "");
                write(text, item, inner, inner);
            }
            let _ = write!(text, "\n{:indent$}]", "");
        }
        _ => *text += &line,
    }
}

/// The same on one line, with blanks inside the braces of objects.
fn one_line(value: &Value) -> String {
    match value {
        Value::Object(map) if !map.is_empty() => {
            let entry = |(key, value): (&String, &Value)| {
                format!("{}: {}", Value::from(key.as_str()), one_line(value))
            };
            format!("{{ {} }}", map.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(one_line).collect::<Vec<_>>().join(", "))
        }
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_fits_stands_on_one_line() {
        let value = json!({
            "empty": [{}, []],
            "list": ["a".repeat(60), "b".repeat(60)],
            "long": "c".repeat(120),
            "small": { "x": [1, -2.5, null], "\"": "ü\n" },
        });
        let (a, b, c) = ("a".repeat(60), "b".repeat(60), "c".repeat(120));
        let expected = format!(
            "{{\n  \"empty\": [{{}}, []],\n  \"list\": [\n    \"{a}\",\n    \"{b}\"\n  ],\n  \
             \"long\": \"{c}\",\n  \"small\": {{ \"\\\"\": \"ü\\n\", \"x\": [1, -2.5, null] }}\n}}\n"
        );
        assert_eq!(pretty(&value), expected);
        assert_eq!(serde_json::from_str::<Value>(&expected).unwrap(), value);
    }

    #[test]
    fn a_line_with_its_comma_has_at_most_100_columns() {
        for length in 50..120 {
            let value = json!({ "a": { "b": "x".repeat(length) }, "c": 0 });
            let text = pretty(&value);
            let whole = text.lines().find(|line| line.contains('x')).unwrap();
            assert!(whole.len() <= WIDTH || whole.trim_start().starts_with("\"b\""), "{text}");
        }
    }
}
