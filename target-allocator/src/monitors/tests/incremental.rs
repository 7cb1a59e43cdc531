//! Cost follows change.

use std::cell::Cell;

use super::*;

fn numbered(n: usize) -> String {
    format!(
        "
kind: ServiceMonitor
metadata: {{namespace: shop, name: m{n}}}
spec: {{selector: {{}}, endpoints: [{{port: metrics, authorization: {{credentials: {{name: s{n}, key: token}}}}}}]}}
"
    )
}

fn run(generator: &mut Generator, monitors: &[Arc<Monitor>], material: &dyn Material) -> (Generated, u64) {
    let before = generator.n_made();
    let generated = generator.generate(Inputs { monitors, namespaces: &Namespaces::new(), material });
    (generated, generator.n_made() - before)
}

/// How many jobs of `after` are other allocations than before.
fn n_new(before: &Generated, after: &Generated) -> usize {
    let is_new = |(name, job): (&Arc<str>, &Arc<JobSpec>)| {
        !before.jobs.get(name).is_some_and(|old| Arc::ptr_eq(old, job))
    };
    after.jobs.iter().filter(|entry| is_new(*entry)).count()
}

#[test]
fn of_a_thousand_monitors_only_the_changed_one_is_made_again() {
    let mut monitors: Vec<Arc<Monitor>> = (0..1_000).map(|n| monitor(&numbered(n))).collect();
    let token = Cell::new("old");
    let material = |entry: &EntryRef| match entry.object.name.as_str() {
        "s7" => Answer::Value(Secret::new(token.get())),
        _ => Answer::Value(Secret::new("same")),
    };
    let mut generator = Generator::new(policy(ALL));
    let (first, n_made) = run(&mut generator, &monitors, &material);
    assert_eq!((first.jobs.len(), n_made, first.objects.len()), (1_000, 1_000, 1_000));
    let (second, n_made) = run(&mut generator, &monitors, &material);
    assert_eq!((n_made, n_new(&first, &second)), (0, 0), "nothing changed");

    monitors[3] = monitor(&numbered(3).replace("port: metrics", "port: other"));
    let (third, n_made) = run(&mut generator, &monitors, &material);
    assert_eq!((n_made, n_new(&second, &third)), (1, 1), "a specification changed");

    monitors.iter_mut().for_each(|monitor| *monitor = Arc::new(Monitor::clone(monitor)));
    monitors.reverse();
    let (fourth, n_made) = run(&mut generator, &monitors, &material);
    assert_eq!((n_made, n_new(&third, &fourth)), (0, 0), "the same objects, listed again in another order");

    token.set("new");
    let (fifth, n_made) = run(&mut generator, &monitors, &material);
    assert_eq!((n_made, n_new(&fourth, &fifth)), (1, 1), "a secret was rotated");
    let job = &fifth.jobs["serviceMonitor/shop/m7/0"];
    assert_eq!(job.full()["authorization"]["credentials"], "new");

    monitors.retain(|monitor| monitor.key.name != "m0");
    let (sixth, n_made) = run(&mut generator, &monitors, &material);
    assert_eq!((sixth.jobs.len(), n_made), (999, 0), "one was deleted");
}

#[test]
fn other_settings_look_at_everything_and_change_only_what_they_concern() {
    let with_own = numbered(1).replace("port: metrics", "interval: 5s");
    let monitors = [monitor(&numbered(0)), monitor(&with_own)];
    let material = |_: &EntryRef| Answer::Value(Secret::new("same"));
    let mut generator = Generator::new(policy(ALL));
    let (first, _) = run(&mut generator, &monitors, &material);
    generator.set_policy(policy(ALL));
    let (second, n_made) = run(&mut generator, &monitors, &material);
    assert_eq!((n_made, n_new(&first, &second)), (0, 0), "the same settings");
    generator.set_policy(policy(&format!("{ALL}scrape_interval: 20s\n")));
    let (third, n_made) = run(&mut generator, &monitors, &material);
    assert_eq!((n_made, n_new(&second, &third)), (2, 1), "one has an interval of its own");
    assert_eq!(third.jobs["serviceMonitor/shop/m0/0"].full()["scrape_interval"], "20s");
}

#[test]
fn a_monitor_keeps_its_jobs_while_a_secret_has_not_been_read() {
    let is_read = Cell::new(false);
    let material = |entry: &EntryRef| match entry.object.name.as_str() {
        "s1" if !is_read.get() => Answer::NotReadYet,
        _ => Answer::Value(Secret::new("token")),
    };
    let mut generator = Generator::new(policy(ALL));
    let named = |n: usize| monitor(&numbered(n).replace(&format!("name: m{n}"), "name: same"));
    let (first, _) = run(&mut generator, &[named(0)], &material);
    let (second, _) = run(&mut generator, &[named(1)], &material);
    assert_eq!(n_new(&first, &second), 0, "the old job goes on");
    assert_eq!((second.quarantine.len(), second.selected[0].n_waiting), (0, 1));
    let waits_for: Vec<String> = second.waits_for.iter().map(ToString::to_string).collect();
    assert_eq!(waits_for, ["Secret shop/s1"]);
    let why = generator.why_no_jobs(&named(1), &Namespaces::new()).unwrap().to_string();
    assert_eq!(why, "Secret shop/s1, which the monitor refers to, has not been read yet");
    is_read.set(true);
    let (third, n_made) = run(&mut generator, &[named(1)], &material);
    assert_eq!((third.jobs.len(), n_made, third.waits_for.len()), (1, 1, 0));
}

#[test]
fn what_has_to_be_watched_is_asked_for_in_one_go() {
    let manifest = "
kind: PodMonitor
metadata: {namespace: shop, name: many}
spec:
  podMetricsEndpoints:
  - basicAuth: {username: {name: a, key: k}, password: {name: b, key: k}}
    tlsConfig: {ca: {configMap: {name: c, key: k}}, cert: {secret: {name: d, key: k}}, keySecret: {name: d, key: l}}
  - authorization: {credentials: {name: e, key: k}}
";
    let generated = generate_with(ALL, &|_: &EntryRef| Answer::NotReadYet, &[manifest]);
    let waits_for: Vec<String> = generated.waits_for.iter().map(ToString::to_string).collect();
    assert_eq!(
        waits_for,
        ["Secret shop/a", "Secret shop/b", "Secret shop/d", "Secret shop/e", "ConfigMap shop/c"]
    );
    assert_eq!(generated.objects, generated.waits_for);
    assert_eq!((generated.jobs.len(), generated.quarantine.len()), (0, 0));
}
