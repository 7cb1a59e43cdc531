//! Words and numbers in the files of `/proc`, which are bytes: names in them may be anything.

/// Lines without their ends.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(line)
    })
}

/// Words between blanks and tabs.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// A whole number; `None` for anything else, and for what is too large.
pub(crate) fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0_u64, |value, byte| match byte {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

/// A number with a fraction.
pub(crate) fn fraction(word: &[u8]) -> Option<f64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The first whole numbers of a line, zero where there are fewer; `None` where one of the words is no number.
pub(crate) fn numbers<const N: usize>(line: &[u8]) -> Option<[u64; N]> {
    let mut found = [0; N];
    for (place, word) in found.iter_mut().zip(words(line)) {
        *place = number(word)?;
    }
    Some(found)
}

/// What stands behind `key` at the beginning of a line: `Threads:` and its like.
pub(crate) fn after<'t>(line: &'t [u8], key: &str) -> Option<&'t [u8]> {
    line.strip_prefix(key.as_bytes()).map(<[u8]>::trim_ascii)
}

/// Undoes the kernel's octal escapes (`\040` is a blank) in paths of tables.
pub(crate) fn unescape(word: &[u8]) -> String {
    let mut plain = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, behind)) = rest.split_first() {
        let digits =
            behind.get(..3).filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        match digits {
            Some(digits) if *first == b'\\' => {
                let value = digits.iter().fold(0_u32, |value, digit| 8 * value + u32::from(digit - b'0'));
                plain.push(value as u8);
                rest = &behind[3..];
            }
            _ => {
                plain.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_that_fit() {
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for bad in [&b"18446744073709551616"[..], b"", b"-1", b"1.5", b"x"] {
            assert_eq!(number(bad), None);
        }
        assert_eq!(numbers::<3>(b" 1  2"), Some([1, 2, 0]));
        assert_eq!(numbers::<3>(b"1 x"), None);
    }

    #[test]
    fn octal_escapes_are_undone_and_others_left() {
        assert_eq!(unescape(br"/mnt/my\040disk"), "/mnt/my disk");
        assert_eq!(unescape(br"a\134b\09\"), r"a\b\09\");
    }

    #[test]
    fn lines_need_no_newline_at_the_end() {
        assert_eq!(lines(b"a\n\nb").collect::<Vec<_>>(), [&b"a"[..], b"", b"b"]);
    }
}
