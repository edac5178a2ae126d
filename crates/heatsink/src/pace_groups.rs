//! Fields with an interval of their own, chosen by patterns of names.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use model::{Pace, Watch};
use regex_lite::Regex;

/// Fields that are read at one interval: a watch group of dcgm-exporter.
#[derive(Clone, Debug)]
pub(crate) struct PaceGroup {
    /// The place and name, for messages.
    pub(crate) place: String,
    pub(crate) interval: Duration,
    pub(crate) patterns: Vec<Regex>,
}

impl PaceGroup {
    /// Gives the watches that a group names its interval.
    ///
    /// # Errors
    ///
    /// When a watch is in two groups, or a group has no watch.
    pub(crate) fn apply(groups: &[Self], watches: &mut [Watch]) -> Result<()> {
        let mut has_watch = vec![false; groups.len()];
        for watch in watches {
            let mut first: Option<&Self> = None;
            for (group, has_watch) in groups.iter().zip(&mut has_watch) {
                if !group.patterns.iter().any(|pattern| pattern.is_match(&watch.name)) {
                    continue;
                }
                *has_watch = true;
                if let Some(first) = first {
                    bail!(
                        "{}: {} is in {} too; name it in one of them",
                        group.place,
                        watch.name,
                        first.place
                    );
                }
                first = Some(group);
                watch.pace = Pace::At(group.interval);
            }
        }
        match groups.iter().zip(has_watch).find(|(_, has_watch)| !has_watch) {
            Some((group, _)) => bail!(
                "{}: matches no field that is served; correct the names, or leave the group out",
                group.place
            ),
            None => Ok(()),
        }
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
