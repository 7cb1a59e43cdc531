//! Numbers with units in a row: `1h30m`, `1.5s`, `10MiB`.

/// The sum of all numbers times their units, in the smallest unit, rounded down. `None` where the text is not of that form, a
/// unit is not known, or the sum is too big.
pub(super) fn sum(text: &str, unit_of: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let mut rest = text;
    let mut total: u128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        total = total.checked_add(times(number, unit_of(unit)?)?)?;
        rest = after;
    }
    u64::try_from(total).ok()
}

/// A decimal number times a unit, exact but for the last fraction of one.
fn times(number: &str, unit: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let mut total =
        if whole.is_empty() { 0 } else { u128::from(whole.parse::<u64>().ok()?) * u128::from(unit) };
    // More digits than these cannot change the result: no unit is a multiple of a greater power of ten.
    let fraction = &fraction[..fraction.len().min(18)];
    if !fraction.is_empty() {
        let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        total += fraction.parse::<u128>().ok()? * u128::from(unit) / scale;
    }
    Some(total)
}
