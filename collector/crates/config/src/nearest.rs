//! The word that was probably meant.

/// The known word nearest to `word`, if one is near enough to be worth proposing: equal but for case, `-` and `_`, or within
/// an edit distance (swapped neighbours count once) of a third of its length.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = plain(word);
    let limit = (wanted.len() / 3).max(1);
    known
        .map(|candidate| (distance(&wanted, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Longer words are nobody's typing mistake, and the distance costs their product.
const LONGEST_WORD: usize = 64;

fn plain(word: &str) -> Vec<char> {
    let letters = word.chars().filter(|letter| !matches!(letter, '_' | '-'));
    letters.flat_map(char::to_lowercase).take(LONGEST_WORD).collect()
}

/// Optimal string alignment: insertions, deletions, replacements and swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, right) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(left != right)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *left == b[j - 1] && a[i - 1] == *right {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const KEYS: [&str; 4] = ["endpoint", "timeout", "queue_size", "tls"];

    #[test]
    fn typing_mistakes_find_the_word_that_was_meant() {
        for (typed, meant) in [
            ("endpont", "endpoint"),
            ("Endpoint", "endpoint"),
            ("end_point", "endpoint"),
            ("tiemout", "timeout"),
            ("queueSize", "queue_size"),
            ("tsl", "tls"),
        ] {
            assert_eq!(nearest(typed, KEYS.into_iter()), Some(meant), "{typed}");
        }
    }

    #[test]
    fn a_strange_word_finds_nothing() {
        for typed in ["retry", "x", "", "headers"] {
            assert_eq!(nearest(typed, KEYS.into_iter()), None, "{typed}");
        }
    }
}
