//! Where the history is kept.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::parse::{HistoryPlace, SourceKind};

/// The state folder of the systemd unit, and the one that containers mount.
const OF_THE_MACHINE: &str = "/var/lib/heatsink";

/// The name of the folder among a user's states.
const NAME: &str = "heatsink";

/// The folder to write to.
///
/// # Errors
///
/// Why there is only memory, as the end of a sentence.
pub(crate) fn to_write(place: HistoryPlace, source: SourceKind) -> Result<PathBuf, &'static str> {
    match place {
        // What is simulated does not belong among what happened.
        HistoryPlace::Auto if source == SourceKind::Sim => {
            Err("readings are simulated, and no folder was named")
        }
        HistoryPlace::None => Err("no folder was asked for"),
        HistoryPlace::Folder(folder) => Ok(folder),
        HistoryPlace::Auto => Surroundings::here().to_write(),
    }
}

/// The folders to look for a history in, the most likely one first.
pub(crate) fn to_read(place: HistoryPlace) -> Vec<PathBuf> {
    match place {
        HistoryPlace::Folder(folder) => vec![folder],
        HistoryPlace::Auto | HistoryPlace::None => Surroundings::here().to_read(),
    }
}

/// What the place depends on.
#[derive(Clone, Default, Debug)]
struct Surroundings {
    /// `STATE_DIRECTORY`, which systemd sets.
    state_directory: Option<OsString>,
    /// `XDG_STATE_HOME`.
    xdg_state_home: Option<OsString>,
    /// `HOME`.
    home: Option<OsString>,
    /// Whether this is a container, whose own files end with it.
    is_container: bool,
    /// `/proc/self/mountinfo`.
    mounts: String,
    /// Whether the folder of the machine is there.
    is_there: bool,
}

impl Surroundings {
    /// Those of this process.
    fn here() -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        Self {
            state_directory: std::env::var_os("STATE_DIRECTORY"),
            xdg_state_home: std::env::var_os("XDG_STATE_HOME"),
            home: std::env::var_os("HOME"),
            is_container: ["KUBERNETES_SERVICE_HOST", "container"].into_iter().any(is_set)
                || ["/.dockerenv", "/run/.containerenv"]
                    .iter()
                    .any(|file| Path::new(file).exists()),
            mounts: fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(),
            is_there: Path::new(OF_THE_MACHINE).exists(),
        }
    }

    /// # Errors
    ///
    /// Why only memory is left, as the end of a sentence.
    fn to_write(&self) -> Result<PathBuf, &'static str> {
        if let Some(folder) = self.of_unit() {
            return Ok(folder);
        }
        if self.is_container {
            let is_mounted = self.mounts.lines().any(is_mount_of_the_machine);
            return match is_mounted {
                true => Ok(OF_THE_MACHINE.into()),
                false => Err("nothing is mounted at /var/lib/heatsink in this container"),
            };
        }
        self.of_user().ok_or("there is no $STATE_DIRECTORY, $XDG_STATE_HOME or $HOME")
    }

    fn to_read(&self) -> Vec<PathBuf> {
        let of_machine = self.is_there.then(|| OF_THE_MACHINE.into());
        let mut folders: Vec<PathBuf> =
            self.of_unit().into_iter().chain(of_machine).chain(self.of_user()).collect();
        folders.dedup();
        if folders.is_empty() {
            folders.push(OF_THE_MACHINE.into());
        }
        folders
    }

    /// The first of the unit's state folders.
    fn of_unit(&self) -> Option<PathBuf> {
        let folders = self.state_directory.as_deref()?;
        std::env::split_paths(folders).next().filter(|folder| folder.is_absolute())
    }

    /// The user's folder for states, as the XDG base directory specification has it: a path that is not
    /// absolute is ignored.
    fn of_user(&self) -> Option<PathBuf> {
        let absolute = |path: &Option<OsString>| {
            path.as_ref().map(PathBuf::from).filter(|path| path.is_absolute())
        };
        // Users of services have these.
        let is_real = |home: &PathBuf| home != Path::new("/") && home != Path::new("/nonexistent");
        let of_home = || Some(absolute(&self.home).filter(is_real)?.join(".local/state"));
        Some(absolute(&self.xdg_state_home).or_else(of_home)?.join(NAME))
    }
}

/// Whether a line of `mountinfo` mounts something at the folder of the machine: its fifth word.
fn is_mount_of_the_machine(line: &str) -> bool {
    line.split(' ').nth(4) == Some(OF_THE_MACHINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTED: &str = "\
        22 1 0:20 / / rw,relatime - overlay overlay rw\n\
        23 22 8:1 /data /var/lib/heatsink rw,relatime shared:1 - ext4 /dev/sda1 rw\n";

    const NOT_MOUNTED: &str = "\
        22 1 0:20 / / rw,relatime - overlay overlay rw\n\
        23 22 8:1 /var/lib/heatsink /data rw - ext4 /dev/sda1 rw\n\
        24 22 8:1 / /var/lib/heatsink/more rw - ext4 /dev/sda1 rw\n\
        25 22\n";

    fn with(change: impl FnOnce(&mut Surroundings)) -> Surroundings {
        let mut surroundings =
            Surroundings { home: Some("/home/ann".into()), ..Surroundings::default() };
        change(&mut surroundings);
        surroundings
    }

    #[test]
    fn the_folder_to_write_to() {
        let of_home = Some("/home/ann/.local/state/heatsink");
        let machine = Some("/var/lib/heatsink");
        let cases: [(&str, Surroundings, Option<&str>); 15] = [
            ("by hand", with(|_| ()), of_home),
            ("XDG", with(|it| it.xdg_state_home = Some("/s".into())), Some("/s/heatsink")),
            ("a relative XDG", with(|it| it.xdg_state_home = Some("s".into())), of_home),
            ("an empty XDG", with(|it| it.xdg_state_home = Some("".into())), of_home),
            ("no home", with(|it| it.home = None), None),
            ("an empty home", with(|it| it.home = Some("".into())), None),
            ("the home of a service", with(|it| it.home = Some("/nonexistent".into())), None),
            ("the home of init", with(|it| it.home = Some("/".into())), None),
            ("a unit", with(|it| it.state_directory = Some("/var/lib/heatsink".into())), machine),
            ("two folders", with(|it| it.state_directory = Some("/a:/b".into())), Some("/a")),
            ("an empty unit", with(|it| it.state_directory = Some("".into())), of_home),
            ("a folder that is there", with(|it| it.is_there = true), of_home),
            ("a container", with(|it| it.is_container = true), None),
            (
                "a container with other mounts",
                with(|it| (it.is_container, it.mounts) = (true, NOT_MOUNTED.to_owned())),
                None,
            ),
            (
                "a container with its folder mounted",
                with(|it| (it.is_container, it.mounts) = (true, MOUNTED.to_owned())),
                machine,
            ),
        ];
        for (what, surroundings, expected) in cases {
            assert_eq!(surroundings.to_write().ok(), expected.map(PathBuf::from), "{what}");
        }
        // A container in which systemd runs.
        let unit = with(|it| {
            it.is_container = true;
            it.state_directory = Some("/var/lib/heatsink".into());
        });
        assert_eq!(unit.to_write(), Ok(OF_THE_MACHINE.into()));
    }

    #[test]
    fn the_folders_to_read_from() {
        let of_home = "/home/ann/.local/state/heatsink";
        let machine = OF_THE_MACHINE;
        let cases: [(&str, Surroundings, &[&str]); 6] = [
            ("both", with(|it| it.is_there = true), &[machine, of_home]),
            ("only the user's", with(|_| ()), &[of_home]),
            ("nothing", with(|it| it.home = None), &[machine]),
            ("a container", with(|it| it.is_container = true), &[of_home]),
            (
                "a command that the unit runs",
                with(|it| (it.is_there, it.state_directory) = (true, Some(machine.into()))),
                &[machine, of_home],
            ),
            (
                "another unit",
                with(|it| (it.is_there, it.state_directory) = (true, Some("/a".into()))),
                &["/a", machine, of_home],
            ),
        ];
        for (what, surroundings, expected) in cases {
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(surroundings.to_read(), expected, "{what}");
        }
    }

    #[test]
    fn a_folder_that_is_named_needs_nothing_around() {
        let folder = || HistoryPlace::Folder("/x".into());
        for source in [SourceKind::Nvml, SourceKind::Sim] {
            assert_eq!(to_write(folder(), source), Ok("/x".into()));
        }
        assert_eq!(to_read(folder()), [PathBuf::from("/x")]);
        assert!(to_write(HistoryPlace::None, SourceKind::Nvml).is_err());
    }

    #[test]
    fn what_is_simulated_is_not_kept_unless_a_folder_is_named() {
        assert!(to_write(HistoryPlace::Auto, SourceKind::Sim).is_err());
    }
}
