//! Numbers as Kubernetes writes them.

/// Reads a quantity of Kubernetes (`apimachinery/pkg/api/resource`): a decimal number and a suffix, decimal (`m`, `k`), binary
/// (`Ki`) or an exponent (`e3`). Nothing where the text is none, or too large.
#[must_use]
pub fn quantity(text: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 16] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
        // Divided, so that 500m is one half and not a sum of errors.
        ("m", -1e3),
        ("u", -1e6),
        ("n", -1e9),
        ("", 1.0),
    ];
    let number_end =
        text.find(|letter: char| !matches!(letter, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(number_end);
    let is_exponent = matches!(suffix.as_bytes(), [b'e' | b'E', b'0'..=b'9' | b'+' | b'-', ..]);
    let value = if is_exponent {
        text.parse::<f64>().ok()?
    } else {
        let (_, factor) = SUFFIXES.iter().find(|(known, _)| *known == suffix)?;
        let number = number.parse::<f64>().ok()?;
        if *factor < 0.0 { number / -factor } else { number * factor }
    };
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, value) in [
            ("500m", 0.5),
            ("4", 4.0),
            ("0.25", 0.25),
            ("256Mi", 268_435_456.0),
            ("8Gi", 8_589_934_592.0),
            ("1k", 1e3),
            ("2E", 2e18),
            ("1.5e3", 1.5e3),
            ("1E3", 1e3),
            ("12e-1", 1.2),
            ("100n", 1e-7),
            ("16374912Ki", 16_767_909_888.0),
            ("-1", -1.0),
        ] {
            assert_eq!(quantity(text), Some(value), "{text}");
        }
        for text in ["", "Mi", "5X", "1 Gi", "1e", "NaN", "inf", "1e999", "--1"] {
            assert_eq!(quantity(text), None, "{text:?}");
        }
    }
}
