use world::kubelet::{Answer, FakeKubelet, node};

use super::fixture::*;
use super::goldens::everything_on;
use crate::emit::{Beside, emit};
use crate::node::Capacity;
use crate::pods::Pods;
use crate::points::Resources;
use crate::settings::Settings;
use crate::summary::Summary;

const N_PODS: usize = 250;

fn n_containers() -> usize {
    (0..N_PODS).map(node::n_containers).sum()
}

fn n_volumes() -> usize {
    N_PODS + (0..N_PODS).filter(|index| node::has_claim(*index)).count()
}

#[tokio::test]
async fn a_full_node_gives_so_many_points() {
    let kubelet = FakeKubelet::start().await.unwrap();
    kubelet.answer("/stats/summary", Answer::json(node::summary(N_PODS)));
    kubelet.answer("/pods", Answer::json(node::pods(N_PODS)));
    let by_default = scraped(&kubelet, "").await.frames;
    // Of a node 13 metrics and of a pod as many, with four points of the network among them two metrics each; of a container 11.
    assert_eq!((n_containers(), n_volumes()), (300, 275));
    assert_eq!(
        (by_default.resources.len(), by_default.n_items),
        (1 + N_PODS + 300, 15 * (1 + N_PODS) + 11 * 300)
    );
    let volumes =
        scraped(&kubelet, "metric_groups: [volume]\nextra_metadata_labels: [k8s.volume.type]\n").await;
    assert_eq!((volumes.frames.resources.len(), volumes.frames.n_items), (275, 5 * 275));
    assert_eq!(volumes.missing.volume_types as usize, N_PODS, "upstream has no word for projected volumes");
}

#[test]
fn a_scrape_allocates_little_for_each_pod() {
    let (summary, pods) = (node::summary(N_PODS), node::pods(N_PODS));
    let mut n_bytes = 0;
    let mut allocations = |settings: &Settings, with_pods: bool| {
        let measured = allocation_counter::measure(|| {
            let summary: Summary<'_> = crate::json::read(summary.as_bytes()).unwrap();
            let pods = with_pods.then(|| Pods::parse(pods.as_bytes()).unwrap());
            let capacity = Some(Capacity { cores: 4.0, bytes: 8e9 });
            let mut out = Resources::new(settings, "", NOW.unix_nanos(), Vec::with_capacity(n_bytes));
            emit(&summary, Beside { pods: pods.as_ref(), capacity, ..Beside::default() }, &mut out);
            n_bytes = out.finish().points.len();
        });
        measured.count_total
    };
    let by_default = Settings::new(&config("auth_type: none\n"));
    allocations(&by_default, false);
    // Lists of containers, volumes and interfaces, and points of interfaces.
    let n = allocations(&by_default, false);
    assert!(n <= 6 * N_PODS as u64 + 100, "{n} allocations");
    let everything = Settings::new(&config(&everything_on()));
    allocations(&everything, true);
    // Beside them: specifications, statuses, claims, attributes of volumes.
    let n = allocations(&everything, true);
    assert!(n <= 20 * N_PODS as u64 + 100, "{n} allocations");
}

#[tokio::test]
async fn the_memory_of_a_scrape_is_used_again_once_nobody_needs_it() {
    let kubelet = FakeKubelet::start().await.unwrap();
    kubelet.answer("/stats/summary", Answer::json(node::summary(50)));
    let pod = Pod::with_api_at(&kubelet);
    let mut scraper = scraper(&kubelet, &pod, "");
    let first = scraper.scrape(NOW, PATIENCE).await.frames;
    let second = scraper.scrape(NOW, PATIENCE).await.frames;
    let place = second.resources[0].as_ptr();
    assert_ne!(first.resources[0].as_ptr(), place, "the first one is still waiting somewhere");
    drop((first, second));
    let third = scraper.scrape(NOW, PATIENCE).await.frames;
    assert_eq!(third.resources[0].as_ptr(), place);
    assert_eq!(third.resources.len(), 1 + 50 + 60);
}
