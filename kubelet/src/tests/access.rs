use std::path::Path;
use std::time::Duration;

use world::kubelet::{Answer, Certificate, FakeKubelet, TOKEN, file};

use super::fixture::*;
use crate::{Outcome, Scraper, Subject, Surroundings};

/// A kubelet whose summary has a node and nothing else.
async fn small_kubelet() -> FakeKubelet {
    let kubelet = FakeKubelet::start().await.unwrap();
    kubelet.answer("/stats/summary", small());
    kubelet
}

fn small() -> Answer {
    Answer::json(r#"{"node":{"nodeName":"n1","cpu":{"usageNanoCores":1}}}"#)
}

async fn n_points(scraper: &mut Scraper) -> Result<usize, String> {
    let scraped = scraper.scrape(NOW, PATIENCE).await;
    match &errors(&scraped)[..] {
        [] => Ok(scraped.frames.n_items),
        errors => Err(errors.join("; ")),
    }
}

#[tokio::test]
async fn a_token_is_read_again_when_it_changes() {
    let kubelet = small_kubelet().await;
    let pod = Pod::with_api_at(&kubelet);
    let mut scraper = scraper(&kubelet, &pod, "");
    assert_eq!(n_points(&mut scraper).await, Ok(1));
    kubelet.accept_only("second-token");
    let refused = n_points(&mut scraper).await.unwrap_err();
    let url = kubelet.url();
    let expected = format!(
        "GET {url}/stats/summary: answered 401: Unauthorized; the token or the client certificate was not accepted"
    );
    assert_eq!(refused, expected);
    pod.write_token("second-token");
    assert_eq!(n_points(&mut scraper).await, Ok(1));
    let tokens: Vec<_> = kubelet.seen().into_iter().filter_map(|seen| seen.token).collect();
    assert_eq!(tokens, [TOKEN, TOKEN, "second-token"]);
}

#[tokio::test]
async fn a_token_that_is_not_there_is_told_by_the_name_of_its_file() {
    let kubelet = small_kubelet().await;
    let pod = Pod::with_api_at(&kubelet);
    std::fs::remove_file(pod.folder.path().join("token")).unwrap();
    let mut scraper = scraper(&kubelet, &pod, "");
    let scraped = scraper.scrape(NOW, PATIENCE).await;
    assert_eq!(scraped.requests, [(Subject::Summary, Outcome::Unsendable)]);
    let [error] = &errors(&scraped)[..] else { panic!("one error") };
    let path = pod.folder.path().join("token").display().to_string();
    assert!(error.contains(&path) && error.contains("/stats/summary"), "{error}");
    assert_eq!(kubelet.seen(), []);
    pod.write_token(TOKEN);
    assert_eq!(n_points(&mut scraper).await, Ok(1));
}

#[tokio::test]
async fn a_client_certificate_lets_us_in() {
    let kubelet = small_kubelet().await;
    let common = format!("endpoint: {}\nca_file: {}\n", kubelet.url(), file("ca.pem").display());
    let with = format!(
        "{common}cert_file: {}\nkey_file: {}\n",
        file("client.pem").display(),
        file("client.key").display()
    );
    assert_eq!(n_points(&mut built(&config(&with), &Surroundings::of_process())).await, Ok(1));
    let seen = kubelet.seen();
    assert_eq!(
        (seen[0].has_certificate, &seen[0].token, seen[0].accept.as_deref()),
        (true, &None, Some("application/json"))
    );
    let without = format!("auth_type: none\n{common}");
    let refused = n_points(&mut built(&config(&without), &Surroundings::of_process())).await.unwrap_err();
    assert!(refused.contains("401"), "{refused}");
}

#[tokio::test]
async fn the_read_only_port_asks_nobody() {
    let kubelet = FakeKubelet::start_read_only().await.unwrap();
    kubelet.answer("/stats/summary", small());
    for word in ["none", "readOnly"] {
        let config = config(&format!("auth_type: {word}\nendpoint: {}\n", kubelet.address()));
        assert_eq!(n_points(&mut built(&config, &Surroundings::of_process())).await, Ok(1), "{word}");
    }
}

#[tokio::test]
async fn an_authority_that_nobody_named_is_not_trusted() {
    let kubelet = small_kubelet().await;
    let pod = Pod::with_api_at(&kubelet);
    // The authority of the service account is another one.
    std::fs::copy(file("client.pem"), pod.folder.path().join("ca.crt")).unwrap();
    let refused = n_points(&mut scraper(&kubelet, &pod, "")).await.unwrap_err();
    assert!(refused.contains("/stats/summary") && refused.contains("certificate"), "{refused}");
    assert_eq!(kubelet.seen(), []);
    let named = format!("ca_file: {}\n", file("ca.pem").display());
    assert_eq!(n_points(&mut scraper(&kubelet, &pod, &named)).await, Ok(1));
    // With nothing to verify, a service account without authority will do.
    std::fs::remove_file(pod.folder.path().join("ca.crt")).unwrap();
    assert_eq!(n_points(&mut scraper(&kubelet, &pod, "insecure_skip_verify: true\n")).await, Ok(1));
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_told() {
    let kubelet = FakeKubelet::start_with(Certificate::Expired).await.unwrap();
    kubelet.answer("/stats/summary", small());
    let pod = Pod::with_api_at(&kubelet);
    let refused = n_points(&mut scraper(&kubelet, &pod, "")).await.unwrap_err();
    assert!(refused.contains("expired"), "{refused}");
    assert_eq!(n_points(&mut scraper(&kubelet, &pod, "insecure_skip_verify: true\n")).await, Ok(1));
}

#[tokio::test]
async fn one_connection_serves_all_scrapes() {
    let kubelet = small_kubelet().await;
    let pod = Pod::with_api_at(&kubelet);
    let mut scraper = scraper(&kubelet, &pod, "");
    for _ in 0..4 {
        assert_eq!(n_points(&mut scraper).await, Ok(1));
    }
    assert_eq!(kubelet.n_connections(), 1);
}

fn kube_config(folder: &Path, server: &str) -> Surroundings {
    std::fs::copy(file("ca.pem"), folder.join("ca.pem")).unwrap();
    std::fs::write(folder.join("token"), TOKEN).unwrap();
    let text = format!(
        "apiVersion: v1
kind: Config
current-context: elsewhere
contexts:
- {{name: elsewhere, context: {{cluster: gone, user: nobody}}}}
- {{name: here, context: {{cluster: test, user: reader, namespace: shop}}}}
clusters:
- {{name: test, cluster: {{server: '{server}/', certificate-authority: ca.pem}}}}
users:
- {{name: reader, user: {{tokenFile: token}}}}
"
    );
    let path = folder.join("config");
    std::fs::write(&path, text).unwrap();
    Surroundings::of_process().with_variables(&[("KUBECONFIG", path.to_str().unwrap())])
}

#[tokio::test]
async fn a_kubeconfig_leads_through_the_api_server() {
    let api = FakeKubelet::start().await.unwrap();
    api.answer("/api/v1/nodes/n1/proxy/stats/summary", small());
    let folder = tempfile::tempdir().unwrap();
    let surroundings = kube_config(folder.path(), &api.url());
    let mut scraper = built(&config("auth_type: kubeConfig\nendpoint: n1\ncontext: here\n"), &surroundings);
    assert_eq!(n_points(&mut scraper).await, Ok(1));
    let error = Scraper::build(&config("auth_type: kubeConfig\nendpoint: n1\n"), &surroundings, "", STARTED);
    let error = error.unwrap_err().to_string();
    let expected = "context `elsewhere` names cluster `gone`, which is not there; known: test";
    assert!(error.ends_with(expected) && error.starts_with("kubeconfig /"), "{error}");
}

/// A scraper of the golden pod's volume by the read-only port, which asks the API server in this way.
async fn scraper_of_volumes(api: &str, surroundings: &Surroundings) -> (FakeKubelet, Scraper) {
    let kubelet = FakeKubelet::start_read_only().await.unwrap();
    kubelet.answer("/stats/summary", Answer::json(testdata("summary.json")));
    kubelet.answer("/pods", Answer::json(testdata("pods.json")));
    let yaml = format!(
        "auth_type: none\nendpoint: {}\nmetric_groups: [volume]\nextra_metadata_labels: [k8s.volume.type]\n\
         k8s_api_config: {api}\n",
        kubelet.address()
    );
    let scraper = built(&config(&yaml), surroundings);
    (kubelet, scraper)
}

#[tokio::test]
async fn claims_are_looked_up_as_the_kubeconfig_says() {
    let api = golden_kubelet().await;
    api.answer("/api/v1/persistentvolumes/pv-7", Answer::json(r#"{"spec":{"local":{"path":"/mnt"}}}"#));
    let folder = tempfile::tempdir().unwrap();
    let surroundings = kube_config(folder.path(), &api.url());
    let (_kubelet, mut scraper) =
        scraper_of_volumes("{auth_type: kubeConfig, context: here}", &surroundings).await;
    let scraped = scraper.scrape(NOW, PATIENCE).await;
    assert_eq!(errors(&scraped), [""; 0]);
    assert!(printed(&scraped.frames).contains("k8s.volume.type=local,"));
    let asked: Vec<_> = api.seen().into_iter().map(|seen| (seen.path, seen.token)).collect();
    let expected = [CLAIM, "/api/v1/persistentvolumes/pv-7"];
    assert_eq!(asked, expected.map(|path| (path.to_owned(), Some(TOKEN.to_owned()))));
}

#[tokio::test]
async fn claims_are_looked_up_without_credentials_where_none_are_wanted() {
    let api = golden_kubelet().await;
    // There is a token, and the authority is another one: neither is looked at.
    let pod = Pod::with_api_at(&api);
    std::fs::copy(file("client.pem"), pod.folder.path().join("ca.crt")).unwrap();
    let (_kubelet, mut scraper) = scraper_of_volumes("{auth_type: none}", &pod.surroundings).await;
    let scraped = scraper.scrape(NOW, PATIENCE).await;
    let asked: Vec<_> = api.seen().into_iter().map(|seen| (seen.path, seen.token)).collect();
    assert_eq!(asked, [(CLAIM.to_owned(), None)]);
    // This server lets nobody in without credentials.
    let [error] = &errors(&scraped)[..] else { panic!("one error") };
    assert!(error.starts_with(&format!("GET {}{CLAIM}: answered 401", api.url())), "{error}");
    assert!(printed(&scraped.frames).contains("k8s.volume.type=persistentVolumeClaim,"));
}

#[tokio::test]
async fn outside_of_a_pod_the_cluster_has_no_address() {
    let yaml = "auth_type: serviceAccount\nendpoint: n1:10250\nk8s_api_config: {auth_type: serviceAccount}\n";
    let surroundings = Surroundings::of_process().with_variables(&[]);
    let error = Scraper::build(&config(yaml), &surroundings, "", STARTED).unwrap_err().to_string();
    assert!(error.starts_with("k8s_api_config: KUBERNETES_SERVICE_HOST"), "{error}");
    assert!(error.ends_with("write auth_type: kubeConfig"), "{error}");
}

#[tokio::test]
async fn nobody_at_home_is_told_by_the_url() {
    let kubelet = small_kubelet().await;
    let pod = Pod::with_api_at(&kubelet);
    let mut scraper = scraper(&kubelet, &pod, "");
    let url = kubelet.url();
    drop(kubelet);
    let scraped = scraper.scrape(NOW, Duration::from_secs(5)).await;
    assert_eq!(scraped.requests, [(Subject::Summary, Outcome::Unreachable)]);
    assert!(errors(&scraped)[0].starts_with(&format!("GET {url}/stats/summary: ")), "{:?}", errors(&scraped));
}
