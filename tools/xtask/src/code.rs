//! Rust text without its comments and literals, so that a word in a comment is not taken for code.

/// `text` with every character of a comment, a string or a character literal turned into a blank.
/// Lines stay where they are.
pub(crate) fn only_code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(next) = rest.chars().next() {
        let length = if is_word(before) { plain(rest) } else { prefixed(rest) };
        let (part, after) = rest.split_at(length.unwrap_or(next.len_utf8()));
        if length.is_some() {
            out.extend(part.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        } else {
            out.push_str(part);
        }
        before = if length.is_some() { ' ' } else { next };
        rest = after;
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of the comment or literal that `text` begins with, prefix included.
fn prefixed(text: &str) -> Option<usize> {
    for prefix in ["br", "cr", "r"] {
        if let Some(length) = text.strip_prefix(prefix).and_then(raw_string) {
            return Some(prefix.len() + length);
        }
    }
    for prefix in ["b", "c"] {
        let rest = text.strip_prefix(prefix);
        if let Some(rest) = rest.filter(|rest| rest.starts_with(['"', '\''])) {
            return plain(rest).map(|length| prefix.len() + length);
        }
    }
    plain(text)
}

/// The same for what needs no prefix.
fn plain(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(block_comment(text));
    }
    if text.starts_with('"') {
        return Some(quoted(text, '"'));
    }
    if text.starts_with('\'') { character(text) } else { None }
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// A quote begins a character only if one closes it right after; else it begins a lifetime.
fn character(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        return Some(quoted(text, '\''));
    }
    let (at, second) = chars.next()?;
    (second == '\'').then_some(at + 1)
}

fn raw_string(text: &str) -> Option<usize> {
    let hashes = text.len() - text.trim_start_matches('#').len();
    let body = text[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", &text[..hashes]);
    let opening = hashes + 1;
    Some(body.find(&end).map_or(text.len(), |at| opening + at + end.len()))
}

/// Where `word` stands in `line` as a word of its own.
pub(crate) fn words_at<'a>(line: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    line.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, code: &str) {
        // Blanks are what is removed, so they say nothing here.
        let squeezed = only_code(text).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeezed, code);
        assert_eq!(only_code(text).lines().count(), text.lines().count());
    }

    #[test]
    fn comments_go() {
        check("a // unsafe\nb", "a b");
        check("a /* x /* y */ unsafe */ b", "a b");
        check("/// unsafe { }\nfn f() {}", "fn f() {}");
        check("a /* never closed", "a");
    }

    #[test]
    fn literals_go() {
        check(r#"f("unsafe \" {", x)"#, "f( , x)");
        check(r##"f(r#"a "quoted" b"#, x)"##, "f( , x)");
        check(r#"f(b"x", c"y", br"\", 'z')"#, "f( , , , )");
        check(r"f('\'', '\\', '\u{e9}', b'{', '„')", "f( , , , , )");
        check("f(\"two\nlines\")", "f( )");
    }

    #[test]
    fn lifetimes_and_names_stay() {
        check("fn f<'a>(x: &'a str) -> &'static str {}", "fn f<'a>(x: &'a str) -> &'static str {}");
        check("for r in bar { r#type }", "for r in bar { r#type }");
        check(r#"br(b) + xr"s""#, "br(b) + xr");
    }

    #[test]
    fn a_word_is_not_part_of_another() {
        let at = |line| words_at(line, "unsafe").collect::<Vec<_>>();
        assert_eq!(at("unsafe { unsafe"), [0, 9]);
        assert_eq!(at("forbid(unsafe_code) not_unsafe"), Vec::<usize>::new());
        assert_eq!(at("#[unsafe(no_mangle)]"), [2]);
    }
}
