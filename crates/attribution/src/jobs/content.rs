//! What the name and the content of a job file say.
//!
//! Two layouts are known. That of dcgm-exporter: the file of a GPU is named by its index, that of a
//! GPU instance by the index, a point and the number of the instance; each line is a job. That of
//! jobstats: a file is named by the index or the UUID, and its line is a job and the number of a
//! user.

use std::collections::HashSet;
use std::sync::Arc;

use model::{DeviceKey, GpuKey, PartKey};

/// The device that a file is about, by its name. `None` if it is about none.
pub(super) fn device(name: &str) -> Option<DeviceKey> {
    if let Some(rest) = name.strip_prefix("GPU-").or_else(|| name.strip_prefix("MIG-")) {
        let is_uuid = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        return is_uuid.then(|| DeviceKey::uuid(name));
    }
    match name.split_once('.') {
        None => Some(DeviceKey::whole(GpuKey::Index(number(name)?))),
        Some((index, instance)) => {
            let part = PartKey::GpuInstance(number(instance)?);
            Some(DeviceKey::part(GpuKey::Index(number(index)?), part))
        }
    }
}

/// The jobs that use the device, each once.
pub(super) fn jobs(device: &DeviceKey, content: &[u8]) -> Vec<Arc<str>> {
    let text = String::from_utf8_lossy(content);
    let lines: Vec<&str> =
        text.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect();
    // dcgm-exporter knows no UUIDs as names, and its jobs may have blanks inside.
    let is_jobstats = match (&device.gpu, lines.as_slice()) {
        (GpuKey::Uuid(_), _) => true,
        (_, [line]) => is_two_numbers(line),
        _ => false,
    };
    let id = |line| if is_jobstats { first_word(line) } else { line };
    let mut seen = HashSet::new();
    lines.into_iter().map(id).filter(|id| seen.insert(*id)).map(Arc::from).collect()
}

fn first_word(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or(line)
}

fn is_two_numbers(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.len() == 2 && words.into_iter().all(is_digits)
}

fn number(text: &str) -> Option<u32> {
    is_digits(text).then(|| text.parse().ok())?
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_is_named_by_a_device() {
        let index = |number| Some(DeviceKey::whole(GpuKey::Index(number)));
        let instance =
            |gpu, number| Some(DeviceKey::part(GpuKey::Index(gpu), PartKey::GpuInstance(number)));
        let gpu = "GPU-5CD1a2b3-0000-1111-2222-333344445555";
        let mig = "MIG-5cd1a2b3-0000-1111-2222-333344445555";
        let cases = [
            ("0", index(0)),
            ("15", index(15)),
            ("0.1", instance(0, 1)),
            ("7.13", instance(7, 13)),
            (gpu, Some(DeviceKey::uuid(gpu))),
            (mig, Some(DeviceKey::uuid(mig))),
            ("", None),
            (".", None),
            ("0.", None),
            (".0", None),
            ("0.1.2", None),
            ("-1", None),
            ("+1", None),
            (" 0", None),
            ("0~", None),
            ("0.tmp", None),
            (".0.swp", None),
            ("4294967296", None),
            ("٣", None),
            ("GPU-", None),
            ("GPU-notes", None),
        ];
        for (name, expected) in cases {
            assert_eq!(device(name), expected, "{name}");
        }
    }

    #[test]
    fn a_line_is_a_job() {
        let zero = "0";
        let uuid = "GPU-5cd1a2b3-0000-1111-2222-333344445555";
        let cases: &[(&str, &[u8], &[&str])] = &[
            (zero, b"", &[]),
            (zero, b"\n \r\n\t\n", &[]),
            (zero, b"1", &["1"]),
            (zero, b"1\n", &["1"]),
            (zero, b"1\r\n2\r\n", &["1", "2"]),
            (zero, b"  1\t\n\n 2 ", &["1", "2"]),
            (zero, b"2\n1\n2\n", &["2", "1"]),
            (zero, b"a\"b\\c\n", &["a\"b\\c"]),
            (zero, b"a\rb\n", &["a\rb"]),
            (zero, b"\xffjob\xc3\n", &["\u{fffd}job\u{fffd}"]),
            (zero, "жоб\n".as_bytes(), &["жоб"]),
            // jobstats.
            (zero, b"123456 1001\n", &["123456"]),
            ("0.1", b"123456 1001\n", &["123456"]),
            (uuid, b"123456 1001\n", &["123456"]),
            (uuid, b"123456\n", &["123456"]),
            (uuid, b"123456_7 user\n", &["123456_7"]),
            // No jobstats: more lines, more words, or something else than numbers.
            (zero, b"123456 1001\n123457 1001\n", &["123456 1001", "123457 1001"]),
            (zero, b"1 2 3\n", &["1 2 3"]),
            (zero, b"job 1\n", &["job 1"]),
            (zero, b"1 a\n", &["1 a"]),
            (zero, b"1 -2\n", &["1 -2"]),
        ];
        for (name, content, expected) in cases {
            let found = jobs(&device(name).unwrap(), content);
            let found: Vec<&str> = found.iter().map(|id| &**id).collect();
            assert_eq!(found, *expected, "{name} {content:?}");
        }
    }

    proptest! {
        #[test]
        fn any_name_and_content_can_be_read(
            name in "[0-9.]{0,12}|(GPU|MIG)-[0-9a-f-]{0,40}|.*",
            content in proptest::collection::vec(any::<u8>(), 0..512),
        ) {
            let Some(device) = device(&name) else { return Ok(()) };
            let jobs = jobs(&device, &content);
            for (index, id) in jobs.iter().enumerate() {
                prop_assert!(!id.is_empty() && id.trim() == &**id && !id.contains('\n'));
                prop_assert!(!jobs[..index].contains(id));
            }
        }
    }
}
