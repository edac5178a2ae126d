//! Which known name a misspelt one was meant to be.

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
        .filter_map(|known| Some((typos(name.as_bytes(), known.as_bytes())?, known)))
        .min_by_key(|(typos, _)| *typos)
        .map(|(_, known)| known)
}

/// The names that hold something like `part`: as many words, at `_`, as it has, with the fewest typos.
/// A third of its letters may be wrong at most.
pub(super) fn like(part: &str, known: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let words = part.split('_').count();
    let mut found: Vec<(usize, &str)> = known
        .filter_map(|name| {
            let starts: Vec<usize> =
                std::iter::once(0).chain(name.match_indices('_').map(|(at, _)| at + 1)).collect();
            let ends: Vec<usize> =
                name.match_indices('_').map(|(at, _)| at).chain([name.len()]).collect();
            let runs = starts.iter().zip(ends.iter().skip(words - 1));
            let runs = runs.filter_map(|(start, end)| name.get(*start..*end));
            let typos = runs.filter_map(|run| typos(part.as_bytes(), run.as_bytes())).min()?;
            (typos * 3 <= part.len()).then_some((typos, name))
        })
        .collect();
    let fewest = found.iter().map(|(typos, _)| *typos).min();
    found.retain(|(typos, _)| Some(*typos) == fewest);
    found.into_iter().map(|(_, name)| name).collect()
}

/// The edit distance between `a` and `b`, letter case aside, where it is at most [`TYPOS`].
///
/// Only the diagonal band that such a distance can lie in is computed, so that a file of nonsense
/// costs little.
fn typos(a: &[u8], b: &[u8]) -> Option<usize> {
    if a.len().abs_diff(b.len()) > TYPOS {
        return None;
    }
    // `row[k]` is the distance between the first `i` letters of `a` and the first `i + k - TYPOS`
    // letters of `b`.
    let mut row = [usize::MAX; 2 * TYPOS + 1];
    for (k, cell) in row.iter_mut().enumerate().skip(TYPOS) {
        *cell = k - TYPOS;
    }
    for (i, letter) in a.iter().enumerate() {
        let mut next = [usize::MAX; 2 * TYPOS + 1];
        for k in 0..next.len() {
            // One past the letter of `b` that this cell compares with.
            let Some(j) = (i + 1 + k).checked_sub(TYPOS).filter(|&j| j <= b.len()) else {
                continue;
            };
            let dropped = row.get(k + 1).copied().unwrap_or(usize::MAX).saturating_add(1);
            let added = k.checked_sub(1).map_or(usize::MAX, |k| next[k]).saturating_add(1);
            let kept = match j.checked_sub(1) {
                Some(j) => row[k].saturating_add(usize::from(!b[j].eq_ignore_ascii_case(letter))),
                None => usize::MAX,
            };
            next[k] = dropped.min(added).min(kept);
        }
        if next.iter().all(|&distance| distance > TYPOS) {
            return None;
        }
        row = next;
    }
    let last = (b.len() + TYPOS).checked_sub(a.len())?;
    row.get(last).copied().filter(|&distance| distance <= TYPOS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The whole table, the plain way.
    fn distance(a: &[u8], b: &[u8]) -> usize {
        let mut row: Vec<usize> = (0..=b.len()).collect();
        for (i, x) in a.iter().enumerate() {
            let mut next = vec![i + 1];
            for (j, y) in b.iter().enumerate() {
                let kept = row[j] + usize::from(!x.eq_ignore_ascii_case(y));
                next.push(kept.min(row[j + 1] + 1).min(next[j] + 1));
            }
            row = next;
        }
        row[b.len()]
    }

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

    proptest! {
        #[test]
        fn the_band_agrees_with_the_whole_table(
            a in proptest::collection::vec(b'a'..b'd', 0..9),
            b in proptest::collection::vec(b'a'..b'd', 0..9),
        ) {
            let whole = distance(&a, &b);
            prop_assert_eq!(typos(&a, &b), (whole <= TYPOS).then_some(whole));
        }
    }
}
