//! Links from one page of the book to another lead somewhere.

use super::Finding;
use crate::tree::File;

/// Every link in a Markdown file to a file or folder of this repository that is not there.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_markdown()) {
        for (index, target) in links(&file.text) {
            let Some(path) = local(&target) else { continue };
            match resolve(&file.path, path) {
                Some(path) if exists(files, &path) => {}
                Some(_) => findings.push(Finding::at(file, index, format!("no such file: {path}"))),
                None => {
                    let message = format!("leads out of the repository: {path}");
                    findings.push(Finding::at(file, index, message));
                }
            }
        }
    }
    findings
}

/// The target of each link, and its line from 0. What stands in code is no link.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fence = None;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => {
                let line = without_code(line);
                found.extend(inline(&line).chain(reference(&line)).map(|target| (index, target)));
            }
            _ => {}
        }
    }
    found
}

/// The line without what stands between backticks.
fn without_code(line: &str) -> String {
    let parts = line.split('`').collect::<Vec<_>>();
    // Parts at odd places are inside, unless their backtick is never closed.
    let inside = |at: usize| at % 2 == 1 && at + 1 < parts.len();
    let kept = parts.iter().enumerate().filter(|(at, _)| !inside(*at)).map(|(_, part)| *part);
    kept.collect()
}

/// `[text](target)`, `![text](target "title")`.
fn inline(line: &str) -> impl Iterator<Item = String> + '_ {
    line.match_indices("](").filter_map(|(at, mark)| {
        let rest = &line[at + mark.len()..];
        let target = match rest.strip_prefix('<') {
            Some(rest) => rest.split('>').next()?,
            None => rest.split([')', ' ']).next()?,
        };
        Some(target.to_owned())
    })
}

/// `[name]: target`.
fn reference(line: &str) -> Option<String> {
    let (name, target) = line.trim_start().strip_prefix('[')?.split_once("]:")?;
    let target = target.split_whitespace().next()?;
    (!name.contains(']')).then(|| target.trim_matches(['<', '>']).to_owned())
}

/// The path of a link into this repository, without the place within the page.
fn local(target: &str) -> Option<&str> {
    let has_scheme = target.split(['/', '#']).next().is_some_and(|head| head.contains(':'));
    let path = target.split('#').next().unwrap_or(target);
    (!has_scheme && !path.is_empty() && !path.starts_with("//")).then_some(path)
}

/// The path from the root that `link` in the file `from` leads to; none if it is outside.
fn resolve(from: &str, link: &str) -> Option<String> {
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let base = if link.starts_with('/') { "" } else { folder };
    let mut parts = Vec::new();
    for part in base.split('/').chain(link.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn exists(files: &[File], path: &str) -> bool {
    let folder =
        |file: &File| file.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    path.is_empty() || files.iter().any(|file| file.path == path || folder(file))
}

#[cfg(test)]
mod tests {
    use super::super::findings;
    use super::*;

    #[track_caller]
    fn check_page(text: &str, expect: &[&str]) {
        let files = [
            ("docs/page.md", text),
            ("docs/hardware/README.md", ""),
            ("docs/picture.png", ""),
            ("LICENSE", ""),
        ];
        assert_eq!(findings(check, &files), expect);
    }

    #[test]
    fn links_that_lead_somewhere() {
        check_page("[a](hardware/README.md) and [b](../LICENSE#top)\n", &[]);
        check_page("[a](hardware) [b](hardware/) [c](/LICENSE) [d](..)\n", &[]);
        check_page("![a](picture.png \"A picture\") [b](<picture.png>)\n[c]: picture.png\n", &[]);
    }

    #[test]
    fn links_that_lead_nowhere() {
        check_page("x\n[a](gone.md)\n", &["docs/page.md:2: no such file: gone.md"]);
        check_page("[a](hard)\n", &["docs/page.md:1: no such file: hard"]);
        check_page("[a](LICENSE#x)\n", &["docs/page.md:1: no such file: LICENSE"]);
        check_page("[a]: gone.md\n", &["docs/page.md:1: no such file: gone.md"]);
        check_page("[a](<gone away.md>)\n", &["docs/page.md:1: no such file: gone away.md"]);
        check_page("[a](../../x)\n", &["docs/page.md:1: leads out of the repository: ../../x"]);
        check_page("[a](picture.png), [b](gone.md)\n", &["docs/page.md:1: no such file: gone.md"]);
    }

    #[test]
    fn links_elsewhere_are_not_followed() {
        check_page("[a](https://prometheus.io/docs) [b](#here) [c](mailto:a@example.org)\n", &[]);
    }

    #[test]
    fn code_is_no_link() {
        check_page("```\n[a](gone.md)\n```\n", &[]);
        check_page("`[a](gone.md)`\n", &[]);
        check_page("```\n```\n[a](gone.md)\n", &["docs/page.md:3: no such file: gone.md"]);
        check_page("[a `b`](gone.md)\n", &["docs/page.md:1: no such file: gone.md"]);
    }
}
