//! RFC 3339, as Go writes it.

/// Nanoseconds since 1970; none for what is no time, before 1970 or after 2554.
pub(crate) fn unix_nanos(text: &str) -> Option<u64> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = parts(date, '-', [4, 2, 2])?;
    let zone_at = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at(zone_at);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = parts(clock, ':', [2, 2, 2])?;
    let is_valid = (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !is_valid {
        return None;
    }
    let local = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let seconds = u64::try_from(local - offset(zone)?).ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos(fraction)?)
}

/// Numbers of exactly so many digits each.
fn parts(text: &str, separator: char, n_digits: [usize; 3]) -> Option<[i64; 3]> {
    let mut words = text.split(separator);
    let mut numbers = [0; 3];
    for (number, n_digits) in numbers.iter_mut().zip(n_digits) {
        let word = words.next().filter(|word| word.len() == n_digits)?;
        *number = digits(word)?;
    }
    words.next().is_none().then_some(numbers)
}

fn digits(word: &str) -> Option<i64> {
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok()).flatten()
}

/// Seconds that a zone is ahead: `Z`, `+02:00`.
fn offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let is_valid = hours.len() == 2 && minutes.len() == 2;
    is_valid.then_some(sign * (digits(hours)? * 3600 + digits(minutes)? * 60))
}

/// A fraction of a second; what lies below a nanosecond is cut.
fn nanos(fraction: &str) -> Option<u64> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nine = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    Some(nine.fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0')))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// By the calendar that counts years from March, so that the leap day is the last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + (153 * month + 2) / 5 + day - 719_469
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_nanosecond() {
        for (text, nanos) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-01-01T00:00:00Z", 1_767_225_600_000_000_000),
            ("2026-01-01T00:00:00.000000001Z", 1_767_225_600_000_000_001),
            ("2026-01-01T02:30:00.5+02:30", 1_767_225_600_500_000_000),
            ("2025-12-31T19:00:00-05:00", 1_767_225_600_000_000_000),
            ("2024-02-29T12:00:00Z", 1_709_208_000_000_000_000),
            ("2000-03-01T00:00:00Z", 951_868_800_000_000_000),
        ] {
            assert_eq!(unix_nanos(text), Some(nanos), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "2026",
            "2026-01-01",
            "2026-13-01T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "0001-01-01T00:00:00Z",
            "2999-01-01T00:00:00Z",
            "2026-1-1T0:0:0Z",
            "2026-01-01T00:00:00+2",
            "\u{30c6}T00:00:00Z",
        ] {
            assert_eq!(unix_nanos(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd(text in "\\PC*") {
            unix_nanos(&text);
        }
    }
}
