use super::*;
use Strategy::{
    NoTranslation, NoUtf8EscapingWithSuffixes, UnderscoreEscapingWithSuffixes,
    UnderscoreEscapingWithoutSuffixes,
};

fn built(strategy: Strategy, namespace: &str, name: &str, unit: &str, kind: NameKind) -> String {
    let mut out = "before ".to_owned();
    let has_name = push_metric_name(&mut out, strategy, namespace, name, unit, kind);
    let name = out.strip_prefix("before ").unwrap().to_owned();
    assert_eq!(has_name, !name.is_empty());
    name
}

fn label(key: &str) -> String {
    let mut out = "before ".to_owned();
    let has_name = push_clean_label(&mut out, key);
    let name = out.strip_prefix("before ").unwrap().to_owned();
    assert_eq!(has_name, !name.is_empty());
    name
}

#[test]
fn names_get_units_and_types_as_suffixes() {
    use NameKind::{Counter, Gauge, Other};
    let cases = [
        ("http.server.duration", "s", Other, "http_server_duration_seconds"),
        ("requests.count", "1", Counter, "requests_count_total"),
        ("memory.usage", "By", Gauge, "memory_usage_bytes"),
        ("requests", "", Counter, "requests_total"),
        ("requests_total", "", Counter, "requests_total"),
        ("total.requests", "", Counter, "requests_total"),
        ("cpu_usage", "1", Gauge, "cpu_usage_ratio"),
        ("cpu_usage_ratio", "1", Gauge, "cpu_usage_ratio"),
        ("items", "1", Counter, "items_total"),
        ("response_time", "ms", Gauge, "response_time_milliseconds"),
        ("response_time_seconds", "s", Gauge, "response_time_seconds"),
        ("cpu_seconds_total", "s", Counter, "cpu_seconds_total"),
        ("requests", "1/s", Gauge, "requests_per_second"),
        ("throughput", "By/s", Gauge, "throughput_bytes_per_second"),
        ("custom_metric", "custom_unit", Gauge, "custom_metric_custom_unit"),
        ("custom_metric", "{custom}", Gauge, "custom_metric"),
        ("custom_metric", "By/{custom}", Gauge, "custom_metric_bytes"),
        ("custom_metric", "unit@with#special/chars", Gauge, "custom_metric_unit_with_special_per_chars"),
        ("metric__with__many__underscores", "a__b", Gauge, "metric_with_many_underscores_a_b"),
        ("job:rate.5m", "", Gauge, "job:rate_5m"),
        ("123_requests", "", Counter, "_123_requests_total"),
        ("active_connections", "", Other, "active_connections"),
        ("system.filesystem.usage", "By", Other, "system_filesystem_usage_bytes"),
        ("@#$%", "", Gauge, ""),
        ("___", "", Gauge, ""),
    ];
    for (name, unit, kind, want) in cases {
        assert_eq!(built(UnderscoreEscapingWithSuffixes, "", name, unit, kind), want);
    }
}

#[test]
fn every_unit_is_spelled_out_in_names() {
    let main = [
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
        ("%", "percent"),
    ];
    let per = [
        ("s", "second"),
        ("m", "minute"),
        ("min", "minute"),
        ("h", "hour"),
        ("d", "day"),
        ("w", "week"),
        ("mo", "month"),
        ("y", "year"),
    ];
    for strategy in [UnderscoreEscapingWithSuffixes, NoUtf8EscapingWithSuffixes] {
        let name = |name: &str, unit: &str, kind| built(strategy, "", name, unit, kind);
        for (unit, word) in main {
            assert_eq!(name("x", unit, NameKind::Gauge), format!("x_{word}"), "{unit}");
            assert_eq!(name("x", unit, NameKind::Counter), format!("x_{word}_total"), "{unit}");
            // What the name says already is not said again.
            assert_eq!(name(&format!("x_{word}"), unit, NameKind::Gauge), format!("x_{word}"), "{unit}");
            for (unit_per, word_per) in per {
                let want = format!("x_{word}_per_{word_per}");
                assert_eq!(name("x", &format!("{unit}/{unit_per}"), NameKind::Other), want, "{unit}");
            }
        }
        for (unit, want) in
            [("1", "x"), ("{things}", "x"), ("{things}/s", "x_per_second"), ("1/s", "x_per_second")]
        {
            assert_eq!(name("x", unit, NameKind::Other), want, "{unit}");
        }
        assert_eq!(name("x", "1", NameKind::Gauge), "x_ratio");
    }
}

#[test]
fn the_namespace_stands_in_front_in_every_strategy() {
    let cases = [
        (UnderscoreEscapingWithSuffixes, "my_app_123_requests_per_second_total"),
        (UnderscoreEscapingWithoutSuffixes, "my_app_123_requests"),
        (NoUtf8EscapingWithSuffixes, "my app_123.requests_per_second_total"),
        (NoTranslation, "my app_123.requests"),
    ];
    for (strategy, want) in cases {
        assert_eq!(built(strategy, "my app", "123.requests", "1/s", NameKind::Counter), want);
    }
}

#[test]
fn names_without_suffixes_are_only_escaped() {
    let cases = [
        ("simple_metric", "simple_metric"),
        ("metric@with#special$chars", "metric_with_special_chars"),
        ("metric@@##$$name", "metric_name"),
        ("keeps__underscores_", "keeps__underscores_"),
        ("123metric", "_123metric"),
        ("@#$%", ""),
    ];
    for (name, want) in cases {
        assert_eq!(built(UnderscoreEscapingWithoutSuffixes, "", name, "s", NameKind::Counter), want);
    }
}

#[test]
fn utf8_names_keep_their_characters_and_get_suffixes_once() {
    use NameKind::{Counter, Gauge, Other};
    let cases = [
        ("requ\u{ea}sts", "", Counter, "requ\u{ea}sts_total"),
        ("requests_total", "", Counter, "requests_total"),
        ("cpu.usage_ratio", "1", Gauge, "cpu.usage_ratio"),
        ("resp\u{f8}nse_time", "ms", Gauge, "resp\u{f8}nse_time_milliseconds"),
        ("cpu_seconds_total", "s", Counter, "cpu_seconds_total"),
        ("cpu.seconds", "s", Other, "cpu.seconds"),
        ("requests.per_second", "1/s", Gauge, "requests_per_second"),
        ("@#$%", "", Counter, "@#$%_total"),
        ("total", "", Counter, "total_total"),
        ("\u{ea}total", "", Counter, "_total"),
    ];
    for (name, unit, kind, want) in cases {
        assert_eq!(built(NoUtf8EscapingWithSuffixes, "", name, unit, kind), want);
    }
}

#[test]
fn keys_become_label_names() {
    let cases = [
        ("http.method", "http_method"),
        ("label:with:colons", "label_with_colons"),
        ("LabelWithCapitalLetters", "LabelWithCapitalLetters"),
        ("label!with&special$chars)", "label_with_special_chars_"),
        ("label_with_foreign_characters_\u{5b57}\u{7b26}", "label_with_foreign_characters_"),
        ("123label", "key_123label"),
        ("_single", "key_single"),
        (".dotted", "key_dotted"),
        ("__two", "key_two"),
        ("a__b", "a_b"),
        ("__reserved__label__name__", "__reserved_label_name__"),
        ("trailing_underscores___", "trailing_underscores_"),
        ("\u{e4}b", "key_b"),
        ("", ""),
        ("__", ""),
        ("_____", ""),
        ("\u{3088}\u{3046}", ""),
    ];
    for (key, want) in cases {
        assert_eq!(label(key), want, "{key}");
    }
}

#[test]
fn scraped_names_are_escaped_character_by_character() {
    let cases = [
        ("already_legal__", true, "already_legal__"),
        ("_x", true, "_x"),
        ("my.label", true, "my_label"),
        ("a:b", true, "a_b"),
        ("a:b", false, "a:b"),
        ("1st", true, "_st"),
        ("\u{3088}\u{3046}", false, "__"),
    ];
    for (name, is_label, want) in cases {
        let mut out = String::new();
        push_escaped(&mut out, name, is_label);
        assert_eq!(out, want);
        let is_legal = if is_label { is_legal_label(name) } else { is_legal_metric(name) };
        assert_eq!(is_legal, name == want);
    }
    assert!(!is_legal_label("") && !is_legal_metric(""));
}

#[test]
fn strategies_are_known_by_the_names_in_configurations() {
    for strategy in [
        UnderscoreEscapingWithSuffixes,
        UnderscoreEscapingWithoutSuffixes,
        NoUtf8EscapingWithSuffixes,
        NoTranslation,
    ] {
        assert_eq!(Strategy::parse(strategy.as_str()), Some(strategy));
    }
    assert_eq!(Strategy::parse("x"), None);
    assert_eq!(Strategy::of_add_metric_suffixes(true), Strategy::default());
    assert_eq!(Strategy::of_add_metric_suffixes(false), UnderscoreEscapingWithoutSuffixes);
}
