//! A synopsis, as a usage text shows it, for mdoc(7): `[` and `]` around what may be left out, `{`
//! and `}` around a choice, `|` between alternatives (without blanks around it between words that
//! are typed as they stand), `...` after what may be repeated. A word at the beginning is typed as
//! it stands; other words, whether in `<` and `>` or not, stand for something.

/// The calls of macros, a line for each part.
pub(super) fn lines(synopsis: &str) -> Vec<String> {
    let mut lines: Vec<Vec<String>> = Vec::new();
    let mut depth = 0;
    let mut is_over = true;
    for token in tokens(synopsis) {
        let opens = matches!(token.as_str(), "Oo" | "Bro");
        let goes_on = matches!(token.as_str(), "Ns" | "|" | "...");
        if depth == 0 && (is_over || opens) && !goes_on && !ends_with(&lines, "Ns") {
            lines.push(Vec::new());
        }
        let closes = matches!(token.as_str(), "Oc" | "Brc");
        depth = if opens { depth + 1 } else { depth - usize::from(closes) };
        is_over = closes && depth == 0;
        if let Some(line) = lines.last_mut() {
            line.push(token);
        }
    }
    lines.iter().map(|line| simplified(line)).collect()
}

/// The calls of macros, all in one line, to follow another macro.
pub(super) fn inline(synopsis: &str) -> String {
    tokens(synopsis).join(" ")
}

fn ends_with(lines: &[Vec<String>], token: &str) -> bool {
    lines.last().and_then(|line| line.last()).is_some_and(|last| last == token)
}

/// With `Op` in place of a pair of macros around all of the line.
fn simplified(line: &[String]) -> String {
    let opens = line.iter().filter(|token| *token == "Oo").count();
    match line {
        [first, inner @ .., last] if first == "Oo" && last == "Oc" && opens == 1 => {
            format!(".Op {}", inner.join(" "))
        }
        _ => format!(".{}", line.join(" ")),
    }
}

/// Macros and words of mdoc.
fn tokens(synopsis: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = synopsis;
    let mut is_apart = true;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = rest.trim_start();
            is_apart = true;
            continue;
        }
        let length = length(rest, is_apart);
        let (part, after) = rest.split_at(length);
        let is_keyword = tokens.is_empty() || borders_on_bar(synopsis, rest, after);
        let part = macros(part, is_keyword);
        let closes = matches!(part.as_slice(), ["Oc" | "Brc" | "|"]);
        let follows_open =
            ["Oo", "Bro", "|"].iter().any(|open| tokens.last().is_some_and(|t| t == open));
        if !is_apart && !closes && !follows_open {
            tokens.push("Ns".to_owned());
        }
        tokens.extend(part.into_iter().map(str::to_owned));
        rest = after;
        is_apart = false;
    }
    tokens
}

/// Whether a bar is next to a word, before it or after it.
fn borders_on_bar(synopsis: &str, rest: &str, after: &str) -> bool {
    synopsis[..synopsis.len() - rest.len()].ends_with('|') || after.starts_with('|')
}

/// How long the first part of `text` is.
fn length(text: &str, is_apart: bool) -> usize {
    if text.starts_with("...") {
        return 3;
    }
    if text.starts_with('<') {
        return text.find('>').map_or(text.len(), |end| end + 1);
    }
    let ends = |c: char| c.is_whitespace() || "[]{}<>|,/=:".contains(c);
    let start = usize::from(is_apart && text.starts_with('-'));
    let end = text[start..].find(ends).map_or(text.len(), |end| start + end);
    let end = text.find("...").map_or(end, |dots| end.min(dots));
    end.max(text.chars().next().map_or(0, char::len_utf8))
}

fn macros(part: &str, is_keyword: bool) -> Vec<&str> {
    match part {
        "[" => vec!["Oo"],
        "]" => vec!["Oc"],
        "{" => vec!["Bro"],
        "}" => vec!["Brc"],
        "|" | "..." | "," => vec![part],
        "/" | "=" | ":" | "or" => vec!["No", part],
        _ => match (part.strip_prefix('-'), part.strip_prefix('<')) {
            (Some(letters), _) => vec!["Fl", letters],
            (_, Some(name)) => vec!["Ar", name.trim_end_matches('>')],
            _ if is_keyword => vec!["Cm", part],
            _ => vec!["Ar", part],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_becomes_macros() {
        assert_eq!(
            lines("-d | -D [-Hpv] [-o col[,col ... ]] <service> ..."),
            [
                ".Fl d | Fl D",
                ".Op Fl Hpv",
                ".Oo Fl o Ar col Ns Oo , Ns Ar col ... Oc Oc",
                ".Ar service ...",
            ]
        );
        assert_eq!(lines("-G [-o text|dot|svg]"), [".Fl G", ".Op Fl o Cm text | Cm dot | Cm svg"]);
        assert_eq!(
            lines("[-p [name/]name]...\n {FMRI | pattern}..."),
            [
                ".Oo Fl p Oo Ar name Ns No / Oc Ns Ar name Oc Ns ...",
                ".Bro Ar FMRI | Ar pattern Brc Ns ...",
            ]
        );
        assert_eq!(lines("help"), [".Cm help"]);
        assert_eq!(inline("mark [-I] <state>"), "Cm mark Oo Fl I Oc Ar state");
        assert_eq!(
            inline("setprop pg/name = [type:] value"),
            "Cm setprop Ar pg Ns No / Ns Ar name No = Oo Ar type Ns No : Oc Ar value"
        );
    }
}
