//! What to do about GPUs that are down, and about fields without a value.

use model::catalog::Field;
use model::{Down, Reason};

/// Why a GPU is down, and what to do.
pub(super) fn of_gpu(down: Down) -> &'static str {
    match down {
        Down::Late => {
            "a driver call does not return. Look for XIDs in the kernel's log and for processes in \
             state D; reset the GPU; if that fails, reboot."
        }
        Down::Lost => {
            "fallen off the bus, or being reset. Save the kernel's log, then reboot the \
             machine, with a power cycle if necessary."
        }
        Down::Missing => {
            "not listed by the driver. See whether `lspci -d 10de:` does: if so, it is excluded or \
             passed to a virtual machine; if not, reboot the machine, with a power cycle if necessary."
        }
        Down::NotInitialized => {
            "on the PCI bus, but the driver could not initialise it. The kernel log has the \
             reason (`journalctl -k | grep NVRM`); reboot, with a power cycle if necessary."
        }
        Down::NoThread => {
            "the system gives heatsink no thread to read it with. Raise the limit on tasks (`TasksMax=`, the \
             pod's limit on PIDs, `ulimit -u`)."
        }
        Down::NotPermitted => {
            "the driver denies access to this process. Give it the device nodes /dev/nvidia*: a container may \
             lack them, a cgroup may deny them."
        }
        Down::Failed => {
            "the driver answers every call with an error. Look for XIDs in the kernel's log; reset the \
             GPU."
        }
        Down::Starting => {
            "no first answer yet. Run this again; if it stays so, look for XIDs in the \
             kernel's log."
        }
        Down::SourceDown => "the source is down.",
    }
}

/// Why a field fails, and what to do.
pub(super) fn of_field(reason: Reason) -> &'static str {
    match reason {
        Reason::NotPermitted => {
            "the driver requires more rights than this process has. As root, these may have a value."
        }
        Reason::Lost => "the driver says that a GPU is lost or needs a reset.",
        Reason::Late => "the driver takes too long. `heatsink check --timings` measures each call.",
        Reason::Failed => "the driver answers with an error.",
        Reason::Implausible => {
            "the driver answers with impossible values, such as 255 °C. They are not served."
        }
        Reason::NotServed | Reason::NotSupported | Reason::NoData => "there is no value.",
    }
}

/// Why a device does not have a field.
///
/// `has` says whether a device of this model has any field for which a condition holds. A model that
/// has other fields of the same generation of GPUs lacks this one for another reason.
pub(super) fn of_missing(
    field: &Field,
    source: &str,
    driver: Option<&str>,
    has: impl FnOnce(&dyn Fn(&Field) -> bool) -> bool,
) -> String {
    const NOT_HERE: &str = "this hardware or this driver does not have them";
    // There is no list of the versions in which DCGM got its fields.
    let since = if source == "nvml" { nvml::since(field.id) } else { "" };
    if let Some(needed) = since.strip_prefix("driver ") {
        let major = |version: &str| version.split('.').next()?.parse::<u32>().ok();
        return match (major(needed), driver.and_then(major)) {
            (Some(needed), Some(driver)) if driver < needed => {
                format!("they need driver {needed} or newer")
            }
            _ => NOT_HERE.to_owned(),
        };
    }
    if since.is_empty() || has(&|other| nvml::since(other.id) == since) {
        return NOT_HERE.to_owned();
    }
    match since {
        // DCGM can profile Volta and later.
        "Hopper" => {
            "some GPUs have them, from Hopper on; through DCGM (--source dcgm) from Volta on"
                .to_owned()
        }
        since => format!("some GPUs have them, from {since} on"),
    }
}

#[cfg(test)]
mod tests {
    use model::FieldId;

    use super::*;

    #[test]
    fn a_missing_field_is_explained_by_driver_or_generation() {
        let why = |id: u16, source: &str, driver: &str, has: bool| {
            let field = model::catalog::by_id(FieldId(id)).expect("a field");
            of_missing(field, source, Some(driver), |_| has)
        };
        let unknown = "this hardware or this driver does not have them";
        assert_eq!(why(191, "nvml", "550.54", false), unknown);
        assert_eq!(why(580, "nvml", "550.54", false), "they need driver 595 or newer");
        assert_eq!(why(580, "nvml", "595.10", false), unknown);
        assert_eq!(why(580, "nvml", "unknown", false), unknown);
        assert_eq!(why(580, "dcgm", "550.54", false), unknown);
        assert_eq!(why(393, "nvml", "550.54", false), "some GPUs have them, from Ampere on");
        assert_eq!(why(393, "nvml", "550.54", true), unknown);
        assert!(why(1001, "nvml", "550.54", false).contains("--source dcgm"));
    }
}
