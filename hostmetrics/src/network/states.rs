//! TCP states, and two ways to count sockets by them: asking the kernel for the sockets, or reading its tables of text.
//!
//! Asked over netlink (`sock_diag(7)`) the kernel tells each socket in some hundred bytes without printing an address, and tells the
//! sockets of our own network namespace, as `/proc/net` does. It refuses where the module `tcp_diag` is missing, or where a filter
//! of system calls forbids such sockets; the tables can always be read.
//!
//! The kernel has one hash table for all sockets, of a size that follows the memory of the machine, and looks at every place of it for every
//! question. The older of its two questions (`inet_diag`) is about sockets of IPv4 and IPv6 at once, so that one look is enough.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

use crate::text;

/// TCP states by the kernel's number, from 1 on. A twelfth (a request that is being received) is shown as `SYN_RECV`.
pub(super) const STATES: [&str; 11] = [
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
];
const SYN_RECV: usize = 3;
const NEW_SYN_RECV: usize = 12;

/// All states that the tables of text show: bits 1 to 12. Sockets that are bound and nothing else would be bit 13.
const SHOWN: u32 = 0x1ffe;

/// Sockets by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts(pub(super) [u64; STATES.len()]);

impl Counts {
    /// Counts a socket in the state of this number, if there is such a state.
    pub(super) fn add(&mut self, number: usize) {
        let number = if number == NEW_SYN_RECV { SYN_RECV } else { number };
        if let Some(count) = number.checked_sub(1).and_then(|place| self.0.get_mut(place)) {
            *count += 1;
        }
    }

    /// Counts the socket of a line of `/proc/net/tcp`; the heading and what is no socket count nothing.
    pub(super) fn add_line(&mut self, line: &[u8]) {
        let word = text::words(line).nth(3).and_then(|word| std::str::from_utf8(word).ok());
        if let Some(number) = word.and_then(|word| usize::from_str_radix(word, 16).ok()) {
            self.add(number);
        }
    }
}

/// Asks the kernel for all TCP sockets of our network namespace. `buffer` takes its answers.
pub(super) fn ask(buffer: &mut Vec<u8>) -> io::Result<Counts> {
    // A kernel without the older question has the newer one.
    ask_each(&[of_all_families()], buffer).or_else(|_| {
        let [inet, inet6] = [AddressFamily::INET, AddressFamily::INET6];
        ask_each(&[of_family(inet)?, of_family(inet6)?], buffer)
    })
}

/// Asks these questions one after the other.
fn ask_each<const N: usize>(requests: &[[u8; N]], buffer: &mut Vec<u8>) -> io::Result<Counts> {
    // The kernel writes dumps while it is read from; it never takes long, unless something is very wrong.
    const PATIENCE: Duration = Duration::from_secs(1);
    /// As much as the kernel writes at once.
    const ANSWER_BYTES: usize = 32 << 10;

    let kind = (SocketType::RAW, SocketFlags::CLOEXEC);
    let socket = socket_with(AddressFamily::NETLINK, kind.0, kind.1, Some(netlink::SOCK_DIAG))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    buffer.resize(buffer.len().max(ANSWER_BYTES), 0);
    let mut counts = Counts::default();
    for request in requests {
        send(&socket, request, SendFlags::empty())?;
        while answers(&socket, buffer, &mut counts)? {}
    }
    Ok(counts)
}

/// `TCPDIAG_GETSOCK`
const OF_ALL_FAMILIES: u16 = 18;
/// `SOCK_DIAG_BY_FAMILY`
const BY_FAMILY: u16 = 20;

/// `struct nlmsghdr` and `struct inet_diag_req`: all TCP sockets.
fn of_all_families() -> [u8; 76] {
    let mut request = [0; 76];
    write_head(&mut request, OF_ALL_FAMILIES);
    // The states stand behind the address of a socket, which is left empty. The family has no effect.
    request[68..72].copy_from_slice(&SHOWN.to_ne_bytes());
    request
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`: all TCP sockets of a family.
fn of_family(family: AddressFamily) -> io::Result<[u8; 72]> {
    const TCP: u8 = 6;

    let mut request = [0; 72];
    write_head(&mut request, BY_FAMILY);
    request[16] = u8::try_from(family.as_raw()).map_err(io::Error::other)?;
    request[17] = TCP;
    request[20..24].copy_from_slice(&SHOWN.to_ne_bytes());
    Ok(request)
}

/// Length, type and flags of a request for a dump.
fn write_head<const N: usize>(request: &mut [u8; N], kind: u16) {
    const DUMP: u16 = 0x300;
    const REQUEST: u16 = 1;

    // Requests have less than a hundred bytes.
    let length = u32::try_from(N).unwrap_or_default();
    request[..4].copy_from_slice(&length.to_ne_bytes());
    request[4..6].copy_from_slice(&kind.to_ne_bytes());
    request[6..8].copy_from_slice(&(REQUEST | DUMP).to_ne_bytes());
}

/// Reads some answers. Says whether there are more.
fn answers(socket: &OwnedFd, buffer: &mut [u8], counts: &mut Counts) -> io::Result<bool> {
    let (n_read, _) = recv(socket, &mut *buffer, RecvFlags::empty())?;
    count(&buffer[..n_read], counts)
}

/// Counts the sockets of netlink messages. Says whether there are more to come.
fn count(mut messages: &[u8], counts: &mut Counts) -> io::Result<bool> {
    const ERROR: u16 = 2;
    const DONE: u16 = 3;
    const HEAD_BYTES: usize = 16;

    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "a netlink message is not whole");
    if messages.is_empty() {
        return Err(malformed());
    }
    while !messages.is_empty() {
        let number = |at: usize| {
            messages.get(at..at + 4).and_then(|four| four.try_into().ok()).map(u32::from_ne_bytes)
        };
        let kind = messages.get(4..6).and_then(|two| two.try_into().ok()).map(u16::from_ne_bytes);
        let length = number(0).and_then(|length| usize::try_from(length).ok()).ok_or_else(malformed)?;
        let message = messages.get(HEAD_BYTES..length).ok_or_else(malformed)?;
        match kind {
            Some(ERROR) => {
                let code = number(HEAD_BYTES).ok_or_else(malformed)?.cast_signed();
                return Err(io::Error::from_raw_os_error(code.saturating_neg()));
            }
            Some(DONE) => return Ok(false),
            // The second byte of `struct inet_diag_msg`.
            Some(BY_FAMILY | OF_ALL_FAMILIES) => {
                counts.add(usize::from(*message.get(1).ok_or_else(malformed)?))
            }
            _ => {}
        }
        messages = messages.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = 16 + body.len();
        let head =
            [&u32::try_from(length).unwrap().to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10]].concat();
        let mut message = [head, body.to_vec()].concat();
        message.resize(length.next_multiple_of(4), 0);
        message
    }

    #[test]
    fn answers_are_counted_until_the_kernel_is_done() {
        let mut counts = Counts::default();
        let sockets =
            [message(BY_FAMILY, &[2, 1, 0]), message(BY_FAMILY, &[2, 12]), message(BY_FAMILY, &[2, 200])];
        assert!(count(&sockets.concat(), &mut counts).unwrap());
        assert_eq!(counts.0, [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        let last = [message(OF_ALL_FAMILIES, &[10, 11]), message(3, &[0; 4])];
        assert!(!count(&last.concat(), &mut counts).unwrap());
        assert_eq!(counts.0[10], 1);
    }

    #[test]
    fn a_refusal_is_the_kernels_error() {
        let error = count(&message(2, &(-2_i32).to_ne_bytes()), &mut Counts::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_the_kernel_answers_is_what_its_tables_say() {
        let _listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let read = || {
            let mut counts = Counts::default();
            for table in ["tcp", "tcp6"] {
                let text = std::fs::read(format!("/proc/net/{table}")).unwrap_or_default();
                text::lines(&text).for_each(|line| counts.add_line(line));
            }
            counts
        };
        let inet6 = std::net::TcpListener::bind("[::1]:0");
        let by_family = |buffer: &mut Vec<u8>| {
            let families = [AddressFamily::INET, AddressFamily::INET6];
            ask_each(&families.map(|family| of_family(family).unwrap()), buffer)
        };
        let at_once = |buffer: &mut Vec<u8>| ask_each(&[of_all_families()], buffer);
        let mut buffer = Vec::new();
        // Sockets come and go meanwhile, so that all have to agree on one moment only.
        let agrees = (0..1000).any(|_| {
            let before = read();
            let asked = [by_family(&mut buffer), at_once(&mut buffer), ask(&mut buffer)].map(Result::unwrap);
            asked == [before; 3] && before.0[9] > u64::from(inet6.is_ok())
        });
        assert!(agrees, "{:?} {:?} {:?}", at_once(&mut buffer), by_family(&mut buffer), read());
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_answered_comes_to_an_end(bytes: Vec<u8>) {
            let mut counts = Counts::default();
            count(&bytes, &mut counts).ok();
            proptest::prop_assert!(counts.0.iter().sum::<u64>() <= bytes.len() as u64);
        }
    }
}
