//! `--label`: labels that an export adds to each series.

use anyhow::{Result, bail};
use model::RESERVED_LABELS;

/// Labels of a page that [`RESERVED_LABELS`] allows to others or does not have.
const OF_THE_PAGE: [&str; 5] = ["reason", "name", "class", "action", "source"];

/// Labels that a scrape adds: an export has none unless it is told to.
const OF_THE_TARGET: [&str; 2] = ["job", "instance"];

/// Reads labels as they were typed: `NAME=VALUE`. `of_rows` has the names of the label rows of the page.
///
/// # Errors
///
/// The first one that cannot be added to a series.
pub(super) fn parse(typed: &[String], of_rows: &[String]) -> Result<Vec<(String, String)>> {
    let mut labels: Vec<(String, String)> = Vec::new();
    for text in typed {
        let Some((name, value)) = text.split_once('=') else {
            bail!("`{text}` is not NAME=VALUE; write job=gpu");
        };
        if !is_name(name) {
            bail!(
                "`{name}` is not a label name: letters, digits and _, no digit first, not __ first"
            );
        }
        if value.is_empty() {
            bail!("the label {name} is empty, which to Prometheus is no label; leave it out");
        }
        let is_reserved = RESERVED_LABELS.contains(&name) && !OF_THE_TARGET.contains(&name);
        if is_reserved || OF_THE_PAGE.contains(&name) || of_rows.iter().any(|row| row == name) {
            bail!("`{name}` is a label of the page; choose another name");
        }
        if labels.iter().any(|(known, _)| known == name) {
            bail!("the label {name} is given twice");
        }
        labels.push((name.to_owned(), value.to_owned()));
    }
    Ok(labels)
}

/// Whether it is a label name that is not Prometheus' own.
fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let first = name.chars().next().filter(|c| !c.is_ascii_digit());
    first.is_some() && name.chars().all(is_plain) && !name.starts_with("__")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(typed: &[&str]) -> Result<Vec<(String, String)>, String> {
        let typed: Vec<String> = typed.iter().map(|text| (*text).to_owned()).collect();
        parse(&typed, &["DCGM_FI_DRIVER_VERSION".to_owned()]).map_err(|error| error.to_string())
    }

    #[test]
    fn labels_of_the_target_and_others_are_added() {
        let labels = read(&["job=gpu", "instance=node-7:9400", "a=b=c"]).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(labels, [pair("job", "gpu"), pair("instance", "node-7:9400"), pair("a", "b=c")]);
        assert_eq!(read(&[]), Ok(Vec::new()));
    }

    #[test]
    fn labels_that_cannot_be_added_are_refused() {
        for (typed, why) in [
            (&["job"][..], "is not NAME=VALUE"),
            (&["=x"], "is not a label name"),
            (&["1a=x"], "is not a label name"),
            (&["a-b=x"], "is not a label name"),
            (&["ä=x"], "is not a label name"),
            (&["__name__=x"], "is not a label name"),
            (&["a="], "is empty"),
            (&["gpu=1"], "is a label of the page"),
            (&["hostname=x"], "is a label of the page"),
            (&["reason=x"], "is a label of the page"),
            (&["DCGM_FI_DRIVER_VERSION=x"], "is a label of the page"),
            (&["job=a", "job=a"], "is given twice"),
        ] {
            let error = read(typed).unwrap_err();
            assert!(error.contains(why), "{typed:?}: {error}");
        }
    }
}
