//! `debug queue`: what lies in the directory of a sending queue.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use queue::{Inspection, LossReport, SegmentReport};

use crate::commands::{Failure, write_out};

/// Show the sending queue that is kept in a directory: segments, sequence numbers, times, bytes, cursor, damage.
///
/// The directory is that of one queue (`<data dir>/queue/<exporter>.<signal>`), or the data directory itself, which shows
/// all queues in it. Nothing is changed and nothing is locked: the queue may be in use.
///
/// The exit code is 0 if everything can be read, and 1 if something is damaged or missing, or if there is no queue. What
/// a crash left unfinished at the end of a segment is not damage: nobody was told that it is safe.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The directory.
    directory: PathBuf,
    /// Print one JSON object a queue instead, one a line. Times are milliseconds since the Unix epoch.
    #[arg(long)]
    json: bool,
}

/// Reads and prints.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let inspections = inspect(&args.directory)
        .map_err(|error| Failure(format!("Error: reading {}: {error}", args.directory.display())))?;
    let mut text = String::new();
    for inspection in &inspections {
        if args.json {
            let line =
                serde_json::to_string(inspection).map_err(|error| Failure(format!("Error: {error}")))?;
            text += &(line + "\n");
        } else {
            text += &shown(inspection);
        }
    }
    write_out(&text)?;
    let damaged: Vec<&str> = inspections
        .iter()
        .filter(|inspection| !inspection.is_sound())
        .map(|inspection| &*inspection.directory)
        .collect();
    if damaged.is_empty() { Ok(()) } else { Err(Failure(format!("Error: damaged: {}", damaged.join(", ")))) }
}

/// The queue of a directory, or the queues below a data directory.
fn inspect(directory: &Path) -> std::io::Result<Vec<Inspection>> {
    let below = directory.join("queue");
    if !below.is_dir() {
        return Ok(vec![Inspection::of(directory)?]);
    }
    let mut directories = std::fs::read_dir(below)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<PathBuf>>>()?;
    directories.sort_unstable();
    directories.iter().map(|directory| Inspection::of(directory)).collect()
}

fn shown(inspection: &Inspection) -> String {
    let mut text = String::new();
    let out = &mut text;
    line(out, format_args!("{}", inspection.directory));
    let (requests, items, bytes) = (inspection.requests, inspection.items, inspection.bytes);
    line(out, format_args!("  waiting   {requests} requests, {items} items; segments take {bytes} bytes"));
    match &inspection.cursor {
        None => line(out, format_args!("  cursor    none: everything that is found would be sent")),
        Some(cursor) => {
            let above: Vec<String> =
                cursor.done.iter().map(|(first, last)| format!("{first}-{last}")).collect();
            let above = if above.is_empty() { String::new() } else { format!(" and {}", above.join(", ")) };
            let (below, next, generation) = (cursor.done_below, cursor.next_seq, cursor.generation);
            line(
                out,
                format_args!(
                    "  cursor    done below {below}{above}; next is {next}; written {generation} times"
                ),
            );
        }
    }
    for segment in &inspection.segments {
        show_segment(out, segment);
    }
    for loss in &inspection.losses {
        line(out, format_args!("  missing   {}", of_loss(loss)));
    }
    for remark in &inspection.remarks {
        line(out, format_args!("  wrong     {remark}"));
    }
    line(out, format_args!("  {}", if inspection.is_sound() { "sound" } else { "DAMAGED" }));
    text
}

fn show_segment(out: &mut String, segment: &SegmentReport) {
    let SegmentReport { name, requests, waiting, items, used_bytes, bytes, .. } = segment;
    let range = |first: Option<i64>, last: Option<i64>| match (first, last) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "none".to_owned(),
    };
    let seq = |seq: Option<u64>| seq.map(u64::cast_signed);
    line(
        out,
        format_args!(
            "  segment   {name}: requests {}, {waiting} of {requests} waiting, {items} items, {used_bytes} of {bytes} bytes, \
             times {} ms",
            range(seq(segment.first_seq), seq(segment.last_seq)),
            range(segment.oldest_ms, segment.newest_ms),
        ),
    );
    for (from, to) in &segment.holes {
        line(out, format_args!("    hole    bytes {from} to {to}"));
    }
    for loss in &segment.damaged {
        line(out, format_args!("    damaged {}", of_loss(loss)));
    }
    if segment.torn_bytes > 0 {
        line(out, format_args!("    unfinished end of {} bytes", segment.torn_bytes));
    }
}

fn of_loss(loss: &LossReport) -> String {
    let time = |time: Option<i64>| time.map_or_else(|| "?".to_owned(), |time| time.to_string());
    format!(
        "requests {} to {}, {} items, times {} to {} ms: {}",
        loss.first_seq,
        loss.last_seq,
        loss.items,
        time(loss.oldest_ms),
        time(loss.newest_ms),
        loss.what
    )
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _written = writeln!(out, "{text}");
}
