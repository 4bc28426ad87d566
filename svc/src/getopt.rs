//! Options as getopt(3C) reads them: single letters, joined or apart, up to the first operand.
//! The commands' grammars are SMF's, which no option library has.

/// Options with their arguments, and the operands after them.
pub type Parsed = (Vec<(char, Option<String>)>, Vec<String>);

/// Parses `args` (without the command's name). In `spec` a letter followed by `:` takes an
/// argument. The error is one line without the command's name.
pub fn parse(args: impl IntoIterator<Item = String>, spec: &str) -> Result<Parsed, String> {
    let mut options = Vec::new();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let letters = match arg.strip_prefix('-') {
            Some("-") => break,
            Some(letters) if !letters.is_empty() => letters,
            _ => return Ok((options, std::iter::once(arg).chain(args).collect())),
        };
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            let argument = match takes_argument(spec, letter) {
                None => return Err(format!("illegal option -- {letter}")),
                Some(false) => None,
                Some(true) if rest.as_str().is_empty() => Some(
                    args.next()
                        .ok_or_else(|| format!("option requires an argument -- {letter}"))?,
                ),
                Some(true) => Some(rest.by_ref().collect()),
            };
            options.push((letter, argument));
        }
    }
    Ok((options, args.collect()))
}

/// Whether option `letter` takes an argument; `None` if there is no such option.
fn takes_argument(spec: &str, letter: char) -> Option<bool> {
    let at = spec.find(letter).filter(|_| letter != ':')?;
    Some(spec[at + letter.len_utf8()..].starts_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Parsed, String> {
        parse(words.iter().map(|&word| word.to_owned()), "ab:c")
    }

    #[test]
    fn options_end_at_the_first_operand() {
        let (options, operands) = parsed(&["-ac", "-b", "x", "-by", "op", "-a"]).unwrap();
        let value = |text: &str| Some(text.to_owned());
        assert_eq!(options, [('a', None), ('c', None), ('b', value("x")), ('b', value("y"))]);
        assert_eq!(operands, ["op", "-a"]);
        assert_eq!(parsed(&["--", "-a"]).unwrap().1, ["-a"]);
        assert_eq!(parsed(&["-"]).unwrap().1, ["-"]);
    }

    #[test]
    fn misuse_is_named() {
        assert_eq!(parsed(&["-x"]).unwrap_err(), "illegal option -- x");
        assert_eq!(parsed(&["-:"]).unwrap_err(), "illegal option -- :");
        assert_eq!(parsed(&["-b"]).unwrap_err(), "option requires an argument -- b");
    }
}
