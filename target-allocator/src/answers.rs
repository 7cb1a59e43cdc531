//! Bodies of answers.
//!
//! Jobs and their configurations are encoded once per change. Lists of targets are encoded when somebody asks for them, because
//! all of them together are many times as large as what they are made of; what is kept of them is the compressed form, which
//! nearly every client takes.
//!
//! Shapes as upstream: an http_sd list has one group per target, `{"targets":["h:1"],"labels":{..}}`, labels in order
//! of name, and ends with a newline; the list of a collector that has nothing is `[]` and a newline. Upstream's order
//! of targets is random; here it is by address, so that equal content is equal bytes and can have a validator.

use std::fmt::{self, Write as _};
use std::sync::{Arc, LazyLock, OnceLock};

use bytes::Bytes;
use model::Labels;
use wire::compress::{Encoding, compress};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::handover::OPEN;
use crate::placement::{JobPlacement, Listed, Told};
use crate::roster::Roster;

/// Bodies shorter than this are not worth compressing.
const WORTH_COMPRESSING: usize = 512;

/// The list of a collector that has no target.
pub static EMPTY_LIST: LazyLock<Arc<Answer>> = LazyLock::new(|| Arc::new(Answer::new(b"[]\n".to_vec())));

/// A body as it is sent.
#[derive(Clone, Debug)]
pub struct Form {
    /// What is sent.
    pub body: Bytes,
    /// Whether that is compressed.
    pub is_gzip: bool,
}

impl Form {
    fn plain(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), is_gzip: false }
    }

    fn gzip(body: &Bytes) -> Self {
        Self { body: body.clone(), is_gzip: true }
    }
}

/// A JSON body with its validator, and its compressed form once somebody has asked for it. It is not printed: it may hold
/// credentials.
pub struct Answer {
    body: Bytes,
    hash: u64,
    etag: String,
    gzip: OnceLock<Option<Bytes>>,
}

impl Answer {
    /// Seals a body.
    #[must_use]
    pub fn new(body: Vec<u8>) -> Self {
        let hash = xxh3_64(&body);
        Self::with_hash(body, hash)
    }

    /// Seals a body whose content follows from what was hashed.
    #[must_use]
    pub fn with_hash(body: Vec<u8>, hash: u64) -> Self {
        Self { body: body.into(), hash, etag: etag(hash), gzip: OnceLock::new() }
    }

    /// The hash behind the validator.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The body as it is.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// A weak validator: equal for equal bodies, on every replica.
    #[must_use]
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// What is sent to a client that takes gzip or not.
    #[must_use]
    pub fn form(&self, takes_gzip: bool) -> Form {
        let gzip = || self.gzip.get_or_init(|| gzip(&self.body)).as_ref();
        takes_gzip.then(gzip).flatten().map_or_else(|| Form::plain(self.body.clone()), Form::gzip)
    }
}

/// The list of a member that has targets: its validator, and its compressed form once somebody has asked for that.
#[derive(Debug)]
pub struct List {
    hash: u64,
    gzip: OnceLock<Option<Bytes>>,
}

impl List {
    /// A list of these targets.
    #[must_use]
    pub fn of<'a>(listed: impl Iterator<Item = Listed<'a>>) -> Self {
        let mut hasher = Xxh3::new();
        for Listed { item, turn } in listed {
            hasher.update(&item.content().to_le_bytes());
            if let Some(Told { label, at, is_open }) = turn {
                hasher.update(label.as_bytes());
                hasher.update(&at.to_le_bytes());
                hasher.update(&[u8::from(is_open)]);
            }
        }
        Self { hash: hasher.digest(), gzip: OnceLock::new() }
    }

    /// The hash behind the validator: equal for equal lists, on every replica.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// What is sent to a client that takes gzip or not, and how often the list had to be encoded for that.
    pub fn form(&self, takes_gzip: bool, encode: impl Fn() -> Vec<u8>) -> (Form, u64) {
        let mut n_encoded = 0;
        let mut encode = || {
            n_encoded += 1;
            encode()
        };
        let kept = takes_gzip.then(|| self.gzip.get_or_init(|| gzip(&encode())).as_ref()).flatten();
        let form = kept.map(Form::gzip).unwrap_or_else(|| Form::plain(encode()));
        (form, n_encoded)
    }
}

/// A body as gzip; `None` where that is not worth it.
fn gzip(body: &[u8]) -> Option<Bytes> {
    if body.len() < WORTH_COMPRESSING {
        return None;
    }
    let mut out = Vec::new();
    compress(Encoding::Gzip, body, &mut out);
    out.shrink_to_fit();
    (out.len() < body.len()).then(|| Bytes::from(out))
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("bytes", &self.body.len()).field("etag", &self.etag).finish()
    }
}

/// A weak validator.
#[must_use]
pub fn etag(hash: u64) -> String {
    format!("W/\"{hash:016x}\"")
}

/// Whether an `If-None-Match` header names a validator.
#[must_use]
pub fn names(if_none_match: &str, etag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    if_none_match.trim() == "*" || if_none_match.split(',').any(|tag| opaque(tag) == opaque(etag))
}

/// The http_sd list of one collector and job. A target that has a turn tells it in a label.
#[must_use]
pub fn list<'a>(listed: impl Iterator<Item = Listed<'a>>) -> Vec<u8> {
    let mut out = Vec::from(*b"[");
    put_groups(&mut out, listed);
    out.extend_from_slice(b"]\n");
    out
}

/// The lists of every member for one job: owners only, each target exactly once.
#[must_use]
pub fn all_lists(job: &str, placed: &JobPlacement, roster: &Roster) -> Vec<u8> {
    let mut out = Vec::from(*b"{");
    let lists = placed.owned_by_member(roster.len());
    for (at, (member, items)) in roster.iter().zip(lists).enumerate() {
        let link = format!("/jobs/{}/targets?collector_id={}", query_escape(job), query_escape(&member.name));
        put_comma(&mut out, at);
        put_text(&mut out, &member.name);
        out.extend_from_slice(b":{\"_link\":");
        put_text(&mut out, &link);
        out.extend_from_slice(b",\"targets\":[");
        put_groups(&mut out, items.into_iter().map(Listed::plain));
        out.extend_from_slice(b"]}");
    }
    out.extend_from_slice(b"}\n");
    out
}

/// `/jobs`: the jobs given, with links.
#[must_use]
pub fn job_list<'a>(jobs: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut out = Vec::from(*b"{");
    for (index, job) in jobs.enumerate() {
        put_comma(&mut out, index);
        put_text(&mut out, job);
        out.extend_from_slice(b":{\"_link\":");
        put_text(&mut out, &format!("/jobs/{}/targets", query_escape(job)));
        out.push(b'}');
    }
    out.extend_from_slice(b"}\n");
    out
}

/// What is answered with 503 while the question cannot be answered: a list of texts, which no client takes for a map of
/// jobs or a list of target groups, whether or not it looks at the status.
#[must_use]
pub fn not_ready(reasons: &[String]) -> Vec<u8> {
    let mut out = Vec::from(*b"[\"not ready\"");
    for reason in reasons {
        out.push(b',');
        put_text(&mut out, reason);
    }
    out.extend_from_slice(b"]\n");
    out
}

/// As Go's `url.QueryEscape`: space is `+`, and all but letters, digits and `-_.~` is percent-encoded.
#[must_use]
pub fn query_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => write!(out, "%{byte:02X}").expect("writing to a string cannot fail"),
        }
    }
    out
}

/// As Go's `url.QueryUnescape`: `+` is a space; `None` where a percent sign is not followed by two hexadecimal digits,
/// or where the result is not text.
#[must_use]
pub fn query_unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
                let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                out.push(u8::from_str_radix(digits, 16).ok().filter(|_| plain)?);
                rest = &tail[2..];
            }
            byte => out.push(*byte),
        }
    }
    String::from_utf8(out).ok()
}

fn put_groups<'a>(out: &mut Vec<u8>, listed: impl Iterator<Item = Listed<'a>>) {
    for (index, Listed { item, turn }) in listed.enumerate() {
        put_comma(out, index);
        out.extend_from_slice(b"{\"targets\":[");
        put_text(out, item.address());
        out.extend_from_slice(b"],\"labels\":");
        match turn {
            None => put_labels(out, item.labels()),
            Some(Told { label, at, is_open }) => {
                let mut labels: Labels = item.labels().collect();
                labels.set(label, &at.to_string());
                if is_open {
                    labels.set(OPEN, "true");
                }
                put_labels(out, labels.iter());
            }
        }
        out.push(b'}');
    }
}

fn put_labels<'a>(out: &mut Vec<u8>, labels: impl Iterator<Item = (&'a str, &'a str)>) {
    out.push(b'{');
    for (index, (name, value)) in labels.enumerate() {
        put_comma(out, index);
        put_text(out, name);
        out.push(b':');
        put_text(out, value);
    }
    out.push(b'}');
}

fn put_comma(out: &mut Vec<u8>, index: usize) {
    if index > 0 {
        out.push(b',');
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(&mut *out, text).expect("writing text to memory cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handover::FROM;
    use crate::items::Item;

    fn item(address: &str, more: &[(&str, &str)]) -> Arc<Item> {
        let mut labels: Labels = more.iter().copied().collect();
        labels.set("__address__", address);
        Arc::new(Item::alone(1, labels))
    }

    #[test]
    fn a_list_has_the_shape_of_http_sd() {
        let items = [item("h1:9100", &[("env", "x")]), item("h2:9100", &[("q", "a\"b\\\n")])];
        let text = String::from_utf8(list(items.iter().map(Listed::plain))).unwrap();
        let expected = concat!(
            r#"[{"targets":["h1:9100"],"labels":{"__address__":"h1:9100","env":"x"}},"#,
            r#"{"targets":["h2:9100"],"labels":{"__address__":"h2:9100","q":"a\"b\\\n"}}]"#,
            "\n"
        );
        assert_eq!(text, expected);
        assert_eq!(list([].iter().map(Listed::plain)), b"[]\n");
    }

    #[test]
    fn a_turn_is_one_more_label_in_its_place() {
        let item = item("h1:9100", &[("__meta_z", "1"), ("env", "x")]);
        let told = Told { label: FROM, at: 61_000, is_open: true };
        let text = String::from_utf8(list([Listed { item: &item, turn: Some(told) }].into_iter()));
        let expected = concat!(
            r#"[{"targets":["h1:9100"],"labels":{"__address__":"h1:9100","__meta_muster_from":"61000","#,
            r#""__meta_muster_open":"true","__meta_z":"1","env":"x"}}]"#,
            "\n"
        );
        assert_eq!(text.unwrap(), expected);
    }

    #[test]
    fn all_lists_have_an_entry_per_member_even_when_empty() {
        let placed = JobPlacement {
            items: [item("h1:9100", &[])].into(),
            owners: vec![Some(0)],
            ..JobPlacement::default()
        };
        let text = String::from_utf8(all_lists("node/plain", &placed, &Roster::of(["c-0", "c-1"]))).unwrap();
        let expected = concat!(
            r#"{"c-0":{"_link":"/jobs/node%2Fplain/targets?collector_id=c-0","targets":["#,
            r#"{"targets":["h1:9100"],"labels":{"__address__":"h1:9100"}}]},"#,
            r#""c-1":{"_link":"/jobs/node%2Fplain/targets?collector_id=c-1","targets":[]}}"#,
            "\n"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn jobs_are_listed_with_escaped_links() {
        let text = String::from_utf8(job_list(["a b", "node/plain"].into_iter())).unwrap();
        let expected = concat!(
            r#"{"a b":{"_link":"/jobs/a+b/targets"},"node/plain":{"_link":"/jobs/node%2Fplain/targets"}}"#,
            "\n"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn escaping_is_that_of_go() {
        for (plain, escaped) in [
            ("a b+c/d", "a+b%2Bc%2Fd"),
            ("x-_.~", "x-_.~"),
            ("\u{e4}%", "%C3%A4%25"),
            ("serviceMonitor/a/b/0", "serviceMonitor%2Fa%2Fb%2F0"),
        ] {
            assert_eq!(query_escape(plain), escaped);
            assert_eq!(query_unescape(escaped).as_deref(), Some(plain));
        }
        assert_eq!(query_unescape("a%20b").as_deref(), Some("a b"));
        for bad in ["%", "%2", "%zz", "%+1", "%ff"] {
            assert_eq!(query_unescape(bad), None, "{bad}");
        }
    }

    #[test]
    fn nobody_takes_a_refusal_for_a_list() {
        let body = not_ready(&["discovery of job \"a\" has not answered yet".to_owned()]);
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert!(!value.is_object());
        assert!(value.as_array().unwrap().iter().all(serde_json::Value::is_string));
        assert!(!value.as_array().unwrap().is_empty());
    }

    #[test]
    fn a_validator_follows_the_body() {
        let one = Answer::new(b"[]\n".to_vec());
        assert!(names(EMPTY_LIST.etag(), one.etag()));
        assert!(names(&format!("\"x\", {}", one.etag()), one.etag()));
        assert!(names(one.etag().trim_start_matches("W/"), one.etag()));
        assert!(names("*", one.etag()));
        assert!(!names(Answer::new(b"{}".to_vec()).etag(), one.etag()));
        assert!(!one.form(true).is_gzip, "too short to compress");
    }

    #[test]
    fn the_validator_of_a_list_follows_its_targets_and_their_turns() {
        let items = [item("h1:9100", &[("env", "x")]), item("h2:9100", &[])];
        let of = |listed: &[Listed<'_>]| List::of(listed.iter().copied()).hash();
        let [one, two] = [0, 1].map(|index| Listed::plain(&items[index]));
        let turning = |at, is_open| Listed { turn: Some(Told { label: FROM, at, is_open }), ..one };
        let equal = item("h1:9100", &[("env", "x")]);
        assert_eq!(of(&[one, two]), of(&[Listed::plain(&equal), two]));
        let (soon, open, late) = (turning(1, false), turning(1, true), turning(2, false));
        let lists: &[&[Listed<'_>]] =
            &[&[], &[one], &[two], &[one, two], &[soon], &[open], &[late], &[soon, two]];
        let different: std::collections::BTreeSet<u64> = lists.iter().map(|listed| of(listed)).collect();
        assert_eq!(different.len(), lists.len());
    }

    #[test]
    fn a_list_is_encoded_for_each_who_takes_no_gzip_and_once_for_all_others() {
        let items: Vec<_> = (0..20).map(|index| item(&format!("h{index}:9100"), &[])).collect();
        let listed = || items.iter().map(Listed::plain);
        let of_all = List::of(listed());
        let ask = |takes_gzip| of_all.form(takes_gzip, || list(listed()));
        let (plain, n_encoded) = ask(false);
        assert_eq!((&plain.body[..], plain.is_gzip, n_encoded), (&list(listed())[..], false, 1));
        assert_eq!(ask(false).1, 1);
        let (packed, n_encoded) = ask(true);
        assert!(packed.is_gzip && packed.body.len() < plain.body.len() / 3 && n_encoded == 1);
        let (again, n_encoded) = ask(true);
        assert_eq!((again.body.as_ptr(), n_encoded), (packed.body.as_ptr(), 0));
    }
}
