//! Events about what answers: the source, and each GPU.

use model::{Down, SourceView};

use crate::event::What;

/// Whether the source is open, as far as that was recorded.
#[derive(Default, Debug)]
pub(super) struct SourceAvailability {
    is_up: Option<bool>,
}

impl SourceAvailability {
    /// The event of a source that was opened, or that cannot be opened any more. One that is still being
    /// opened is neither.
    pub(super) fn observe(&mut self, source: &SourceView) -> Option<What> {
        match &source.up {
            Err(why) if why == SourceView::BEING_OPENED => None,
            Ok(()) => (self.is_up.replace(true) != Some(true)).then(|| What::SourceUp {
                driver_version: source.driver_version.as_deref().map(str::to_owned),
            }),
            Err(why) => (self.is_up.replace(false) != Some(false))
                .then(|| What::SourceDown { why: why.clone() }),
        }
    }
}

/// Whether a GPU answers, as far as that was recorded.
#[derive(Default, Debug)]
pub(super) struct GpuAvailability {
    down: Option<Down>,
}

impl GpuAvailability {
    /// The event of a GPU that is down, for another reason than before, or up again. Nothing is known of
    /// one that has not answered yet, or while the source itself is down.
    pub(super) fn observe(&mut self, up: Result<(), Down>) -> Option<What> {
        let before = self.down;
        match up {
            Err(Down::Starting | Down::SourceDown) => return None,
            Err(down) => self.down = Some(down),
            Ok(()) => self.down = None,
        }
        match (before, self.down) {
            (before, now) if before == now => None,
            (_, Some(down)) => Some(What::GpuDown { reason: down.as_str().to_owned() }),
            (_, None) => Some(What::GpuUp),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_down_once_per_reason_and_up_once_after_it() {
        let mut gpu = GpuAvailability::default();
        let mut observe = |up| match gpu.observe(up) {
            None => String::new(),
            Some(What::GpuUp) => "up".to_owned(),
            Some(What::GpuDown { reason }) => reason,
            Some(other) => panic!("{other:?}"),
        };
        let steps = [
            (Err(Down::Starting), ""),
            (Ok(()), ""),
            (Ok(()), ""),
            (Err(Down::Late), "late"),
            (Err(Down::Late), ""),
            (Err(Down::Lost), "lost"),
            (Err(Down::SourceDown), ""),
            (Err(Down::Starting), ""),
            (Err(Down::Lost), ""),
            (Ok(()), "up"),
            (Err(Down::SourceDown), ""),
            (Ok(()), ""),
        ];
        for (up, expected) in steps {
            assert_eq!(observe(up), expected, "{up:?}");
        }
        let missing = Some(What::GpuDown { reason: "missing".to_owned() });
        assert_eq!(
            GpuAvailability::default().observe(Err(Down::Missing)),
            missing,
            "from the start"
        );
    }

    #[test]
    fn a_source_is_down_once_and_up_once() {
        let mut source = SourceAvailability::default();
        let mut observe = |up: Result<(), &str>| {
            source.observe(&SourceView {
                name: "nvml",
                up: up.map_err(str::to_owned),
                driver_version: Some("580.1".into()),
                needs_restart: None,
            })
        };
        let up = || Some(What::SourceUp { driver_version: Some("580.1".to_owned()) });
        assert_eq!(observe(Err(SourceView::BEING_OPENED)), None);
        assert_eq!(observe(Ok(())), up());
        assert_eq!(observe(Ok(())), None);
        assert_eq!(observe(Err(SourceView::BEING_OPENED)), None);
        assert_eq!(observe(Ok(())), None);
        let why = "no driver".to_owned();
        assert_eq!(observe(Err("no driver")), Some(What::SourceDown { why }));
        assert_eq!(observe(Err("still no driver")), None);
        assert_eq!(observe(Ok(())), up());
    }
}
