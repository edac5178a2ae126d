//! The files of the repository, read once, so that each check is a function of them.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// The folders that hold crates.
const GROUPS: &[&str] = &["crates", "test", "tools"];

/// Folders in them that are not crates.
const NO_CRATES: &[&str] = &["fixtures", "scripts"];

/// One file.
pub(crate) struct File {
    /// From the root, with `/` between the parts.
    pub(crate) path: String,
    /// Empty where the file is not text.
    pub(crate) text: String,
}

impl File {
    /// The last part of its path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether it is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether it is Markdown.
    pub(crate) fn is_markdown(&self) -> bool {
        self.path.ends_with(".md")
    }

    /// The folder of its crate: `crates/<name>`, `test/<name>` or `tools/<name>`.
    pub(crate) fn crate_folder(&self) -> Option<&str> {
        let (group, rest) = self.path.split_once('/')?;
        let (name, _) = rest.split_once('/')?;
        let is_crate = GROUPS.contains(&group) && !NO_CRATES.contains(&name);
        is_crate.then(|| &self.path[..group.len() + 1 + name.len()])
    }

    /// The name of its crate, which is the name of the folder.
    pub(crate) fn crate_name(&self) -> Option<&str> {
        self.crate_folder()?.rsplit('/').next()
    }

    /// Its path from the folder of its crate: `src/lib.rs`.
    pub(crate) fn path_in_crate(&self) -> Option<&str> {
        self.path.strip_prefix(self.crate_folder()?)?.strip_prefix('/')
    }
}

/// Every file under `root`, but for version control and what cargo builds.
pub(crate) fn read(root: &Path) -> Result<Vec<File>> {
    let mut files = Vec::new();
    visit(root, "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn visit(folder: &Path, prefix: &str, files: &mut Vec<File>) -> Result<()> {
    // Cargo marks its target folders so, wherever they are.
    if folder.join("CACHEDIR.TAG").exists() {
        return Ok(());
    }
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let entry = entry.with_context(|| folder.display().to_string())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().with_context(|| path.clone())?;
        if kind.is_dir() {
            if name != ".git" && name != "node_modules" {
                visit(&entry.path(), &format!("{path}/"), files)?;
            }
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).with_context(|| path.clone())?;
            files.push(File { path, text: String::from_utf8(bytes).unwrap_or_default() });
        }
    }
    Ok(())
}

/// A tree for a test, from paths and texts.
#[cfg(test)]
pub(crate) fn tree(files: &[(&str, &str)]) -> Vec<File> {
    let file = |&(path, text): &(&str, &str)| File { path: path.into(), text: text.into() };
    files.iter().map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_which_crate_it_is_in() {
        let files = tree(&[("test/fake-nvml/src/lib.rs", ""), ("tools/xtask/src/a/b.rs", "")]);
        assert_eq!(files[0].crate_folder(), Some("test/fake-nvml"));
        assert_eq!(files[0].crate_name(), Some("fake-nvml"));
        assert_eq!(files[0].path_in_crate(), Some("src/lib.rs"));
        assert_eq!(files[0].name(), "lib.rs");
        assert_eq!(files[1].crate_folder(), Some("tools/xtask"));
        assert_eq!(files[1].crate_name(), Some("xtask"));
        assert_eq!(files[1].path_in_crate(), Some("src/a/b.rs"));
        assert_eq!(tree(&[("README.md", "")])[0].crate_name(), None);
        assert_eq!(tree(&[("crates/README.md", "")])[0].crate_name(), None);
        assert_eq!(tree(&[("test/fixtures/messages.txt", "")])[0].crate_name(), None);
    }

    #[test]
    fn reads_this_repository_without_what_is_built() {
        let files = read(&crate::root()).unwrap();
        let has = |path: &str| files.iter().any(|file| file.path == path);
        assert!(has("Cargo.toml") && has("tools/xtask/src/tree.rs") && has(".ci/run"));
        assert!(!files.iter().any(|file| file.path.starts_with(".git/")));
        assert!(!files.iter().any(|file| file.path.ends_with(".rlib")));
    }
}
