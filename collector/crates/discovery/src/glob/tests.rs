//! Patterns and names with the answers of Go's `filepath.Match` (1.26, asked one by one).

use super::*;

/// The answer to a pattern and a name; `None` for a bad pattern.
fn answer(pattern: &str, name: &str) -> Option<bool> {
    Some(Glob::parse(pattern).ok()?.is_match(name))
}

#[test]
fn patterns_fit_the_names_that_go_finds() {
    for (pattern, name, expected) in [
        ("", "", true),
        ("", "a", false),
        ("abc", "abc", true),
        ("abc", "abcd", false),
        ("exact.yml", "exact.yml.bak", false),
        ("*", "", true),
        ("*", "abc", true),
        ("*", ".hidden", true),
        ("*c", "abc", true),
        ("a*", "a", true),
        ("a*", "abc", true),
        ("*x", "xxx", true),
        ("**x", "xxx", true),
        ("*.json", "a.json", true),
        ("*.json", ".json", true),
        ("a*b*.yml", "a--b--.yml", true),
        ("a*b*.yml", "a.yml", false),
        ("a*a.yml", "a.yml", false),
        ("*ab*ab", "abab", true),
        ("*ab*ab", "aab", false),
        ("*ab*ab", "xabxaab", true),
        ("a*b?c*x", "abxbbxdbxebxczzx", true),
        ("a*b?c*x", "abxbbxdbxebxczzy", false),
        ("a?.json", "a1.json", true),
        ("a?.json", "a.json", false),
        ("a?.json", "a12.json", false),
        ("a[12].json", "a1.json", true),
        ("a[12].json", "a3.json", false),
        ("a[12].json", "a12.json", false),
        ("a[12].json", "a[12].json", false),
        ("*[0-9].yml", "node-7.yml", true),
        ("*[0-9].yml", "node-.yml", false),
        ("ab[b-d]", "abc", true),
        ("ab[e-g]", "abc", false),
        ("ab[^c]", "abc", false),
        ("ab[^b-d]", "abc", false),
        ("ab[^e-g]", "abc", true),
        ("ab[^e-g]", "ab", false),
        ("[z-a]", "m", false),
        ("[!a]", "b", false),
        ("[!a]", "!", true),
        ("[a^]", "^", true),
        ("[*]", "*", true),
        ("[*]", "a", false),
        ("[[]", "[", true),
        ("[?-a]", "@", true),
        ("a]", "a]", true),
        ("{a,b}", "a", false),
        ("{a,b}", "{a,b}", true),
        ("a\\*b", "a*b", true),
        ("a\\*b", "axb", false),
        ("\\a", "a", true),
        ("a\\\\b", "a\\b", true),
        ("\\[a]", "[a]", true),
        ("[\\]a]", "]", true),
        ("[\\-]", "-", true),
        ("[x\\-]", "-", true),
        ("[x\\-]", "z", false),
        ("[\\-x]", "x", true),
        ("[\\^a]", "^", true),
        ("[a-\\]]", "b", false),
        ("[\\[-\\]]", "\\", true),
        ("a?b", "a\u{263a}b", true),
        ("a[^a]b", "a\u{263a}b", true),
        ("a???b", "a\u{263a}b", false),
        ("[a-\u{3b6}]*", "\u{3b1}", true),
        ("*[a-\u{3b6}]", "A", false),
        ("*\u{3b1}", "\u{3b1}\u{3b1}", true),
    ] {
        assert_eq!(answer(pattern, name), Some(expected), "{pattern} {name}");
    }
}

#[test]
fn a_list_without_end_or_content_and_a_lonely_backslash_are_bad_patterns() {
    for pattern in [
        "[",
        "[a",
        "[^",
        "[^bc",
        "a[",
        "[]",
        "[^]",
        "[]a]",
        "[^]a]",
        "[-]",
        "[x-]",
        "[-x]",
        "[a-b-c]",
        "[a-",
        "[a\\",
        "[\\]",
        "\\",
        "a\\",
        "*[",
        "ab[c-].yml",
        // Here Go only says so of names that begin with `a`.
        "a*[b.json",
    ] {
        assert_eq!(answer(pattern, ""), None, "{pattern}");
    }
}

#[test]
fn a_pattern_is_checked_in_its_last_element_and_refused_before_it() {
    for good in ["a?.json", "/etc/x/[a-z]*.yml", "dir.d/a\\[1].yaml", "plain", "a/b/c.json", ""] {
        assert_eq!(check_file_pattern(good), Ok(()), "{good}");
    }
    for folder in ["a*", "a?", "[ab]", "a\\b"] {
        let remedy = check_file_pattern(&format!("/etc/{folder}/x.json")).unwrap_err();
        assert!(remedy.contains("last element"), "{folder}: {remedy}");
    }
    // A list does not span elements, upstream neither.
    assert!(check_file_pattern("a[/]b.json").unwrap_err().contains("last element"));
    assert!(check_file_pattern("x/[a.json").unwrap_err().contains("ends with `]`"));
}
