//! No files of a product crate import each other in a circle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::paths::{self, Module};
use super::{Finding, manifests};
use crate::tree::File;

/// For each file, the files that it imports, with the line (from 0) of the first such import.
type Graph = BTreeMap<usize, BTreeMap<usize, usize>>;

/// The shortest circle through each import that is part of one.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let names = manifests::of_crates(files).filter_map(File::crate_name);
    names.flat_map(|name| of_crate(files, name)).collect()
}

fn of_crate(files: &[File], name: &str) -> Vec<Finding> {
    let modules = modules(files, name);
    let graph = graph(&modules);
    let mut circles = BTreeSet::new();
    for (&from, imports) in &graph {
        for &to in imports.keys() {
            circles.extend(way(&graph, to, from).map(from_smallest));
        }
    }
    let circles = circles.iter().map(|circle| {
        let line = graph[&circle[0]][&circle[1 % circle.len()]];
        let around = circle.iter().chain(circle.first());
        let names = around.filter_map(|&at| modules[at].file.path_in_crate());
        let message = format!("import circle: {}", names.collect::<Vec<_>>().join(" -> "));
        Finding::at(modules[circle[0]].file, line, message)
    });
    circles.collect()
}

/// The modules of a crate, without those that are only compiled for tests.
fn modules<'a>(files: &'a [File], name: &str) -> Vec<Module<'a>> {
    let sources = files.iter().filter(|file| {
        file.is_rust()
            && file.crate_folder().and_then(|folder| folder.strip_prefix("crates/")) == Some(name)
    });
    let mut modules = sources.filter_map(paths::read).collect::<Vec<_>>();
    let for_tests = modules.iter().flat_map(|module| module.for_tests.clone()).collect::<Vec<_>>();
    modules.retain(|module| !for_tests.iter().any(|test| module.path.starts_with(test)));
    modules
}

fn graph(modules: &[Module<'_>]) -> Graph {
    let mut graph = Graph::new();
    for (from, module) in modules.iter().enumerate() {
        for (to, line) in paths::imports(modules, module) {
            if to != from {
                graph.entry(from).or_default().entry(to).or_insert(line);
            }
        }
    }
    graph
}

/// The shortest way from `from` to `to` along imports.
fn way(graph: &Graph, from: usize, to: usize) -> Option<Vec<usize>> {
    let mut ways = VecDeque::from([vec![from]]);
    let mut seen = BTreeSet::from([from]);
    while let Some(way) = ways.pop_front() {
        let &last = way.last()?;
        if last == to {
            return Some(way);
        }
        for &next in graph.get(&last).into_iter().flat_map(BTreeMap::keys) {
            if seen.insert(next) {
                ways.push_back([way.as_slice(), &[next]].concat());
            }
        }
    }
    None
}

/// The same circle, beginning with its first file in the order of paths.
fn from_smallest(mut circle: Vec<usize>) -> Vec<usize> {
    let smallest = circle.iter().enumerate().min_by_key(|(_, at)| **at).map_or(0, |(at, _)| at);
    circle.rotate_left(smallest);
    circle
}

#[cfg(test)]
mod tests {
    use super::super::findings;
    use super::*;

    /// Checks a crate that has these files in `src`.
    #[track_caller]
    fn check_crate(files: &[(&str, &str)], expect: &[&str]) {
        let paths = files.iter().map(|(path, text)| (format!("crates/x/src/{path}"), *text));
        let mut paths = paths.collect::<Vec<_>>();
        paths.sort();
        let mut all = vec![("crates/x/Cargo.toml", "")];
        all.extend(paths.iter().map(|(path, text)| (path.as_str(), *text)));
        let expect = expect.iter().map(|text| format!("crates/x/src/{text}")).collect::<Vec<_>>();
        assert_eq!(findings(check, &all), expect);
    }

    #[test]
    fn two_files_that_import_each_other() {
        check_crate(
            &[
                ("lib.rs", "mod a;\nmod b;\nmod c;\n"),
                ("a.rs", "//! a\nuse crate::b::B;\n"),
                ("b.rs", "use crate::{a::A, c};\n"),
                ("c.rs", "pub struct C;\n"),
            ],
            &["a.rs:2: import circle: src/a.rs -> src/b.rs -> src/a.rs"],
        );
    }

    #[test]
    fn a_longer_circle_is_one_finding_and_a_shortcut_is_another() {
        let files = [
            ("lib.rs", ""),
            ("a.rs", "use crate::b::X;\nuse crate::c::Y;\n"),
            ("b.rs", "use crate::c::Y;\n"),
            ("c.rs", "use super::a::Z;\n"),
        ];
        let long = "a.rs:1: import circle: src/a.rs -> src/b.rs -> src/c.rs -> src/a.rs";
        let short = "a.rs:2: import circle: src/a.rs -> src/c.rs -> src/a.rs";
        check_crate(&files, &[long, short]);
        check_crate(&[files[0], files[2], files[3], ("a.rs", "use crate::b::X;\n")], &[long]);
    }

    #[test]
    fn paths_in_code_are_imports() {
        let circle = "a.rs:1: import circle: src/a.rs -> src/b.rs -> src/a.rs";
        for a in ["fn f() { crate::b::g() }", "use super::b;\nfn f() -> b::X {}"] {
            let at = a.lines().count();
            let expect = circle.replace(":1:", &format!(":{at}:"));
            let b = "fn g(a: &[super::a::A]) {}\n";
            check_crate(&[("lib.rs", ""), ("a.rs", a), ("b.rs", b)], &[&expect]);
        }
    }

    #[test]
    fn a_parent_that_uses_its_child_while_the_child_uses_it() {
        let parent = "mod child;\npub struct P;\nfn f() { child::g() }\n";
        let child = "use super::P;\nfn g() {}\n";
        let circle = "p.rs:3: import circle: src/p.rs -> src/p/child.rs -> src/p.rs";
        check_crate(&[("lib.rs", "mod p;"), ("p.rs", parent), ("p/child.rs", child)], &[circle]);
        let circle =
            "p/child.rs:1: import circle: src/p/child.rs -> src/p/mod.rs -> src/p/child.rs";
        check_crate(
            &[("lib.rs", "mod p;"), ("p/mod.rs", parent), ("p/child.rs", child)],
            &[circle],
        );
        // The parent only has the child, or the child does not use what the parent defines.
        let only_has = "mod child;\npub struct P;\n";
        check_crate(&[("lib.rs", ""), ("p.rs", only_has), ("p/child.rs", child)], &[]);
        check_crate(&[("lib.rs", ""), ("p.rs", parent), ("p/child.rs", "fn g() {}")], &[]);
    }

    #[test]
    fn a_re_export_is_no_import_and_leads_to_what_it_names() {
        let lib = "mod a;\nmod b;\npub use a::A;\npub(crate) use crate::b::*;\n";
        let files = [("a.rs", "pub struct A;"), ("b.rs", "use crate::A;\npub struct B;\n")];
        check_crate(&[("lib.rs", lib), files[0], files[1]], &[]);
        let a = "use crate::B;\npub struct A;\n";
        let circle = "a.rs:1: import circle: src/a.rs -> src/b.rs -> src/a.rs";
        check_crate(&[("lib.rs", lib), ("a.rs", a), files[1]], &[circle]);
        // A file that uses what it re-exports imports it.
        let lib = "mod a;\npub use a::A;\npub struct L(A);\n";
        let a = "use crate::L;\npub struct A;\n";
        let circle = "a.rs:1: import circle: src/a.rs -> src/lib.rs -> src/a.rs";
        check_crate(&[("lib.rs", lib), ("a.rs", a)], &[circle]);
    }

    #[test]
    fn tests_comments_and_strings_are_no_imports() {
        let a = "use crate::b::B;\n";
        for b in [
            "// use crate::a::A;\nfn f() { g(\"crate::a::A\") }\n",
            "/// [`crate::a::A`]\npub struct B;\n",
            "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n    fn f() {}\n}\n",
            "#[cfg(test)]\npub(crate) use crate::a::{A, Z};\n",
            "#[cfg(test)]\n#[inline]\nfn f(x: [u8; 2]) { crate::a::g() }\nfn h() {}\n",
            "#[cfg(test)]\nmod tests;\n",
        ] {
            let tests = ("b/tests.rs", "use crate::a::A;\nuse super::B;\n");
            check_crate(&[("lib.rs", ""), ("a.rs", a), ("b.rs", b), tests], &[]);
        }
        let after = "#[cfg(test)]\nmod tests {}\nuse crate::a::A;\n";
        let circle = "a.rs:1: import circle: src/a.rs -> src/b.rs -> src/a.rs";
        check_crate(&[("lib.rs", ""), ("a.rs", a), ("b.rs", after)], &[circle]);
    }

    #[test]
    fn inline_modules_belong_to_their_file_and_other_crates_to_none() {
        let a =
            "mod inner {\n    use super::X;\n    use super::super::b::B;\n}\nuse model::b::Y;\n";
        check_crate(
            &[("lib.rs", ""), ("a.rs", a), ("b.rs", "use crate::a::inner::Z;\n")],
            &["a.rs:3: import circle: src/a.rs -> src/b.rs -> src/a.rs"],
        );
        check_crate(&[("lib.rs", ""), ("a.rs", "use b::B;"), ("b.rs", "use crate::a::A;")], &[]);
    }
}
