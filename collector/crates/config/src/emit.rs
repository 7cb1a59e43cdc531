//! Typed values to a tree, by serde: what `print-config` and the allocator's answers are printed from.

use std::fmt;

use serde::ser::{
    Error as _, Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use crate::{Entry, Node, Place, Value};

/// The value as a tree, without places. Secrets are `<secret>` except within [`crate::Secret::revealing`].
///
/// A value whose own `Serialize` fails, or a map whose keys are not text, becomes a text that says so: configuration types
/// have neither.
pub fn to_node<T: Serialize + ?Sized>(value: &T) -> Node {
    value.serialize(NodeSerializer).unwrap_or_else(|error| Node::from(format!("<cannot be shown: {error}>")))
}

#[derive(Debug)]
struct EmitError(String);

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EmitError {}

impl serde::ser::Error for EmitError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

type Emitted = Result<Node, EmitError>;

struct NodeSerializer;

/// A list or a map on its way; `variant` is the key under which it stands as part of an enum.
struct Growing {
    variant: Option<&'static str>,
    node: Node,
    key: Option<String>,
}

impl Growing {
    fn list(variant: Option<&'static str>) -> Self {
        Self { variant, node: Node::from(Vec::new()), key: None }
    }

    fn map(variant: Option<&'static str>) -> Self {
        Self { variant, node: Node::map(), key: None }
    }

    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EmitError> {
        let item = value.serialize(NodeSerializer)?;
        if let Value::Seq(items) = &mut self.node.value {
            items.push(item);
        }
        Ok(())
    }

    fn set<T: Serialize + ?Sized>(&mut self, key: String, value: &T) -> Result<(), EmitError> {
        let node = value.serialize(NodeSerializer)?;
        if let Value::Map(entries) = &mut self.node.value {
            entries.push(Entry { key, place: Place::unknown(), node });
        }
        Ok(())
    }

    fn finish(self) -> Emitted {
        Ok(match self.variant {
            Some(variant) => tagged(variant, self.node),
            None => self.node,
        })
    }
}

fn tagged(variant: &str, node: Node) -> Node {
    let mut outer = Node::map();
    outer.insert(variant, node);
    outer
}

impl Serializer for NodeSerializer {
    type Ok = Node;
    type Error = EmitError;
    type SerializeSeq = Growing;
    type SerializeTuple = Growing;
    type SerializeTupleStruct = Growing;
    type SerializeTupleVariant = Growing;
    type SerializeMap = Growing;
    type SerializeStruct = Growing;
    type SerializeStructVariant = Growing;

    fn serialize_bool(self, value: bool) -> Emitted {
        Ok(value.into())
    }

    fn serialize_i8(self, value: i8) -> Emitted {
        Ok(i64::from(value).into())
    }

    fn serialize_i16(self, value: i16) -> Emitted {
        Ok(i64::from(value).into())
    }

    fn serialize_i32(self, value: i32) -> Emitted {
        Ok(i64::from(value).into())
    }

    fn serialize_i64(self, value: i64) -> Emitted {
        Ok(value.into())
    }

    fn serialize_u8(self, value: u8) -> Emitted {
        Ok(u64::from(value).into())
    }

    fn serialize_u16(self, value: u16) -> Emitted {
        Ok(u64::from(value).into())
    }

    fn serialize_u32(self, value: u32) -> Emitted {
        Ok(u64::from(value).into())
    }

    fn serialize_u64(self, value: u64) -> Emitted {
        Ok(value.into())
    }

    fn serialize_f32(self, value: f32) -> Emitted {
        // By way of the text, or 0.1 would become 0.10000000149011612.
        Ok(value.to_string().parse().unwrap_or(f64::from(value)).into())
    }

    fn serialize_f64(self, value: f64) -> Emitted {
        Ok(value.into())
    }

    fn serialize_char(self, value: char) -> Emitted {
        Ok(value.to_string().into())
    }

    fn serialize_str(self, text: &str) -> Emitted {
        Ok(text.into())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Emitted {
        Ok(bytes.iter().map(|byte| u64::from(*byte).into()).collect::<Vec<Node>>().into())
    }

    fn serialize_none(self) -> Emitted {
        Ok(Node::null())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Emitted {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Emitted {
        Ok(Node::null())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Emitted {
        Ok(Node::map())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Emitted {
        Ok(variant.into())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Emitted {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Emitted {
        Ok(tagged(variant, value.serialize(self)?))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Growing, EmitError> {
        Ok(Growing::list(None))
    }

    fn serialize_tuple(self, _: usize) -> Result<Growing, EmitError> {
        Ok(Growing::list(None))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Growing, EmitError> {
        Ok(Growing::list(None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Growing, EmitError> {
        Ok(Growing::list(Some(variant)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Growing, EmitError> {
        Ok(Growing::map(None))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Growing, EmitError> {
        Ok(Growing::map(None))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Growing, EmitError> {
        Ok(Growing::map(Some(variant)))
    }
}

impl SerializeSeq for Growing {
    type Ok = Node;
    type Error = EmitError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EmitError> {
        self.push(value)
    }

    fn end(self) -> Emitted {
        self.finish()
    }
}

impl SerializeTuple for Growing {
    type Ok = Node;
    type Error = EmitError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EmitError> {
        self.push(value)
    }

    fn end(self) -> Emitted {
        self.finish()
    }
}

impl SerializeTupleStruct for Growing {
    type Ok = Node;
    type Error = EmitError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EmitError> {
        self.push(value)
    }

    fn end(self) -> Emitted {
        self.finish()
    }
}

impl SerializeTupleVariant for Growing {
    type Ok = Node;
    type Error = EmitError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EmitError> {
        self.push(value)
    }

    fn end(self) -> Emitted {
        self.finish()
    }
}

impl SerializeMap for Growing {
    type Ok = Node;
    type Error = EmitError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EmitError> {
        self.key = Some(key.serialize(KeySerializer)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EmitError> {
        let key = self.key.take().ok_or_else(|| EmitError("a value came before its key".to_owned()))?;
        self.set(key, value)
    }

    fn end(self) -> Emitted {
        self.finish()
    }
}

impl SerializeStruct for Growing {
    type Ok = Node;
    type Error = EmitError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), EmitError> {
        self.set(key.to_owned(), value)
    }

    fn end(self) -> Emitted {
        self.finish()
    }
}

impl SerializeStructVariant for Growing {
    type Ok = Node;
    type Error = EmitError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), EmitError> {
        self.set(key.to_owned(), value)
    }

    fn end(self) -> Emitted {
        self.finish()
    }
}

/// Keys are text; numbers, booleans and words of enums have an obvious one.
struct KeySerializer;

type Key = Result<String, EmitError>;

macro_rules! keys_by_display {
    ($($method:ident $kind:ty,)*) => {
        $(fn $method(self, value: $kind) -> Key {
            Ok(value.to_string())
        })*
    };
}

macro_rules! no_key {
    ($($method:ident($($argument:ty),*) -> $result:ty,)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$result, EmitError> {
            Err(EmitError::custom("the keys of a map must be text"))
        })*
    };
}

impl Serializer for KeySerializer {
    type Ok = String;
    type Error = EmitError;
    type SerializeSeq = Impossible<String, EmitError>;
    type SerializeTuple = Impossible<String, EmitError>;
    type SerializeTupleStruct = Impossible<String, EmitError>;
    type SerializeTupleVariant = Impossible<String, EmitError>;
    type SerializeMap = Impossible<String, EmitError>;
    type SerializeStruct = Impossible<String, EmitError>;
    type SerializeStructVariant = Impossible<String, EmitError>;

    keys_by_display! {
        serialize_bool bool,
        serialize_i8 i8,
        serialize_i16 i16,
        serialize_i32 i32,
        serialize_i64 i64,
        serialize_u8 u8,
        serialize_u16 u16,
        serialize_u32 u32,
        serialize_u64 u64,
        serialize_f32 f32,
        serialize_f64 f64,
        serialize_char char,
        serialize_str &str,
    }

    no_key! {
        serialize_bytes(&[u8]) -> String,
        serialize_none() -> String,
        serialize_unit() -> String,
        serialize_unit_struct(&'static str) -> String,
        serialize_seq(Option<usize>) -> Self::SerializeSeq,
        serialize_tuple(usize) -> Self::SerializeTuple,
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct,
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant,
        serialize_map(Option<usize>) -> Self::SerializeMap,
        serialize_struct(&'static str, usize) -> Self::SerializeStruct,
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant,
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Key {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Key {
        Ok(variant.to_owned())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Key {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Key {
        Err(EmitError::custom("the keys of a map must be text"))
    }
}

#[cfg(test)]
mod tests;
