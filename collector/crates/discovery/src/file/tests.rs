//! Files as writers leave them, look by look.

use tempfile::TempDir;

use super::*;

fn files(dir: &TempDir, patterns: &[&str]) -> Files {
    let files = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    Files::new(&FileSdConfig { files, refresh_interval: ::config::Period::from_secs(300) }, dir.path())
}

fn targets(files: &Files) -> String {
    let targets = files.groups().into_iter().flat_map(|group| group.targets.clone());
    targets.map(|target| target.value("__address__").to_owned()).collect::<Vec<_>>().join(" ")
}

/// Replaces the file as careful writers do.
fn replace(dir: &TempDir, name: &str, text: &str) {
    let temporary = dir.path().join("next.tmp");
    fs::write(&temporary, text).unwrap();
    fs::rename(temporary, dir.path().join(name)).unwrap();
}

#[test]
fn a_wildcard_finds_files_that_come_and_go() {
    let dir = TempDir::new().unwrap();
    replace(&dir, "a-1.yaml", "- targets: [one:1]\n");
    replace(&dir, "other.yaml", "- targets: [other:1]\n");
    let mut files = files(&dir, &["a-*.yaml", "gone/*.json", "single.json"]);
    assert!(files.look(true, &Complete::new()));
    assert_eq!((targets(&files), files.problems()), ("one:1".into(), vec![]));
    let path = dir.path().join("a-1.yaml").display().to_string();
    assert_eq!(files.groups()[0].labels.value("__meta_filepath"), path);
    assert!(!files.look(false, &Complete::new()), "nothing changed");

    replace(&dir, "single.json", r#"[{"targets":["two:2"]}]"#);
    assert!(!files.look(false, &Complete::new()), "it may still be written");
    assert!(files.look(false, &Complete::new()));
    assert_eq!(targets(&files), "one:1 two:2");

    fs::remove_file(dir.path().join("a-1.yaml")).unwrap();
    assert!(!files.look(false, &Complete::new()), "a file may be missing while it is being replaced");
    assert!(files.look(false, &Complete::new()));
    assert_eq!(targets(&files), "two:2");
}

#[test]
fn every_wildcard_of_go_finds_its_files() {
    let dir = TempDir::new().unwrap();
    for name in ["a1.json", "a2.json", "a3.json", "a12.json", "a[12].json", "b*.yml", "bc.yml", "\u{e9}.yml"]
    {
        fs::write(dir.path().join(name), format!(r#"[{{"targets":["{name}"]}}]"#)).unwrap();
    }
    for (pattern, expected) in [
        ("a?.json", "a1.json a2.json a3.json"),
        ("a[12].json", "a1.json a2.json"),
        ("a[1-3].json", "a1.json a2.json a3.json"),
        ("a[^1].json", "a2.json a3.json"),
        ("a[^1-2]*.json", "a3.json a[12].json"),
        ("a\\[12\\].json", "a[12].json"),
        ("b\\*.yml", "b*.yml"),
        ("b*.yml", "b*.yml bc.yml"),
        ("?.yml", "\u{e9}.yml"),
        ("gone/a?.json", ""),
    ] {
        let mut files = files(&dir, &[pattern]);
        assert!(files.look(true, &Complete::new()));
        assert_eq!((targets(&files).as_str(), files.problems()), (expected, vec![]), "{pattern}");
    }
}

#[test]
fn the_folder_of_a_pattern_may_be_named_with_any_sign() {
    let dir = TempDir::new().unwrap();
    let odd = dir.path().join("a[1]*?");
    fs::create_dir(&odd).unwrap();
    fs::write(odd.join("x1.yml"), "- targets: [one:1]\n").unwrap();
    let found = files_named(&odd.join("x?.yml")).unwrap();
    assert_eq!(found, [odd.join("x1.yml")]);
}

#[test]
fn a_broken_file_keeps_its_last_content_and_is_named_with_its_line() {
    let dir = TempDir::new().unwrap();
    replace(&dir, "t.json", r#"[{"targets":["one:1"]}]"#);
    let mut files = files(&dir, &["t.json"]);
    files.look(true, &Complete::new());
    replace(&dir, "t.json", "[\n{\"targets\":[\"on");
    assert!(files.look(false, &Complete::new()));
    assert_eq!(targets(&files), "one:1");
    let problem = files.problems()[0].to_string();
    assert!(problem.contains("t.json:2:"), "{problem}");
    assert!(!files.look(false, &Complete::new()), "a problem is told once");

    replace(&dir, "t.json", "");
    files.look(false, &Complete::new());
    assert!(files.problems()[0].to_string().contains("the file is empty"), "{:?}", files.problems());
    assert_eq!(targets(&files), "one:1");

    replace(&dir, "t.json", "[]");
    assert!(files.look(false, &Complete::new()));
    assert_eq!((targets(&files), files.problems()), (String::new(), vec![]));
}

#[test]
fn a_file_that_is_written_in_place_is_read_when_it_has_come_to_rest() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("t.yaml");
    fs::write(&path, "- targets: [one:1, two:2]\n").unwrap();
    let mut files = files(&dir, &["t.yaml"]);
    files.look(true, &Complete::new());
    fs::write(&path, "- targets: [one:1]\n").unwrap();
    assert!(!files.look(false, &Complete::new()), "it may be half of what is being written");
    assert_eq!(targets(&files), "one:1 two:2");
    assert!(files.look(false, &Complete::new()));
    assert_eq!(targets(&files), "one:1");
}

#[test]
fn a_file_whose_writer_is_done_is_read_at_once() {
    let dir = TempDir::new().unwrap();
    let mut files = files(&dir, &["*.yaml"]);
    files.look(true, &Complete::new());
    let path = dir.path().join("t.yaml");
    fs::write(&path, "- targets: [one:1]\n").unwrap();
    assert!(files.look(false, &Complete::from([path.clone()])));
    fs::write(&path, "- targets: [one:1, two:2]\n").unwrap();
    assert!(files.look(false, &Complete::from([path])));
    assert_eq!(targets(&files), "one:1 two:2");
}

#[test]
fn a_file_that_appears_half_written_is_read_when_it_is_whole() {
    let dir = TempDir::new().unwrap();
    let mut files = files(&dir, &["*.yaml"]);
    files.look(true, &Complete::new());
    let path = dir.path().join("t.yaml");
    fs::write(&path, "- targets: [one:1]\n").unwrap();
    assert!(!files.look(false, &Complete::new()));
    fs::write(&path, "- targets: [one:1]\n- targets: [two:2]\n").unwrap();
    assert!(!files.look(false, &Complete::new()));
    assert!(files.look(false, &Complete::new()));
    assert_eq!(targets(&files), "one:1 two:2");
}

/// Writes a version of a mounted ConfigMap, as a kubelet does: a new folder, and a link turned to it.
fn mount(dir: &TempDir, version: &str, text: &str) {
    let folder = dir.path().join(format!("..{version}"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("t.yaml"), text).unwrap();
    let next = dir.path().join("..data_tmp");
    std::os::unix::fs::symlink(format!("..{version}"), &next).unwrap();
    fs::rename(next, dir.path().join("..data")).unwrap();
    let link = dir.path().join("t.yaml");
    if fs::symlink_metadata(&link).is_err() {
        std::os::unix::fs::symlink("..data/t.yaml", link).unwrap();
    }
}

#[test]
fn a_config_map_that_is_turned_is_read_at_the_next_look() {
    let dir = TempDir::new().unwrap();
    mount(&dir, "one", "- targets: [one:1]\n");
    let mut files = files(&dir, &["*.yaml"]);
    files.look(true, &Complete::new());
    assert_eq!(targets(&files), "one:1");
    mount(&dir, "two", "- targets: [two:2]\n");
    assert!(files.look(false, &Complete::new()));
    assert_eq!(targets(&files), "two:2");
    let path = dir.path().join("t.yaml").display().to_string();
    assert_eq!(files.groups()[0].labels.value("__meta_filepath"), path);
}

/// Looks only once an hour, so that what is seen was heard of.
fn hearing(dir: &TempDir) -> crate::Discovery {
    let configs =
        serde_json::from_value(serde_json::json!({"file_sd_configs": [{"files": ["*.yaml"]}]})).unwrap();
    let context = crate::Context { look_every: Duration::from_secs(3600), ..crate::Context::new(dir.path()) };
    crate::spawn("job", &configs, &context).unwrap()
}

async fn until(discovery: &crate::Discovery, expected: &str) {
    let shown = |snapshot: &crate::Snapshot| {
        let targets = snapshot.groups.iter().flat_map(|group| group.targets.iter());
        snapshot.settled
            && targets.map(|target| target.value("__address__")).collect::<Vec<_>>().join(" ") == expected
    };
    let mut snapshots = discovery.snapshots();
    let found = tokio::time::timeout(Duration::from_secs(20), snapshots.wait_for(shown)).await;
    assert!(found.is_ok(), "never {expected:?}, but {:?}", discovery.snapshots().borrow());
}

#[tokio::test]
async fn changes_are_heard_of_between_looks() {
    let dir = TempDir::new().unwrap();
    let discovery = hearing(&dir);
    until(&discovery, "").await;
    fs::write(dir.path().join("a.yaml"), "- targets: [one:1]\n").unwrap();
    until(&discovery, "one:1").await;
    fs::write(dir.path().join("a.yaml"), "- targets: [one:1, two:2]\n").unwrap();
    until(&discovery, "one:1 two:2").await;
    replace(&dir, "b.yaml", "- targets: [three:3]\n");
    until(&discovery, "one:1 two:2 three:3").await;
}

#[tokio::test]
async fn a_config_map_that_is_turned_is_heard_of() {
    let dir = TempDir::new().unwrap();
    mount(&dir, "one", "- targets: [one:1]\n");
    let discovery = hearing(&dir);
    until(&discovery, "one:1").await;
    mount(&dir, "two", "- targets: [two:2]\n");
    until(&discovery, "two:2").await;
}
