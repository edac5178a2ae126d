//! The device list of `-d`, in dcgm-exporter's syntax.

use anyhow::{Context, Result, bail};
use exposition::{Choice, Devices};
use sampler::Selection;

/// The highest index that a list of GPUs may name.
const MAX_GPU: u32 = 1023;

/// The highest number of an instance.
const MAX_INSTANCE: u32 = 8 * MAX_GPU;

/// Reads `f`, `g`, `i`, `g:0,2-4`, `i:0` and `g+i`.
///
/// # Errors
///
/// One line that says what is wrong with the list.
pub(crate) fn parse(list: &str) -> Result<Devices> {
    let (mut gpus, mut instances) = (Choice::None, Choice::None);
    let mut flexible = false;
    for part in list.split('+') {
        let (letter, range) = match part.split_once(':') {
            Some((letter, range)) => (letter.trim(), Some(range)),
            None => (part.trim(), None),
        };
        let (chosen, max) = match letter {
            "f" if range.is_some() => bail!("`f` takes no list; write g:0,1 for some of them"),
            "f" => {
                flexible = true;
                continue;
            }
            "g" => (&mut gpus, MAX_GPU),
            "i" => (&mut instances, MAX_INSTANCE),
            _ => bail!("`{letter}` is no kind of device; write f, g, i, or as in g:0,2-4"),
        };
        *chosen = match range {
            None => Choice::All,
            Some(range) => Choice::Only(indexes(range, max)?),
        };
    }
    match (flexible, &gpus, &instances) {
        (true, Choice::None, Choice::None) => Ok(Devices::Flexible),
        (true, ..) => bail!("`f` stands for all devices; write it alone"),
        (false, ..) => Ok(Devices::Listed { gpus, instances }),
    }
}

/// The GPUs that have to be read to serve these devices.
pub(crate) fn gpus(devices: &Devices) -> Selection {
    match devices {
        Devices::Listed { gpus: Choice::Only(gpus), instances: Choice::None } => {
            Selection::Only(gpus.clone())
        }
        // Only the driver knows which GPU has the instance with a number.
        Devices::Listed { .. } | Devices::Flexible => Selection::All,
    }
}

fn indexes(list: &str, max: u32) -> Result<Vec<u32>> {
    let mut indexes = Vec::new();
    for item in list.split(',') {
        let item = item.trim();
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let wrong = || format!("`{item}` is neither an index nor a range; write g:0,2-4");
        let number = |text: &str| text.trim().parse::<u32>().ok().with_context(wrong);
        let (first, last) = (number(first)?, number(last)?);
        if let Some(index) = [first, last].into_iter().find(|index| *index > max) {
            bail!("index {index} is above {max}");
        }
        if first > last {
            bail!("`{item}` runs backwards");
        }
        indexes.extend(first..=last);
    }
    indexes.sort_unstable();
    indexes.dedup();
    Ok(indexes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(gpus: Choice, instances: Choice) -> Devices {
        Devices::Listed { gpus, instances }
    }

    #[test]
    fn lists_and_ranges_are_read() {
        use Choice::{All, None, Only};
        assert_eq!(parse("f").unwrap(), Devices::Flexible);
        assert_eq!(parse("g").unwrap(), listed(All, None));
        assert_eq!(parse("g:0").unwrap(), listed(Only(vec![0]), None));
        assert_eq!(parse("g:3, 0-1,1").unwrap(), listed(Only(vec![0, 1, 3]), None));
        assert_eq!(parse("g+i").unwrap(), listed(All, All));
        assert_eq!(parse("i:0,2-4").unwrap(), listed(None, Only(vec![0, 2, 3, 4])));
        assert_eq!(parse("g:1+i:9").unwrap(), listed(Only(vec![1]), Only(vec![9])));
    }

    #[test]
    fn only_the_gpus_that_are_needed_are_read() {
        let read = |list| gpus(&parse(list).unwrap());
        assert_eq!(read("f"), Selection::All);
        assert_eq!(read("g:0,2"), Selection::Only(vec![0, 2]));
        assert_eq!(read("i:0,2-4,17"), Selection::All);
        assert_eq!(read("g:5+i"), Selection::All);
    }

    #[test]
    fn malformed_lists_are_refused() {
        for list in [
            "",
            "x",
            "f+g",
            "g:",
            "g:a",
            "g:1-",
            "g:3-1",
            "g:0:1",
            "f:0",
            "g:-1",
            "g:99999",
            "i:99999",
            "g:0-4294967295",
        ] {
            assert!(parse(list).is_err(), "{list} was accepted");
        }
    }
}
