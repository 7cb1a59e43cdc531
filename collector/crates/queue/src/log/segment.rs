//! What a segment holds, read from its headers alone.

use std::io;

use super::frame::{HEADER_BYTES, Header, MAGIC};
use crate::storage::StoredFile;

/// Which segment. Both parts stand in its name, so that neither can be lost with a damaged page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SegmentId {
    /// Segments are numbered as they are begun; a number can be used again once all later segments are gone.
    pub(crate) number: u64,
    /// Where the checksums of its frames begin. Nobody else knows it.
    pub(crate) salt: u32,
}

impl SegmentId {
    /// The name of its file.
    pub(crate) fn name(self) -> String {
        format!("{:010}-{:08x}.seg", self.number, self.salt)
    }

    /// The segment with this name; `None` for files that are none.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (number, salt) = name.strip_suffix(".seg")?.split_once('-')?;
        let is_plain = number.len() == 10 && salt.len() == 8;
        let parsed = Self { number: number.parse().ok()?, salt: u32::from_str_radix(salt, 16).ok()? };
        is_plain.then_some(parsed)
    }
}

/// The frames of a segment and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Frames with readable headers, with their offsets. Payloads were not looked at.
    pub(crate) frames: Vec<(u64, Header)>,
    /// Places where a frame has to be and none can be read, each between two frames that can.
    pub(crate) holes: Vec<(u64, u64)>,
    /// Where the readable frames end.
    pub(crate) end: u64,
    /// Bytes behind that end that are not zero: a frame that was never finished, or a damaged last one.
    pub(crate) n_torn: u64,
}

/// Reads the headers of a file of this length. Where none is, the next one is searched for.
pub(crate) fn scan(file: &dyn StoredFile, n_bytes: u64, salt: u32) -> io::Result<Scan> {
    let mut scan = Scan::default();
    let mut header = [0; HEADER_BYTES];
    loop {
        let n_read = file.read_at(scan.end, &mut header)?;
        if let Some(found) = Header::read(&header[..n_read], salt) {
            scan.push(scan.end, found);
            // A payload that runs beyond the end was cut off, and nothing can stand behind it.
            if scan.end >= n_bytes {
                return Ok(scan);
            }
            continue;
        }
        let Some(next) = search(file, &mut scan, n_bytes, salt)? else { return Ok(scan) };
        scan.holes.push((scan.end, next));
        scan.end = next;
    }
}

impl Scan {
    fn push(&mut self, offset: u64, header: Header) {
        self.end = offset + header.n_frame();
        self.frames.push((offset, header));
    }
}

/// Where the next frame begins behind a place that has none.
fn search(file: &dyn StoredFile, scan: &mut Scan, n_bytes: u64, salt: u32) -> io::Result<Option<u64>> {
    let from = scan.end;
    let mut rest = vec![0; usize::try_from(n_bytes.saturating_sub(from)).unwrap_or(0)];
    let n_read = file.read_at(from, &mut rest)?;
    rest.truncate(n_read);
    let mut at = 1;
    while let Some(found) =
        rest.get(at..).and_then(|rest| rest.windows(MAGIC.len()).position(|four| four == MAGIC))
    {
        at += found;
        if Header::read(&rest[at..], salt).is_some() {
            return Ok(Some(from + at as u64));
        }
        at += 1;
    }
    scan.n_torn = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let id = SegmentId { number: 7, salt: 0xab };
        assert_eq!(id.name(), "0000000007-000000ab.seg");
        assert_eq!(SegmentId::parse("0000000007-000000ab.seg"), Some(id));
        for other in ["cursor", "lock", "reserve-0", "7-ab.seg", "0000000007-000000ab.seg.bad", "-.seg"] {
            assert_eq!(SegmentId::parse(other), None, "{other}");
        }
    }
}
