//! Every file of the corpora, and small changes of them, through the checks that the fuzzer runs.

use std::path::Path;

use fuzz_targets::TARGETS;

/// Changed copies of each file. `FUZZ_ROUNDS` asks for more, to look for news without a fuzzer.
const ROUNDS: u32 = 60;

fn files(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("each target has a corpus") {
        let path = entry.expect("the corpus can be listed").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        files.push((format!("{target}/{name}"), std::fs::read(&path).expect("the corpus can be read")));
    }
    files.sort();
    files
}

/// Runs a check and says on which input it failed.
fn run(check: fn(&[u8]), name: &str, input: &[u8]) {
    let failed = std::panic::catch_unwind(|| check(input)).is_err();
    assert!(!failed, "{name} breaks a promise: b\"{}\"", input.escape_ascii());
}

#[test]
fn every_file_of_the_corpora_keeps_the_promises() {
    for (target, check) in TARGETS {
        let files = files(target);
        assert!(files.len() >= 8, "{target} has only {} files", files.len());
        for (name, bytes) in files {
            run(check, &name, &bytes);
        }
    }
}

#[test]
fn changed_copies_of_the_corpora_keep_the_promises() {
    let rounds = std::env::var("FUZZ_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    let seed = std::env::var("FUZZ_SEED").map_or(1, |text| text.parse().unwrap());
    for (target, check) in TARGETS {
        let files = files(target);
        let mut dice = Dice(seed);
        for round in 0..rounds {
            for (name, bytes) in &files {
                let other = &files[dice.below(files.len())].1;
                let input = changed(bytes, other, &mut dice);
                run(check, &format!("round {round} of {name}"), &input);
            }
        }
    }
}

/// One to four changes: a byte, a piece left out, doubled, or taken from another file.
fn changed(bytes: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    const TELLING: &[u8] = b"\0\n\r\t \"#\\{}=,_:+-.0e9aN\x80\xff\x01\x7f";
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        let end = at + dice.below((bytes.len() - at).min(40) + 1);
        match dice.below(6) {
            0 if at < bytes.len() => bytes[at] = TELLING[dice.below(TELLING.len())],
            1 => bytes.insert(at, TELLING[dice.below(TELLING.len())]),
            2 => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            4 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            _ => {
                let from = dice.below(other.len() + 1);
                let to = from + dice.below((other.len() - from).min(80) + 1);
                drop(bytes.splice(at..end, other[from..to].iter().copied()));
            }
        }
    }
    bytes
}

/// Numbers that look random and are the same each time (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % n.max(1) as u64).expect("below a usize")
    }
}
