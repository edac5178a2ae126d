//! What each selection tells, and what is said where there is nothing.

use std::ops::ControlFlow;
use std::sync::Arc;

use history::event::{Event, HolderInfo, What};
use history::incident::{Confidence, Verdict};
use history::layout::{GpuInfo, HostInfo, Layout, SignalInfo};
use history::recording::{Item, ReadError, Row, UnreadIncident};
use history::sign::SignKind;

use super::*;

/// An hour of three GPUs, with incidents 3 of GPU 0 and 4 of GPU 1, a damaged one, job 7 on GPU 0, and two pods on
/// GPU 2.
struct Hour;

/// When it begins.
const BEGIN: i64 = 1_796_000_000_000;

fn minute(minute: i64) -> Time {
    Time(BEGIN + minute * 60_000)
}

fn gpu(index: u32) -> GpuInfo {
    GpuInfo { index: Some(index), ..GpuInfo::default() }
}

fn incident(number: u64, index: u32, began: i64, last: i64) -> Incident {
    Incident {
        number,
        kind: SignKind::Xid,
        began: minute(began),
        last: minute(last),
        window: Range { from: minute(began - 10), to: minute(last + 2) },
        is_closed: true,
        host: HostInfo::default(),
        gpus: vec![gpu(index)],
        holders: Vec::new(),
        signs: Vec::new(),
        events: Vec::new(),
        events_left_out: 0,
        verdict: Verdict {
            name: "off_bus".to_owned(),
            cause: format!("GPU {index} is lost."),
            evidence: Vec::new(),
            actions: Vec::new(),
            confidence: Confidence::Certain,
            runbook: None,
            xid: None,
            time: None,
        },
    }
}

impl Recording for Hour {
    fn read(
        &self,
        range: Range,
        take: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<Damage, ReadError> {
        let signal = SignalInfo {
            number: 22,
            name: "gpu_temperature".to_owned(),
            unit: "°C".to_owned(),
            is_of_host: false,
            digits: 0,
            step: 0,
        };
        let gpus = vec![gpu(0), gpu(1), gpu(2)];
        let layout = Layout { host: HostInfo::default(), gpus, signals: vec![signal] };
        let _ = take(Item::Layout(&Arc::new(layout)));
        let holder = HolderInfo::Job { id: "7".to_owned() };
        let began = What::HolderBegan { holder: holder.clone() };
        let ended = What::HolderEnded { holder };
        let pod = |namespace: &str| What::HolderBegan {
            holder: HolderInfo::Pod {
                namespace: namespace.to_owned(),
                pod: "train-0".to_owned(),
                container: "main".to_owned(),
                uid: None,
            },
        };
        let events = [(20, 0, began), (40, 0, ended), (50, 2, pod("b")), (51, 2, pod("a"))];
        for (at, index, what) in events {
            let event = Event { time: minute(at), gpu: Some(gpu(index)), what };
            if range.contains(event.time) {
                let _ = take(Item::Event(&event));
            }
        }
        for at in (0..=60).map(minute).filter(|at| range.contains(*at)) {
            let _ = take(Item::Row(&Row { time: at, values: vec![Some(60), Some(61), Some(62)] }));
        }
        Ok(Damage::default())
    }

    fn incidents(&self) -> Result<Vec<Incident>, ReadError> {
        Ok(vec![incident(3, 0, 40, 41), incident(4, 1, 55, 55)])
    }

    fn unread_incidents(&self) -> Result<Vec<UnreadIncident>, ReadError> {
        Ok(vec![UnreadIncident::Damaged(5)])
    }

    fn extent(&self) -> Result<Option<Range>, ReadError> {
        Ok(Some(Range { from: minute(0), to: minute(60) }))
    }
}

/// Nothing.
struct Empty;

impl Recording for Empty {
    fn read(
        &self,
        _: Range,
        _: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<Damage, ReadError> {
        Ok(Damage::default())
    }

    fn incidents(&self) -> Result<Vec<Incident>, ReadError> {
        Ok(Vec::new())
    }

    fn extent(&self) -> Result<Option<Range>, ReadError> {
        Ok(None)
    }
}

fn range(from: i64, to: Option<i64>) -> Selection {
    Selection::Range { from: minute(from), to: to.map(minute) }
}

fn job(name: &str) -> Selection {
    Selection::Job(name.to_owned())
}

#[test]
fn each_selection_tells_what_it_names() {
    // The number of the incident, or the first line of a range, and the incidents in it.
    type Case = (Selection, Option<u32>, Option<u64>, &'static str, &'static [u64]);
    let cases: &[Case] = &[
        (Selection::Newest, None, Some(4), "GPU 1 is lost", &[]),
        (Selection::Newest, Some(0), Some(3), "GPU 0 is lost", &[]),
        (Selection::Number(3), None, Some(3), "GPU 0 is lost", &[]),
        (Selection::At(minute(41)), None, Some(3), "GPU 0 is lost", &[]),
        // In the windows of both: the nearer one.
        (Selection::At(minute(43)), None, Some(3), "GPU 0 is lost", &[]),
        (Selection::At(minute(50)), None, Some(4), "GPU 1 is lost", &[]),
        (Selection::At(minute(42)), Some(1), None, "No incident of GPU 1", &[]),
        (Selection::At(minute(10)), None, None, "No incident", &[]),
        (range(35, Some(50)), None, None, "1 incident", &[3]),
        (range(35, None), None, None, "2 incidents", &[3, 4]),
        (range(35, None), Some(1), None, "1 incident of GPU 1", &[4]),
        (job("7"), None, None, "job 7 had GPU 0, and there was 1 incident", &[3]),
        (job("7"), Some(0), None, "job 7 had GPU 0, and there was 1 incident", &[3]),
    ];
    for (selection, gpu, number, headline, inside) in cases {
        let Told { report, others } = tell(selection, *gpu, &Hour).unwrap();
        let mentioned: Vec<u64> = report.incidents.iter().map(|mention| mention.number).collect();
        let told = (report.incident, report.headline.as_str(), mentioned.as_slice());
        assert_eq!(told, (*number, *headline, *inside), "{selection:?}");
        let is_job = matches!(selection, Selection::Job(_));
        assert_eq!(others.len(), if is_job { inside.len() } else { 0 });
    }
    let report = tell(&job("7"), None, &Hour).unwrap().report;
    assert_eq!((report.range.from, report.range.to), (minute(20), minute(40)));
    let charts: Vec<_> = report.charts.iter().map(|chart| chart.gpu.clone()).collect();
    assert_eq!(charts, [Some(gpu(0))]);
}

#[test]
fn incidents_are_counted_in_the_singular_and_the_plural() {
    assert_eq!([0, 1, 3].map(was), ["was no incident", "was 1 incident", "were 3 incidents"]);
}

#[test]
fn what_is_not_there_is_one_line_with_what_is() {
    let cases: &[(Selection, Option<u32>, &str)] = &[
        (Selection::Number(9), None, "there is no incident 9; there are 2 from 3 to 4"),
        (
            Selection::Number(5),
            None,
            "incident 5 is damaged and cannot be read; there are 2 from 3",
        ),
        (Selection::Newest, Some(9), "GPU 9 was not recorded; there is GPU 0-2"),
        (Selection::Newest, Some(2), "no incident of GPU 2 was recorded; the recording is from 2"),
        (Selection::Newest, Some(2), "; with --from -1h the report tells what happened"),
        (Selection::At(minute(-60)), None, "; the nearest incident is 3, at 2"),
        (Selection::At(minute(600)), None, "; the nearest incident is 4, at 2"),
        (range(100, Some(200)), None, "nothing was recorded at 2"),
        (range(0, Some(10)), Some(9), "GPU 9 was not recorded then; there is GPU 0-2"),
        (job("7"), Some(1), "job 7 did not have GPU 1; it had GPU 0"),
        (job("8"), None, "no job or pod `8` had a GPU in this recording; the recording is from 2"),
        (job("8"), None, "; the newest jobs and pods in it: "),
        (
            job("train-0"),
            None,
            "pods of several namespaces are called `train-0`; name one of them: ",
        ),
        (job("train-0"), None, ": a/train-0, b/train-0"),
    ];
    for (selection, gpu, expected) in cases {
        let error = tell(selection, *gpu, &Hour).err().unwrap();
        let line = error.to_string();
        assert!(error.is::<NothingToRead>() && line.contains(expected), "{line}");
        assert_eq!(line.lines().count(), 1);
    }
    for selection in [Selection::Newest, Selection::At(minute(0)), range(0, None), job("7")] {
        let error = tell(&selection, None, &Empty).err().unwrap();
        let line = error.to_string();
        assert!(error.is::<NothingToRead>(), "{line}");
        assert!(line.contains("nothing at all was recorded"), "{line}");
    }
}
