//! Being told of incidents by the built binary: a command, a webhook, an Event on a pod; and what commands say of
//! folders and times that have nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use fake_kubernetes::kubelet::Reply;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::exporter::run;
use testkit::page::metric;

use crate::holders::{Cluster, GPU, api_pod, pod};
use crate::incidents::LIMIT;
use crate::rig::{BINARY, Rig, down};

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A webhook: its URL, and the bodies of the requests that it gets.
fn receiver() -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/x", listener.local_addr().expect("its address"));
    let (took, taken) = channel();
    let serve = move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let (mut length, mut line) = (0, String::new());
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a length");
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            reader.get_mut().write_all(answer.as_bytes()).expect("it is answered");
            let body = serde_json::from_slice(&body).expect("JSON");
            if took.send(body).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("hook".to_owned()).spawn(serve).expect("a thread");
    (url, taken)
}

/// The files of a folder with their content.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => {
                found.insert(path.display().to_string(), fs::read(&path).expect("it can be read"));
            }
        }
    }
    found
}

/// The one line that a command says of a place that has nothing for it, without a change there.
fn refused(args: &[&str], place: &Path) -> String {
    let before = files(place);
    let (exists, folder) = (place.exists(), place.display().to_string());
    let output = run(BINARY, &[args, &["--history-dir", &folder]].concat(), &[("TZ", "UTC")]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {errors}");
    assert_eq!(errors.lines().count(), 1, "{args:?}: {errors}");
    assert!(output.stdout.is_empty(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((place.exists(), files(place)), (exists, before), "{args:?} changed the folder");
    errors
}

#[test]
fn a_lost_gpu_is_told_by_the_command_and_the_webhook_until_it_is_back() {
    let rig = Rig::new().with_kernel_log();
    let (url, messages) = receiver();
    let (history, file) = (rig.path("history"), rig.path("told"));
    let command = format!(
        "{{ echo \"$HEATSINK_INCIDENT_VERDICT\"; cat; }} > {0}.new; mv {0}.new {0}",
        file.display()
    );
    let exporter = rig.started(
        &[
            "--collect-interval",
            "100",
            "--history-speed",
            "20",
            "--history-dir",
            &history.display().to_string(),
            "--on-incident",
            &command,
            "--incident-webhook",
            &url,
        ],
        8,
    );
    let address = rig.address(7);
    rig.log(&[&format!("NVRM: Xid (PCI:{address}): 79, GPU has fallen off the bus.")]);
    let xid = metric("heatsink_xid_errors_total").label("gpu", "7").label("xid", "79");
    exporter.wait_for("the XID is counted", LIMIT, |page| xid.is_in(page));
    rig.control.add(&["gpu 7 lost"]);
    exporter.wait_for("it is lost", LIMIT, |page| down(page, 7).as_deref() == Some("lost"));

    let log = || exporter.log();
    let next = |what: &str| {
        messages.recv_timeout(LIMIT).unwrap_or_else(|error| panic!("{what}: {error}\n{}", log()))
    };
    let fires = next("it fires");
    let alert = &fires["alerts"][0];
    assert_eq!((&fires["status"], &fires["version"]), (&json!("firing"), &json!("4")));
    assert_eq!(alert["labels"]["gpu"], "7", "{fires}");
    assert_eq!(alert["labels"]["UUID"], rig.uuid(7));
    assert_eq!(alert["labels"]["instance"], "node-1");
    let summary = alert["annotations"]["summary"].as_str().expect("a summary");
    assert!(summary.contains("GPU 7") && summary.contains("XID 79"), "{summary}");

    wait_until("the command has run", || file.exists());
    let told = fs::read_to_string(&file).expect("it can be read");
    let (verdict, report) = told.split_once('\n').expect("the verdict and the report");
    assert_eq!(verdict, summary);
    let first = report.lines().next().unwrap_or_default();
    assert!(first.contains("GPU 7"), "{report}");
    assert!(report.contains("XID 79") && report.lines().count() > 5, "{report}");

    rig.control.clear();
    let resolved = next("it is resolved");
    assert_eq!(resolved["status"], "resolved", "{resolved}");
    for same in ["fingerprint", "labels", "startsAt"] {
        assert_eq!(resolved["alerts"][0][same], alert[same], "{same}");
    }
    assert_ne!(resolved["alerts"][0]["endsAt"], alert["endsAt"]);
    let (status, _, log) = exporter.terminate();
    assert!(status.success(), "{log}");
    assert!(messages.try_recv().is_err(), "it is told twice");

    // What is not in this history.
    let is_known = refused(&["report", "99"], &history);
    assert!(is_known.contains("there is no incident 99; the only one is 1"), "{is_known}");
    for args in [
        &["report", "--at", "2001-02-03 04:05"][..],
        &["report", "--from", "2001-02-03", "--to", "2001-02-04"],
        &["history", "export", "--from", "2001-02-03", "--to", "2001-02-04"],
    ] {
        let line = refused(args, &history);
        assert!(line.contains("nothing was recorded"), "{args:?}: {line}");
        assert!(line.contains("the recording is from"), "{args:?}: {line}");
    }
    let line = refused(&["report", "--job", "4711"], &history);
    assert!(line.contains("no job or pod `4711`"), "{line}");
}

#[test]
fn a_pod_gets_an_event_for_the_gpu_that_it_loses() {
    let mut cluster = Cluster::new("h100x2", 2);
    cluster.node.rig = cluster.node.rig.with_kernel_log();
    let uuids = [0, 1].map(|gpu| cluster.node.rig.uuid(gpu).to_owned());
    let mut reply = Reply::new();
    for (name, uuid) in ["train-0", "train-1"].into_iter().zip(&uuids) {
        cluster.api.set("pods", api_pod(name, &json!({}), "Running"));
        reply = reply.pod(pod(name, &[(GPU, uuid)]));
    }
    cluster.node.kubelet.set(reply);
    let exporter = cluster.node.started(&["--kubernetes-pod-events"]);
    exporter.wait_for("the pods hold their GPUs", LIMIT, |page| {
        page.samples("heatsink_gpu_holder_info").len() == 2
    });
    // And the history knows: it has a row from after that.
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let known = since_1970.as_millis();
    wait_until("a row is recorded", || {
        let answer = exporter.get("/api/v1/history?signal=up").body;
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        answer["recorded"]["to"].as_u64().is_some_and(|last| u128::from(last) > known)
    });
    let address = cluster.node.rig.address(1);
    let line = format!("NVRM: Xid (PCI:{address}): 79, GPU has fallen off the bus.");
    cluster.node.rig.log(&[&line]);
    cluster.node.rig.control.add(&["gpu 1 lost"]);
    wait_until("an Event is written", || !cluster.api.objects("events").is_empty());
    let events = cluster.api.objects("events");
    assert_eq!(events.len(), 1, "{events:?}");
    let event = &events[0];
    assert_eq!(event["involvedObject"]["name"], "train-1");
    assert_eq!(event["involvedObject"]["uid"], "uid-of-train-1");
    assert_eq!((&event["type"], &event["reason"]), (&json!("Warning"), &json!("GpuIncident")));
    assert_eq!(event["source"]["host"], "node-1");
    let message = event["message"].as_str().expect("a message");
    assert!(message.contains("GPU 1 ") && message.contains("XID 79"), "{message}");
}

#[test]
fn a_place_without_a_history_is_named_and_left_as_it_is() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("empty")).expect("it can be made");
    fs::create_dir(path("garbage")).expect("it can be made");
    for name in ["garbage/incidents", "garbage/lock", "garbage/0000000000000001.history", "file"] {
        fs::write(path(name), b"\x00\xffnothing of heatsink's\n".repeat(99))
            .expect("it is written");
    }
    for (name, why) in [
        ("missing", "missing does not exist"),
        ("empty", "empty holds no history of heatsink"),
        ("garbage", "garbage holds no history of heatsink"),
        ("file", "file"),
    ] {
        for args in [&["report"][..], &["report", "1"], &["incidents"], &["history", "export"]] {
            let line = refused(args, &path(name));
            assert!(
                line.contains("no history to read: ") && line.contains(why),
                "{args:?}: {line}"
            );
            assert!(line.contains("--history-dir"), "{line}");
        }
    }
}
