use std::io::Write as _;

use super::*;
use crate::roster::Member;

const SECOND: Duration = Duration::from_secs(1);

fn polling(grace: u64, settle: u64) -> (Membership, Arc<Polls>) {
    let polls = Arc::new(Polls::default());
    let source = Source::Polling { grace: Duration::from_secs(grace), settle: Duration::from_secs(settle) };
    (Membership::start(source, &polls, &Arc::new(Notify::new()), None), polls)
}

fn names(look: &Look) -> Vec<String> {
    look.known.as_ref().unwrap().iter().map(|member| member.name.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn pollers_gather_before_anybody_is_a_member() {
    let (mut membership, polls) = polling(30, 5);
    let start = Instant::now();
    assert!(membership.look(start).known.unwrap_err().contains("no collector has asked"));

    assert_eq!(polls.hear("s-1", None, None, start + 60 * SECOND), Heard::Joined);
    let look = membership.look(start + 60 * SECOND);
    assert!(look.known.unwrap_err().contains("collectors.polling.settle"));
    assert_eq!(look.again_at, Some(start + 65 * SECOND));

    polls.hear("s-0", None, None, start + 62 * SECOND);
    let look = membership.look(start + 65 * SECOND);
    assert_eq!(names(&look), ["s-0", "s-1"]);
    assert_eq!(look.again_at, Some(start + 90 * SECOND), "when the first lease ends");
}

#[tokio::test(start_paused = true)]
async fn a_poller_leaves_when_its_grace_has_passed_and_a_late_one_joins_at_once() {
    let (mut membership, polls) = polling(30, 0);
    let start = Instant::now();
    polls.hear("s-0", None, None, start);
    polls.hear("s-1", None, None, start + 10 * SECOND);
    assert_eq!(names(&membership.look(start + 29 * SECOND)), ["s-0", "s-1"]);
    assert_eq!(names(&membership.look(start + 30 * SECOND)), ["s-1"]);
    polls.hear("s-2", None, None, start + 31 * SECOND);
    assert_eq!(names(&membership.look(start + 31 * SECOND)), ["s-1", "s-2"]);
}

#[tokio::test(start_paused = true)]
async fn after_everybody_left_members_gather_again() {
    let (mut membership, polls) = polling(30, 5);
    let start = Instant::now();
    polls.hear("s-0", None, None, start);
    assert!(membership.look(start).known.is_err());
    assert!(membership.look(start + 5 * SECOND).known.is_ok());
    assert!(membership.look(start + 40 * SECOND).known.is_err());
    polls.hear("s-0", None, None, start + 50 * SECOND);
    assert!(membership.look(start + 50 * SECOND).known.is_err());
    assert!(membership.look(start + 55 * SECOND).known.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_announced_interval_stretches_the_lease_within_bounds() {
    let (mut membership, polls) = polling(30, 0);
    let start = Instant::now();
    polls.hear("quick", Some(SECOND), None, start);
    polls.hear("slow", Some(60 * SECOND), None, start);
    polls.hear("endless", Some(Duration::MAX), None, start);
    assert_eq!(names(&membership.look(start + 30 * SECOND)), ["endless", "slow"]);
    assert_eq!(names(&membership.look(start + 120 * SECOND)), ["endless"]);
    assert!(membership.look(start + MAX_LEASE).known.is_err());
}

#[tokio::test(start_paused = true)]
async fn asking_makes_nobody_a_member_of_a_list() {
    let polls = Arc::new(Polls::default());
    let source = Source::Static(Roster::of(["s-0", "s-1"]));
    let mut membership = Membership::start(source, &polls, &Arc::new(Notify::new()), None);
    let now = Instant::now();
    assert_eq!(names(&membership.look(now)), ["s-0", "s-1"]);
    assert_eq!(polls.hear("x", None, None, now), Heard::Stranger);
    assert_eq!(polls.hear("s-1", None, None, now), Heard::Recognized);
    assert_eq!(polls.hear("s-1", None, None, now), Heard::Known);
    assert_eq!(polls.hear("s-1", None, Some(Client::Muster), now), Heard::Recognized);
    assert_eq!(names(&membership.look(now)), ["s-0", "s-1"]);
    let last = polls.last(Instant::now());
    assert_eq!(last.keys().map(|name| &**name).collect::<Vec<_>>(), ["s-1"]);
    assert_eq!(Presence::of(last.get("s-1"), now), Presence::Active);
    assert_eq!(Presence::of(last.get("s-1"), now + MAX_LEASE), Presence::Silent);
    assert_eq!(Presence::of(last.get("s-0"), now), Presence::Unseen);
}

#[test]
fn who_fetches_lists_is_remembered_when_it_asks_for_something_else() {
    let (_, polls) = polling(30, 0);
    let now = Instant::now();
    let client = |polls: &Polls| polls.last(Instant::now())["s-0"].client;
    for (fetcher, known) in [
        (None, None),
        (Some(Client::Muster), Some(Client::Muster)),
        (None, Some(Client::Muster)),
        (Some(Client::Other), Some(Client::Other)),
    ] {
        polls.hear("s-0", Some(SECOND), fetcher, now);
        assert_eq!(client(&polls), known);
    }
    assert_eq!(polls.last(Instant::now())["s-0"].every, Some(SECOND));
    assert_eq!(Client::of(Some("muster/0.1.0")), Client::Muster);
    for other in [None, Some("Prometheus/3.0"), Some("muster"), Some("xmuster/1")] {
        assert_eq!(Client::of(other), Client::Other);
    }
}

#[test]
fn a_file_is_yaml_or_one_name_per_line() {
    let plain = Roster::of(["s-0", "s-1"]);
    for text in [
        "s-0\ns-1\n",
        "# fleet\n\n  s-1 # second\ns-0",
        "- s-0\n- s-1\n",
        "[s-1, s-0]",
        "- name: s-0\n- s-1\n",
    ] {
        assert_eq!(parse(text, "members").as_ref(), Ok(&plain), "{text:?}");
    }
    let nodes = parse("- {name: s-0, node: worker-1}\n- s-1\n", "members").unwrap();
    assert_eq!(nodes.iter().map(Member::serves_node).collect::<Vec<_>>(), ["worker-1", "s-1"]);
    let drained =
        parse("- s-0\n- {name: s-1, draining: true}\n- {name: s-2, draining: false}\n", "members").unwrap();
    assert_eq!(drained.iter().map(|member| member.is_draining).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn a_file_with_a_mistake_is_refused_with_its_reason() {
    for (text, why) in [
        ("", "no name"),
        ("# nobody\n", "no name"),
        ("[]", "no name"),
        ("s-0\ns-0\n", "twice"),
        ("s 0\n", "character ' '"),
        ("- [s-0]\n", "not a name"),
        ("- s-0\n- {node: x}\n", "not a name"),
        ("[s-0, s", "members:"),
    ] {
        let error = parse(text, "members").unwrap_err();
        assert!(error.contains(why), "{text:?}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_is_followed_and_its_last_good_list_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("members");
    let (polls, changed) = (Arc::new(Polls::default()), Arc::new(Notify::new()));
    let mut membership = Membership::start(Source::File(path.clone()), &polls, &changed, None);
    assert!(membership.look(Instant::now()).known.unwrap_err().contains("not read yet"));
    changed.notified().await;
    assert!(membership.look(Instant::now()).known.unwrap_err().contains("reading it failed"));

    std::fs::write(&path, "s-0\ns-1\n").unwrap();
    changed.notified().await;
    assert_eq!(names(&membership.look(Instant::now())), ["s-0", "s-1"]);

    for broken in ["", "s-0\ns-0\n", "s-0\nb ad\n"] {
        std::fs::write(&path, broken).unwrap();
        tokio::time::sleep(5 * SECOND).await;
        assert_eq!(names(&membership.look(Instant::now())), ["s-0", "s-1"], "{broken:?}");
    }
    std::fs::remove_file(&path).unwrap();
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(names(&membership.look(Instant::now())), ["s-0", "s-1"]);

    std::fs::write(&path, "s-0\ns-1\ns-2\n").unwrap();
    changed.notified().await;
    assert_eq!(names(&membership.look(Instant::now())), ["s-0", "s-1", "s-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_being_written_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("members");
    std::fs::write(&path, "s-1\n").unwrap();
    let (polls, changed) = (Arc::new(Polls::default()), Arc::new(Notify::new()));
    let mut membership = Membership::start(Source::File(path.clone()), &polls, &changed, None);
    changed.notified().await;
    let mut file = std::fs::File::create(&path).unwrap();
    for piece in ["s-1", "0\n", "s", "-1", "1\n"] {
        file.write_all(piece.as_bytes()).unwrap();
        tokio::time::sleep(Duration::from_millis(90)).await;
        let seen = names(&membership.look(Instant::now()));
        assert!(seen == ["s-1"], "{seen:?}");
    }
    changed.notified().await;
    assert_eq!(names(&membership.look(Instant::now())), ["s-10", "s-11"]);
}
