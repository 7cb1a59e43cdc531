//! Decimal digits, eight at a time.

/// The whole number that `text` begins with, and how many digits it has; at most 15 are read, which 53 bits hold.
#[inline]
pub(crate) fn leading(text: &[u8]) -> (u64, usize) {
    let Some((first, rest)) = text.split_first_chunk() else { return few(text) };
    let (value, n_digits) = of_word(*first);
    if n_digits < 8 {
        return (value, n_digits);
    }
    let (more, n_more) = match rest.first_chunk() {
        // The last of eight would be the sixteenth.
        Some([a, b, c, d, e, f, g, _]) => of_word([*a, *b, *c, *d, *e, *f, *g, b'\n']),
        None => few(rest),
    };
    (value * POWERS[n_more] + more, 8 + n_more)
}

/// Powers of ten for numbers of 15 digits.
pub(crate) const POWERS: [u64; 16] = {
    let mut powers = [1; 16];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = 10 * powers[exponent - 1];
        exponent += 1;
    }
    powers
};

/// Of less than eight bytes.
#[inline]
fn few(text: &[u8]) -> (u64, usize) {
    let mut word = [b'\n'; 8];
    word[..text.len()].copy_from_slice(text);
    of_word(word)
}

/// Digits in a word are added up in pairs, then pairs of those, as Lemire describes ("Number parsing at a gigabyte per
/// second", 2021).
#[inline]
fn of_word(bytes: [u8; 8]) -> (u64, usize) {
    const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);
    const ABOVE_NINE: u64 = u64::from_le_bytes([0x7f - 9; 8]);
    const HIGH_BITS: u64 = u64::from_le_bytes([0x80; 8]);
    const PAIRS: u64 = 0x00ff_00ff_00ff_00ff;
    const QUADS: u64 = 0x0000_ffff_0000_ffff;
    let digits = u64::from_le_bytes(bytes) ^ ZEROS;
    // What a byte that is no digit carries into the next one changes only what comes behind the end.
    let others = (digits.wrapping_add(ABOVE_NINE) | digits) & HIGH_BITS;
    let n_digits = others.trailing_zeros() / 8;
    if n_digits == 0 {
        return (0, 0);
    }
    let digits = digits << (64 - 8 * n_digits);
    let pairs = (digits.wrapping_mul(10) + (digits >> 8)) & PAIRS;
    let quads = (pairs.wrapping_mul(100) + (pairs >> 16)) & QUADS;
    let all = quads.wrapping_mul(10_000).wrapping_add(quads >> 32) & u64::from(u32::MAX);
    (all, n_digits as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one_by_one(text: &[u8]) -> (u64, usize) {
        let digits = text.iter().take(15).take_while(|byte| byte.is_ascii_digit());
        digits.fold((0, 0), |(value, n), digit| (value * 10 + u64::from(digit - b'0'), n + 1))
    }

    proptest! {
        #[test]
        fn digits_are_read_as_one_by_one(text in "[0-9]{0,20}[^0-9]{0,3}[0-9]{0,9}") {
            prop_assert_eq!(leading(text.as_bytes()), one_by_one(text.as_bytes()));
        }

        #[test]
        fn any_bytes_are_read_as_one_by_one(text in prop::collection::vec(any::<u8>(), 0..20)) {
            prop_assert_eq!(leading(&text), one_by_one(&text));
        }
    }
}
