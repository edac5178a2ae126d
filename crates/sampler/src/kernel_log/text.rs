//! The kernel's messages in text logs: lines of dmesg, of syslog files and of `journalctl`.
//!
//! Of syslog, only lines whose tag is exactly `kernel` count. A text log proves no more than that: a
//! process may write to syslog under this tag, and dmesg without `-x` does not show who wrote a line.

/// The levels of dmesg, by name.
const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];

/// The kernel's message in one line of a text log; `None` if the line has no known prefix, or is
/// another program's.
pub(crate) fn message(line: &str) -> Option<&str> {
    let line = line.trim_end_matches(['\n', '\r']);
    after_time(line).or_else(|| after_level(line)).or_else(|| after_tag(line))
}

/// A line of dmesg: `[   12.345678] TEXT`, `[   12.345678][   T99] TEXT` or
/// `[Mon Jan  5 10:00:00 2026] TEXT`.
fn after_time(line: &str) -> Option<&str> {
    let (time, rest) = bracketed(line)?;
    if !is_uptime(time) && !is_date(time) {
        return None;
    }
    let rest = match bracketed(rest) {
        Some((caller, rest)) if is_caller(caller) => rest,
        _ => rest,
    };
    Some(rest.strip_prefix(' ').unwrap_or(rest))
}

/// A line of `dmesg -x`: `kern  :warn  : [   12.345678] TEXT`.
fn after_level(line: &str) -> Option<&str> {
    let (facility, rest) = line.split_once(':')?;
    let (level, rest) = rest.split_once(':')?;
    let is_kernel = facility.trim_end() == "kern" && LEVELS.contains(&level.trim_end());
    is_kernel.then(|| text(rest))
}

/// A line of syslog: `Jan  5 10:00:00 HOST kernel: TEXT` or
/// `2026-01-05T10:00:00.123456+00:00 HOST kernel: TEXT`. The text may begin as a line of dmesg does.
fn after_tag(line: &str) -> Option<&str> {
    let (first, rest) = word(line)?;
    let rest = if is_timestamp(first) {
        rest
    } else {
        let (day, rest) = word(rest)?;
        let (clock, rest) = word(rest)?;
        if !is_name(first) || !is_day(day) || !is_clock(clock) {
            return None;
        }
        rest
    };
    let (_host, rest) = word(rest)?;
    rest.trim_start_matches(' ').strip_prefix("kernel:").map(text)
}

/// The text after a tag or a level, without the time that may stand before it.
fn text(rest: &str) -> &str {
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    after_time(rest.trim_start_matches(' ')).unwrap_or(rest)
}

/// What `[` and the next `]` enclose, and what follows.
fn bracketed(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('[')?.split_once(']')
}

/// The next word, and what follows it.
fn word(text: &str) -> Option<(&str, &str)> {
    text.trim_start_matches(' ').split_once(' ')
}

/// `   12.345678`
fn is_uptime(text: &str) -> bool {
    let parts = text.trim_start_matches(' ').split_once('.');
    parts.is_some_and(|(seconds, fraction)| is_number(seconds) && is_number(fraction))
}

/// `Mon Jan  5 10:00:00 2026`
fn is_date(text: &str) -> bool {
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let checks = [is_name, is_name, is_day, is_clock, is_number];
    checks.iter().all(|is_right| words.next().is_some_and(is_right)) && words.next().is_none()
}

/// `   T99` for a task, `    C0` for a processor.
fn is_caller(text: &str) -> bool {
    text.trim_start_matches(' ').strip_prefix(['T', 'C']).is_some_and(is_number)
}

/// `2026-01-05T10:00:00.123456+00:00`, `…+0000` or `…Z`
fn is_timestamp(text: &str) -> bool {
    let Some((date, time)) = text.split_once('T') else {
        return false;
    };
    let mut parts = date.split('-');
    let is_date = [4, 2, 2]
        .iter()
        .all(|length| parts.next().is_some_and(|part| part.len() == *length && is_number(part)))
        && parts.next().is_none();
    let end = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(end);
    let is_zone =
        zone == "Z" || zone.get(1..).is_some_and(|zone| is_number(&zone.replace(':', "")));
    is_date && is_clock(clock) && is_zone
}

/// `10:00:00` or `10:00:00.123456`
fn is_clock(text: &str) -> bool {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = clock.split(':');
    let is_part = |part: &str| part.len() == 2 && is_number(part);
    (0..3).all(|_| parts.next().is_some_and(is_part))
        && parts.next().is_none()
        && is_number(fraction)
}

/// The name of a day or of a month, in any language that writes it without signs.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(char::is_alphabetic)
}

fn is_day(text: &str) -> bool {
    text.len() <= 2 && is_number(text)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a line of the kernel's may begin with.
    const PREFIXES: [&str; 27] = [
        // dmesg.
        "[ 12.3] ",
        "[12.3] ",
        "[   12.345678] ",
        "[1234567.345678] ",
        "[ 12.3][ T99] ",
        "[   12.345678][   T99] ",
        "[   12.345678][    C0] ",
        "[Mon Jan  5 10:00:00 2026] ",
        "[Mon Jan 15 10:00:00 2026] ",
        "[Mon Jan  5 10:00:00 2026][   T99] ",
        // dmesg -x.
        "kern :warn : [ 12.3] ",
        "kern  :warn  : [   12.345678] ",
        "kern  :err   : [   12.345678][   T99] ",
        "kern  :notice: [Mon Jan  5 10:00:00 2026] ",
        "kern  :warn  : ",
        // syslog.
        "Jan  5 10:00:00 node-1 kernel: [ 12.3] ",
        "Jan 15 10:00:00 node-1 kernel: [   12.345678][   T99] ",
        "Jan 5 10:00:00 node-1 kernel: ",
        "Jan 05 10:00:00.123456 node-1 kernel: ",
        "Mär 15 10:00:00 größe kernel: ",
        "Jan 15 10:00:00 node-1 kernel:[   12.345678] ",
        "Jan 15 10:00:00 node-1 kernel:",
        "2026-01-05T10:00:00.123456+00:00 node-1 kernel: [   12.345678] ",
        "2026-01-05T10:00:00.123456+00:00 node-1 kernel: ",
        "2026-01-05T10:00:00-0800 node-1.example.com kernel: ",
        "2026-01-05T10:00:00Z 10.0.0.1 kernel: ",
        "2026-01-05T10:00:00+00:00 node-1 kernel:  [    2.345678] ",
    ];

    const XID: &str = "NVRM: Xid (PCI:0000:0a:00): 79, pid=7, name=[a] b: c, x";

    #[test]
    fn lines_of_the_kernel() {
        for prefix in PREFIXES {
            for text in [XID, "[drm] Initialized", "[ x.1] y", "größe\u{1b}\0", "x", ""] {
                let line = format!("{prefix}{text}");
                assert_eq!(message(&line), Some(text), "{line}");
                assert_eq!(message(&format!("{line}\n")), Some(text), "{line}");
                assert_eq!(message(&format!("{line}\r\n")), Some(text), "{line}");
            }
        }
    }

    #[test]
    fn only_what_the_prefix_is_goes() {
        for (line, expected) in [
            // dmesg writes the lines of one record each with the prefix, some indented.
            ("[   12.345678]  a", " a"),
            ("[   12.345678] [   12.345678] a", "[   12.345678] a"),
            ("[   12.345678] kernel: a", "kernel: a"),
            ("[   12.345678] root: a", "root: a"),
            ("[   12.345678][drm] a", "[drm] a"),
            ("[   12.345678]", ""),
            ("Jan  5 10:00:00 node-1 kernel: kernel: a", "kernel: a"),
            ("Jan  5 10:00:00 node-1 kernel:   a", "  a"),
            ("kern  :warn  : user  :warn  : a", "user  :warn  : a"),
        ] {
            assert_eq!(message(line), Some(expected), "{line}");
        }
    }

    #[test]
    fn other_lines() {
        for prefix in [
            "",
            " ",
            "[",
            "[]",
            "[] ",
            "[12] ",
            "[12.] ",
            "[.3] ",
            "[ 12.3 ",
            "[+12.3] ",
            "[1.2.3] ",
            "[١٢.٣] ",
            "[drm] ",
            "[Mon Jan  5 10:00:00] ",
            "[Mon Jan  5 10:00:00 2026 UTC] ",
            "[Mon Jan 105 10:00:00 2026] ",
            "[Mon Jan  5 10:00 2026] ",
            "x [ 12.3] ",
            // Another program's, or not a line of syslog.
            "Jan  5 10:00:00 node-1 user: ",
            "Jan  5 10:00:00 node-1 user: kernel: ",
            "Jan  5 10:00:00 node-1 kernel[12]: ",
            "Jan  5 10:00:00 node-1 kernel [12]: ",
            "Jan  5 10:00:00 node-1 kernel-x: ",
            "Jan  5 10:00:00 node-1 xkernel: ",
            "Jan  5 10:00:00 node-1 Kernel: ",
            "Jan  5 10:00:00 node-1 root: [ 12.3] ",
            "Jan  5 10:00:00 node-1 a kernel: ",
            "Jan  5 10:00:00 node-1 ",
            "Jan  5 10:00:00 kernel: ",
            "Jan  5 10:00 node-1 kernel: ",
            "Jan  5 10:00:00:00 node-1 kernel: ",
            "Jan  x 10:00:00 node-1 kernel: ",
            "Jan  105 10:00:00 node-1 kernel: ",
            "1    5 10:00:00 node-1 kernel: ",
            "2026-01-05 10:00:00 node-1 kernel: ",
            "2026-01-05T10:00:00Z node-1 user: ",
            "2026-01-05T10:00:00Z node-1 kernel[0]: ",
            "2026-01-05T10:00:00Z kernel: ",
            "2026-01-05T10:00:00x node-1 kernel: ",
            "2026-01-05T10:00:00 node-1 kernel: ",
            "2026-01-05T10:00:00+ node-1 kernel: ",
            "2026-01-05T10:00:00+x node-1 kernel: ",
            "2026-01-05T10:00Z node-1 kernel: ",
            "2026-01T10:00:00Z node-1 kernel: ",
            "99999999999999999999-01-05T10:00:00Z node-1 kernel: ",
            "node-1 kernel: ",
            "kernel: ",
            "user  :warn  : [   12.345678] ",
            "daemon:err   : [   12.345678] ",
            "kernel:warn  : [   12.345678] ",
            "kern  :x     : [   12.345678] ",
            "kern  :      : [   12.345678] ",
            "kern  :WARN  : [   12.345678] ",
            "kern  : ",
            "4,1093,12345678,-;",
        ] {
            for text in [XID, "x"] {
                let line = format!("{prefix}{text}");
                assert_eq!(message(&line), None, "{line}");
            }
        }
        assert_eq!(message(""), None);
    }

    #[test]
    fn long_lines_are_read() {
        for filler in
            ["x", " ", "[", "]", "[1.2]", ":", "0", "9", "-", "T", "\0", "é", "kern:", "warn:"]
        {
            let long = filler.repeat((1 << 20) / filler.len());
            assert_eq!(message(&long).is_some(), filler == "[1.2]");
            assert_eq!(message(&format!("[ 12.3] {long}")), Some(&long[..]));
            for line in [
                format!("[{long}] x"),
                format!("[ 12.3][{long}"),
                format!("Jan {long} 10:00:00 node-1 kernel: x"),
                format!("Jan  5 10:00:00 {long}"),
                format!("2026-01-05T{long} node-1 kernel: x"),
                format!("kern :{long}: x"),
            ] {
                assert!(message(&line).is_none_or(|message| line.ends_with(message)), "{filler}");
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(
            prefix in proptest::sample::select(&PREFIXES[..]),
            length in 0..40usize,
            rest in any::<String>(),
        ) {
            let cut: String = prefix.chars().take(length).collect();
            for line in [&rest, &format!("{cut}{rest}"), &format!("{prefix}{rest}")] {
                let line = line.trim_end_matches(['\n', '\r']);
                prop_assert!(message(line).is_none_or(|message| line.ends_with(message)));
            }
        }

        #[test]
        fn a_message_is_read_back(
            prefix in proptest::sample::select(&PREFIXES[..]),
            text in "[A-Za-z]\\PC{0,100}",
        ) {
            let line = format!("{prefix}{text}");
            prop_assert_eq!(message(&line), Some(&text[..]));
        }
    }
}
