//! A target that an allocator hands from one scraper to another.

use super::*;

/// The wall clock of every world begins here, in milliseconds since 1970.
const START: u64 = 20_000 * 86_400_000;

impl World {
    /// The target `a:1`, with this label at so many seconds after the start; open or not.
    fn hand_over(&self, label: &str, seconds: u64, is_open: bool) {
        let turn = (START + seconds * 1_000).to_string();
        let mut told = vec![("__address__", "a:1"), (label, &*turn)];
        told.extend(is_open.then_some(("__meta_muster_open", "true")));
        let group = Group { source: "g".into(), labels: Labels::new(), targets: vec![labels(&told)] };
        let groups = [Arc::new(group)].into();
        self.groups.send_replace(Snapshot { groups, settled: true, ..Snapshot::default() });
    }
}

const SECONDS_3: Duration = Duration::from_secs(3);
const UNTIL: &str = "__meta_muster_until";
const FROM: &str = "__meta_muster_from";

/// Two scrapers with the same seed, as behind one allocator; the first has the target. And the ticks of the target.
async fn two() -> (World, World, Vec<String>) {
    let (old, new) = (World::new(), World::new());
    old.discover(&["a:1"]);
    old.reload(&[TEN]).await;
    new.reload(&[TEN]).await;
    old.until(15.0).await;
    let phase = old.phase("a:1");
    (old, new, (0..30).map(|n| format!("{:.1}s 1", phase + f64::from(n) * 10.0)).collect())
}

/// How many of the ticks are before a time.
fn before(slots: &[String], seconds: f64) -> usize {
    slots.iter().filter(|slot| slot.split('s').next().unwrap().parse::<f64>().unwrap() < seconds).count()
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_handed_over_is_scraped_by_exactly_one_at_every_slot() {
    let (old, new, slots) = two().await;
    old.hand_over(UNTIL, 25, false);
    new.hand_over(FROM, 25, false);
    old.until(49.9).await;
    let n_old = before(&slots, 25.0);
    assert_eq!(old.ups("a:1"), slots[..n_old].join(", "));
    assert_eq!(new.ups("a:1"), slots[n_old..before(&slots, 49.9)].join(", "));
}

#[tokio::test(start_paused = true)]
async fn from_an_open_turn_on_scrapes_are_held_back_until_it_is_known_whose_they_were() {
    for is_of_old in [true, false] {
        let (old, new, slots) = two().await;
        old.hand_over(UNTIL, 25, true);
        new.hand_over(FROM, 25, true);
        old.until(75.0).await;
        let n_old = before(&slots, 25.0);
        assert_eq!((old.ups("a:1"), new.ups("a:1")), (slots[..n_old].join(", "), String::new()));

        // The allocator is back: the turn is put off, or it stood.
        let at = if is_of_old { 95 } else { 25 };
        old.hand_over(UNTIL, at, is_of_old);
        new.hand_over(FROM, at, is_of_old);
        old.until(75.1).await;
        let (n_old, n_now) = (before(&slots, f64::from(at as u32).min(75.0)), before(&slots, 75.0));
        assert_eq!(
            old.ups("a:1"),
            slots[..n_old].join(", "),
            "in order, with the times at which they were made"
        );
        assert_eq!(new.ups("a:1"), slots[n_old..n_now].join(", "));
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_not_listed_any_more_forgets_what_it_held_back_and_who_is_alone_sends_it() {
    let (old, new, slots) = two().await;
    old.hand_over(UNTIL, 25, true);
    new.hand_over(FROM, 25, true);
    old.until(65.0).await;
    let hash = old.status().active[0].target.hash;
    old.scraper().release("j", vec![hash]).await;
    new.discover(&["a:1"]);
    old.until(89.9).await;
    let n_old = before(&slots, 25.0);
    assert_eq!(old.ups("a:1"), slots[..n_old].join(", "));
    assert_eq!(new.ups("a:1"), slots[n_old..before(&slots, 89.9)].join(", "));
}

#[tokio::test(start_paused = true)]
async fn doubt_ends_after_its_limit_and_when_the_target_does() {
    let (old, new, slots) = two().await;
    old.hand_over(UNTIL, 25, true);
    new.hand_over(FROM, 25, true);
    new.until(65.0).await;
    new.discover(&[]);
    new.until(140.0).await;
    let n_old = before(&slots, 25.0);
    assert!(new.ups("a:1").starts_with(&slots[n_old..before(&slots, 65.0)].join(", ")), "{}", new.ups("a:1"));
    assert!(new.ups("a:1").ends_with("STALE"), "{}", new.ups("a:1"));
    assert_eq!(old.ups("a:1"), slots[..n_old].join(", "));
    old.until(165.0).await;
    assert_eq!(old.ups("a:1"), slots[..before(&slots, 165.0)].join(", "), "rather twice than not at all");
}

#[tokio::test(start_paused = true)]
async fn a_scrape_that_failed_is_held_back_as_well() {
    let (old, _, slots) = two().await;
    old.answer("a:1", "1s", None);
    old.hand_over(UNTIL, 25, true);
    old.until(59.0).await;
    let (n_before, n_old) = (before(&slots, 15.0), before(&slots, 25.0));
    old.hand_over(UNTIL, 100, true);
    old.until(59.1).await;
    let downs = old.ups("a:1").split(", ").skip(n_before).map(str::to_owned).collect::<Vec<_>>();
    let expected: Vec<_> =
        slots[n_before..before(&slots, 58.0)].iter().map(|slot| slot.replace("s 1", "s 0")).collect();
    assert!(n_old >= n_before && downs == expected, "{downs:?} {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn a_scraper_that_ends_sends_what_it_holds_back_and_may_be_its_own() {
    for scrape_on_shutdown in [false, true] {
        let (mut old, mut new) =
            [(); 2].map(|()| World::configured(Options { scrape_on_shutdown, ..Options::default() })).into();
        old.discover(&["a:1"]);
        old.reload(&[TEN]).await;
        new.reload(&[TEN]).await;
        old.until(15.0).await;
        let phase = old.phase("a:1");
        let slots: Vec<String> = (0..8).map(|n| format!("{:.1}s 1", phase + f64::from(n) * 10.0)).collect();
        old.hand_over(UNTIL, 25, true);
        new.hand_over(FROM, 25, true);
        old.until(65.0).await;
        assert!(old.scraper().is_in_doubt() && new.scraper().is_in_doubt());
        // The new owner hears that the turn was put off. The old one hears nothing.
        new.hand_over(FROM, 95, true);
        old.until(65.1).await;
        assert!(!new.scraper().is_in_doubt());
        for world in [&mut old, &mut new] {
            world.scraper.take().unwrap().shutdown(SECONDS_3).await;
        }
        let own = slots[..before(&slots, 65.0)].join(", ");
        let last = if scrape_on_shutdown { format!("{own}, 65.1s 1") } else { own };
        assert_eq!((old.ups("a:1"), new.ups("a:1")), (last, String::new()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_is_sent_even_where_the_end_comes_during_a_scrape() {
    let (mut old, _, slots) = two().await;
    old.hand_over(UNTIL, 25, true);
    old.until(59.0).await;
    old.answer("a:1", "5s", Some("a 1\n"));
    let n_before = before(&slots, 59.0);
    let next: f64 = slots[n_before].split('s').next().unwrap().parse().unwrap();
    old.until(next + 1.0).await;
    old.scraper.take().unwrap().shutdown(SECONDS_3).await;
    assert_eq!(old.ups("a:1"), slots[..n_before].join(", "), "the scrape under way is given up");
}
