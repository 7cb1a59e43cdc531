//! Which protocol the receiver is spoken to in.
//!
//! There is no handshake: a receiver shows by its answers whether it knows remote write 2.0. One that does not answers 415, or
//! another 4xx because it cannot read the body, or it reads the body as an empty request of 1.0 and answers 2xx without
//! any of the headers that say what was written. The specification lets senders fall back on 415; the other two are
//! done only where the user has not asked for a protocol.

use std::sync::atomic::{AtomicU8, Ordering};

use wire::remote_write::Protocol;

use super::settings::ProtobufMessage;

/// Nothing is known of the receiver, and 2.0 is tried.
const UNTRIED: u8 = 0;
/// 2.0, though the receiver may turn out not to know it.
const V2: u8 = 1;
/// 1.0, for good.
const V1: u8 = 2;

/// What was asked for, and what is spoken. What was found out holds for the life of the exporter.
#[derive(Debug)]
pub(super) struct Negotiation {
    asked_for: Option<ProtobufMessage>,
    state: AtomicU8,
}

/// What an answer to a request of 2.0 says about the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The receiver knows it: the answer is about the data.
    Known,
    /// The receiver does not know it: nothing was written, and the same data is sent as 1.0.
    Unknown(&'static str),
    /// It may be the protocol or the data: the same data as 1.0 will tell.
    Unclear,
    /// The receiver has written nothing, and the user wants no other protocol.
    Ignored,
}

impl Negotiation {
    pub(super) fn new(asked_for: Option<ProtobufMessage>) -> Self {
        let state = if asked_for == Some(ProtobufMessage::V1) { V1 } else { UNTRIED };
        Self { asked_for, state: AtomicU8::new(state) }
    }

    /// What is spoken now.
    pub(super) fn spoken(&self) -> Protocol {
        if self.state.load(Ordering::Relaxed) == V1 { Protocol::V1 } else { Protocol::V2 }
    }

    /// Takes the answer to a request of 2.0 in.
    pub(super) fn answered(&self, status: u16, says_what_is_written: bool) -> Finding {
        let is_open = self.asked_for.is_none();
        match status {
            415 => Finding::Unknown("status 415"),
            200..300 if says_what_is_written => {
                self.known();
                Finding::Known
            }
            200..300 if is_open => Finding::Unknown("success without saying what was written"),
            200..300 => Finding::Ignored,
            400 | 406 if says_what_is_written => {
                self.known();
                Finding::Known
            }
            400 | 406 if is_open && self.state.load(Ordering::Relaxed) == UNTRIED => Finding::Unclear,
            _ => Finding::Known,
        }
    }

    /// 1.0 did no better than 2.0, so it was not the protocol.
    pub(super) fn known(&self) {
        // What was settled meanwhile stays settled.
        let _settled = self.state.compare_exchange(UNTRIED, V2, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// From now on 1.0 is spoken. Says whether that is news.
    pub(super) fn settle_on_v1(&self) -> bool {
        self.state.swap(V1, Ordering::Relaxed) != V1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_answer_of_400_is_unclear() {
        let negotiation = Negotiation::new(None);
        assert_eq!(negotiation.answered(503, false), Finding::Known);
        assert_eq!(negotiation.answered(400, false), Finding::Unclear);
        negotiation.known();
        assert_eq!(negotiation.answered(400, false), Finding::Known);
        assert_eq!(negotiation.spoken(), Protocol::V2);
    }

    #[test]
    fn a_rejection_that_says_what_was_written_is_about_the_data() {
        let negotiation = Negotiation::new(None);
        assert_eq!(negotiation.answered(400, true), Finding::Known);
        assert_eq!(negotiation.answered(400, false), Finding::Known);
    }

    #[test]
    fn success_that_says_nothing_is_no_success_at_any_time() {
        let negotiation = Negotiation::new(None);
        assert_eq!(negotiation.answered(204, true), Finding::Known);
        assert!(matches!(negotiation.answered(200, false), Finding::Unknown(_)));
        assert!(negotiation.settle_on_v1() && !negotiation.settle_on_v1());
        negotiation.known();
        assert_eq!(negotiation.spoken(), Protocol::V1);
    }

    #[test]
    fn who_asks_for_2_0_gets_1_0_only_where_the_specification_allows_it() {
        let negotiation = Negotiation::new(Some(ProtobufMessage::V2));
        assert_eq!(negotiation.answered(400, false), Finding::Known);
        assert_eq!(negotiation.answered(204, false), Finding::Ignored);
        assert!(matches!(negotiation.answered(415, false), Finding::Unknown(_)));
    }

    #[test]
    fn who_asks_for_1_0_gets_it_from_the_first_request_on() {
        assert_eq!(Negotiation::new(Some(ProtobufMessage::V1)).spoken(), Protocol::V1);
    }
}
