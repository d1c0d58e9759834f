//! "Did you mean": the nearest known word by edit distance.

/// The candidate that is so near to `word` that it is probably meant.
pub(crate) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let chars: Vec<char> = word.to_lowercase().chars().take(80).collect();
    let limit = (chars.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .take(CANDIDATES_MAX)
        .filter(|c| c.len().abs_diff(word.len()) <= limit + 4)
        .map(|c| (distance(&chars, c, limit), c))
        .filter(|(far, c)| *far <= limit && *far < c.chars().count())
        .min()
        .map(|(_, c)| c)
}

/// Names beyond these aren't looked at.
const CANDIDATES_MAX: usize = 10_000;

/// Changes, insertions, deletions and swaps of neighbours from one word to the other, case aside; `limit + 1` if there are more than `limit`.
fn distance(from: &[char], to: &str, limit: usize) -> usize {
    let to: Vec<char> = to.to_lowercase().chars().collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let mut best = (rows[i][j] + usize::from(a != b)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        if row.iter().all(|far| *far > limit) {
            return limit + 1;
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, want: Option<&str>) {
        assert_eq!(nearest(word, ["replicas", "readinessProbe", "env", "port"]), want);
    }

    #[test]
    fn finds_what_is_nearly_right() {
        check("replica", Some("replicas"));
        check("repilcas", Some("replicas"));
        check("readinesProbe", Some("readinessProbe"));
        check("readinessprobe", Some("readinessProbe"));
        check("prot", Some("port"));
    }

    #[test]
    fn keeps_silent_about_what_is_not() {
        check("banana", None);
        check("x", None);
    }
}
