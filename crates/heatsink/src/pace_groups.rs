//! Fields with an interval of their own, chosen by patterns of names.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use model::catalog::generation::{Pair, pairs};
use model::{Pace, Watch};
use regex_lite::Regex;

/// Fields that are read at one interval: a watch group of dcgm-exporter.
#[derive(Clone, Debug)]
pub(crate) struct PaceGroup {
    /// The place and name, for messages.
    pub(crate) place: String,
    /// The key of its list, its line, and its name.
    pub(crate) key: &'static str,
    pub(crate) line: u64,
    pub(crate) name: String,
    pub(crate) interval: Duration,
    /// Patterns of names, as they are written.
    pub(crate) fields: Vec<String>,
    pub(crate) patterns: Vec<Regex>,
}

impl PaceGroup {
    /// Gives the watches that a group names its interval. A name is that of a row, or else the name
    /// of its field in the other generation. Returns messages about groups without a watch.
    ///
    /// # Errors
    ///
    /// When a watch is in two groups.
    pub(crate) fn apply(groups: &[Self], watches: &mut [Watch]) -> Result<Vec<String>> {
        let pairs: Vec<Pair> = if groups.is_empty() { Vec::new() } else { pairs().collect() };
        let mut has_watch = vec![false; groups.len()];
        for watch in watches {
            let pair = pairs.iter().find(|pair| pair.has(&watch.name));
            let others = pair.into_iter().flat_map(|pair| [pair.v4_8.name, pair.v4_9.name]);
            let named = std::iter::once(&*watch.name).chain(others).map(|name| {
                let is_it = |index: &usize| groups[*index].names(name);
                (0..groups.len()).filter(is_it).collect::<Vec<_>>()
            });
            let named = named.into_iter().find(|named| !named.is_empty()).unwrap_or_default();
            if let [first, second, ..] = named[..] {
                bail!(
                    "{}: {} is in {} too; name it in one of them",
                    groups[second].place,
                    watch.name,
                    groups[first].place
                );
            }
            for index in named {
                has_watch[index] = true;
                watch.pace = Pace::At(groups[index].interval);
            }
        }
        let unmatched = groups.iter().zip(has_watch).filter(|(_, has_watch)| !has_watch);
        let message = |group: &Self| format!("{}: matches no field that is served", group.place);
        Ok(unmatched.map(|(group, _)| message(group)).collect())
    }

    fn names(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.is_match(name))
    }
}

/// A pattern of a shell, as Go's `path.Match` has it: `*`, `?`, `[a-z]`, `\`.
pub(crate) fn pattern(glob: &str) -> Result<Regex> {
    let mut regex = String::from("^");
    let mut is_class = false;
    let mut characters = glob.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                let escaped = characters.next().context("ends in `\\`")?;
                regex += &regex_lite::escape(&escaped.to_string());
            }
            '[' if !is_class => {
                is_class = true;
                regex.push('[');
            }
            ']' if is_class => {
                is_class = false;
                regex.push(']');
            }
            '^' | '-' if is_class => regex.push(character),
            '*' if !is_class => regex += ".*",
            '?' if !is_class => regex.push('.'),
            other => regex += &regex_lite::escape(&other.to_string()),
        }
    }
    regex.push('$');
    Regex::new(&regex).with_context(|| format!("`{glob}` is no pattern; write DCGM_FI_DEV_*"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_a_shell() {
        for (glob, name, matches) in [
            ("*", "DCGM_FI_DEV_GPU_TEMP", true),
            ("DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_GPU_TEMP", true),
            ("DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_GPU_TEMP_LIMIT", false),
            ("*_TEMP", "DCGM_FI_DEV_GPU_TEMP", true),
            ("DCGM_FI_DEV_?PU_TEMP", "DCGM_FI_DEV_GPU_TEMP", true),
            ("DCGM_FI_PROF_NVLINK_L[0-9]_*", "DCGM_FI_PROF_NVLINK_L3_TX_BYTES", true),
            ("DCGM_FI_PROF_NVLINK_L[^0-2]_*", "DCGM_FI_PROF_NVLINK_L1_TX_BYTES", false),
            ("a.c", "abc", false),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
        ] {
            assert_eq!(pattern(glob).unwrap().is_match(name), matches, "{glob} {name}");
        }
        for glob in ["[", "a\\", "[z-a]"] {
            assert!(pattern(glob).is_err(), "{glob} was accepted");
        }
    }
}
