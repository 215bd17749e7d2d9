use std::sync::Mutex;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::Status;
use kube::core::error_boundary::InvalidObject;
use serde_json::json;

use super::*;
use crate::runtime::prune;

type Told = Arc<Mutex<Vec<String>>>;
type Changed = Box<dyn FnMut(Change<'_, ConfigMap>)>;

/// A mirror of ConfigMaps, what it told of, and its metrics.
struct Fixture {
    mirror: Mirror<ConfigMap, Changed>,
    told: Told,
    metrics: Arc<Metrics>,
}

fn watching(scope: &str) -> Fixture {
    let (told, metrics) = (Told::default(), Arc::new(Metrics::default()));
    let tell = told.clone();
    let changed = move |change: Change<'_, ConfigMap>| {
        let word = match (change.before, change.after) {
            (None, Some(_)) => "new",
            (Some(_), Some(_)) => "changed",
            _ => "gone",
        };
        let name = change.sides().last().map(named).unwrap();
        tell.lock().unwrap().push(format!("{name} {word}"));
    };
    let keep = Keep {
        prune: prune::metadata as fn(&mut ConfigMap),
        changed: Box::new(changed) as Changed,
    };
    let (_, writer) = cache();
    let mirror = Mirror::new(
        Kind::ConfigMap,
        &scope.parse().unwrap(),
        writer,
        keep,
        metrics.clone(),
    );
    Fixture {
        mirror,
        told,
        metrics,
    }
}

impl Fixture {
    /// A whole list of one watch.
    fn lists(&mut self, part: usize, objects: &[ConfigMap]) {
        self.sees(part, Event::Init);
        for object in objects {
            self.sees(part, Event::InitApply(readable(object)));
        }
        self.sees(part, Event::InitDone);
    }

    fn sees(&mut self, part: usize, event: Event<DeserializeGuard<ConfigMap>>) {
        self.mirror.observe(part, Ok(event));
    }

    fn fails(&mut self, code: u16, message: &str) {
        let status = Status::failure(message, "Failed").with_code(code);
        self.mirror
            .observe(0, Err(watcher::Error::WatchError(Box::new(status))));
    }

    /// What was told since last asked.
    fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap())
    }

    fn cached(&self) -> Vec<String> {
        let mut names: Vec<_> = self
            .mirror
            .store
            .state()
            .iter()
            .map(|object| named(object))
            .collect();
        names.sort();
        names
    }

    fn watch_errors(&self) -> String {
        let text = self.metrics.open_metrics().unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("rocketmq_operator_watch_errors_total{kind=\"ConfigMap\"} "));
        line.unwrap_or("0").to_owned()
    }
}

fn named(object: &ConfigMap) -> String {
    format!("{}/{}", object.namespace().unwrap(), object.name_any())
}

/// `namespace/name`, at a version.
fn map_at(name: &str, version: u32) -> ConfigMap {
    let (namespace, name) = name.split_once('/').unwrap();
    let meta =
        json!({"namespace": namespace, "name": name, "uid": name, "resourceVersion": version.to_string()});
    serde_json::from_value(json!({"metadata": meta})).unwrap()
}

fn readable(object: &ConfigMap) -> DeserializeGuard<ConfigMap> {
    DeserializeGuard(Ok(object.clone()))
}

#[test]
fn a_second_list_tells_only_of_what_changed_meanwhile() {
    let mut watch = watching("");
    watch.lists(0, &[map_at("mq/a", 1), map_at("mq/b", 1), map_at("mq/c", 1)]);
    assert_eq!(watch.told(), ["mq/a new", "mq/b new", "mq/c new"]);
    watch.lists(0, &[map_at("mq/a", 1), map_at("mq/b", 2), map_at("mq/d", 3)]);
    assert_eq!(watch.told(), ["mq/b changed", "mq/d new", "mq/c gone"]);
    assert_eq!(watch.cached(), ["mq/a", "mq/b", "mq/d"]);
}

#[test]
fn changes_and_deletions_are_told_as_they_come() {
    let mut watch = watching("");
    watch.lists(0, &[map_at("mq/a", 1)]);
    watch.told();
    watch.sees(0, Event::Apply(readable(&map_at("mq/a", 2))));
    watch.sees(0, Event::Delete(readable(&map_at("mq/a", 3))));
    watch.sees(0, Event::Delete(readable(&map_at("mq/never-seen", 3))));
    assert_eq!(watch.told(), ["mq/a changed", "mq/a gone"]);
    assert!(watch.cached().is_empty());
}

#[test]
fn a_cache_of_several_namespaces_is_filled_when_all_have_been_listed() {
    let mut watch = watching("a,b");
    watch.lists(0, &[map_at("a/x", 1)]);
    assert!(!watch.mirror.is_filled());
    watch.lists(1, &[map_at("b/x", 2)]);
    assert!(watch.mirror.is_filled());
    assert_eq!(watch.cached(), ["a/x", "b/x"]);
}

#[test]
fn a_new_list_of_one_namespace_leaves_the_others_alone() {
    let mut watch = watching("a,b");
    watch.lists(0, &[map_at("a/x", 1)]);
    watch.lists(1, &[map_at("b/x", 2)]);
    watch.told();
    watch.lists(0, &[]);
    assert_eq!(watch.told(), ["a/x gone"]);
    assert_eq!(watch.cached(), ["b/x"]);
}

#[test]
fn a_list_that_breaks_off_deletes_nothing() {
    let mut watch = watching("");
    watch.lists(0, &[map_at("mq/a", 1), map_at("mq/b", 1)]);
    watch.told();
    watch.sees(0, Event::Init);
    watch.sees(0, Event::InitApply(readable(&map_at("mq/a", 1))));
    watch.fails(500, "broken off");
    watch.lists(0, &[map_at("mq/a", 1), map_at("mq/b", 1)]);
    assert!(watch.told().is_empty());
    assert_eq!(watch.cached(), ["mq/a", "mq/b"]);
}

#[test]
fn an_object_that_cannot_be_read_is_left_out_and_hides_no_other() {
    let mut watch = watching("");
    let odd = || {
        let metadata = map_at("mq/odd", 2).metadata;
        DeserializeGuard(Err(InvalidObject {
            error: "missing field `spec`".to_owned(),
            metadata,
        }))
    };
    watch.sees(0, Event::Init);
    watch.sees(0, Event::InitApply(odd()));
    watch.sees(0, Event::InitApply(readable(&map_at("mq/a", 1))));
    watch.sees(0, Event::InitDone);
    assert!(watch.mirror.is_filled());
    assert_eq!(watch.cached(), ["mq/a"]);
    // Repaired, then odd again: the last version that could be read stays.
    watch.sees(0, Event::Apply(readable(&map_at("mq/odd", 3))));
    watch.sees(0, Event::Apply(odd()));
    watch.sees(0, Event::Init);
    watch.sees(0, Event::InitApply(odd()));
    watch.sees(0, Event::InitApply(readable(&map_at("mq/a", 1))));
    watch.sees(0, Event::InitDone);
    assert_eq!(watch.cached(), ["mq/a", "mq/odd"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_keeps_failing_is_logged_once_and_counted_each_time() {
    let mut watch = watching("");
    let log = Log::default();
    let _capturing = log.capture();
    for _ in 0..5 {
        watch.fails(403, "configmaps is forbidden");
        tokio::time::advance(Duration::from_secs(30)).await;
    }
    watch.fails(500, "another trouble");
    watch.lists(0, &[]);
    watch.fails(500, "another trouble");
    assert_eq!(watch.watch_errors(), "7");
    let lines = log.lines();
    let words = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
    assert_eq!(words("configmaps is forbidden"), 1, "{lines:#?}");
    assert_eq!(words("another trouble"), 2, "{lines:#?}");
    assert_eq!(words("watching again"), 1, "{lines:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_a_quiet_time_is_news_although_no_event_came_between() {
    let mut watch = watching("");
    let log = Log::default();
    let _capturing = log.capture();
    watch.fails(500, "trouble");
    tokio::time::advance(QUIET + Duration::from_secs(1)).await;
    watch.fails(500, "trouble");
    assert_eq!(log.lines().len(), 2, "{:#?}", log.lines());
}

#[test]
fn a_version_too_old_is_no_failure() {
    let mut watch = watching("");
    watch.fails(410, "too old resource version");
    assert_eq!(watch.watch_errors(), "0");
}

/// Log lines of this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn capture(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let lines = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || log.clone());
        tracing::subscriber::set_default(lines.finish())
    }

    fn lines(&self) -> Vec<String> {
        String::from_utf8_lossy(&self.0.lock().unwrap())
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
