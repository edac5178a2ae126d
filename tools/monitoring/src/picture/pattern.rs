//! The part of regular expressions that dashboards use to choose series: `.`, `*`, `+`, `?`, `|`,
//! `^`, `$` and a backslash before what is meant as it is.

/// Whether `text` has a part that `pattern` matches; the pattern may stand between slashes, as
/// Grafana writes it.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let bare = pattern.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    let text: Vec<char> = text.chars().collect();
    alternatives(bare.unwrap_or(pattern)).iter().any(|alternative| found(alternative, &text))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    Char(char),
    Any,
    Repeat(char),
    Start,
    End,
}

fn alternatives(pattern: &str) -> Vec<Vec<Token>> {
    let mut all = vec![Vec::new()];
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let token = match c {
            '|' => {
                all.push(Vec::new());
                continue;
            }
            // Groups change nothing where alternatives are at the top, as in `^(a|b)$` they are
            // not: there the anchors belong to one alternative each, which matches a little more.
            '(' | ')' => continue,
            '\\' => chars.next().map_or(Token::Char('\\'), Token::Char),
            '.' => Token::Any,
            '^' => Token::Start,
            '$' => Token::End,
            '*' | '+' | '?' => Token::Repeat(c),
            c => Token::Char(c),
        };
        if let Some(last) = all.last_mut() {
            last.push(token);
        }
    }
    all
}

fn found(pattern: &[Token], text: &[char]) -> bool {
    match pattern.strip_prefix(&[Token::Start]) {
        Some(rest) => here(rest, text),
        None => (0..=text.len()).any(|start| here(pattern, &text[start..])),
    }
}

fn here(pattern: &[Token], text: &[char]) -> bool {
    let one = |token: Token| match (token, text.first()) {
        (Token::Any, Some(_)) => true,
        (Token::Char(c), Some(first)) => c == *first,
        _ => false,
    };
    match *pattern {
        [] => true,
        [Token::End, ref rest @ ..] => text.is_empty() && here(rest, text),
        [token, Token::Repeat(how), ref rest @ ..] => {
            let mut most = text.iter().take_while(|c| here(&[token], &[**c])).count();
            if how == '?' {
                most = most.min(1);
            }
            let least = usize::from(how == '+');
            (least..=most).any(|count| here(rest, &text[count..]))
        }
        [token, ref rest @ ..] => one(token) && here(rest, &text[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_what_they_would() {
        for (pattern, text, matched) in [
            ("/^GPU .*/", "GPU 0", true),
            ("/^GPU .*/", "a GPU 0", false),
            ("max|min", "temp min", true),
            ("slowdown", "the slowdown point", true),
            ("^a+b?$", "aaa", true),
            ("^a+b?$", "aabb", false),
            (r"1\.5", "1x5", false),
            ("(max)$", "its max", true),
            (".*", "", true),
            ("/", "a/b", true),
        ] {
            assert_eq!(matches(pattern, text), matched, "{pattern} on {text}");
        }
    }
}
