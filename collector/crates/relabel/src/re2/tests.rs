//! What RE2 syntax means, and what it is not. The answers are Go's.

use proptest::prelude::*;
use regex::Regex;

use super::{translate, translate_whole};

/// Whether the expression matches the whole text.
fn matches(expression: &str, text: &str) -> bool {
    let translated = translate_whole(expression).unwrap().pattern;
    Regex::new(&translated)
        .unwrap_or_else(|error| panic!("{expression} became {translated}: {error}"))
        .is_match(text)
}

fn check(cases: &[(&str, &[&str], &[&str])]) {
    for (expression, good, bad) in cases {
        for text in *good {
            assert!(matches(expression, text), "{expression:?} must match {text:?}");
        }
        for text in *bad {
            assert!(!matches(expression, text), "{expression:?} must not match {text:?}");
        }
    }
}

fn refused(cases: &[(&str, &str)]) {
    for (expression, reason) in cases {
        let message = match translate_whole(expression) {
            Ok(translated) => panic!("{expression:?} became {}", translated.pattern),
            Err(error) => error.to_string(),
        };
        let (without_place, _) = message.split_once(" (at character ").unwrap_or((&message, ""));
        assert_eq!(without_place, *reason, "{expression:?}");
    }
}

#[test]
fn a_dot_matches_newlines_unless_told_otherwise() {
    check(&[
        ("a.b", &["a\nb", "a\u{e9}b"], &["ab"]),
        ("(?-s)a.b", &["axb"], &["a\nb"]),
        ("(?-s:a.)b.", &["axb\n"], &["a\nbx"]),
        ("(?m)a$.b", &["a\nb"], &["axb"]),
    ]);
}

#[test]
fn perl_classes_and_boundaries_are_ascii() {
    check(&[
        (r"\d+", &["09"], &["\u{661}", ""]),
        (r"\D", &["\u{661}", "x"], &["1"]),
        (r"\w+", &["aZ_9"], &["\u{e9}", "-"]),
        (r"\W", &["\u{e9}", "-"], &["_"]),
        (r"\s+", &[" \t\n\r\x0c"], &["\x0b", "\u{a0}"]),
        (r"\S", &["\x0b", "\u{a0}"], &[" "]),
        (r"[^\W\d]+", &["a_"], &["a1", "\u{e9}"]),
    ]);
    check(&[
        (r".\bx", &["\u{e9}x", " x"], &["ax"]),
        (r".\Bx", &["ax", "_x"], &["\u{e9}x", "-x"]),
        (r"\Aa\z", &["a"], &["a\n"]),
    ]);
}

#[test]
fn case_is_folded_as_unicode_has_it() {
    check(&[
        ("(?i)straSSe", &["STRAsse", "stra\u{17f}se"], &["stra\u{df}e"]),
        ("(?i:a)b", &["Ab", "ab"], &["aB"]),
        ("(?i)a(?-i)b", &["Ab"], &["AB"]),
        ("(?i)[k-l]+", &["kLK\u{212a}"], &["j"]),
        (r"(?i)\w", &["\u{212a}"], &["\u{e9}"]),
        ("a(?i)b|c", &["aB", "C", "c"], &["AB"]),
    ]);
}

#[test]
fn escapes_are_those_of_re2() {
    check(&[
        (r"a\.b\-c\_d\/e", &["a.b-c_d/e"], &["axb-c_d/e"]),
        (r"\<\>\ \#\%\&\~", &["<> #%&~"], &[""]),
        (r"\x41\x{e9}\101\0\07", &["A\u{e9}A\0\x07"], &[]),
        (r"\a\f\t\n\r\v", &["\x07\x0c\t\n\r\x0b"], &[]),
        (r"\Qa.b|(\E.", &["a.b|(x"], &["axb|(x"]),
        (r"x\Q\Ey", &["xy"], &[]),
        (r"\Qab\E+", &["abb"], &["abab"]),
    ]);
    refused(&[
        (r"\C", r"invalid escape \C: labels are matched by characters, not by bytes"),
        (r"\Z", r"invalid escape \Z"),
        (r"\E", r"invalid escape \E"),
        (r"\1", r"invalid escape \1: RE2 has no back-references"),
        (r"\8", r"invalid escape \8: RE2 has no back-references"),
        (r"(?P<n>a)\k<n>", r"invalid escape \k: RE2 has no back-references"),
        (r"\x{d800}", "invalid character number \"d800\""),
        (r"\u0041", r"invalid escape \u"),
        ("\\\u{e9}", "invalid escape \\\u{e9}"),
        (r"\x", "invalid character number \")$\""),
        (r"\x{110000}", "invalid character number \"110000\""),
        (r"\x{}", "invalid character number \"\""),
        (r"\x{41", "a hexadecimal escape does not end"),
        // The escape and the quotation take the bracket that anchors the expression.
        (r"a\", "missing closing )"),
        (r"\Qa", "missing closing )"),
    ]);
    assert_eq!(translate(r"a\").unwrap_err().reason, "trailing backslash");
}

#[test]
fn brackets_in_classes_are_plain_characters() {
    check(&[
        ("[[a&&b~~]+", &["[a&b~"], &["]", "d"]),
        ("[+--]+", &["+,-"], &["."]),
        ("[]a]+", &["]a"], &["[", ""]),
        ("[^]a]", &["b", "\n"], &["]", "a"]),
        ("[a-]+", &["a-"], &["b"]),
        ("[-a]+", &["a-"], &["b"]),
        ("[a-c-e]+", &["abc-e"], &["d"]),
        (r"[\]\-\\]+", &["]-\\"], &["a"]),
        (r"[\x41-\x{43}\n]+", &["ABC\n"], &["D"]),
        ("[ #]+", &[" #"], &[""]),
        ("[[:alpha:]_]+", &["aZ_"], &["1", "\u{e9}"]),
        ("[[:^digit:]]+", &["a\u{e9}"], &["1"]),
        ("[[:]+", &["[:"], &["a"]),
        ("[.^$*]+", &["^.$*"], &["a"]),
    ]);
    refused(&[
        ("[a", "missing closing ]"),
        ("[]", "missing closing ]"),
        ("[z-a]", "invalid range z-a"),
        (r"[a-\d]", r"invalid escape \d"),
        (r"[\b]", r"invalid escape \b"),
        (r"[\Qa\E]", r"invalid escape \Q"),
        ("[[:foo:]]", "unknown character class [:foo:]"),
    ]);
}

#[test]
fn properties_are_categories_and_scripts() {
    check(&[
        (r"\pL\p{Lu}\p{Greek}", &["a\u{c4}\u{3b1}"], &["1Aa"]),
        (r"\PL\p{^Greek}\P{^L}", &["1aa"], &["aaa"]),
        (r"[\p{Lu}\d]+", &["A1"], &["a"]),
        (r"\pN+\p{Nd}", &["\u{2167}\u{661}"], &["a1"]),
    ]);
    refused(&[
        (r"\p{sc=Greek}", r"unknown character class \p{sc=Greek}"),
        (r"\p{}", r"unknown character class \p{}"),
        (r"\p{L", "the name of a character class does not end"),
    ]);
    // Unknown names are left to the engine, which knows the tables.
    assert!(regex_syntax::parse(&translate(r"\p{Foo}").unwrap().pattern).is_err());
}

#[test]
fn repetitions_are_limited_and_not_stacked() {
    check(&[
        ("a{2}", &["aa"], &["a", "aaa"]),
        ("a{2,}", &["aa", "aaaa"], &["a"]),
        ("a{1,2}?b", &["ab", "aab"], &["aaab"]),
        ("(a{2}){3}", &["aaaaaa"], &["aaaa"]),
        ("(?:)*|^*", &[""], &["a"]),
        ("a{1000}", &[&"a".repeat(1000)], &["a"]),
        ("(?:(?:a{100}){0}b{10}){100}", &[&"b".repeat(1000)], &[]),
    ]);
    refused(&[
        ("a{1001}", "repetition {1001} counts to more than 1000"),
        ("a{1,99999999999}", "repetition {1,99999999999} counts to more than 1000"),
        ("a{3,2}", "repetition {3,2} counts backwards"),
        ("(a{100}){11}", "nested repetitions add up to more than 1000"),
        ("((a{2,}){2}b){500}", "nested repetitions add up to more than 1000"),
        ("a**", "repetition operator * behind another one"),
        ("a*?+", "repetition operator + behind another one"),
        ("a{2}{3}", "repetition operator {3} behind another one"),
        ("*", "missing argument to repetition operator *"),
        ("a|+", "missing argument to repetition operator +"),
        ("(?i)?", "missing argument to repetition operator ?"),
        ("({2})", "missing argument to repetition operator {2}"),
    ]);
}

#[test]
fn a_brace_that_counts_nothing_is_a_brace() {
    check(&[
        ("a{,2}", &["a{,2}"], &["aa"]),
        ("{a}", &["{a}"], &[]),
        ("a{01}", &["a{01}"], &["a"]),
        ("a{1", &["a{1"], &["a"]),
        ("a{1,2,3}", &["a{1,2,3}"], &["a"]),
        ("{}", &["{}"], &[]),
        ("]", &["]"], &[]),
    ]);
}

#[test]
fn an_alternative_may_be_empty() {
    check(&[
        ("|a", &["", "a"], &["b"]),
        ("a|", &["", "a"], &["aa"]),
        ("a||b", &["a", "", "b"], &["ab"]),
        ("x(|a)y(b|)", &["xy", "xay", "xyb", "xayb"], &["xby"]),
        ("()|a", &["", "a"], &[]),
        ("", &[""], &["a"]),
    ]);
}

#[test]
fn flags_are_four_and_reach_to_the_end_of_their_group() {
    check(&[
        ("(?U)a+?b", &["aab"], &["b"]),
        ("(a(?i)b)c", &["aBc"], &["aBC"]),
        ("(?i-i)a", &["a"], &["A"]),
        ("(?ii)a", &["A"], &[]),
        ("a(?)b", &["ab"], &[]),
        ("a(?i)*b", &["aaB", "b"], &["Ab"]),
        ("a*(?i)?b", &["aaB", "b"], &["Ab"]),
    ]);
    refused(&[
        ("(?x)a", "invalid group or flags (?x"),
        ("(?i-)a", "invalid group or flags (?i-)"),
        ("(?-)", "invalid group or flags (?-)"),
        ("(?P=a)", "invalid group or flags (?P"),
        ("(?R)", "invalid group or flags (?R"),
        ("(?i--s)", "invalid group or flags (?i--"),
    ]);
}

#[test]
fn groups_are_balanced_and_keep_their_numbers() {
    let names = |expression| {
        let names = translate(expression).unwrap().names;
        names.into_iter().map(|name| name.unwrap_or_default().into_string()).collect::<Vec<_>>()
    };
    assert_eq!(names("a(b(?:c)(?P<x>d))(?<1y>e)(?P<x>f)"), ["", "", "x", "1y", "x"]);
    refused(&[
        ("(a", "missing closing )"),
        ("a))", "unexpected )"),
        ("(?P<>a)", "invalid group name \"\""),
        ("(?<a-b>c)", "invalid group name \"a-b\""),
        ("(?<a", "the name of a group does not end"),
        ("(?P<a", "the name of a group does not end"),
    ]);
}

#[test]
fn what_re2_does_not_have_is_refused_by_name() {
    for around in ["=", "!", "<=", "<!"] {
        refused(&[(
            &format!("a(?{around}b)"),
            &format!("invalid group or flags (?{around}: RE2 cannot look around"),
        )]);
    }
    refused(&[
        ("(?>a)", "invalid group or flags (?>: RE2 has no atomic groups"),
        ("(?#a)", "invalid group or flags (?#: RE2 has no comments"),
        ("a++", "repetition operator + behind another one"),
        ("a?+", "repetition operator + behind another one"),
    ]);
}

#[test]
fn a_mistake_is_placed_in_the_users_expression() {
    for (expression, place) in [
        (r"\C", "(at character 1)"),
        ("\u{e9}\u{e9}(?=a)", "(at character 3)"),
        (r"(a)\1", "(at character 4)"),
        ("ab**", "(at character 4)"),
        ("a{1001}", "(at character 2)"),
        ("x[z-a]", "(at character 2)"),
        (r"ab\p{sc=Greek}", "(at character 3)"),
        ("a))", "(at character 3)"),
    ] {
        let message = translate_whole(expression).unwrap_err().to_string();
        assert!(message.ends_with(place), "{expression:?}: {message}");
    }
    // What shows behind the end has no place of the user's.
    for expression in ["(a", "a)", r"\Qa", "a\\"] {
        let message = translate_whole(expression).unwrap_err().to_string();
        assert!(!message.contains("at character"), "{expression:?}: {message}");
    }
}

/// Pieces of expressions, right and wrong.
fn expression() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "a",
        "b",
        "\u{e9}",
        ".",
        "*",
        "+",
        "?",
        "{2}",
        "{1,}",
        "{",
        "}",
        "(",
        ")",
        "(?:",
        "(?P<n>",
        "(?i)",
        "(?-s:",
        "[",
        "]",
        "[^",
        "-",
        "[:alpha:]",
        "|",
        "^",
        "$",
        "\\",
        "\\d",
        "\\W",
        "\\b",
        "\\B",
        "\\Q",
        "\\E",
        "\\pL",
        "\\p{Lu}",
        "\\x41",
        "\\x{e9}",
        "\\0",
        "&&",
        "~~",
        "#",
        " ",
        "\n",
    ]);
    proptest::collection::vec(pieces, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_is_translated_is_understood(expression in expression()) {
        if let Ok(translated) = translate(&expression) {
            let regex = regex_syntax::parse(&translated.pattern);
            prop_assert!(regex.is_ok(), "{} became {}: {}", expression, translated.pattern, regex.unwrap_err());
        }
    }

    #[test]
    fn no_text_panics(expression in "\\PC{0,24}") {
        translate(&expression).ok();
    }

    #[test]
    fn escaped_text_matches_itself_only(text in "\\PC{0,12}", other in "\\PC{0,12}") {
        let escaped: String = text
            .chars()
            .flat_map(|c| if c.is_ascii_punctuation() || c == ' ' { vec!['\\', c] } else { vec![c] })
            .collect();
        prop_assert!(matches(&escaped, &text));
        prop_assert_eq!(matches(&escaped, &other), text == other);
    }
}
