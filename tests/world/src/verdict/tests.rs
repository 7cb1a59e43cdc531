use super::*;

const WINDOW: Window = Window { from: 0, to: 30_000, interval: Duration::from_secs(5) };

/// Attempts at these seconds, numbered from 1; a negative second is a refused one.
fn attempts(seconds: &[f64]) -> Vec<Attempt> {
    let numbered = seconds.iter().zip(1..);
    numbered
        .map(|(second, number)| Attempt {
            at: (second.abs() * 1000.0) as i64,
            sequence: (*second >= 0.0).then_some(number),
            agent: 0,
        })
        .collect()
}

fn ups(scrapes: &[(u16, f64)]) -> VecDeque<Up> {
    scrapes.iter().map(|&(collector, at)| Up { at: (at * 1000.0) as i64, collector, good: true }).collect()
}

fn of(attempts: &[Attempt], arrived: &[(u32, u32)], ups: &VecDeque<Up>) -> Account {
    let arrived = arrived.iter().copied().collect();
    account(&Story { attempts, series: 10, series_at: &|_| 10, arrived: &arrived, ups }, &WINDOW)
}

const ALL: [(u32, u32); 6] = [(1, 10), (2, 10), (3, 10), (4, 10), (5, 10), (6, 10)];
const PUNCTUAL: [f64; 6] = [2.0, 7.0, 12.0, 17.0, 22.0, 27.0];

#[test]
fn a_punctual_target_misses_nothing() {
    let account = of(&attempts(&PUNCTUAL), &ALL, &ups(&[]));
    assert_eq!(account, Account { delivered: 60, ..Account::default() });
}

#[test]
fn what_was_served_and_did_not_arrive_is_lost() {
    let arrived = [(1, 10), (2, 7), (4, 10), (5, 10), (6, 10)];
    let account = of(&attempts(&PUNCTUAL), &arrived, &ups(&[]));
    assert_eq!((account.delivered, account.lost, account.unscraped), (47, 13, 0));
    assert_eq!(account.first_lost, Some((7000, 2)));
}

#[test]
fn what_arrived_and_was_not_served_is_surplus() {
    let arrived = [(1, 11), (2, 10), (3, 10), (4, 10), (5, 10), (6, 10)];
    assert_eq!(of(&attempts(&PUNCTUAL), &arrived, &ups(&[])).surplus, 1);
}

#[test]
fn a_slot_without_a_scrape_is_unscraped_and_its_target_unowned_for_an_interval() {
    let account = of(&attempts(&[2.0, 7.0, 17.0, 22.0, 27.0]), &ALL, &ups(&[]));
    assert_eq!((account.lost, account.unscraped, account.unowned_ms), (0, 10, 5000));
}

#[test]
fn a_refused_scrape_is_no_gap_and_expects_nothing() {
    let account = of(&attempts(&[2.0, 7.0, -12.0, 17.0, 22.0, 27.0]), &ALL, &ups(&[]));
    assert_eq!((account.delivered, account.lost, account.unscraped, account.unowned_ms), (50, 0, 0, 0));
}

#[test]
fn a_change_of_phase_is_late_but_leaves_nothing_out() {
    let account = of(&attempts(&[2.0, 7.0, 14.0, 19.0, 24.0, 29.0]), &ALL, &ups(&[]));
    assert_eq!((account.unscraped, account.unowned_ms), (0, 2000));
}

#[test]
fn a_target_nobody_ever_asks_is_unowned_all_the_time() {
    let account = of(&[], &[], &ups(&[]));
    assert_eq!((account.unscraped, account.unowned_ms), (50, 25_000));
}

#[test]
fn the_scrape_before_the_window_counts_as_its_first_edge() {
    let window = Window { from: 10_000, ..WINDOW };
    assert_eq!(pauses(&attempts(&[2.0, 13.0, 30.5]), &window), [(2000, 13_000), (13_000, 30_000)]);
}

#[test]
fn one_owner_after_the_other_is_no_double_ownership() {
    let handed_over = ups(&[(0, 2.0), (0, 7.0), (1, 9.0), (1, 14.0)]);
    assert_eq!(double_owned(&handed_over, &WINDOW), 0);
}

#[test]
fn two_owners_overlap_from_the_new_ones_first_scrape_to_the_old_ones_last() {
    let both = ups(&[(0, 2.0), (0, 7.0), (1, 9.0), (0, 12.0), (1, 14.0), (0, 17.0), (1, 19.0)]);
    assert_eq!(double_owned(&both, &WINDOW), 8000);
}

#[test]
fn a_target_that_goes_away_and_comes_back_had_one_owner_at_a_time() {
    let there_and_back = ups(&[(0, 0.0), (0, 5.0), (1, 10.0), (1, 15.0), (0, 20.0), (0, 25.0)]);
    assert_eq!(double_owned(&there_and_back, &WINDOW), 0);
}
