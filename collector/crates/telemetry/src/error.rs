//! Printing errors with their causes.

use std::error::Error;

/// An error and all its causes in one line, joined with `: `.
///
/// Our own messages never contain their source; some messages of others do, so a cause that the text already
/// ends with is not said twice.
#[must_use]
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the shop list")]
    struct Outer(#[source] Middle);

    #[derive(Debug, thiserror::Error)]
    #[error("disk is gone: {0}")]
    struct Middle(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("no such device")]
    struct Inner;

    #[test]
    fn every_cause_is_said_once() {
        assert_eq!(
            error_chain(&Outer(Middle(Inner))),
            "cannot read the shop list: disk is gone: no such device"
        );
    }
}
