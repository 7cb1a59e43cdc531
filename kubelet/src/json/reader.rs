//! Reads JSON of which little is wanted.
//!
//! A kubelet's answers are megabytes, most of which is indentation and what no metric is made of. This reader passes over both without
//! looking at them closely: of a value that nobody asked for only the end is looked for, and the text is checked to be UTF-8 once
//! instead of string by string. So an error inside of what is passed over goes unnoticed, an answer that is cut off never does. Whatever
//! it refuses is read again by `serde_json`, which is slower and says what is wrong where.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, StringDeserializer};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// Reads the whole of a text.
///
/// # Errors
/// What `serde_json` says of it.
pub(crate) fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, serde_json::Error> {
    let quick = std::str::from_utf8(text).ok().and_then(|text| Reader { text, at: 0 }.whole().ok());
    quick.map_or_else(|| serde_json::from_slice(text), Ok)
}

/// Which bytes begin or end an object or a list, or begin a string. A table is one look a byte.
const IS_STRUCTURE: [bool; 256] = {
    let mut table = [false; 256];
    let mut rest: &[u8] = b"\"{}[]";
    while let [byte, behind @ ..] = rest {
        table[*byte as usize] = true;
        rest = behind;
    }
    table
};

/// It cannot be read here.
#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

impl de::Error for Refused {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// How far a text is read.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn whole<T: Deserialize<'a>>(mut self) -> Result<T, Refused> {
        let value = T::deserialize(&mut self)?;
        if self.next().is_none() { Ok(value) } else { Err(Refused) }
    }

    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    /// The next byte that is no blank, which is not taken yet.
    #[inline]
    fn next(&mut self) -> Option<u8> {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        let n_blanks = self.rest().iter().position(|byte| !is_blank(byte));
        self.at += n_blanks.unwrap_or(self.rest().len());
        self.rest().first().copied()
    }

    /// Takes the next byte that is no blank, which has to be this one.
    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Refused> {
        if self.next() != Some(byte) {
            return Err(Refused);
        }
        self.at += 1;
        Ok(())
    }

    /// Takes a word that stands here.
    fn word(&mut self, word: &str) -> Result<(), Refused> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(Refused);
        }
        self.at += word.len();
        Ok(())
    }

    /// Takes a string; the reader is at its quote.
    #[inline]
    fn string(&mut self) -> Result<Cow<'a, str>, Refused> {
        let start = self.at + 1;
        let inside = &self.text.as_bytes()[start..];
        let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..b' ');
        let length = inside.iter().position(is_special).ok_or(Refused)?;
        if inside[length] == b'"' {
            self.at = start + length + 1;
            return Ok(Cow::Borrowed(&self.text[start..start + length]));
        }
        let quoted = self.at;
        self.pass_string()?;
        serde_json::from_str(&self.text[quoted..self.at]).map(Cow::Owned).map_err(|_| Refused)
    }

    /// Passes over a string; the reader is at its quote.
    #[inline]
    fn pass_string(&mut self) -> Result<(), Refused> {
        self.at += 1;
        loop {
            self.at += memchr::memchr2(b'"', b'\\', self.rest()).ok_or(Refused)? + 1;
            if self.text.as_bytes()[self.at - 1] == b'"' {
                return Ok(());
            }
            // What is escaped is one byte, or begins with one.
            self.at += 1;
            if self.at > self.text.len() {
                return Err(Refused);
            }
        }
    }

    /// Passes over a value.
    fn pass(&mut self) -> Result<(), Refused> {
        match self.next().ok_or(Refused)? {
            b'"' => self.pass_string(),
            b'{' | b'[' => self.pass_nested(),
            _ => {
                let is_inside =
                    |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
                let length =
                    self.rest().iter().position(|byte| !is_inside(byte)).unwrap_or(self.rest().len());
                self.at += length;
                if length == 0 { Err(Refused) } else { Ok(()) }
            }
        }
    }

    /// Passes over an object or list; the reader is at its beginning.
    fn pass_nested(&mut self) -> Result<(), Refused> {
        let mut depth = 0_usize;
        loop {
            let found = self.rest().iter().position(|byte| IS_STRUCTURE[usize::from(*byte)]);
            self.at += found.ok_or(Refused)?;
            match self.text.as_bytes()[self.at] {
                b'"' => {
                    self.pass_string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                _ => depth -= 1,
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Takes a number.
    #[inline]
    fn number<V: Visitor<'a>>(&mut self, visitor: V) -> Result<V::Value, Refused> {
        /// So many digits always fit.
        const FITTING: usize = 19;

        let digits = self.rest();
        let length = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
        let is_whole = !matches!(digits.get(length), Some(b'.' | b'e' | b'E'));
        let is_plain = (1..=FITTING).contains(&length) && (digits[0] != b'0' || length == 1);
        if is_whole && is_plain {
            self.at += length;
            return visitor
                .visit_u64(digits[..length].iter().fold(0, |sum, digit| 10 * sum + u64::from(digit - b'0')));
        }
        let start = self.at;
        self.pass()?;
        let number: serde_json::Number =
            serde_json::from_str(&self.text[start..self.at]).map_err(|_| Refused)?;
        match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), ..) => visitor.visit_u64(number),
            (_, Some(number), _) => visitor.visit_i64(number),
            (.., Some(number)) => visitor.visit_f64(number),
            _ => Err(Refused),
        }
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Refused;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.next().ok_or(Refused)? {
            b'"' => match self.string()? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            begin @ (b'{' | b'[') => {
                self.at += 1;
                let mut items = Items { reader: self, is_first: true, end: begin + 2 };
                let value = if begin == b'{' {
                    visitor.visit_map(&mut items)?
                } else {
                    visitor.visit_seq(&mut items)?
                };
                // Whoever took some of the items only has left the rest to be read by nobody.
                if items.end == 0 { Ok(value) } else { Err(Refused) }
            }
            b'n' => self.word("null").and_then(|()| visitor.visit_unit()),
            b't' => self.word("true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.word("false").and_then(|()| visitor.visit_bool(false)),
            _ => self.number(visitor),
        }
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        if self.next() == Some(b'n') {
            return self.word("null").and_then(|()| visitor.visit_none());
        }
        visitor.visit_some(self)
    }

    #[inline]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.pass()?;
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier
    }
}

/// What stands in an object or a list.
struct Items<'r, 'a> {
    reader: &'r mut Reader<'a>,
    is_first: bool,
    /// The bracket that ends it; zero once it was taken.
    end: u8,
}

impl Items<'_, '_> {
    /// Goes to the next item. Says whether there is one.
    #[inline]
    fn advance(&mut self) -> Result<bool, Refused> {
        if self.end == 0 {
            return Ok(false);
        }
        if self.reader.next() == Some(self.end) {
            self.reader.at += 1;
            self.end = 0;
            return Ok(false);
        }
        if !std::mem::take(&mut self.is_first) {
            self.reader.expect(b',')?;
        }
        Ok(true)
    }
}

impl<'a> MapAccess<'a> for Items<'_, 'a> {
    type Error = Refused;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, Refused> {
        if !self.advance()? {
            return Ok(None);
        }
        if self.reader.next() != Some(b'"') {
            return Err(Refused);
        }
        let key = match self.reader.string()? {
            Cow::Borrowed(key) => seed.deserialize(BorrowedStrDeserializer::new(key)),
            Cow::Owned(key) => seed.deserialize(StringDeserializer::new(key)),
        };
        key.map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Refused> {
        self.reader.expect(b':')?;
        seed.deserialize(&mut *self.reader)
    }
}

impl<'a> SeqAccess<'a> for Items<'_, 'a> {
    type Error = Refused;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>, Refused> {
        if !self.advance()? {
            return Ok(None);
        }
        // After a comma there is something.
        if self.reader.next() == Some(self.end) {
            return Err(Refused);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;
    use serde_json::Value;

    use super::*;

    fn quickly<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Refused> {
        Reader { text, at: 0 }.whole()
    }

    /// Any value of JSON.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
            "[\\\\\"{}\\[\\]\n/\u{e9}]*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a-z\"\\\\]*", inner, 0..6)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back_and_passed_over_whole(value in value()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                let read: Value = quickly(&text).unwrap();
                // Printing a double and reading it again may differ in its last bit; both readers do it alike.
                prop_assert_eq!(&read, &serde_json::from_str::<Value>(&text).unwrap());
                prop_assert!(quickly::<IgnoredAny>(&text).is_ok());
            }
        }

        #[test]
        fn what_is_cut_off_is_refused(value in value(), at: prop::sample::Index) {
            let text = Value::from(vec![value]).to_string();
            let end = text.floor_char_boundary(at.index(text.len()));
            prop_assert!(quickly::<Value>(&text[..end]).is_err());
            prop_assert!(quickly::<IgnoredAny>(&text[..end]).is_err());
            prop_assert!(read::<Value>(&text.as_bytes()[..end]).is_err());
        }

        #[test]
        fn any_text_is_read_as_serde_json_reads_it(text in "[ \\[\\]{}:,\"0-9aeE.+\\\\u\n-]{0,12}|\\{\"a\": ?[0-9eE.+-]{1,4}\\}") {
            let known = serde_json::from_str::<Value>(&text).ok();
            prop_assert_eq!(quickly::<Value>(&text).ok(), known.clone());
            prop_assert_eq!(read::<Value>(text.as_bytes()).ok(), known);
        }
    }

    #[test]
    fn what_is_not_even_text_is_told_by_serde_json() {
        let error = read::<Value>(b"{\"a\": \"\xff\"}").unwrap_err();
        assert!(error.to_string().contains("invalid unicode"), "{error}");
    }
}
