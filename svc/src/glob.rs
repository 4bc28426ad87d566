//! Shell patterns as fnmatch(3) has them without flags: `*`, `?`, `[set]`, `\`.
//! A `*` matches slashes too, which is what SMF's operands rely on.

/// Whether `word` is a pattern and not a plain name.
pub fn is_pattern(word: &str) -> bool {
    word.contains(['*', '?', '['])
}

/// Whether the whole of `text` matches `pattern`. A bad set (`[a`) stands for itself.
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    // Where to go on if the tail fails: the latest `*` and how much of the text it has eaten.
    // Only the latest one needs to be retried, so the time is quadratic at worst.
    let mut retry: Option<(usize, usize)> = None;
    let (mut p, mut t) = (0, 0);
    while t < text.len() {
        if pattern.get(p) == Some(&'*') {
            retry = Some((p + 1, t));
            p += 1;
        } else if let Some(next) = one(&pattern, p, text[t]) {
            (p, t) = (next, t + 1);
        } else if let Some((star, eaten)) = retry {
            retry = Some((star, eaten + 1));
            (p, t) = (star, eaten + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

/// Matches one character against the element at `p`; returns where the next element begins.
fn one(pattern: &[char], p: usize, c: char) -> Option<usize> {
    match *pattern.get(p)? {
        '?' => Some(p + 1),
        '\\' if p + 1 < pattern.len() => (pattern[p + 1] == c).then_some(p + 2),
        '[' => match set(pattern, p + 1, c) {
            Some((matched, next)) => matched.then_some(next),
            None => (c == '[').then_some(p + 1),
        },
        literal => (literal == c).then_some(p + 1),
    }
}

/// Matches `c` against the set whose first element is at `p`; `None` if it has no end.
fn set(pattern: &[char], mut p: usize, c: char) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(p), Some('!' | '^'));
    if negated {
        p += 1;
    }
    let first = p;
    let mut matched = false;
    loop {
        let low = *pattern.get(p)?;
        if low == ']' && p > first {
            return Some((matched != negated, p + 1));
        }
        let ranged =
            pattern.get(p + 1) == Some(&'-') && pattern.get(p + 2).is_some_and(|&h| h != ']');
        let high = if ranged { pattern[p + 2] } else { low };
        matched |= (low..=high).contains(&c);
        p += if ranged { 3 } else { 1 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_as_fnmatch_does() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*xvm*", "svc:/system/xvm/xend:default", true),
            ("svc:/*:default", "svc:/a/b:default", true),
            ("?", "", false),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[a-]", "-", true),
            ("[a", "[a", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} against {text}");
        }
    }

    /// The textbook definition, exponential but plain.
    fn model(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|n| model(rest, &text[n..])),
            Some(('?', rest)) => !text.is_empty() && model(rest, &text[1..]),
            Some((c, rest)) => text.first() == Some(c) && model(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let chars = |s: &str| s.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), model(&chars(&pattern), &chars(&text)));
        }

        #[test]
        fn hostile_patterns_end(pattern in "[\\[\\]*a\\\\!-]{0,40}", text in "[a\\]\\[-]{0,80}") {
            matches(&pattern, &text);
        }
    }
}
