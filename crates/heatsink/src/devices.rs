//! The device list of `-d`, in dcgm-exporter's syntax.

use sampler::Selection;

/// The highest index that a list may name.
const MOST: u32 = 1023;

/// What a device list asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Devices {
    /// Whole GPUs.
    pub(crate) gpus: Selection,
    /// Whether MIG instances are asked for by name; without them there is nothing to serve of `i`.
    pub(crate) instances: bool,
}

/// Reads `f`, `g`, `i`, `g:0,2-4`, `i:0` and `g+i`.
///
/// # Errors
///
/// One line that says what is wrong with the list.
pub(crate) fn parse(list: &str) -> Result<Devices, String> {
    let mut devices = Devices { gpus: Selection::Only(Vec::new()), instances: false };
    for part in list.split('+') {
        let (letter, range) = match part.split_once(':') {
            Some((letter, range)) => (letter.trim(), Some(range)),
            None => (part.trim(), None),
        };
        let indexes = range.map(indexes).transpose()?;
        match (letter, indexes) {
            ("f", None) => devices.gpus = Selection::All,
            ("f", Some(_)) => return Err("`f` takes no list; write g:0,1 for some GPUs".to_owned()),
            ("g", None) => devices.gpus = Selection::All,
            ("g", Some(indexes)) => devices.gpus = Selection::Only(indexes),
            ("i", _) => devices.instances = true,
            _ => return Err(format!("`{letter}` is no device kind; write f, g or i")),
        }
    }
    Ok(devices)
}

fn indexes(list: &str) -> Result<Vec<u32>, String> {
    let mut indexes = Vec::new();
    for item in list.split(',') {
        let item = item.trim();
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last) = (index(first)?, index(last)?);
        if first > last {
            return Err(format!("`{item}` runs backwards"));
        }
        indexes.extend(first..=last);
    }
    indexes.sort_unstable();
    indexes.dedup();
    Ok(indexes)
}

fn index(text: &str) -> Result<u32, String> {
    match text.trim().parse() {
        Ok(index) if index <= MOST => Ok(index),
        Ok(index) => Err(format!("index {index} is above {MOST}")),
        Err(_) => Err(format!("`{text}` is no index; write numbers, as in g:0,2-4")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(indexes: &[u32]) -> Result<Devices, String> {
        Ok(Devices { gpus: Selection::Only(indexes.to_vec()), instances: false })
    }

    #[test]
    fn lists_and_ranges() {
        let all = Ok(Devices { gpus: Selection::All, instances: false });
        assert_eq!(parse("f"), all);
        assert_eq!(parse("g"), all);
        assert_eq!(parse("g:0"), some(&[0]));
        assert_eq!(parse("g:3, 0-1,1"), some(&[0, 1, 3]));
        assert_eq!(parse("g+i"), Ok(Devices { gpus: Selection::All, instances: true }));
        assert_eq!(parse("i:0,2-4").map(|devices| devices.gpus), Ok(Selection::Only(Vec::new())));
    }

    #[test]
    fn malformed_lists() {
        for list in [
            "",
            "x",
            "g:",
            "g:a",
            "g:1-",
            "g:3-1",
            "g:0:1",
            "f:0",
            "g:-1",
            "g:99999",
            "g:0-4294967295",
        ] {
            assert!(parse(list).is_err(), "{list} was accepted");
        }
    }
}
