//! Which scrape had something, in one byte.

/// The number of a scrape. Nobody asks for more than the scrape that is under way and the one before it, so numbers begin
/// anew when the byte is full, and whatever is older then counts as never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark(u8);

impl Mark {
    /// Of no scrape.
    pub(crate) const NEVER: Self = Self(0);

    /// The next scrape, unless all marks have to be [aged](Self::aged) first.
    pub(crate) fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }

    /// The scrape before.
    #[inline]
    pub(crate) fn last(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self).filter(|mark| *mark != Self::NEVER)
    }

    /// As the greatest mark becomes the smallest.
    pub(crate) fn aged(self) -> Self {
        Self(u8::from(self.0 == u8::MAX))
    }

    #[cfg(test)]
    pub(crate) fn nth(number: u8) -> Self {
        Self(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_scrape_stays_the_last_when_numbers_begin_anew() {
        let mut now = Mark::NEVER;
        for _ in 0..254 {
            now = now.next().unwrap();
        }
        let (before, newest) = (now, now.next().unwrap());
        assert_eq!((newest.next(), newest.last()), (None, Some(before)));
        let after = newest.aged().next().unwrap();
        assert_eq!((after.last(), before.aged()), (Some(newest.aged()), Mark::NEVER));
        assert_eq!(Mark::nth(1).last(), None, "nothing was there before the first scrape");
    }
}
