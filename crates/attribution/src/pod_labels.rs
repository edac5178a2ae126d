//! Which labels of a pod become labels of its series, and under which names.
//!
//! The rules are those of dcgm-exporter since 4.8.3, where they keep a page valid and the same from
//! one scrape to the next:
//!
//! - A label is served if one of the patterns matches anywhere in its name. A pattern for the whole
//!   name needs `^` and `$`. Without patterns every label is served.
//! - In a name, each character that is no ASCII letter, no digit and no `_` becomes `_`.
//! - A name that is taken gets the prefix `pod_label_`, and if that is taken too, the suffix
//!   `_conflict1`, `_conflict2` and so on. Names that need no prefix are given out first.
//!
//! What differs:
//!
//! - If all patterns are invalid, dcgm-exporter serves every label; here that is an error.
//! - Of two labels with the same name after the change (`a.b` and `a/b`), dcgm-exporter keeps one, and
//!   which one changes by chance. Here the second by name is treated as a name that is taken.
//! - dcgm-exporter looks at the labels that a series happens to have. Here a name is taken if any
//!   series can have it ([`RESERVED_LABELS`], and all that begin with `DCGM_FI_`, which label rows of a
//!   counters file have), so that a pod label has one name in all families.
//! - Names that begin with a digit, which Prometheus does not accept, and with `__`, which it reserves,
//!   count as taken.
//! - A label without a value is left out: to Prometheus, it is no label.
//! - The number of labels of a pod is limited. Those that are first by their names in Kubernetes stay.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::RESERVED_LABELS;
use regex_lite::Regex;

/// Patterns of the pod labels that are served.
#[derive(Clone, Debug, Default)]
pub struct AllowList {
    patterns: Vec<Regex>,
}

/// A pattern that is no regular expression.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{pattern}` is no regular expression: {message}")]
pub struct AllowListError {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub message: String,
}

/// None of the patterns is a regular expression.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no pattern of pod labels is valid: {}", joined(.0))]
pub struct NoValidPattern(pub Vec<AllowListError>);

/// The labels of a pod as a page shows them.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct PageLabels {
    /// Sorted by name.
    pub(crate) labels: Arc<[(Arc<str>, Arc<str>)]>,
    /// How many labels were left out because of the limit.
    pub(crate) cut: u64,
}

impl AllowList {
    /// Reads patterns. Invalid ones are skipped and returned. Without patterns, every label is allowed.
    ///
    /// # Errors
    ///
    /// If there are patterns, and all are invalid.
    pub fn new(patterns: &[String]) -> Result<(Self, Vec<AllowListError>), NoValidPattern> {
        let mut valid = Vec::new();
        let mut invalid = Vec::new();
        for pattern in patterns {
            match Regex::new(pattern) {
                Ok(regex) => valid.push(regex),
                Err(error) => invalid
                    .push(AllowListError { pattern: pattern.clone(), message: error.to_string() }),
            }
        }
        if valid.is_empty() && !invalid.is_empty() {
            return Err(NoValidPattern(invalid));
        }
        Ok((Self { patterns: valid }, invalid))
    }

    /// Whether a label with this name, as Kubernetes has it, is served.
    pub fn allows(&self, name: &str) -> bool {
        self.patterns.is_empty() || self.patterns.iter().any(|pattern| pattern.is_match(name))
    }

    /// The labels of a pod that are served, at most `most`.
    pub(crate) fn page_labels(&self, pod: &BTreeMap<String, String>, most: usize) -> PageLabels {
        let is_served = |(name, value): &(&String, &String)| !value.is_empty() && self.allows(name);
        let served: Vec<(&String, &String)> = pod.iter().filter(is_served).collect();
        let kept = served.iter().take(most);
        let mut page: BTreeMap<String, &str> = BTreeMap::new();
        let mut taken = Vec::new();
        for (name, value) in kept {
            let name = sanitized(name);
            if is_taken(&name, &page) {
                taken.push((name, value.as_str()));
            } else {
                page.insert(name, value);
            }
        }
        for (name, value) in taken {
            page.insert(free_name(&name, &page), value);
        }
        PageLabels {
            labels: page.iter().map(|(name, value)| ((&**name).into(), (*value).into())).collect(),
            cut: served.len().saturating_sub(most) as u64,
        }
    }
}

/// The name with the characters that Prometheus accepts in a label name.
fn sanitized(name: &str) -> String {
    let accepted = |char: char| char.is_ascii_alphanumeric() || char == '_';
    name.chars().map(|char| if accepted(char) { char } else { '_' }).collect()
}

fn is_taken(name: &str, page: &BTreeMap<String, &str>) -> bool {
    let is_invalid = !name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_');
    is_invalid
        || name.starts_with("__")
        || name.starts_with("DCGM_FI_")
        || RESERVED_LABELS.contains(&name)
        || page.contains_key(name)
}

/// A name that is not taken, for one that is.
fn free_name(name: &str, page: &BTreeMap<String, &str>) -> String {
    let base = format!("pod_label_{name}");
    let mut free = base.clone();
    let mut number = 0;
    while is_taken(&free, page) {
        number += 1;
        free = format!("{base}_conflict{number}");
    }
    free
}

fn joined(errors: &[AllowListError]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("; ").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(patterns: &[&str]) -> AllowList {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.into()).collect();
        let (list, invalid) = AllowList::new(&patterns).unwrap();
        assert_eq!(invalid, []);
        list
    }

    fn page(allow: &AllowList, labels: &[(&str, &str)]) -> Vec<(String, String)> {
        let labels = labels.iter().map(|&(name, value)| (name.into(), value.into())).collect();
        let page = allow.page_labels(&labels, 20);
        let pair = |(name, value): &(Arc<str>, Arc<str>)| (name.to_string(), value.to_string());
        page.labels.iter().map(pair).collect()
    }

    /// The names on the page, in the order of the values, which are those of the labels.
    fn names(labels: &[&str]) -> Vec<(String, String)> {
        let labels: Vec<(&str, &str)> = labels.iter().map(|&name| (name, name)).collect();
        let swap = |(name, value)| (value, name);
        let mut names: Vec<_> = page(&list(&[]), &labels).into_iter().map(swap).collect();
        names.sort();
        names
    }

    #[test]
    fn patterns_match_anywhere_in_a_name() {
        let cases: &[(&[&str], &str, bool)] = &[
            (&[], "anything", true),
            (&["app"], "app", true),
            (&["app"], "myapp.example.com/name", true),
            (&["^app$"], "app", true),
            (&["^app$"], "app.kubernetes.io/name", false),
            (&[r"^app\.kubernetes\.io/"], "app.kubernetes.io/name", true),
            (&["^app$", "^tier$"], "tier", true),
            (&["^app$", "^tier$"], "environment", false),
            (&["^(app|tier)$"], "tier", true),
            (&["(?i)^APP$"], "app", true),
            (&[""], "anything", true),
        ];
        for (patterns, name, allowed) in cases {
            assert_eq!(list(patterns).allows(name), *allowed, "{patterns:?} {name}");
        }
    }

    #[test]
    fn an_invalid_pattern_is_skipped_and_named() {
        let patterns = ["^app$".to_owned(), "[a".to_owned(), "^tier$".to_owned()];
        let (list, invalid) = AllowList::new(&patterns).unwrap();
        assert_eq!(invalid.len(), 1);
        assert!(invalid[0].to_string().starts_with("`[a` is no regular expression: "));
        assert!(list.allows("app") && list.allows("tier") && !list.allows("other"));
    }

    #[test]
    fn only_invalid_patterns_are_an_error_of_one_line() {
        let patterns = ["[a".to_owned(), "(b".to_owned()];
        let message = AllowList::new(&patterns).unwrap_err().to_string();
        assert!(message.starts_with("no pattern of pod labels is valid: `[a` is no "), "{message}");
        assert!(message.contains("; `(b` is no "), "{message}");
        assert_eq!(message.lines().count(), 1);
    }

    #[test]
    fn names_get_the_characters_that_prometheus_accepts() {
        let cases = [
            ("app", "app"),
            ("App_2", "App_2"),
            ("app.kubernetes.io/name", "app_kubernetes_io_name"),
            ("pod-template-hash", "pod_template_hash"),
            ("2nd", "pod_label_2nd"),
            ("__name__", "pod_label___name__"),
            ("-", "_"),
            ("--", "pod_label___"),
            ("größe", "gr__e"),
        ];
        for (name, expected) in cases {
            assert_eq!(names(&[name]), [(name.into(), expected.into())], "{name}");
        }
    }

    #[test]
    fn names_that_are_taken_get_a_prefix_and_a_number() {
        let cases: &[(&[&str], &[&str])] = &[
            (&["gpu"], &["pod_label_gpu"]),
            (&["UUID"], &["pod_label_UUID"]),
            (&["job-id"], &["pod_label_job_id"]),
            (&["DCGM_FI_DRIVER_VERSION"], &["pod_label_DCGM_FI_DRIVER_VERSION"]),
            // The first of two by name keeps the name.
            (&["a-b", "a.b"], &["a_b", "pod_label_a_b"]),
            (&["a-b", "a.b", "a/b"], &["a_b", "pod_label_a_b", "pod_label_a_b_conflict1"]),
            // A name that needs no prefix is given out first.
            (&["gpu", "pod_label_gpu"], &["pod_label_gpu_conflict1", "pod_label_gpu"]),
            (
                &["pod-label-pod", "pod", "pod_label_pod_conflict1"],
                &["pod_label_pod", "pod_label_pod_conflict2", "pod_label_pod_conflict1"],
            ),
        ];
        for (labels, expected) in cases {
            let found = names(labels);
            for (label, name) in labels.iter().zip(*expected) {
                let pair = ((*label).to_owned(), (*name).to_owned());
                assert!(found.contains(&pair), "{labels:?}: no {pair:?} in {found:?}");
            }
        }
    }

    #[test]
    fn of_200_labels_the_first_20_by_name_stay() {
        let name = |number: usize| format!("label-{number:03}");
        let labels = (0..200).rev().map(|number| (name(number), number.to_string())).collect();
        let page = list(&[]).page_labels(&labels, 20);
        assert_eq!(page.cut, 180);
        let names: Vec<&str> = page.labels.iter().map(|(name, _)| &**name).collect();
        let expected: Vec<String> = (0..20).map(|number| format!("label_{number:03}")).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn labels_that_are_not_allowed_do_not_count_for_the_limit() {
        let labels = (0..200).map(|number| (format!("l{number}"), "v".to_owned())).collect();
        let page = list(&["^l19[0-9]$"]).page_labels(&labels, 20);
        assert_eq!((page.labels.len(), page.cut), (10, 0));
        assert_eq!(list(&[]).page_labels(&labels, 0).labels.len(), 0);
    }

    #[test]
    fn every_value_that_kubernetes_accepts_stays_as_it_is() {
        let alphabet: String =
            ('a'..='z').chain('A'..='Z').chain('0'..='9').chain(['-', '_', '.']).collect();
        let longest = format!("{}Z", alphabet.repeat(2).get(..62).unwrap());
        assert_eq!(longest.len(), 63);
        let values = [&longest, "0", "true", "1.2.3-rc_4", "x--y..z__w"];
        for value in values {
            assert_eq!(page(&list(&[]), &[("a", value)]), [("a".into(), value.into())]);
        }
        assert_eq!(page(&list(&[]), &[("a", "")]), [], "an empty label is no label");
    }

    proptest! {
        #[test]
        fn any_labels_make_a_valid_page(
            labels in proptest::collection::btree_map(
                "[-a_./1P]{0,4}|(pod|gpu|a.b|a_b)", "[a-z]{0,3}", 0..40,
            ),
            most in 0usize..40,
        ) {
            let page = AllowList::default().page_labels(&labels, most);
            let filled = labels.values().filter(|value| !value.is_empty()).count();
            prop_assert_eq!(page.labels.len(), filled.min(most));
            prop_assert_eq!(page.cut as usize, filled - page.labels.len());
            prop_assert!(page.labels.windows(2).all(|pair| pair[0].0 < pair[1].0));
            for (name, _) in page.labels.iter() {
                let valid = Regex::new("^[a-zA-Z_][a-zA-Z0-9_]*$").unwrap();
                prop_assert!(valid.is_match(name) && !name.starts_with("__"), "{}", name);
                prop_assert!(!RESERVED_LABELS.contains(&&**name), "{}", name);
            }
        }
    }
}
