//! Files that are read, and files that are refused.

use std::ffi::OsStr;
use std::time::Duration;

use model::Pace;

use super::*;
use crate::checks::check;
use crate::cli::{Args, Origin};
use crate::flags::{
    ADDRESS, COLLECT_INTERVAL, COLLECTORS, CONFIGMAP_DATA, DEVICES, KUBERNETES, METRIC_NAMES,
    NO_HOSTNAME, POD_LABEL_ALLOW_LIST, REPLACE_BLANKS_IN_MODEL_NAME, WINDOW,
};
use crate::loaded;

fn parsed(text: &str) -> ConfigFile {
    ConfigFile::parse(Path::new("h.yaml"), text).unwrap_or_else(|error| panic!("{text}: {error:#}"))
}

fn refused(text: &str) -> String {
    match ConfigFile::parse(Path::new("h.yaml"), text) {
        Ok(_) => panic!("{text} was accepted"),
        Err(error) => format!("{error:#}"),
    }
}

/// The settings of a command line with this file.
fn args(text: &str, line: &[&str]) -> Args {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("h.yaml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let line = [&["heatsink", "--config-file", path], line].concat();
    Args::parse(line.into_iter().map(Into::into)).unwrap().with_file().unwrap()
}

#[test]
fn a_file_has_values_of_each_form() {
    let args = args(
        "# A comment.\ncollect-interval: 250\nno-hostname: true\nmetric-names: 4.8\nwindow: \"5m\"\n\
         rbmn: yes\ndevices: g:0,2-3\nkubernetes-pod-label-allowlist-regex: [^app$, 'team']\n\
         address: :9401\nkubernetes: off\n",
        &[],
    );
    assert_eq!(args.get(&COLLECT_INTERVAL).unwrap(), Duration::from_millis(250));
    assert!(args.get(&NO_HOSTNAME).unwrap() && !args.get(&KUBERNETES).unwrap());
    assert_eq!(args.get(&METRIC_NAMES).unwrap(), Some(model::catalog::Generation::V4_8));
    assert_eq!(args.get(&WINDOW).unwrap(), Duration::from_secs(300));
    assert!(args.get(&REPLACE_BLANKS_IN_MODEL_NAME).unwrap());
    assert_eq!(args.get(&DEVICES).unwrap(), crate::devices::parse("g:0,2-3").unwrap());
    assert_eq!(args.get(&POD_LABEL_ALLOW_LIST).unwrap(), ["^app$", "team"]);
    assert_eq!(args.get(&ADDRESS).unwrap(), [":9401"]);
}

#[test]
fn a_flag_takes_precedence_over_the_file_and_the_file_over_a_default() {
    let args = args("window: 2m\ncollect-interval: 300\n", &["--window", "3m"]);
    assert_eq!(args.get(&WINDOW).unwrap(), Duration::from_secs(180));
    assert!(matches!(args.origin(&WINDOW.row), Origin::Flag));
    assert_eq!(args.get(&COLLECT_INTERVAL).unwrap(), Duration::from_millis(300));
    let Origin::File(_, entry) = args.origin(&COLLECT_INTERVAL.row) else { panic!("not the file") };
    assert_eq!((entry.line, &*entry.key), (2, "collect-interval"));
    assert!(matches!(args.origin(&COLLECTORS.row), Origin::Default));
}

/// The environment of a process cannot be changed safely, so the test runs itself with a variable set.
#[test]
fn a_variable_takes_precedence_over_the_file_unless_it_is_blank() {
    const VARIABLE: &str = "HEATSINK_WINDOW";
    let name = "config_file::tests::a_variable_takes_precedence_over_the_file_unless_it_is_blank";
    if std::env::var_os("TEST_OF_PRECEDENCE").is_none() {
        for value in ["3m", "", "  "] {
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", name]).env("TEST_OF_PRECEDENCE", "").env(VARIABLE, value);
            let output = child.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
        return;
    }
    let args = args("window: 2m\n", &[]);
    let is_blank = std::env::var(VARIABLE).unwrap().trim().is_empty();
    let minutes = if is_blank { 2 } else { 3 };
    assert_eq!(args.get(&WINDOW).unwrap(), Duration::from_secs(60 * minutes));
    assert_eq!(matches!(args.origin(&WINDOW.row), Origin::Variable(VARIABLE)), !is_blank);
}

#[test]
fn every_flag_can_be_set_from_a_file() {
    for CheckedRow { row, meaning } in settable() {
        if std::ptr::eq(row, &CONFIG_FILE.row) {
            continue;
        }
        let tried =
            ["true", "8", "5s", "60s", "1:1", "f", "4.9", "nvml", "steady", "labels", "INFO"];
        let more =
            ["1000", "json", "uid", "none", "a:b", "/", ":9400", "g:0", "8MiB", "7d", "http://a/"];
        let is_right = |text: &&str| meaning(Some(OsStr::new(text))).is_ok();
        let text = tried.into_iter().chain(more).find(is_right);
        let text = text.unwrap_or_else(|| panic!("{row}: no text is right"));
        for name in [Some(row.long), row.alias].into_iter().flatten() {
            let file = parsed(&format!("\n{name}: '{text}'\n"));
            let entry = file.get(row).unwrap_or_else(|| panic!("{name} is not set"));
            assert_eq!((&*entry.text, entry.line), (text, 2), "{name}");
            let message = refused(&format!("{name}:\n"));
            assert!(message.starts_with(&format!("h.yaml:1: {name}: has no value")), "{message}");
        }
    }
}

#[test]
fn a_file_without_settings_is_accepted() {
    for text in ["", "\n\n", "# A comment.\n", "---\n# A comment.\n", "---\n...\n", "{}\n"] {
        assert!(parsed(text).entries.is_empty(), "{text}");
    }
}

#[test]
fn each_mistake_names_file_line_and_key() {
    for (text, message) in [
        (
            "collect-interval: 5\n",
            "h.yaml:1: collect-interval: `5` is not between 10 and 3600000 milliseconds; write 1000 \
             for a second",
        ),
        (
            "# x\n\ncollect-intervall: 5\n",
            "h.yaml:3: collect-intervall: no flag has this name; did you mean `collect-interval`?",
        ),
        ("zzz: 5\n", "h.yaml:1: zzz: no flag has this name; `heatsink --help` lists them"),
        (
            "config-file: x\n",
            "h.yaml:1: config-file: a file cannot name another one; use the flag or its variable",
        ),
        (
            "collection: {interval: 30s}\n",
            "h.yaml:1: collection: no flag has this name; a file of dcgm-exporter begins with \
             `version: 1`",
        ),
        ("no-hostname: maybe\n", "h.yaml:1: no-hostname: `maybe` is none of true, false"),
        ("window: [1m, 2m]\n", "h.yaml:1: window: has more than one value; write one"),
        ("window: {a: 1}\n", "h.yaml:1: window: has keys of its own; write one value"),
        ("window:\n  - 1m\n", "h.yaml:1: window: has more than one value; write one"),
        ("window:\n  a: 1m\n", "h.yaml:1: window: has keys of its own; write one value"),
        (
            "address: []\n",
            "h.yaml:1: address: is an empty list; write one item, or leave the line out",
        ),
        ("window: 1m\n---\nwindow: 2m\n", "h.yaml:3: a second document begins here; write one"),
        ("hello\n", "h.yaml:1: has no keys; write lines of the form `key: value`"),
        ("window:\n", "h.yaml:1: window: has no value; write one, or leave the line out"),
        ("address:\n", "h.yaml:1: address: has no value; write one, or leave the line out"),
        ("address: {a: 1}\n", "h.yaml:1: address: expected a list, or one text"),
        (
            "address: ['a,b']\n",
            "h.yaml:1: address: `a,b` has a comma, which separates items; write two items",
        ),
        ("window: 1m\nwindow: 2m\n", "h.yaml:2: window: stands twice; leave one of them out"),
        (
            "rbmn: true\nreplace-blanks-in-model-name: true\n",
            "h.yaml:2: replace-blanks-in-model-name: is set already, by `rbmn` in line 1; leave one \
             of them out",
        ),
        (
            "configmap-data: counters\n",
            "h.yaml:1: configmap-data: `counters` is not NAMESPACE:NAME; write gpu:counters, or none",
        ),
        ("- a\n", "h.yaml:1: has no keys; write lines of the form `key: value`"),
        ("version:\n", "h.yaml:1: version: has no value; write one, or leave the line out"),
        ("version: 1\nversion: 2\n", "h.yaml:2: version: stands twice; leave one of them out"),
        (
            "version: 1\nmetrics:\n  file: [a]\n",
            "h.yaml:3: file: has more than one value; write one",
        ),
        (
            "version: 1\nmetrics:\n  file:\n    a: b\n",
            "h.yaml:4: file: has keys of its own; write one value",
        ),
        (
            "version: 1\nmetrics: all\n",
            "h.yaml:2: metrics: has no keys; write lines of the form `key: value`",
        ),
        ("version: 1\nmetrics:\n  fields: a\n", "h.yaml:3: fields: is no list; write `[a, b]`"),
        ("json: true\n", "h.yaml:1: json: no flag has this name; `heatsink --help` lists them"),
    ] {
        assert_eq!(refused(text), message, "{text}");
    }
    for text in
        ["window: \"1m\n", "a: [", "window: 1m\n---\nwindow: 2m\n", "\tx: 1\n", "? [a]\n: 1\n"]
    {
        let message = refused(text);
        assert!(message.starts_with("h.yaml:") && !message.contains('\n'), "{message}");
    }
}

#[test]
fn anchors_are_expanded_within_limits() {
    let file = parsed("window: &w 2m\nattribution-max-age: *w\n");
    assert_eq!(file.entries[1].text, "2m");
    let mut bomb = "address: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let before = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb += &format!("nvidia-resource-names{level}: &a{level} [{before}]\n");
    }
    refused(&bomb);
    let mut wide = "version: 1\nmetrics:\n  fields:\n".to_owned();
    wide += "  - &f {name: &n [x, x, x, x, x, x, x, x, x, x], prometheusType: gauge, help: h}\n";
    wide += &"  - *f\n".repeat(50_000);
    refused(&wide);
    refused(&"[".repeat(100_000));
    refused(&format!("address: {}", "[".repeat(10_000)));
}

#[test]
fn a_file_that_is_too_large_or_no_text_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("h.yaml");
    let refused = |content: &[u8], said: &str| {
        std::fs::write(&path, content).unwrap();
        let error = format!("{:#}", ConfigFile::read(&path).err().expect("refused"));
        assert!(error.contains(said), "{error}");
    };
    refused("# x\n".repeat(300_000).as_bytes(), "larger than 1 MiB");
    refused(b"window: \xff\n", "not UTF-8");
    std::fs::remove_file(&path).unwrap();
    let error = format!("{:#}", ConfigFile::read(&path).err().expect("refused"));
    assert!(
        error.contains("cannot read") && error.contains("DCGM_EXPORTER_CONFIG_FILE"),
        "{error}"
    );
}

#[test]
fn settings_that_no_reload_changes_are_kept_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("h.yaml");
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    write("window: 2m\nexpected-gpus: 4\ncollect-interval: 500\n");
    let line = ["heatsink", "--collect-interval", "200", "--config-file", path.to_str().unwrap()];
    let before = Args::parse(line.into_iter().map(Into::into)).unwrap().with_file().unwrap();
    write("window: 3m\nexpected-gpus: 8\ncollect-interval: 700\nkubernetes: true\n");
    let (after, warnings) = before.reread(check).unwrap();
    assert_eq!(
        warnings,
        ["take effect after a restart: --window (HEATSINK_WINDOW), -k, --kubernetes \
          (DCGM_EXPORTER_KUBERNETES)"],
        "the flag hides the interval of the file"
    );
    assert_eq!(after.get(&WINDOW).unwrap(), Duration::from_secs(120));
    assert_eq!(after.get(&crate::flags::EXPECTED_GPUS).unwrap(), Some(8));
    assert!(!after.get(&KUBERNETES).unwrap());
    write("window: 2m\n");
    let (after, changed) = after.reread(check).unwrap();
    assert_eq!((changed.len(), after.get(&crate::flags::EXPECTED_GPUS).unwrap()), (0, None));
    write("widow: 2m\n");
    assert!(after.reread(check).is_err());
    // Other texts with the same meaning.
    write("window: 120s\nkubernetes: no\nmax-connections: \"0256\"\nhealth-require-gpus: ''\n");
    assert_eq!(after.reread(check).unwrap().1, [""; 0]);
    // A key without effect is said to have none, once.
    write("window: 2m\ndump-enabled: true\n");
    let (after, warnings) = after.reread(check).unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains(":2: dump-enabled has no effect: "), "{warnings:?}");
    assert_eq!(after.reread(check).unwrap().1, [""; 0]);
    // Settings with which heatsink would not start.
    for text in [
        "source: nvml\nsim-gpus: 4\n",
        "source: sim\nsim-gpus: 4\n",
        "kubernetes-enable-pod-labels: true\nkubernetes-pod-label-allowlist-regex: ['(']\n",
        "address: nonsense\n",
        "address: []\n",
        "address: ' '\n",
    ] {
        write(text);
        assert!(after.reread(check).is_err(), "{text}");
    }
}

#[test]
fn files_of_dcgm_exporter_are_read() {
    let args = args(
        "version: 1\nmetrics:\n  file: all\n  enableExporterMetrics: false\ncollection:\n  \
         interval: 30s\n  watchGroups:\n  - name: fast\n    interval: 5s\n    fields:\n    \
         - DCGM_FI_DEV_GPU_TEMP\n    - DCGM_FI_DEV_POWER_*\n  - name: slow\n    interval: 5m\n    \
         fields: ['DCGM_FI_DEV_ECC_*']\nsources:\n  dcgm:\n    detectBindUnbind:\n      \
         enabled: true\n      pollInterval: 1s\nserver:\n  maxConcurrentScrapes: 16\n",
        &[],
    );
    assert_eq!(args.get(&COLLECT_INTERVAL).unwrap(), Duration::from_secs(30));
    let watches = loaded::watch_config(&args).unwrap().read().unwrap().watches;
    let pace = |name: &str| watches.iter().find(|watch| &*watch.name == name).unwrap().pace;
    assert_eq!(pace("DCGM_FI_DEV_GPU_TEMP"), Pace::At(Duration::from_secs(5)));
    assert_eq!(pace("DCGM_FI_DEV_POWER_USAGE"), Pace::At(Duration::from_secs(5)));
    assert_eq!(pace("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL"), Pace::At(Duration::from_secs(300)));
    assert_eq!(pace("DCGM_FI_DEV_SM_CLOCK"), Pace::Every);
}

#[test]
fn version_2_of_dcgm_exporters_file_is_read() {
    let text = "version: 2\nmetrics:\n  fields:\n  - name: DCGM_FI_DEV_GPU_TEMP\n    \
        prometheusType: gauge\n    help: Heat, \"in C\", 10s.\n  - name: DCGM_FI_DEV_NO_SUCH\n    \
        prometheusType: gauge\n    help: H\n  - name: DCGM_FI_DEV_POWER_USAGE\n    \
        prometheusType: gauge\n    help: Power\nsources:\n  dcgm:\n    watch: {maxKeepAge: 10m, \
        maxKeepSamples: 0}\ncollections:\n- name: scrape\n  every: 45s\n  metrics:\n    \
        include: ['*']\n- name: fast\n  every: 500ms\n  sources: {dcgm: {watch: {maxKeepSamples: \
        2}}}\n  metrics:\n    include: [DCGM_FI_DEV_GPU_*]\n";
    let own = args(text, &[]);
    assert_eq!(own.get(&COLLECT_INTERVAL).unwrap(), Duration::from_secs(45));
    let loaded = loaded::watch_config(&own).unwrap().read().unwrap();
    assert_eq!((loaded.rows, loaded.rows_skipped), (2, 1));
    let heat = &loaded.watches[0];
    assert_eq!((&*heat.name, &*heat.help), ("DCGM_FI_DEV_GPU_TEMP", "Heat, \"in C\", 10s."));
    assert_eq!(heat.pace, Pace::At(Duration::from_millis(500)));
    let ignored = &own.file().unwrap().ignored;
    assert!(
        ignored.iter().any(|key| key.ends_with("collections.sources.dcgm.watch")),
        "{ignored:?}"
    );
    // A flag takes precedence over the rows in the file.
    let typed = args(text, &["-f", "all"]);
    assert!(loaded::watch_config(&typed).unwrap().read().unwrap().rows > 300);
    assert_eq!(own.get(&CONFIGMAP_DATA).unwrap(), None);
}

#[test]
fn mistakes_in_files_of_dcgm_exporter_are_refused() {
    let group = |interval: &str, fields: &str| {
        format!(
            "version: 1\ncollection:\n  watchGroups:\n  - name: a\n    interval: {interval}\n    \
             fields: {fields}\n"
        )
    };
    for (text, message) in [
        ("version: 3\n", "h.yaml:1: version: `3` is neither 1 nor 2"),
        (
            "version: 1\nfoo: 1\n",
            "h.yaml:2: foo: no such key; the keys here are version, metrics, collection,",
        ),
        ("version: 1\ncollections: []\n", "h.yaml:2: collections: no such key"),
        ("version: 2\ncollection: {}\n", "h.yaml:2: collection: no such key"),
        ("version: 1\nwindow: 1m\n", "h.yaml:2: window: no such key"),
        ("version: 2\ncollections: []\n", "h.yaml:2: collections: is empty"),
        ("version: 1\nmetrics: {}\n", "h.yaml:2: metrics: has neither `file` nor `fields`"),
        (
            "version: 1\nmetrics:\n  file: a\n  fields: [{name: a, prometheusType: b, help: c}]\n",
            "metrics: has both `file` and `fields`",
        ),
        (
            "version: 1\nmetrics:\n  fields: [{name: a, prometheusType: b}]\n",
            "h.yaml:3: help: is missing; write it",
        ),
        (
            "version: 1\nmetrics:\n  fields: [{name: a, prometheusType: b, help: ''}]\n",
            "h.yaml:3: metrics.fields.help: is empty",
        ),
        (
            "version: 1\nmetrics:\n  fields:\n  - {name: a, prometheusType: b, help: c}\n  \
             - {name: a, prometheusType: b, help: c}\n",
            "h.yaml:5: metrics.fields.name: `a` stands twice",
        ),
        (
            "version: 1\nmetrics:\n  fields: [{name: \"a\\nb\", prometheusType: b, help: c}]\n",
            "h.yaml:3: metrics.fields.name: `a\nb` has a comma, a quote or a line break",
        ),
        (
            "version: 1\nmetrics:\n  fields: [{name: a, prometheusType: 'gauge, x', help: c}]\n",
            "h.yaml:3: metrics.fields.prometheusType: `gauge, x` has a comma",
        ),
        (
            "version: 2\ncollections:\n- {name: a, every: 5s, metrics: {include: ['*']}}\n\
             - {name: a, every: 5s, metrics: {include: [b]}}\n",
            "h.yaml:4: collections: `a` stands twice",
        ),
        ("version: 1\nmetrics: [\n", "h.yaml:2: unclosed bracket"),
        (
            "version: 1\nsources:\n  dcgm:\n    watch: {maxKeepAge: 1m}\n",
            "h.yaml:4: sources.dcgm.watch: no such key in version 1",
        ),
        (
            "version: 1\ncollection: {interval: 30}\n",
            "h.yaml:2: collection.interval: `30` is not between 10ms and 1h; write 30s",
        ),
        (&group("0s", "[a]"), "h.yaml:5: collection.watchGroups: `0s` is not between 10ms and 1h"),
        (&group("5s", "[]"), "h.yaml:4: collection.watchGroups: `a` names no field"),
        (&group("5s", "['[']"), "h.yaml:6: collection.watchGroups: `[` is no pattern"),
        (&group("5s", "[a]").replace("name: a", "name: ''"), "has an empty name"),
    ] {
        let refusal = refused(text);
        assert!(refusal.contains(message), "{text}: {refusal}");
    }
    let refused = |text: &str| {
        let args = args(text, &[]);
        let read = loaded::watch_config(&args).unwrap().read();
        format!("{:#}", read.err().expect("refused"))
    };
    let nothing = refused(&group("5s", "[DCGM_FI_NO_*]"));
    assert!(
        nothing.contains("h.yaml:4: collection.watchGroups `a`: matches no field"),
        "{nothing}"
    );
    let twice = group("5s", "['*TEMP']")
        + "  - name: b\n    interval: 1s\n    fields: [DCGM_FI_DEV_GPU_TEMP]\n";
    let twice = refused(&twice);
    assert!(twice.contains("DCGM_FI_DEV_GPU_TEMP is in") && twice.contains("`a` too"), "{twice}");
}

/// The table of `docs/configuration.md` has the settings that a reload changes.
#[test]
fn the_table_of_reloaded_settings_is_that_of_the_rows() {
    let path = testkit::exporter::repository_file("docs/configuration.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, table) = text.split_once("<!-- settings that a reload changes").expect("the table");
    let rows = table.lines().skip_while(|line| !line.starts_with("| `"));
    let cells = rows.take_while(|line| line.starts_with('|'));
    let mut named: Vec<&str> = cells
        .flat_map(|row| row.split('|').nth(1).unwrap_or_default().split(','))
        .map(|name| name.trim().trim_matches('`'))
        .collect();
    let mut expected: Vec<&str> =
        settable().filter(|checked| checked.row.reloads).map(|checked| checked.row.long).collect();
    named.sort_unstable();
    expected.sort_unstable();
    assert_eq!(named, expected);
}

/// The example is right, also with the settings that are comments in it.
#[test]
fn the_example_is_accepted() {
    let path = testkit::exporter::repository_file("deploy/config/heatsink.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(!parsed(&text).entries.is_empty());
    let is_setting =
        |line: &str| line.starts_with("# ") && line.contains(": ") && !line.contains('`');
    let lines = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(setting) if is_setting(line) && !setting.contains("heatsink --") => setting,
        _ => line,
    });
    let whole: String = lines.flat_map(|line| [line, "\n"]).collect();
    assert_eq!(parsed(&whole).entries.len(), 5);
}

/// A key of a file that stands for a flag is named when its value turns out to be wrong later.
#[test]
fn a_file_that_a_key_names_and_that_cannot_be_read_is_named_with_the_key() {
    for (text, said) in [
        ("collectors: /nope\n", "h.yaml:1: collectors: cannot read the counters file /nope"),
        ("\nextra-collectors: /nope\n", "h.yaml:2: extra-collectors: cannot read"),
        ("web-config-file: /nope\n", "h.yaml:1: web-config-file: cannot read /nope"),
        ("source: nvml\nsim-gpus: 4\n", "h.yaml:2: sim-gpus has no effect without --source sim"),
    ] {
        let args = args(text, &[]);
        let read = check(&args).and_then(|_| loaded::Loaded::of_files(&args).map(drop));
        let error = format!("{:#}", read.expect_err("refused"));
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn long_texts_of_a_file_are_cut_in_messages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("h.yaml");
    let long = "x".repeat(500_000);
    for text in [format!("window: {long}\n"), format!("{long}: 1\n"), format!("version: {long}\n")]
    {
        std::fs::write(&path, &text).unwrap();
        let error = format!("{:#}", ConfigFile::read(&path).err().expect("refused"));
        assert!(error.chars().count() < 1100, "{}", error.len());
    }
}
