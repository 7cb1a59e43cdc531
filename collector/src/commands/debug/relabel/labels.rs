//! Label sets as people write them on a command line.

use std::collections::BTreeMap;
use std::str::Chars;

use model::Labels;

/// `name=value`.
pub(super) fn from_argument(text: &str) -> Result<(&str, &str), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name, value)),
        _ => Err(format!("--label {text:?} is not NAME=VALUE; write it as in --label job=api")),
    }
}

/// `{"name": "value"}`.
pub(super) fn from_json(text: &str) -> Result<Labels, String> {
    let pairs: BTreeMap<String, String> = serde_json::from_str(text).map_err(|error| {
        format!(
            "the labels on standard input are no JSON object of strings: {error}; write {{\"job\": \"api\"}}"
        )
    })?;
    if pairs.contains_key("") {
        return Err("the labels on standard input: a label needs a name".to_owned());
    }
    Ok(pairs.iter().collect())
}

/// `name{label="value"}`, `{label="value"}` or `{"name", label="value"}`; the name may also stand as `__name__`.
pub(super) fn from_series(text: &str) -> Result<Labels, String> {
    let mut reader = Reader { rest: text.trim().chars() };
    reader.series().map_err(|wrong| {
        let at = text.trim().chars().count() - reader.rest.clone().count() + 1;
        format!("the series {text:?} cannot be read at character {at}: {wrong}; write it as in 'up{{job=\"api\"}}'")
    })
}

struct Reader<'t> {
    rest: Chars<'t>,
}

impl Reader<'_> {
    fn series(&mut self) -> Result<Labels, String> {
        let mut labels = Labels::new();
        let name = self.run(|character| !character.is_whitespace() && character != '{');
        labels.set("__name__", &name);
        self.blanks();
        if self.take('{') {
            self.items(&mut labels)?;
            self.blanks();
        }
        match self.peek() {
            None if name.is_empty() && labels.is_empty() => Err("there is no label".to_owned()),
            None => Ok(labels),
            Some(other) => Err(format!("expected the end, found {other:?}")),
        }
    }

    /// What stands between the braces, and the closing one.
    fn items(&mut self, labels: &mut Labels) -> Result<(), String> {
        loop {
            self.blanks();
            if self.take('}') {
                return Ok(());
            }
            self.item(labels)?;
            self.blanks();
            if !self.take(',') && self.peek() != Some('}') {
                return Err(format!("expected `,` or `}}`, found {}", self.found()));
            }
        }
    }

    fn item(&mut self, labels: &mut Labels) -> Result<(), String> {
        let is_quoted = self.peek() == Some('"');
        let name = match is_quoted {
            true => self.quoted()?,
            false => self.run(|character| !character.is_whitespace() && !"=,{}\"".contains(character)),
        };
        self.blanks();
        let (name, value) = if self.take('=') {
            self.blanks();
            (name, self.quoted()?)
        } else if is_quoted {
            ("__name__".to_owned(), name)
        } else {
            return Err(format!("expected `=` behind the name of a label, found {}", self.found()));
        };
        if name.is_empty() {
            return Err("a label needs a name".to_owned());
        }
        if labels.contains(&name) {
            return Err(format!("the label {name:?} is there twice"));
        }
        labels.set(&name, &value);
        Ok(())
    }

    /// A text in quotes; `\\`, `\"` and `\n` are escapes, as in the exposition format.
    fn quoted(&mut self) -> Result<String, String> {
        if !self.take('"') {
            return Err(format!("expected `\"`, found {}", self.found()));
        }
        let mut text = String::new();
        loop {
            match self.rest.next() {
                None => return Err("the quoted text does not end".to_owned()),
                Some('"') => return Ok(text),
                Some('\\') => match self.rest.next() {
                    Some('n') => text.push('\n'),
                    Some(character @ ('\\' | '"')) => text.push(character),
                    Some(character) => text.extend(['\\', character]),
                    None => return Err("the quoted text does not end".to_owned()),
                },
                Some(character) => text.push(character),
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn found(&self) -> String {
        self.peek().map_or_else(|| "the end".to_owned(), |character| format!("{character:?}"))
    }

    fn take(&mut self, wanted: char) -> bool {
        let is_there = self.peek() == Some(wanted);
        if is_there {
            self.rest.next();
        }
        is_there
    }

    fn blanks(&mut self) {
        self.run(char::is_whitespace);
    }

    fn run(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(character) = self.peek().filter(|character| belongs(*character)) {
            text.push(character);
            self.rest.next();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_may_be_written_in_every_usual_way() {
        for text in [
            r#"up{a="1",b="x y"}"#,
            r#" up { a = "1" , b="x y", } "#,
            r#"{__name__="up", a="1", b="x y"}"#,
            r#"{"up", "a"="1", b="x y"}"#,
        ] {
            let labels = from_series(text).unwrap();
            assert_eq!(labels.to_string(), r#"{__name__="up", a="1", b="x y"}"#, "{text}");
        }
        assert_eq!(from_series("up").unwrap().to_string(), r#"{__name__="up"}"#);
        assert_eq!(from_series(r#"{"a.b"="\\\"\n\d"}"#).unwrap().value("a.b"), "\\\"\n\\d");
    }

    #[test]
    fn a_broken_series_is_told_with_its_place() {
        for (text, expected) in [
            ("", "at character 1: there is no label"),
            ("{}", "there is no label"),
            (r#"up{a="1""#, "at character 9: expected `,` or `}`, found the end"),
            (r#"up{a="1"#, "the quoted text does not end"),
            (r"up{a=1}", "at character 6: expected `\"`, found '1'"),
            (r"up{a}", "at character 5: expected `=` behind the name of a label, found '}'"),
            (r#"up{a="1"} 5"#, "at character 11: expected the end, found '5'"),
            (r#"up{a="1",a="2"}"#, "the label \"a\" is there twice"),
            (r#"up{="1"}"#, "a label needs a name"),
            (r#"up{__name__="down"}"#, "the label \"__name__\" is there twice"),
        ] {
            let wrong = from_series(text).unwrap_err();
            assert!(wrong.contains(expected), "{text}: {wrong}");
        }
    }

    #[test]
    fn an_argument_has_a_name_and_an_equals_sign() {
        assert_eq!(from_argument("a=b=c"), Ok(("a", "b=c")));
        assert_eq!(from_argument("a="), Ok(("a", "")));
        for wrong in ["a", "=b", ""] {
            assert!(from_argument(wrong).unwrap_err().contains("NAME=VALUE"), "{wrong}");
        }
    }

    #[test]
    fn json_is_an_object_of_strings() {
        assert_eq!(from_json(r#"{"b": "2", "a": "1"}"#).unwrap().to_string(), r#"{a="1", b="2"}"#);
        for wrong in ["", "[]", r#"{"a": 1}"#, r#"{"": "x"}"#] {
            assert!(from_json(wrong).unwrap_err().contains("standard input"), "{wrong}");
        }
    }
}
