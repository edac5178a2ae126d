//! Device ids of unknown form: what the log says of them.

use std::collections::HashSet;

/// So many are named, so that the memory is bounded.
const MOST: usize = 32;

/// So many characters of an id are kept.
const MOST_CHARACTERS: usize = 64;

/// The ids of unknown form. Each is named once, however often it is listed.
#[derive(Default, Debug)]
pub(crate) struct UnknownIds {
    named: HashSet<String>,
    /// Not logged yet.
    new: Vec<String>,
    /// How many there are since the last line.
    count: usize,
}

impl UnknownIds {
    /// Takes an id of this resource.
    pub(crate) fn add(&mut self, resource: &[u8], id: &[u8]) {
        self.count += 1;
        if self.named.len() >= MOST {
            return;
        }
        let id = format!("{:?} of {:?}", start_of(id), start_of(resource));
        if self.named.insert(id.clone()) {
            self.new.push(id);
        }
    }

    /// The line to log after a reply, if it has an id that was not named before.
    pub(crate) fn line(&mut self) -> Option<String> {
        let count = std::mem::take(&mut self.count);
        let new = std::mem::take(&mut self.new);
        if new.is_empty() {
            return None;
        }
        let ids = new.join(", ");
        Some(format!("kubelet: {count} device ids have no known form and are left out: {ids}"))
    }
}

/// The first characters of a text.
fn start_of(text: &[u8]) -> String {
    // A character has four bytes at most.
    let text = text.get(..4 * MOST_CHARACTERS).unwrap_or(text);
    String::from_utf8_lossy(text).chars().take(MOST_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_named_once() {
        let mut ids = UnknownIds::default();
        assert_eq!(ids.line(), None);
        ids.add(b"nvidia.com/gpu", b"a\nb");
        ids.add(b"nvidia.com/gpu", b"a\nb");
        let line = ids.line().expect("it is new");
        let wanted = r#"kubelet: 2 device ids have no known form and are left out: "a\nb" of "nvidia.com/gpu""#;
        assert_eq!(line, wanted);
        ids.add(b"nvidia.com/gpu", b"a\nb");
        assert_eq!(ids.line(), None);
        ids.add(b"nvidia.com/gpu", b"c");
        assert!(ids.line().is_some_and(|line| line.starts_with("kubelet: 1 device ids")));
    }

    #[test]
    fn many_and_long_ids_take_little_memory() {
        let mut ids = UnknownIds::default();
        for number in 0..10_000 {
            ids.add(&[0xff; 1000], format!("{number}{}", "ä".repeat(1000)).as_bytes());
        }
        let line = ids.line().expect("they are new");
        assert!(line.contains("10000 device ids"), "{line}");
        assert!(line.len() < MOST * 8 * MOST_CHARACTERS, "{} bytes", line.len());
        ids.add(b"nvidia.com/gpu", b"another");
        assert_eq!(ids.line(), None);
    }
}
