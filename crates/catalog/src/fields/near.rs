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
