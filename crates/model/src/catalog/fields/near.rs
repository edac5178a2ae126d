//! Names that are almost the same as a misspelt one.

/// How many letters may be wrong, missing or too many.
const TYPOS: usize = 2;

/// The first of `known` that differs from `name` in letter case only, else the one with the fewest
/// typos, up to [`TYPOS`].
pub(super) fn nearest(
    name: &str,
    known: impl Iterator<Item = &'static str> + Clone,
) -> Option<&'static str> {
    if let Some(same) = known.clone().find(|known| known.eq_ignore_ascii_case(name)) {
        return Some(same);
    }
    known
        .filter_map(|known| Some((typos(name, known)?, known)))
        .min_by_key(|(typos, _)| *typos)
        .map(|(_, known)| known)
}

/// The names that hold something like `part`: as many words, at `_`, as it has, with the fewest typos.
/// A third of its letters may be wrong at most.
pub(super) fn like(part: &str, known: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let words = part.split('_').count();
    let mut found: Vec<(usize, &str)> = known
        .filter_map(|name| {
            let split: Vec<&str> = name.split('_').collect();
            let runs = split.windows(words).map(|run| run.join("_"));
            let typos = runs.filter_map(|run| typos(part, &run)).min()?;
            (typos * 3 <= part.len()).then_some((typos, name))
        })
        .collect();
    let fewest = found.iter().map(|(typos, _)| *typos).min();
    found.retain(|(typos, _)| Some(*typos) == fewest);
    found.into_iter().map(|(_, name)| name).collect()
}

/// The edit distance between `a` and `b`, letter case aside, where it is at most [`TYPOS`]. Texts of
/// other lengths are not compared, so that a file of nonsense costs little.
fn typos(a: &str, b: &str) -> Option<usize> {
    if a.len().abs_diff(b.len()) > TYPOS {
        return None;
    }
    let typos = strsim::levenshtein(&a.to_ascii_lowercase(), &b.to_ascii_lowercase());
    Some(typos).filter(|typos| *typos <= TYPOS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letter_case_comes_before_typos() {
        let known = ["ABD", "abc"];
        assert_eq!(nearest("ABC", known.into_iter()), Some("abc"));
        assert_eq!(nearest("ABX", known.into_iter()), Some("ABD"));
        assert_eq!(nearest("XYZ", known.into_iter()), None);
    }

    #[test]
    fn a_part_of_a_name_may_have_typos_too() {
        let known = ["FI_DEV_GPU_TEMP", "FI_DEV_MEMORY_TEMP", "FI_DEV_SM_CLOCK"];
        let like = |part| like(part, known.into_iter());
        assert_eq!(like("gpu_tmp"), ["FI_DEV_GPU_TEMP"]);
        assert_eq!(like("tempp"), ["FI_DEV_GPU_TEMP", "FI_DEV_MEMORY_TEMP"]);
        assert_eq!(like("clok"), ["FI_DEV_SM_CLOCK"]);
        for nothing in ["", "xy", "voltage", "a_b_c_d_e_f"] {
            assert_eq!(like(nothing), [""; 0], "{nothing}");
        }
    }

    #[test]
    fn more_than_two_typos_are_another_name() {
        for (a, b, distance) in
            [("", "", Some(0)), ("gpu", "GPU", Some(0)), ("gpu", "gup", Some(2)), ("gpu", "", None)]
        {
            assert_eq!(typos(a, b), distance, "{a} {b}");
            assert_eq!(typos(b, a), distance, "{b} {a}");
        }
        assert_eq!(typos("abcdef", "fedcba"), None);
    }
}
