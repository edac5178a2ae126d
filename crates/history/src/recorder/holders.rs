//! Events about who has a GPU: pods and jobs that begin and end.

use std::collections::BTreeSet;
use std::time::Duration;

use model::{Attribution, GpuView, Holder, Identity, Moment};

use crate::event::{HolderInfo, What};

/// The most holders of one GPU that are followed.
const MOST: usize = 256;

/// The time over which changes of one GPU are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// After how many changes in a minute the next ones wait for its end. Those that cancel each other out until
/// then are left out.
const MOST_CHANGES: usize = 60;

/// Who has a GPU or a part of it.
pub(super) fn of(
    attribution: &Attribution,
    identity: &Identity,
    view: &GpuView,
) -> BTreeSet<HolderInfo> {
    let of_gpu = attribution.uses_of(identity, None);
    let instances = view.instances();
    let of_parts =
        instances.flat_map(|(instance, _)| attribution.uses_of(identity, Some(instance)));
    of_gpu.into_iter().chain(of_parts).map(|one| info(&one.holder)).take(MOST).collect()
}

fn info(holder: &Holder) -> HolderInfo {
    match holder {
        Holder::Pod(pod) => HolderInfo::Pod {
            namespace: pod.namespace.to_string(),
            pod: pod.name.to_string(),
            container: pod.container.to_string(),
            uid: pod.uid.as_deref().map(str::to_owned),
        },
        Holder::Job { id } => HolderInfo::Job { id: id.to_string() },
    }
}

/// The holders of a GPU, as far as they were recorded.
#[derive(Default, Debug)]
pub(super) struct KnownHolders {
    known: Vec<HolderInfo>,
    /// When the current minute began, and how many changes it has.
    minute: Option<(Moment, usize)>,
}

impl KnownHolders {
    /// The events of holders that are new or gone. Unless all holders are known, one that is not found may
    /// still be there, as while the kubelet does not answer, so none ends then.
    pub(super) fn observe(
        &mut self,
        now: BTreeSet<HolderInfo>,
        is_complete: bool,
        moment: Moment,
    ) -> Vec<What> {
        let minute = self.minute.filter(|(since, _)| moment - *since < MINUTE);
        let (since, before) = minute.unwrap_or((moment, 0));
        if before >= MOST_CHANGES {
            return Vec::new();
        }
        let changes = self.changes(now, is_complete);
        self.minute = Some((since, before + changes.len()));
        changes
    }

    fn changes(&mut self, now: BTreeSet<HolderInfo>, is_complete: bool) -> Vec<What> {
        let mut changes = Vec::new();
        if is_complete {
            let is_gone = |known: &HolderInfo| !now.iter().any(|holder| known.is_same(holder));
            for holder in self.known.extract_if(.., |known| is_gone(known)) {
                changes.push(What::HolderEnded { holder });
            }
        }
        for holder in now {
            if let Some(known) = self.known.iter_mut().find(|known| known.is_same(&holder)) {
                // Its UID may be known by now.
                if has_uid(&holder) {
                    *known = holder;
                }
            } else if self.known.len() < MOST {
                self.known.push(holder.clone());
                changes.push(What::HolderBegan { holder });
            }
        }
        changes
    }
}

impl KnownHolders {
    /// The events that say that they go on.
    pub(super) fn go_on(&self) -> impl Iterator<Item = What> {
        self.known.iter().map(|holder| What::HolderGoesOn { holder: holder.clone() })
    }
}

fn has_uid(holder: &HolderInfo) -> bool {
    matches!(holder, HolderInfo::Pod { uid: Some(_), .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, uid: Option<&str>) -> HolderInfo {
        HolderInfo::Pod {
            namespace: "ml".to_owned(),
            pod: name.to_owned(),
            container: "main".to_owned(),
            uid: uid.map(str::to_owned),
        }
    }

    fn words(changes: Vec<What>) -> Vec<String> {
        let word = |change: &What| match change {
            What::HolderBegan { holder } => format!("+{}", holder.name()),
            What::HolderEnded { holder } => format!("-{}", holder.name()),
            other => panic!("{other:?}"),
        };
        changes.iter().map(word).collect()
    }

    #[test]
    fn a_flood_of_changes_waits_for_the_end_of_the_minute() {
        let mut known = KnownHolders::default();
        let at = |seconds| Moment::BOOT + Duration::from_secs(seconds);
        let job = |number: usize| BTreeSet::from([HolderInfo::Job { id: number.to_string() }]);
        let changes = (1..1000).map(|number| known.observe(job(number), true, at(7)).len());
        assert_eq!(changes.sum::<usize>(), MOST_CHANGES + 1);
        assert_eq!(words(known.observe(job(2000), true, at(66))), [""; 0]);
        assert_eq!(words(known.observe(job(2000), true, at(67))), ["-job 31", "+job 2000"]);
    }

    #[test]
    fn holders_begin_and_end_once() {
        let mut known = KnownHolders::default();
        let mut observe = |holders: &[HolderInfo], is_complete| {
            words(known.observe(holders.iter().cloned().collect(), is_complete, Moment::BOOT))
        };
        let job = HolderInfo::Job { id: "4711".to_owned() };
        assert_eq!(observe(&[pod("a", None), job.clone()], true), ["+pod ml/a", "+job 4711"]);
        assert_eq!(
            observe(&[job.clone(), pod("a", Some("1"))], true),
            [""; 0],
            "its UID is known now"
        );
        assert_eq!(observe(&[], false), [""; 0], "a refresher has failed");
        assert_eq!(observe(&[pod("b", None)], false), ["+pod ml/b"]);
        assert_eq!(observe(&[pod("a", None), pod("b", None), job], true), [""; 0]);
        let ended = ["-pod ml/a", "-job 4711", "+pod ml/a"];
        assert_eq!(
            observe(&[pod("a", Some("2")), pod("b", None)], true),
            ended,
            "a new pod of this name"
        );
        assert_eq!(observe(&[], true), ["-pod ml/b", "-pod ml/a"]);
    }
}
