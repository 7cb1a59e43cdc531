//! What one scrape found: resource messages one behind the other in one buffer.

use bytes::Bytes;
use model::Frames;

use crate::points::Points;

/// Encoded `ResourceMetrics` messages.
#[derive(Debug)]
pub(crate) struct Out {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    n_items: usize,
}

impl Out {
    /// Room for about as much as the last scrape found.
    pub(crate) fn like(n_bytes: usize, n_resources: usize) -> Self {
        let bytes = Vec::with_capacity(n_bytes + n_bytes / 8);
        Self { bytes, ends: Vec::with_capacity(n_resources + n_resources / 8 + 1), n_items: 0 }
    }

    /// Takes what was put into `points`, as one resource with these encoded attributes.
    pub(crate) fn take(&mut self, points: &mut Points, resource: &[u8]) {
        let n_points = points.write(&mut self.bytes, resource);
        if n_points > 0 {
            self.ends.push(self.bytes.len());
            self.n_items += n_points;
        }
    }

    /// Bytes and resources so far.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.bytes.len(), self.ends.len())
    }

    /// As it is sent on. All frames share one buffer.
    pub(crate) fn into_frames(self) -> Frames {
        let (bytes, mut start) = (Bytes::from(self.bytes), 0);
        let mut resources = Vec::with_capacity(self.ends.len());
        for end in self.ends {
            resources.push(bytes.slice(start..end));
            start = end;
        }
        Frames { resources, n_items: self.n_items }
    }
}
