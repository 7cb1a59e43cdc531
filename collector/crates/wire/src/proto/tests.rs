use super::*;

fn read(bytes: &[u8]) -> Result<Vec<(u32, String)>, Malformed> {
    Message::new(bytes)
        .fields()
        .map(|field| {
            field.map(|field| {
                let text = match field.value {
                    Value::Varint(value) => format!("varint {value}"),
                    Value::Fixed64(value) => format!("fixed64 {value}"),
                    Value::Len(message) => format!("len {} at {}", message.bytes().len(), message.offset()),
                    Value::Fixed32(value) => format!("fixed32 {value}"),
                    Value::Group => "group".to_owned(),
                };
                (field.number, text)
            })
        })
        .collect()
}

#[test]
fn every_wire_type_is_read_and_groups_are_passed_over() {
    let mut out = Vec::new();
    put_uint(&mut out, 1, 300);
    put_fixed64(&mut out, 2, 7);
    put_bytes(&mut out, 3, b"abc");
    put_fixed32(&mut out, 4, 9);
    // Group 5 holds a varint and group 6, which holds bytes.
    out.extend_from_slice(&[0x2b, 0x08, 0x01, 0x33, 0x12, 0x01, 0xff, 0x34, 0x2c]);
    put_bool(&mut out, 7, true);
    let fields = read(&out).unwrap();
    let texts: Vec<String> = fields.iter().map(|(number, text)| format!("{number}: {text}")).collect();
    let want = ["1: varint 300", "2: fixed64 7", "3: len 3 at 14", "4: fixed32 9", "5: group", "7: varint 1"];
    assert_eq!(texts, want);
}

#[test]
fn broken_bytes_say_what_and_where() {
    let cases: [(&[u8], &str, usize); 9] = [
        (&[0x08], "a varint has no end", 1),
        (&[0x08, 0x80], "a varint has no end", 1),
        (
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            "a varint is larger than 64 bits",
            1,
        ),
        (&[0x0a, 0x05, 1, 2], "a field runs past the end of its message", 2),
        (&[0x09, 1, 2, 3], "a field runs past the end of its message", 1),
        (&[0x00, 0x00], "a field number is out of range", 0),
        (&[0x08, 0x01, 0x0f], "a field has an unknown wire type", 2),
        (&[0x2b, 0x34], "a group has no end", 2),
        (&[0x2c], "a field has an unknown wire type", 0),
    ];
    for (bytes, what, offset) in cases {
        assert_eq!(read(bytes).unwrap_err(), Malformed { what, offset }, "{bytes:?}");
    }
}

#[test]
fn reading_ends_after_the_first_error() {
    let mut fields = Message::new(&[0x08, 0x01, 0x0f, 0x08, 0x01]).fields();
    assert!(fields.next().unwrap().is_ok());
    assert!(fields.next().unwrap().is_err());
    assert!(fields.next().is_none());
}

#[test]
fn offsets_of_nested_messages_count_from_the_outermost_buffer() {
    let mut out = Vec::new();
    put_uint(&mut out, 1, 1);
    put_message(&mut out, 2, |out| {
        put_uint(out, 1, 1);
        put_message(out, 2, |out| out.push(0x80));
    });
    let inner = Message::new(&out).fields().nth(1).unwrap().unwrap().message().unwrap();
    let innermost = inner.fields().nth(1).unwrap().unwrap().message().unwrap();
    assert_eq!(innermost.fields().next().unwrap().unwrap_err().offset, out.len() - 1);
}

#[test]
fn messages_nested_beyond_max_depth_are_refused_by_name() {
    let mut out = Vec::new();
    for _ in 0..=MAX_DEPTH {
        let inner = std::mem::take(&mut out);
        put_bytes(&mut out, 1, &inner);
    }
    let mut message = Message::new(&out);
    let error = loop {
        match message.fields().next().unwrap().unwrap().message() {
            Ok(inner) => message = inner,
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("max_depth (100"), "{error}");
}

#[test]
fn varint_len_is_what_put_varint_writes() {
    let edges = (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]).chain([u64::MAX]);
    for value in edges {
        let mut out = Vec::new();
        put_varint(&mut out, value);
        assert_eq!(out.len(), varint_len(value), "{value}");
        out.insert(0, 0x08);
        assert_eq!(read(&out).unwrap(), [(1, format!("varint {value}"))]);
    }
}

#[test]
fn a_nested_message_of_any_size_gets_the_shortest_length() {
    for size in [0, 1, 126, 127, 128, 129, 16_383, 16_384, 70_000] {
        let body = vec![7u8; size];
        let (mut nested, mut plain) = (vec![1, 2], vec![1, 2]);
        put_message(&mut nested, 3, |out| out.extend_from_slice(&body));
        put_bytes(&mut plain, 3, &body);
        assert_eq!(nested, plain, "{size}");
    }
}

#[test]
fn a_known_field_with_another_wire_type_is_malformed() {
    let field = Message::new(&[0x08, 0x01]).fields().next().unwrap().unwrap();
    assert!(field.bytes().is_err() && field.fixed64().is_err() && field.fixed32().is_err());
    assert!(field.message().is_err() && field.varint().is_ok());
    assert_eq!(field.bytes().unwrap_err().what, WRONG_TYPE);
}
