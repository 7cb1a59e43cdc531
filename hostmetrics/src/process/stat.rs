//! The files of a process that are read in every scrape. No allocation, one pass each.

use crate::text;

/// What `/proc/PID/stat` says, as far as metrics need it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stat<'t> {
    /// The program's name as the kernel keeps it; may hold anything, parentheses and blanks included.
    pub(crate) comm: &'t [u8],
    /// The kernel's letter for the state.
    pub(crate) state: u8,
    pub(crate) parent: u64,
    pub(crate) flags: u64,
    pub(crate) minor_faults: u64,
    pub(crate) major_faults: u64,
    /// Processor time in ticks.
    pub(crate) user: u64,
    pub(crate) system: u64,
    pub(crate) n_threads: u64,
    /// Start in ticks since the host was started.
    pub(crate) start: u64,
    /// Where code and stack begin, which a new program changes; zero where we may not know.
    pub(crate) code: u64,
    pub(crate) stack: u64,
    /// Time in which it waited for disks, in ticks.
    pub(crate) wait: u64,
}

/// Number of the last field that is needed, as `proc(5)` counts.
const LAST_FIELD: usize = 42;

/// Flag of threads of the kernel, which have no program.
const KERNEL_THREAD: u64 = 0x0020_0000;

impl<'t> Stat<'t> {
    /// Reads the file's text; `None` where it is cut before the start time.
    pub(crate) fn parse(text: &'t [u8]) -> Option<Self> {
        let open = memchr::memchr(b'(', text)?;
        let close = memchr::memrchr(b')', text)?;
        let mut stat = Self { comm: text.get(open + 1..close)?, ..Self::default() };
        let mut last = 0;
        for (index, word) in text::words(&text[close + 1..]).enumerate() {
            let field = index + 3;
            last = field;
            let place = match field {
                3 => {
                    stat.state = *word.first()?;
                    continue;
                }
                4 => &mut stat.parent,
                9 => &mut stat.flags,
                10 => &mut stat.minor_faults,
                12 => &mut stat.major_faults,
                14 => &mut stat.user,
                15 => &mut stat.system,
                20 => &mut stat.n_threads,
                22 => &mut stat.start,
                26 => &mut stat.code,
                28 => &mut stat.stack,
                LAST_FIELD => &mut stat.wait,
                _ => continue,
            };
            *place = text::number(word)?;
            if field == LAST_FIELD {
                break;
            }
        }
        (last >= 22).then_some(stat)
    }

    /// Whether it is a thread of the kernel.
    pub(crate) fn is_kernel_thread(&self) -> bool {
        self.flags & KERNEL_THREAD != 0
    }
}

/// Pages of `/proc/PID/statm`: all, and those in memory.
pub(super) fn pages(text: &[u8]) -> Option<(u64, u64)> {
    let mut words = text::words(text);
    Some((text::number(words.next()?)?, text::number(words.next()?)?))
}

/// What `/proc/PID/io` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Io {
    pub(super) read_chars: u64,
    pub(super) written_chars: u64,
    pub(super) read_calls: u64,
    pub(super) write_calls: u64,
    pub(super) read_bytes: u64,
    pub(super) written_bytes: u64,
}

impl Io {
    /// Reads the file's text; `None` where it does not begin with what was read and written.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut io = Self::default();
        let mut n_found = 0;
        for line in text::lines(text) {
            let colon = memchr::memchr(b':', line)?;
            let place = match &line[..colon] {
                b"rchar" => &mut io.read_chars,
                b"wchar" => &mut io.written_chars,
                b"syscr" => &mut io.read_calls,
                b"syscw" => &mut io.write_calls,
                b"read_bytes" => &mut io.read_bytes,
                b"write_bytes" => &mut io.written_bytes,
                _ => continue,
            };
            *place = text::number(line[colon + 1..].trim_ascii())?;
            n_found += 1;
        }
        (n_found >= 2).then_some(io)
    }
}

/// What `/proc/PID/status` says, of a process or of one of its threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// The real user.
    pub(super) user: Option<u32>,
    /// The signals that wait for the whole process, one bit each.
    pub(super) pending: u64,
    pub(super) voluntary: u64,
    pub(super) involuntary: u64,
}

impl Status {
    /// Reads the file's text; what is missing is zero.
    pub(super) fn parse(text: &[u8]) -> Self {
        let mut status = Self::default();
        let number = |line, key| text::after(line, key).and_then(text::number);
        for line in text::lines(text) {
            match line.first() {
                Some(b'U') => {
                    let words = text::after(line, "Uid:").map(text::words);
                    let user = words.and_then(|mut words| text::number(words.next()?));
                    status.user = user.and_then(|user| u32::try_from(user).ok()).or(status.user);
                }
                Some(b'S') => {
                    let digits = text::after(line, "ShdPnd:").and_then(|word| std::str::from_utf8(word).ok());
                    let bits = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
                    status.pending = bits.unwrap_or(status.pending);
                }
                Some(b'v') => {
                    status.voluntary = number(line, "voluntary_ctxt_switches:").unwrap_or(status.voluntary);
                }
                Some(b'n') => {
                    status.involuntary =
                        number(line, "nonvoluntary_ctxt_switches:").unwrap_or(status.involuntary);
                }
                _ => {}
            }
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAT: &str = "7 (a) b (c)) S 3 7 7 0 -1 2129984 11 0 13 0 150 50 0 0 20 0 9 0 100000 104857600 2560 \
                        18446744073709551615 4096 8192 77 0 0 0 0 0 0 0 0 0 17 1 0 0 42 0 0";

    #[test]
    fn a_name_may_hold_parentheses_and_blanks() {
        let stat = Stat::parse(STAT.as_bytes()).unwrap();
        assert_eq!((stat.comm, stat.state, stat.parent), (&b"a) b (c)"[..], b'S', 3));
        assert_eq!((stat.user, stat.system, stat.wait), (150, 50, 42));
        assert_eq!((stat.minor_faults, stat.major_faults), (11, 13));
        assert_eq!((stat.n_threads, stat.start, stat.code, stat.stack), (9, 100_000, 4096, 77));
        assert!(stat.is_kernel_thread());
    }

    #[test]
    fn a_file_that_is_cut_is_no_process() {
        for end in 0..STAT.len() {
            if let Some(stat) = Stat::parse(&STAT.as_bytes()[..end]) {
                assert!(stat.start > 0 && stat.user == 150, "{end}");
            }
        }
        assert_eq!(Io::parse(b"rchar: 1"), None);
        assert_eq!(pages(b"25600"), None);
    }

    #[test]
    fn status_is_read_by_its_keys() {
        let text = "Name:\tx\nUid:\t33\t0\t0\t0\nSigPnd:\t00ff\nShdPnd:\t0000000000004001\n\
                    voluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t6\n";
        let expected = Status { user: Some(33), pending: 0x4001, voluntary: 5, involuntary: 6 };
        assert_eq!(Status::parse(text.as_bytes()), expected);
    }

    proptest! {
        #[test]
        fn no_text_ends_the_program(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            Stat::parse(&text);
            Io::parse(&text);
            Status::parse(&text);
            pages(&text);
        }

        #[test]
        fn a_prefix_of_a_stat_file_with_any_name_is_read_or_refused(name in "[^\0]{0,15}", end in 0_usize..400) {
            let text = STAT.replace("a) b (c)", &name);
            let cut = end.min(text.len());
            Stat::parse(&text.as_bytes()[..cut]);
            prop_assert_eq!(Stat::parse(text.as_bytes()).unwrap().comm, name.as_bytes());
        }
    }
}
