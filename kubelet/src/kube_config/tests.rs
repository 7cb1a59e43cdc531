use super::*;

const PEM: &str = "LS0tLS1CRUdJTi0tLS0t";

/// Loads what stands in files of these texts, in this order.
fn load(texts: &[&str], context: &str) -> Result<KubeConfig, String> {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> =
        (0..texts.len()).map(|index| folder.path().join(index.to_string()).join("config")).collect();
    for (path, text) in paths.iter().zip(texts) {
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let listed = std::env::join_paths(&paths).unwrap().into_string().unwrap();
    let surroundings = Surroundings::of_process().with_variables(&[("KUBECONFIG", &listed)]);
    KubeConfig::load(context, &surroundings)
        .map_err(|error| telemetry::error_chain(&error).replace(folder.path().to_str().unwrap(), "DIR"))
}

fn with_user(user: &str) -> String {
    format!(
        "{{current-context: c, contexts: [{{name: c, context: {{cluster: k, user: u}}}}], \
         clusters: [{{name: k, cluster: {{server: 'https://api:6443'}}}}], users: [{{name: u, user: {user}}}]}}"
    )
}

#[test]
fn credentials_are_taken_as_client_go_takes_them() {
    let credentials = |user: &str| load(&[&with_user(user)], "").unwrap().options.credentials;
    assert!(matches!(credentials("{token: t}"), Credentials::Token(token) if token.expose() == "t"));
    assert!(
        matches!(credentials("{token: t, tokenFile: f}"), Credentials::TokenFile(path) if path.ends_with("0/f"))
    );
    assert!(matches!(credentials("{username: n, password: p}"), Credentials::Basic(user, _) if user == "n"));
    assert!(matches!(credentials("{}"), Credentials::None));
}

#[test]
fn data_wins_over_files_and_files_count_from_their_folder() {
    let user =
        format!("{{client-certificate: a.crt, client-certificate-data: {PEM}, client-key: keys/a.key}}");
    let tls = load(&[&with_user(&user)], "").unwrap().options.tls;
    assert_eq!(tls.cert_pem.unwrap().expose(), "-----BEGIN-----");
    assert_eq!(tls.cert_file, "");
    assert!(tls.key_file.ends_with("/0/keys/a.key"), "{}", tls.key_file);
}

#[test]
fn of_several_files_the_first_that_names_something_wins() {
    let first = "{current-context: b, clusters: [{name: k, cluster: {server: 'https://first/'}}]}";
    let second = with_user("{token: t}").replace("name: c,", "name: b,");
    let loaded = load(&[first, &second], "").unwrap();
    assert_eq!(loaded.server, "https://first");
    assert!(matches!(loaded.options.credentials, Credentials::Token(_)));
}

#[test]
fn what_is_wrong_is_told_with_file_and_name() {
    let told = |texts: &[&str], context: &str| load(texts, context).unwrap_err();
    assert_eq!(
        told(&[&with_user("{}")], "other"),
        "kubeconfig DIR/0/config: context `other` is not there; known: c"
    );
    assert_eq!(
        told(&[&with_user("{exec: {command: aws}}")], ""),
        "kubeconfig DIR/0/config: users: u: exec would start a program, which is not supported; use a token, tokenFile or \
         a client certificate"
    );
    assert_eq!(
        told(&[&with_user("{client-key-data: '?'}")], ""),
        "kubeconfig DIR/0/config: users: u: client-key-data is not base64"
    );
    assert_eq!(
        told(
            &[
                "{current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}], clusters: [{name: k, cluster: {server: 'https://a'}}]}"
            ],
            ""
        ),
        "kubeconfig DIR/0/config: context `c` names user `u`, who is not there; known: none"
    );
    assert_eq!(
        told(
            &[
                "{current-context: c, contexts: [{name: c, context: {cluster: k}}], clusters: [{name: k, cluster: {server: api}}]}"
            ],
            ""
        ),
        "kubeconfig DIR/0/config: clusters: k: server: the URL has no scheme; write for example http://host:8080/path"
    );
    assert!(
        told(&["contexts: 7"], "").contains("DIR/0/config:1:11: contexts: expected a list"),
        "{}",
        told(&["contexts: 7"], "")
    );
    assert!(told(&["{"], "").contains("DIR/0/config:1:"), "{}", told(&["{"], ""));
}

#[test]
fn without_a_home_the_variable_is_named() {
    let error = KubeConfig::load("", &Surroundings::of_process().with_variables(&[])).unwrap_err();
    assert_eq!(error.to_string(), "auth_type kubeConfig needs a kubeconfig file: set KUBECONFIG to its path");
}
