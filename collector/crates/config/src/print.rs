//! A tree as YAML or JSON text.
//!
//! What is printed as YAML reads back as the same tree. Text is quoted only where it would otherwise be read as something else, by
//! this parser or by one of YAML 1.1 (`yes`, `1:30`, `2001-01-01`), as Go's printer does.

use crate::{Entry, Node, Value, scalar};

/// The tree as YAML, in block style, keys in the order of the tree; ends with a line break.
#[must_use]
pub fn print_yaml(node: &Node) -> String {
    let mut printer = YamlPrinter { out: String::new() };
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => printer.map(entries, 0, false),
        Value::Seq(items) if !items.is_empty() => printer.seq(items, 0, false),
        _ => printer.inline(node, 0),
    }
    printer.out
}

/// The tree as JSON on one line, keys sorted. Infinities and NaN, which JSON does not know, are strings.
#[must_use]
pub fn print_json(node: &Node) -> String {
    let mut out = String::new();
    json(node, &mut out);
    out
}

/// Columns by which each level is indented.
const INDENT: usize = 2;

struct YamlPrinter {
    out: String,
}

impl YamlPrinter {
    /// Entries, one per line. The first goes onto the current line where a dash stands before it.
    fn map(&mut self, entries: &[Entry], indent: usize, after_dash: bool) {
        for (index, entry) in entries.iter().enumerate() {
            self.indent(if after_dash && index == 0 { 0 } else { indent });
            text(&entry.key, &mut self.out);
            self.out.push(':');
            match &entry.node.value {
                Value::Map(inner) if !inner.is_empty() => {
                    self.out.push('\n');
                    self.map(inner, indent + INDENT, false);
                }
                Value::Seq(items) if !items.is_empty() => {
                    self.out.push('\n');
                    self.seq(items, indent + INDENT, false);
                }
                _ => {
                    self.out.push(' ');
                    self.inline(&entry.node, indent + INDENT);
                }
            }
        }
    }

    fn seq(&mut self, items: &[Node], indent: usize, after_dash: bool) {
        for (index, item) in items.iter().enumerate() {
            self.indent(if after_dash && index == 0 { 0 } else { indent });
            self.out.push_str("- ");
            match &item.value {
                Value::Map(inner) if !inner.is_empty() => self.map(inner, indent + INDENT, true),
                Value::Seq(inner) if !inner.is_empty() => self.seq(inner, indent + INDENT, true),
                _ => self.inline(item, indent + INDENT),
            }
        }
    }

    /// A value on the current line, and the end of that line.
    fn inline(&mut self, node: &Node, indent: usize) {
        match &node.value {
            Value::Str(text) if fits_block(text) => return self.block(text, indent.max(INDENT)),
            value => leaf(value, &mut self.out),
        }
        self.out.push('\n');
    }

    /// Text of several lines, as it is.
    fn block(&mut self, text: &str, indent: usize) {
        let chomp = match text.bytes().rev().take_while(|byte| *byte == b'\n').count() {
            0 => "|-\n",
            1 => "|\n",
            _ => "|+\n",
        };
        self.out.push_str(chomp);
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            if !line.is_empty() {
                self.indent(indent);
                self.out.push_str(line);
            }
            self.out.push('\n');
        }
    }

    fn indent(&mut self, columns: usize) {
        self.out.extend(std::iter::repeat_n(' ', columns));
    }
}

/// A scalar or an empty list or map.
fn leaf(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::Float(value) => out.push_str(&float(*value)),
        Value::Str(value) => text(value, out),
        Value::Seq(_) => out.push_str("[]"),
        Value::Map(_) => out.push_str("{}"),
    }
}

fn float(value: f64) -> String {
    if value.is_nan() {
        ".nan".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { ".inf".to_owned() } else { "-.inf".to_owned() }
    } else {
        // With a point or an exponent, so that it is not read as an integer.
        format!("{value:?}")
    }
}

fn text(text: &str, out: &mut String) {
    if is_plain(text) {
        out.push_str(text);
    } else if !text.chars().any(needs_escape) {
        out.push('\'');
        out.push_str(&text.replace('\'', "''"));
        out.push('\'');
    } else {
        quote(text, out);
    }
}

/// Whether a text needs no quotes, as a key or as a value.
fn is_plain(text: &str) -> bool {
    let is_string = matches!(scalar::resolve(text), Value::Str(_));
    let Some(first) = text.chars().next().filter(|_| is_string && !is_something_else_in_yaml_1_1(text))
    else {
        return false;
    };
    let starts_plain = match first {
        '-' | '?' | ':' => {
            text.chars().nth(1).is_some_and(|second| second != ' ') && !text.starts_with("---")
        }
        ',' | '[' | ']' | '{' | '}' | '#' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
            false
        }
        ' ' => false,
        _ => true,
    };
    starts_plain
        && text != "<<"
        && !text.starts_with("...")
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.chars().any(needs_escape)
}

/// Booleans, base-60 numbers and timestamps of YAML 1.1, for readers that still know them.
fn is_something_else_in_yaml_1_1(text: &str) -> bool {
    let is_boolean = matches!(
        text.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null" | "="
    );
    let is_number_like = text
        .starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.'))
        && text.bytes().all(|byte| byte.is_ascii_digit() || b"-+.:_ TtZz".contains(&byte));
    is_boolean || is_number_like
}

/// Characters that only a double-quoted text can hold.
fn needs_escape(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Whether a text is best printed as a literal block: several lines, each of them printable.
fn fits_block(text: &str) -> bool {
    let Some((first, _)) = text.split_once('\n') else { return false };
    !first.is_empty()
        && !first.starts_with([' ', '\t'])
        && text.split('\n').all(|line| {
            (line.is_empty() || !line.trim_matches([' ', '\t']).is_empty())
                && line.chars().all(|letter| letter == '\t' || !needs_escape(letter))
        })
}

/// Double quotes, with escapes that YAML and JSON share.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if needs_escape(letter) => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => out.push(letter),
        }
    }
    out.push('"');
}

fn json(node: &Node, out: &mut String) {
    match &node.value {
        Value::Str(text) => quote(text, out),
        Value::Float(value) if !value.is_finite() => quote(&float(*value), out),
        Value::Seq(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                json(item, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            let mut sorted: Vec<&Entry> = entries.iter().collect();
            sorted.sort_by(|a, b| a.key.cmp(&b.key));
            out.push('{');
            for (index, entry) in sorted.into_iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                quote(&entry.key, out);
                out.push(':');
                json(&entry.node, out);
            }
            out.push('}');
        }
        value => leaf(value, out),
    }
}

#[cfg(test)]
mod tests;
