//! OOM kills: what the kernel logs when it kills a process because memory was short.
//!
//! One kill is a few messages. Only the last one, `Killed process`, is written for each kill, so it alone
//! is a kill; those before it say why:
//!
//! - since Linux 5.0 `oom-kill:constraint=…,oom_memcg=/limited,task_memcg=/of/the/process,…,pid=7,uid=0`,
//!   which is rate-limited and may be split in messages, before a comma or a path;
//! - up to 4.19 `Task in /of/the/process killed as a result of limit of /limited`, and `Kill process 7 (…)
//!   score 9 or sacrifice child`, after which a child may be killed in its place.

use std::time::Duration;

use super::batch::Message;

/// The longest name of a process that is kept, in characters. The kernel's are at most 15 bytes.
const LONGEST_NAME: usize = 64;

/// The longest path of a cgroup that is kept, in bytes.
const LONGEST_PATH: usize = 512;

/// The longest begin of a line that waits for the rest of it, in bytes.
const LONGEST_LINE: usize = 4096;

/// How long after the messages that say why a process may still be killed for it.
const SAME_KILL: Duration = Duration::from_secs(10);

/// How a message begins that says which process is killed, up to 4.19 also without a cause.
const CAUSES: [(&str, Scope); 4] = [
    ("Out of memory: ", Scope::Machine),
    ("Out of memory (oom_kill_allocating_task): ", Scope::Machine),
    ("Memory cgroup out of memory: ", Scope::Cgroup),
    ("", Scope::NotSaid),
];

/// A process that the kernel killed because memory was short.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OomKill {
    /// Its id on the host.
    pub(crate) pid: u32,
    /// Its name.
    pub(crate) name: String,
    /// The memory cgroup whose limit was reached, empty if the kernel did not name it; `None` if the
    /// machine was out of memory.
    pub(crate) limited_cgroup: Option<String>,
    /// The cgroup of the process, if the kernel said so.
    pub(crate) cgroup: Option<String>,
    /// Its anonymous resident memory, in kB.
    pub(crate) anonymous_kb: Option<u64>,
}

/// What memory was short.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Scope {
    Machine,
    Cgroup,
    #[default]
    NotSaid,
}

/// Follows the messages of the log, which belong together.
#[derive(Default)]
pub(crate) struct OomFollower {
    cause: Option<Cause>,
}

/// What the messages before a kill said.
#[derive(Default)]
struct Cause {
    /// The time of the first of them, by the clock of the log.
    at: Option<Duration>,
    scope: Scope,
    limited: Option<String>,
    /// The cgroup of the process with this id.
    cgroup: Option<String>,
    pid: Option<u32>,
    /// The text of a message that may go on in the next one.
    unfinished: Option<String>,
}

impl OomFollower {
    /// Takes the next message; returns the kill that it reports.
    pub(crate) fn follow(&mut self, message: &Message) -> Option<OomKill> {
        let text = message.text.trim_start();
        if text.contains(" invoked oom-killer: ") {
            self.cause = None;
        } else if text.starts_with("oom-kill:") {
            self.cause = Some(Cause::of_line(text, message.at));
        } else if let Some(rest) = text.strip_prefix("Task in ") {
            self.cause = Cause::of_old_line(rest, message.at);
        } else if text.starts_with([',', '/']) {
            self.go_on(text);
        } else {
            let (scope, rest) = cause(text)?;
            if let Some(rest) = rest.strip_prefix("Killed process ") {
                return self.killed(rest, scope, message.at);
            }
            if let Some(rest) = rest.strip_prefix("Kill process ") {
                self.announced(rest, scope, message.at);
            }
        }
        None
    }

    /// The next part of a line that was split.
    fn go_on(&mut self, text: &str) {
        let Some(cause) = &mut self.cause else { return };
        if let Some(begin) = cause.unfinished.take().filter(|begin| begin.len() < LONGEST_LINE) {
            *cause = Cause::of_line(&(begin + text), cause.at);
        }
    }

    /// `7 (NAME) score 9 or sacrifice child`, up to 4.19.
    fn announced(&mut self, rest: &str, scope: Scope, at: Option<Duration>) {
        let cause = self.cause.get_or_insert_default();
        (cause.at, cause.scope) = (cause.at.or(at), scope);
        cause.pid = number(rest).map(|(pid, _)| pid);
    }

    /// `7 (NAME) total-vm:1kB, anon-rss:2kB, file-rss:3kB, shmem-rss:4kB…`, with `, UID 5,` before
    /// `total-vm` in some kernels.
    fn killed(&mut self, rest: &str, said: Scope, at: Option<Duration>) -> Option<OomKill> {
        let (pid, rest) = number(rest)?;
        // A process may be called `) total-vm:`, so the last one counts.
        let (before, memory) = rest.split_at(rest.rfind("total-vm:")?);
        let name = before.strip_prefix(" (")?.rsplit_once(')')?.0;
        let anonymous = memory.split(", ").find_map(|part| part.strip_prefix("anon-rss:"));
        let anonymous_kb = anonymous.and_then(|size| size.split_once("kB")?.0.parse().ok());
        let is_recent = |cause: &&Cause| match (cause.at, at) {
            (Some(then), Some(now)) => now.saturating_sub(then) <= SAME_KILL,
            _ => true,
        };
        let cause = self.cause.as_ref().filter(is_recent);
        let scope = match (said, cause) {
            (Scope::NotSaid, Some(cause)) => cause.scope,
            (said, _) => said,
        };
        // With `memory.oom.group`, one cause has several kills.
        let limited = || cause.and_then(|cause| cause.limited.clone()).unwrap_or_default();
        let of_this_one = cause.filter(|cause| cause.pid == Some(pid));
        Some(OomKill {
            pid,
            name: printable(name),
            limited_cgroup: (scope == Scope::Cgroup).then(limited),
            cgroup: of_this_one.and_then(|cause| cause.cgroup.clone()),
            anonymous_kb,
        })
    }
}

impl Cause {
    /// `oom-kill:constraint=C,nodemask=X,cpuset=S,mems_allowed=L[,oom_memcg=/p|,global_oom][,task_memcg=/p]
    /// ,task=N,pid=7,uid=0`. Lists and names may hold commas.
    fn of_line(text: &str, at: Option<Duration>) -> Self {
        let scope = match text.strip_prefix("oom-kill:constraint=CONSTRAINT_MEMCG,") {
            Some(_) => Scope::Cgroup,
            None => Scope::Machine,
        };
        let whole = text.rsplit_once(",uid=").and_then(|(rest, _)| rest.rsplit_once(",pid="));
        let unfinished = whole.is_none().then(|| text.to_owned());
        let (rest, pid) = whole.unwrap_or((text, ""));
        let limited = between(rest, ",oom_memcg=", &[",task_memcg=", ",task="]);
        let cgroup = between(rest, ",task_memcg=", &[",task="]);
        let pid = number(pid).map(|(pid, _)| pid);
        Self { at, scope, limited, cgroup, pid, unfinished }
    }

    /// `/p killed as a result of limit of /q`, up to 4.19.
    fn of_old_line(text: &str, at: Option<Duration>) -> Option<Self> {
        let (cgroup, limited) = text.split_once(" killed as a result of limit of ")?;
        let scope = Scope::Cgroup;
        let (limited, cgroup) = (path(limited), path(cgroup));
        Some(Self { at, scope, limited, cgroup, ..Self::default() })
    }
}

/// What memory was short according to the begin of a message, and the rest of it.
fn cause(text: &str) -> Option<(Scope, &str)> {
    CAUSES.iter().find_map(|(begin, scope)| Some((*scope, text.strip_prefix(begin)?)))
}

/// The path after `key`, up to the first of `ends`.
fn between(text: &str, key: &str, ends: &[&str]) -> Option<String> {
    let (_, value) = text.split_once(key)?;
    let end = ends.iter().filter_map(|end| value.find(end)).min().unwrap_or(value.len());
    path(&value[..end])
}

/// The path of a cgroup, unless it is none.
fn path(text: &str) -> Option<String> {
    let text = text.trim_end();
    let is_path = text.starts_with('/') && text.len() <= LONGEST_PATH;
    is_path.then(|| printable_of_any_length(text))
}

/// The decimal number that a text begins with, and what follows it.
fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

fn printable(name: &str) -> String {
    let name: String = name.chars().take(LONGEST_NAME).collect();
    printable_of_any_length(&name)
}

fn printable_of_any_length(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Follows messages that are a tenth of a second apart; each kill as a line.
    fn kills(messages: &str) -> Vec<String> {
        let lines = messages.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut follower = OomFollower::default();
        let kills = lines.enumerate().filter_map(|(at, text)| {
            let at = Some(Duration::from_millis(at as u64 * 100));
            follower.follow(&Message { at, text: text.to_owned() })
        });
        kills.map(|kill| describe(&kill)).collect()
    }

    fn describe(kill: &OomKill) -> String {
        let OomKill { pid, name, limited_cgroup, cgroup, anonymous_kb } = kill;
        let limited = limited_cgroup
            .as_deref()
            .map_or("machine".to_owned(), |cgroup| format!("limit of {cgroup}"));
        let cgroup = cgroup.as_deref().unwrap_or("?");
        format!("{pid} {name} | {limited} | {cgroup} | {anonymous_kb:?}")
    }

    #[test]
    fn every_form_of_a_kill() {
        for (line, expected) in [
            (
                "Out of memory: Killed process 4211 (python3) total-vm:81kB, anon-rss:7340032kB, file-rss:1kB, shmem-rss:2kB, UID:1000 pgtables:3kB oom_score_adj:0",
                "4211 python3 | machine | ? | Some(7340032)",
            ),
            (
                "Out of memory (oom_kill_allocating_task): Killed process 7 (a b) total-vm:1kB, anon-rss:2kB, file-rss:3kB, shmem-rss:4kB",
                "7 a b | machine | ? | Some(2)",
            ),
            (
                "Memory cgroup out of memory: Killed process 7 (a) total-vm:1kB, anon-rss:2kB, file-rss:3kB, shmem-rss:4kB, UID:0 pgtables:3kB oom_score_adj:999",
                "7 a | limit of  | ? | Some(2)",
            ),
            // 4.8 and older have no shmem-rss; without a message before, the cause is not known.
            (
                "Killed process 7 (a) total-vm:1kB, anon-rss:2kB, file-rss:3kB",
                "7 a | machine | ? | Some(2)",
            ),
            (
                "Killed process 7 (a), UID 27, total-vm:1kB, anon-rss:2kB, file-rss:3kB",
                "7 a | machine | ? | Some(2)",
            ),
            (
                "Out of memory: Killed process 7 ((sd-pam)) total-vm:1kB, anon-rss:2kB",
                "7 (sd-pam) | machine | ? | Some(2)",
            ),
            (
                "Out of memory: Killed process 7 () total-vm:1kB, anon-rss:2kB",
                "7  | machine | ? | Some(2)",
            ),
            (
                "Out of memory: Killed process 7 (a) total-vm:9) total-vm:1kB, anon-rss:2kB",
                "7 a) total-vm:9 | machine | ? | Some(2)",
            ),
            ("Out of memory: Killed process 7 (a) total-vm:1kB", "7 a | machine | ? | None"),
            (
                "Out of memory: Killed process 7 (a) total-vm:1kB, anon-rss:xkB",
                "7 a | machine | ? | None",
            ),
        ] {
            assert_eq!(kills(line), [expected], "{line}");
        }
    }

    #[test]
    fn what_is_no_kill() {
        for line in [
            "",
            "python3 invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, oom_score_adj=0",
            "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/a,task=a,pid=7,uid=0",
            "Out of memory: Kill process 7 (a) score 9 or sacrifice child",
            "Memory cgroup out of memory: Kill process 7 (a) score 9 or sacrifice child",
            "Task in /a killed as a result of limit of /b",
            "oom_reaper: reaped process 7 (a), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
            "Tasks in /a are going to be killed due to memory.oom.group set",
            "Out of memory: Killed process x (a) total-vm:1kB, anon-rss:2kB",
            "Out of memory: Killed process 7 a total-vm:1kB, anon-rss:2kB",
            "Out of memory: Killed process 7 (a)",
            "Out of memory: Killed process 99999999999 (a) total-vm:1kB",
            "systemd-oomd: Killed process 7 (a) total-vm:1kB",
            "said: Out of memory: Killed process 7 (a) total-vm:1kB",
            "Killed process 7 (a) invoked oom-killer: total-vm:1kB",
            ",pid=7,uid=0",
        ] {
            assert_eq!(kills(line), [""; 0], "{line}");
        }
    }

    #[test]
    fn the_line_before_says_which_limit_was_reached() {
        let killed = "Memory cgroup out of memory: Killed process 7 (a) total-vm:1kB, anon-rss:2kB";
        let line = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=cri,x,mems_allowed=0-1,3,oom_memcg=/pods/a,task_memcg=/pods/a/b,c,task=x,pid=8,pid=7,uid=0";
        assert_eq!(
            kills(&format!("{line}\n{killed}")),
            ["7 a | limit of /pods/a | /pods/a/b,c | Some(2)"]
        );
        // In two messages.
        for at in [",cpuset=", ",mems_allowed", ",oom_memcg", "/pods/a,", ",task=", ",uid="] {
            let (one, two) = line.split_at(line.rfind(at).unwrap());
            let expected = ["7 a | limit of /pods/a | /pods/a/b,c | Some(2)"];
            assert_eq!(kills(&format!("{one}\n{two}\n{killed}")), expected, "{at}");
        }
        // The second message was lost, or is not there yet.
        let begin = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null)";
        assert_eq!(kills(&format!("{begin}\n{killed}")), ["7 a | limit of  | ? | Some(2)"]);
        // Other messages may come in between.
        let between = "NVRM: GPU at PCI:0000:0a:00: GPU-8ac0b1ff";
        let messages = format!("x invoked oom-killer: gfp_mask=0x1\n{line}\n{between}\n{killed}");
        assert_eq!(kills(&messages), ["7 a | limit of /pods/a | /pods/a/b,c | Some(2)"]);
    }

    #[test]
    fn a_group_of_processes_is_killed_for_one_cause() {
        let kills = kills(
            "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=x,pid=7,uid=0
             Memory cgroup out of memory: Killed process 7 (x) total-vm:1kB, anon-rss:2kB
             Tasks in /a are going to be killed due to memory.oom.group set
             Memory cgroup out of memory: Killed process 7 (x) total-vm:1kB, anon-rss:2kB
             Memory cgroup out of memory: Killed process 9 (y) total-vm:1kB, anon-rss:3kB
             z invoked oom-killer: gfp_mask=0x1
             Memory cgroup out of memory: Killed process 11 (z) total-vm:1kB, anon-rss:4kB",
        );
        assert_eq!(
            kills,
            [
                "7 x | limit of /a | /a/b | Some(2)",
                "7 x | limit of /a | /a/b | Some(2)",
                "9 y | limit of /a | ? | Some(3)",
                "11 z | limit of  | ? | Some(4)",
            ]
        );
    }

    #[test]
    fn the_machine_is_out_of_memory() {
        let kills = kills(
            "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0-1,global_oom,task_memcg=/system.slice/a.service,task=x,pid=7,uid=0
             Out of memory: Killed process 7 (x) total-vm:1kB, anon-rss:2kB",
        );
        assert_eq!(kills, ["7 x | machine | /system.slice/a.service | Some(2)"]);
    }

    #[test]
    fn older_kernels() {
        let killed =
            "Killed process 8 (child) total-vm:1kB, anon-rss:2kB, file-rss:3kB, shmem-rss:0kB";
        let task = "Task in /a/b killed as a result of limit of /a";
        let of_cgroup =
            "Memory cgroup out of memory: Kill process 7 (x) score 9 or sacrifice child";
        let of_machine = "Out of memory: Kill process 7 (x) score 9 or sacrifice child";
        assert_eq!(kills(&format!("{of_machine}\n{killed}")), ["8 child | machine | ? | Some(2)"]);
        assert_eq!(kills(&format!("{of_cgroup}\n{killed}")), ["8 child | limit of  | ? | Some(2)"]);
        let all = format!("{task}\n{of_cgroup}\n{killed}");
        assert_eq!(
            kills(&all),
            ["8 child | limit of /a | ? | Some(2)"],
            "the child has another cgroup"
        );
        let all = all.replace("process 8 (child)", "process 7 (x)");
        assert_eq!(kills(&all), ["7 x | limit of /a | /a/b | Some(2)"]);
    }

    #[test]
    fn a_cause_is_forgotten() {
        let mut follower = OomFollower::default();
        let mut follow = |seconds, text: &str| {
            let at = Some(Duration::from_secs(seconds));
            follower.follow(&Message { at, text: text.to_owned() })
        };
        follow(1, "Task in /a/b killed as a result of limit of /a");
        let kill = follow(12, "Killed process 7 (x) total-vm:1kB, anon-rss:2kB").unwrap();
        assert_eq!(describe(&kill), "7 x | machine | ? | Some(2)");
    }

    #[test]
    fn what_is_kept_is_short_and_printable() {
        let long = "x".repeat(1 << 20);
        let lines = format!(
            "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/{long},task_memcg=/a\u{1b}[31m,task=x,pid=7,uid=0
             Memory cgroup out of memory: Killed process 7 ({long}\u{7}) total-vm:1kB, anon-rss:2kB"
        );
        let expected = format!("7 {} | limit of  | /a\u{fffd}[31m | Some(2)", "x".repeat(64));
        assert_eq!(kills(&lines), [expected]);
    }

    proptest! {
        #[test]
        fn nothing_panics(
            starts in proptest::collection::vec(proptest::sample::select(vec![
                "oom-kill:constraint=CONSTRAINT_MEMCG",
                "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/a,task_memcg=",
                "Task in ",
                "Task in /a killed as a result of limit of ",
                ",",
                ",task_memcg=",
                "Killed process ",
                "Killed process 7 (",
                "Memory cgroup out of memory: Killed process 7 (a) total-vm:",
                "Out of memory: Kill process ",
            ]), 1..6),
            rest in any::<String>(),
        ) {
            let mut follower = OomFollower::default();
            for start in starts {
                let text = format!("{start}{rest}");
                if let Some(kill) = follower.follow(&Message { at: None, text }) {
                    prop_assert!(kill.name.chars().count() <= LONGEST_NAME);
                    prop_assert!(!kill.name.contains(char::is_control));
                }
            }
        }
    }
}
