//! What a caller knows of the series that comes next.

/// A series that is expected. Whoever remembers series decides what of them: their bytes, or only enough to know them
/// again.
pub trait Expected: Copy {
    /// Length of the series in bytes, if `rest` begins with it.
    fn length_in(self, rest: &[u8]) -> Option<usize>;

    /// Whether this is the series.
    #[inline]
    fn is(self, series: &[u8]) -> bool {
        self.length_in(series) == Some(series.len())
    }
}

/// The bytes of the series; none expect nothing.
impl Expected for &[u8] {
    #[inline]
    fn length_in(self, rest: &[u8]) -> Option<usize> {
        (!self.is_empty() && rest.starts_with(self)).then_some(self.len())
    }
}

/// The bytes of the series; none expect nothing.
impl<const N: usize> Expected for &[u8; N] {
    #[inline]
    fn length_in(self, rest: &[u8]) -> Option<usize> {
        self.as_slice().length_in(rest)
    }
}
