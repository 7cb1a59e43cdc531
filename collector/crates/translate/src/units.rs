//! Units: English words in expositions, UCUM symbols in OTLP, suffixes in names.
//!
//! Tables and rules are those of the Go collector's translator (`unit_to_ucum.go`) and of `otlptranslator` 1.0, with
//! `tibibytes` for `TiBy` among them.

use std::borrow::Cow;

const MAIN: [(&str, &str); 24] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
];

/// On the way to UCUM the first symbol of a word counts.
const PER: [(&str, &str); 8] = [
    ("s", "second"),
    ("m", "minute"),
    ("min", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

fn word_of<'a>(table: &[(&'a str, &'a str)], symbol: &'a str) -> &'a str {
    table.iter().find(|row| row.0 == symbol).map_or(symbol, |row| row.1)
}

fn symbol_of<'a>(table: &[(&'a str, &'a str)], word: &'a str) -> &'a str {
    table.iter().find(|row| row.1 == word).map_or(word, |row| row.0)
}

/// Appends the UCUM unit of a UNIT word: `seconds` is `s`, `bytes_per_second` is `By/s`; unknown words stay.
pub(crate) fn push_ucum(out: &mut String, word: &str) {
    let (main, per) = word.split_once("_per_").unwrap_or((word, ""));
    out.push_str(match main {
        "ratio" => "1",
        "percent" => "%",
        _ => symbol_of(&MAIN, main),
    });
    if !per.is_empty() {
        out.push('/');
        out.push_str(symbol_of(&PER, per));
    }
}

/// Appends the UNIT word of a UCUM unit: what [`push_ucum`] was given.
pub(crate) fn push_word(out: &mut String, ucum: &str) {
    let (main, per) = ucum.split_once('/').unwrap_or((ucum, ""));
    out.push_str(match main {
        "1" => "ratio",
        "%" => "percent",
        _ => word_of(&MAIN, main),
    });
    if !per.is_empty() {
        out.push_str("_per_");
        out.push_str(word_of(&PER, per));
    }
}

/// Whether a UNIT word survives the way to UCUM and back. One that is a symbol already (`s`) does not.
pub(crate) fn comes_back(word: &str) -> bool {
    let (mut ucum, mut back) = (String::new(), String::new());
    push_ucum(&mut ucum, word);
    push_word(&mut back, &ucum);
    back == word
}

/// What a unit adds to a name: a word, and `per_` with another one. Either may be empty; parts in braces add nothing.
pub(crate) fn suffixes(ucum: &str) -> (Cow<'_, str>, Cow<'_, str>) {
    let (main, per) = ucum.split_once('/').unwrap_or((ucum, ""));
    let (main, per) = (main.trim(), per.trim());
    let main = match main {
        "1" => "",
        "%" => "percent",
        _ if main.contains(['{', '}']) => "",
        _ => word_of(&MAIN, main),
    };
    let per = if per.contains(['{', '}']) { "" } else { word_of(&PER, per) };
    (Cow::Borrowed(main), if per.is_empty() { Cow::Borrowed("") } else { Cow::Owned(format!("per_{per}")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_ucum_and_come_back() {
        let cases = [
            ("seconds", "s"),
            ("bytes", "By"),
            ("ratio", "1"),
            ("percent", "%"),
            ("meters_per_second", "m/s"),
            ("bytes_per_minute", "By/m"),
            ("tibibytes", "TiBy"),
            ("furlongs", "furlongs"),
            ("furlongs_per_fortnight", "furlongs/fortnight"),
            ("", ""),
        ];
        for (word, ucum) in cases {
            let (mut to, mut back) = (String::new(), String::new());
            push_ucum(&mut to, word);
            push_word(&mut back, &to);
            assert_eq!((to.as_str(), back.as_str()), (ucum, word));
        }
    }

    #[test]
    fn suffixes_leave_out_what_is_in_braces() {
        let cases = [
            ("s", "seconds", ""),
            ("By/s", "bytes", "per_second"),
            ("1", "", ""),
            ("1/s", "", "per_second"),
            ("{requests}", "", ""),
            ("{requests}/s", "", "per_second"),
            ("By/{request}", "bytes", ""),
            ("%", "percent", ""),
            (" ms ", "milliseconds", ""),
            ("widgets/fortnight", "widgets", "per_fortnight"),
            ("", "", ""),
            ("m/", "meters", ""),
        ];
        for (unit, main, per) in cases {
            assert_eq!(suffixes(unit), (main.into(), per.into()), "{unit}");
        }
    }
}
