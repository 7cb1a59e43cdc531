use std::time::{Duration, UNIX_EPOCH};

use super::parts::{ago, when};

#[test]
fn times_are_short() {
    assert_eq!(ago(Duration::from_millis(20)), "20 ms ago");
    assert_eq!(ago(Duration::from_secs(119)), "119 s ago");
    assert_eq!(ago(Duration::from_secs(600)), "10 min ago");
    assert_eq!(ago(Duration::from_secs(7_200)), "2 h ago");
    assert_eq!(when(UNIX_EPOCH + Duration::from_secs(86_400 + 3_723)), "01:02:03 UTC");
}
