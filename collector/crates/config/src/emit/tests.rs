//! Typed values to trees.

use std::collections::BTreeMap;

use expect_test::expect;
use serde::{Serialize, Serializer};

use super::to_node;
use crate::{Secret, print_json};

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Unit,
    Newtype(u8),
    Tuple(i8, char),
    Struct { float: f32 },
}

#[derive(Serialize)]
struct Unit;

#[derive(Serialize)]
struct All {
    bool: bool,
    int: i64,
    uint: u64,
    float: f64,
    text: &'static str,
    none: Option<u8>,
    some: Option<u8>,
    unit: Unit,
    kinds: Vec<Kind>,
    pair: (u16, i32),
    map: BTreeMap<u8, bool>,
    secret: Secret,
    bytes: [u8; 2],
}

#[test]
fn every_kind_of_value_has_its_form() {
    let node = to_node(&All {
        bool: true,
        int: i64::MIN,
        uint: u64::MAX,
        float: 0.5,
        text: "a",
        none: None,
        some: Some(1),
        unit: Unit,
        kinds: vec![Kind::Unit, Kind::Newtype(1), Kind::Tuple(-1, 'c'), Kind::Struct { float: 0.1 }],
        pair: (1, -1),
        map: BTreeMap::from([(7, true)]),
        secret: "hunter2".into(),
        bytes: [1, 2],
    });
    expect![[r#"{"bool":true,"bytes":[1,2],"float":0.5,"int":-9223372036854775808,"kinds":["unit",{"newtype":1},{"tuple":[-1,"c"]},{"struct":{"float":0.1}}],"map":{"7":true},"none":null,"pair":[1,-1],"secret":"<secret>","some":1,"text":"a","uint":18446744073709551615,"unit":{}}"#]].assert_eq(&print_json(&node));
    let again = to_node(&node);
    assert_eq!(again, node);
}

#[test]
fn what_cannot_be_shown_says_so() {
    struct Failing;
    impl Serialize for Failing {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    assert_eq!(to_node(&Failing).as_str(), Some("<cannot be shown: no>"));
    let by_list = BTreeMap::from([(vec![1], 1)]);
    assert_eq!(to_node(&by_list).as_str(), Some("<cannot be shown: the keys of a map must be text>"));
}
