//! Ids of components and pipelines: `type` or `type/name`.
//!
//! As upstream's `component.ID`, except that the classes of Unicode symbols and format characters are approximated by blocks.

/// Longest type, as upstream.
const MAX_TYPE_CHARS: usize = 63;
/// Longest name, as upstream.
const MAX_NAME_CHARS: usize = 1024;

/// Cuts an id into its type and its name.
///
/// # Errors
/// Says which part is not well-formed.
pub fn component_id(text: &str) -> Result<(&str, Option<&str>), String> {
    let (kind, name) = match text.split_once('/') {
        Some((kind, name)) => (kind.trim(), Some(name.trim())),
        None => (text.trim(), None),
    };
    check_type(kind)
        .map_err(|message| format!("`{text}` is not an id of the form type or type/name: {message}"))?;
    if let Some(name) = name {
        check_name(name)
            .map_err(|message| format!("`{text}` is not an id of the form type or type/name: {message}"))?;
    }
    Ok((kind, name))
}

fn check_type(kind: &str) -> Result<(), &'static str> {
    if kind.is_empty() {
        return Err("the type is empty");
    }
    if kind.len() > MAX_TYPE_CHARS {
        return Err("the type is longer than 63 characters");
    }
    if !kind.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        return Err("the type must begin with a letter");
    }
    match kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        true => Ok(()),
        false => Err("the type may hold letters, digits and `_` only"),
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("the name after `/` is empty");
    }
    if name.chars().count() > MAX_NAME_CHARS {
        return Err("the name is longer than 1024 characters");
    }
    match name.chars().any(is_separator_control_or_symbol) {
        true => Err("the name may not hold white space, control characters or symbols"),
        false => Ok(()),
    }
}

fn is_separator_control_or_symbol(letter: char) -> bool {
    letter.is_whitespace()
        || letter.is_control()
        || matches!(letter, '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~')
        // Format characters, currency, arrows, mathematics, boxes, dingbats, private use, pictographs.
        || matches!(letter, '\u{a2}'..='\u{a9}' | '\u{ac}'..='\u{b1}' | '\u{b4}' | '\u{b8}' | '\u{d7}' | '\u{f7}')
        || matches!(letter, '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}')
        || matches!(letter, '\u{20a0}'..='\u{20cf}' | '\u{2100}'..='\u{214f}' | '\u{2190}'..='\u{2bff}')
        || matches!(letter, '\u{e000}'..='\u{f8ff}' | '\u{feff}' | '\u{1f000}'..='\u{1faff}' | '\u{e0000}'..)
}

#[cfg(test)]
mod tests {
    use super::component_id;

    #[test]
    fn an_id_is_a_type_and_perhaps_a_name() {
        assert_eq!(component_id("otlp"), Ok(("otlp", None)));
        assert_eq!(component_id("otlp/2"), Ok(("otlp", Some("2"))));
        assert_eq!(component_id("k8s_cluster/a/b"), Ok(("k8s_cluster", Some("a/b"))));
        assert_eq!(component_id(" otlp / b\u{fc}ro "), Ok(("otlp", Some("b\u{fc}ro"))));
    }

    #[test]
    fn an_id_that_is_not_well_formed_is_refused_with_the_reason() {
        for (id, reason) in [
            ("", "the type is empty"),
            ("/x", "the type is empty"),
            ("otlp/", "the name after `/` is empty"),
            ("2otlp", "must begin with a letter"),
            ("my-type", "letters, digits and `_`"),
            ("otlp/a b", "white space"),
            ("otlp/a$", "symbols"),
            ("otlp/\u{1f600}", "symbols"),
        ] {
            let error = component_id(id).unwrap_err();
            assert!(error.contains(reason), "{id}: {error}");
        }
        assert!(component_id(&"a".repeat(63)).is_ok());
        assert!(component_id(&"a".repeat(64)).is_err());
    }
}
