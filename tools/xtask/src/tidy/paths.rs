//! Which file of a crate each path in its code leads to.

use crate::code::only_code;
use crate::tree::File;

/// A path from the root of the crate: `["own", "xids", "write"]` for `crate::own::xids::write`.
type Path = Vec<String>;

/// A file of a crate, and the paths in it.
pub(super) struct Module<'a> {
    pub(super) file: &'a File,
    pub(super) path: Path,
    /// Its modules that are only compiled for tests.
    pub(super) for_tests: Vec<Path>,
    uses: Vec<Use>,
    /// Other paths in code, and their lines.
    paths: Vec<Named>,
    /// Items that are defined here, for `pub use child::*`.
    items: Vec<String>,
    /// Words in code that may name something that is re-exported here.
    words: Vec<(String, usize)>,
}

/// A path as it is written.
struct Named {
    /// The module in which it is written, inline modules included.
    within: Path,
    written: Path,
    /// From 0.
    line: usize,
}

/// A name that `use` brings into a module; `*` for all names.
struct Use {
    name: String,
    path: Named,
    /// `pub use`, with or without a restriction.
    exported: bool,
}

/// Reads a file of `src`; `None` for others and for programs in `src/bin`.
pub(super) fn read(file: &File) -> Option<Module<'_>> {
    let inside = file.path_in_crate()?.strip_prefix("src/")?.strip_suffix(".rs")?;
    let mut path = inside.split('/').map(str::to_owned).collect::<Path>();
    if path.first().is_some_and(|first| first == "bin") {
        return None;
    }
    path.pop_if(|last| matches!(last.as_str(), "lib" | "main" | "mod"));
    let mut module = Module {
        file,
        path: path.clone(),
        for_tests: Vec::new(),
        uses: Vec::new(),
        paths: Vec::new(),
        items: Vec::new(),
        words: Vec::new(),
    };
    let code = only_code(&file.text);
    let tokens = tokens(&code);
    Reader { tokens: &tokens, module: &mut module, within: path, blocks: Vec::new() }.read();
    Some(module)
}

/// The modules that `module` imports, by their positions, each with a line.
///
/// A re-export is an import only if its name is used in the same file. What is imported through a
/// re-export comes from the file that defines it.
pub(super) fn imports(modules: &[Module<'_>], module: &Module<'_>) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for one in &module.uses {
        let Some(target) = target(modules, module, &one.path) else { continue };
        let line = if one.exported {
            module.words.iter().find(|(word, _)| *word == one.name).map(|&(_, line)| line)
        } else {
            // `use crate::own` alone imports nothing yet: `own::Known` does.
            (!target.is_module || one.name == "*").then_some(one.path.line)
        };
        found.extend(line.map(|line| (target.module, line)));
    }
    for path in &module.paths {
        let target = target(modules, module, path);
        found.extend(target.map(|target| (target.module, path.line)));
    }
    found
}

struct Target {
    /// Its position among the modules.
    module: usize,
    /// Whether the path leads to a module, and not to something in it.
    is_module: bool,
}

fn target(modules: &[Module<'_>], module: &Module<'_>, path: &Named) -> Option<Target> {
    follow(modules, &absolute(modules, module, path, 0)?, 0)
}

/// How many re-exports one path may lead through.
const MOST_STEPS: usize = 8;

/// The path from the root of the crate; `None` where it leads to another crate.
fn absolute(
    modules: &[Module<'_>],
    module: &Module<'_>,
    path: &Named,
    steps: usize,
) -> Option<Path> {
    let (first, rest) = path.written.split_first()?;
    let mut from = path.within.clone();
    match first.as_str() {
        "crate" => return Some(rest.to_vec()),
        "self" => return Some([&from, rest].concat()),
        "super" => {
            from.pop();
            let more = rest.iter().take_while(|part| *part == "super").count();
            from.truncate(from.len().saturating_sub(more));
            return Some([&from, &rest[more..]].concat());
        }
        _ => {}
    }
    from.push(first.clone());
    if modules.iter().any(|module| module.path == from) {
        return Some([&from, rest].concat());
    }
    let one = module.uses.iter().find(|one| {
        one.name == *first && one.path.written.as_slice() != std::slice::from_ref(first)
    })?;
    if steps == MOST_STEPS || std::ptr::eq(&one.path, path) {
        return None;
    }
    Some([absolute(modules, module, &one.path, steps + 1)?, rest.to_vec()].concat())
}

/// Where a path from the root of the crate leads, through re-exports.
fn follow(modules: &[Module<'_>], path: &[String], steps: usize) -> Option<Target> {
    let at = |path: &[String]| modules.iter().position(|module| module.path == path);
    let mut module = at(&[])?;
    for (index, name) in path.iter().enumerate() {
        if let Some(child) = at(&path[..=index]) {
            module = child;
            continue;
        }
        let here = &modules[module];
        let named = here.uses.iter().find(|one| one.name == *name);
        let globs = here.uses.iter().filter(|one| one.name == "*" && one.exported);
        for one in named.into_iter().chain(globs).filter(|_| steps < MOST_STEPS) {
            let Some(source) = absolute(modules, here, &one.path, 0) else { continue };
            if one.name != "*" {
                return follow(modules, &[&source, &path[index + 1..]].concat(), steps + 1);
            }
            let all_of = follow(modules, &source, steps + 1)?.module;
            if modules[all_of].items.contains(name) {
                return Some(Target { module: all_of, is_module: false });
            }
        }
        return Some(Target { module, is_module: false });
    }
    Some(Target { module, is_module: true })
}

/// A word, `::`, or one other character.
struct Token<'a> {
    text: &'a str,
    /// From 0.
    line: usize,
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    for (line, mut rest) in code.lines().enumerate() {
        while let Some(first) = rest.chars().next() {
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let length = match word {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                word => word,
            };
            let (text, after) = rest.split_at(length);
            if !first.is_whitespace() {
                found.push(Token { text, line });
            }
            rest = after;
        }
    }
    found
}

/// Words that begin an item.
const ITEMS: &[&str] =
    &["const", "enum", "fn", "macro_rules", "mod", "static", "struct", "trait", "type", "union"];

struct Reader<'t, 'm, 'f> {
    tokens: &'t [Token<'t>],
    module: &'m mut Module<'f>,
    within: Path,
    /// For each open brace, the module in which it stands.
    blocks: Vec<Path>,
}

impl Reader<'_, '_, '_> {
    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text)
    }

    fn begins(&self, at: usize, texts: &[&str]) -> bool {
        texts.iter().enumerate().all(|(index, text)| self.text(at + index) == *text)
    }

    fn read(mut self) {
        let mut at = 0;
        while at < self.tokens.len() {
            at = self.step(at);
        }
    }

    /// Reads what begins at a token; returns where the next begins.
    fn step(&mut self, at: usize) -> usize {
        if self.begins(at, &["#", "[", "cfg", "(", "test", ")", "]"]) {
            return self.skip_item(at);
        }
        match self.text(at) {
            "use" => return self.read_use(at),
            "{" => {
                self.blocks.push(self.within.clone());
                if at >= 2 && self.text(at - 2) == "mod" {
                    self.within.push(self.text(at - 1).to_owned());
                }
            }
            "}" => self.within = self.blocks.pop().unwrap_or_default(),
            text if is_word(text) => return self.read_path(at),
            _ => {}
        }
        at + 1
    }

    fn read_path(&mut self, at: usize) -> usize {
        let line = self.tokens[at].line;
        let mut written = vec![self.text(at).to_owned()];
        let mut end = at + 1;
        while self.text(end) == "::" && is_word(self.text(end + 1)) {
            written.push(self.text(end + 1).to_owned());
            end += 2;
        }
        let before = if at == 0 { "" } else { self.text(at - 1) };
        if ITEMS.contains(&before) {
            self.module.items.push(written.remove(0));
        } else if before != "." && before != "in" {
            let first = &written[0];
            let is_type = first.starts_with(|c: char| c.is_uppercase());
            if is_type || matches!(self.text(end), "(" | "!") || written.len() > 1 {
                self.module.words.push((first.clone(), line));
            }
            if written.len() > 1 {
                self.module.paths.push(Named { within: self.within.clone(), written, line });
            }
        }
        end
    }

    fn read_use(&mut self, at: usize) -> usize {
        let before = if at == 0 { "" } else { self.text(at - 1) };
        let exported = before == "pub" || before == ")";
        self.read_tree(at + 1, &[], exported)
    }

    fn read_tree(&mut self, mut at: usize, prefix: &[String], exported: bool) -> usize {
        let mut written = prefix.to_vec();
        let line = self.tokens.get(at).map_or(0, |token| token.line);
        let mut name = None;
        loop {
            match self.text(at) {
                "{" => {
                    at += 1;
                    while !matches!(self.text(at), "}" | "") {
                        at = self.read_tree(at, &written, exported);
                        at += usize::from(self.text(at) == ",");
                    }
                    return at + 1;
                }
                "as" => {
                    name = Some(self.text(at + 1).to_owned());
                    at += 1;
                }
                "*" => name = Some("*".to_owned()),
                "self" if !written.is_empty() => {}
                text if is_word(text) => written.push(text.to_owned()),
                "::" => {}
                _ => break,
            }
            at += 1;
        }
        if let Some(name) = name.or_else(|| written.last().cloned()) {
            let path = Named { within: self.within.clone(), written, line };
            self.module.uses.push(Use { name, path, exported });
        }
        at
    }

    /// Passes over what `#[cfg(test)]` stands before.
    fn skip_item(&mut self, mut at: usize) -> usize {
        while self.text(at) == "#" {
            at = self.end_of_group(at + 1);
        }
        if self.text(at) == "pub" {
            at += 1;
            if self.text(at) == "(" {
                at = self.end_of_group(at);
            }
        }
        if self.text(at) == "mod" && self.text(at + 2) == ";" {
            let path = [self.within.as_slice(), &[self.text(at + 1).to_owned()]].concat();
            self.module.for_tests.push(path);
        }
        let is_use = self.text(at) == "use";
        while at < self.tokens.len() {
            match self.text(at) {
                ";" => return at + 1,
                "{" if !is_use => return self.end_of_group(at),
                "{" | "(" | "[" => at = self.end_of_group(at),
                "}" => return at,
                _ => at += 1,
            }
        }
        at
    }

    /// Where the group that begins at `at` with a bracket is closed, and the next token begins.
    fn end_of_group(&self, mut at: usize) -> usize {
        let mut depth = 0_usize;
        while at < self.tokens.len() {
            match self.text(at) {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth = depth.saturating_sub(1),
                _ => {}
            }
            at += 1;
            if depth == 0 {
                break;
            }
        }
        at
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}
