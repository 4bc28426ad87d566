//! Options as getopt_long(3) reads them: anywhere among the arguments, until `--`.

/// An option of a command.
#[derive(Debug, Clone, Copy)]
pub struct Opt {
    /// Its letter, if it has one.
    pub short: Option<char>,
    /// Its name.
    pub long: &'static str,
    /// What its value is called, if it takes one.
    pub value: Option<&'static str>,
    /// What it does.
    pub help: &'static str,
}

/// An option without a value.
pub const fn flag(short: char, long: &'static str, help: &'static str) -> Opt {
    Opt { short: Some(short), long, value: None, help }
}

/// Arguments, sorted out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    options: Vec<(&'static str, String)>,
    /// What is no option.
    pub words: Vec<String>,
}

impl Parsed {
    /// Whether the option called `long` was given.
    pub fn has(&self, long: &str) -> bool {
        self.options.iter().any(|(name, _)| *name == long)
    }

    /// The value that was last given to the option called `long`.
    pub fn value(&self, long: &str) -> Option<&str> {
        let mut given = self.options.iter().rev();
        given.find(|(name, _)| *name == long).map(|(_, value)| value.as_str())
    }
}

/// Sorts `arguments` out by the options there are.
pub fn parse(arguments: &[String], options: &[Opt]) -> Result<Parsed, String> {
    let mut parsed = Parsed::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            parsed.words.extend(rest.cloned());
            break;
        }
        if let Some(long) = argument.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let option = by_name(options, name)?;
            let value = match (option.value, value) {
                (None, Some(_)) => return Err(format!("option --{name} takes no value")),
                (None, None) => String::new(),
                (Some(_), Some(value)) => value,
                (Some(_), None) => needed(rest.next(), &format!("--{name}"))?,
            };
            parsed.options.push((option.long, value));
        } else if argument.len() > 1 && argument.starts_with('-') {
            letters(&argument[1..], &mut rest, options, &mut parsed)?;
        } else {
            parsed.words.push(argument.clone());
        }
    }
    Ok(parsed)
}

/// A group of letters, as `-wa`; the value of the last one may stick to it.
fn letters<'a>(
    group: &str,
    rest: &mut impl Iterator<Item = &'a String>,
    options: &[Opt],
    parsed: &mut Parsed,
) -> Result<(), String> {
    let mut chars = group.chars();
    while let Some(letter) = chars.next() {
        let option = options.iter().find(|option| option.short == Some(letter));
        let option = option.ok_or_else(|| format!("option -{letter} not recognized"))?;
        if option.value.is_none() {
            parsed.options.push((option.long, String::new()));
            continue;
        }
        let value = match chars.as_str() {
            "" => needed(rest.next(), &format!("-{letter}"))?,
            value => value.to_owned(),
        };
        parsed.options.push((option.long, value));
        break;
    }
    Ok(())
}

fn needed(value: Option<&String>, option: &str) -> Result<String, String> {
    value.cloned().ok_or_else(|| format!("option {option} requires argument"))
}

/// The option of that name, or the only one that begins so.
fn by_name<'o>(options: &'o [Opt], name: &str) -> Result<&'o Opt, String> {
    if let Some(exact) = options.iter().find(|option| option.long == name) {
        return Ok(exact);
    }
    let mut similar = options.iter().filter(|option| option.long.starts_with(name));
    match (similar.next(), similar.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(format!("option --{name} not recognized")),
        (Some(_), Some(_)) => Err(format!("option --{name} not a unique prefix")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: [Opt; 3] = [
        flag('w', "wait", ""),
        flag('a', "all", ""),
        Opt { short: Some('f'), long: "file", value: Some("FILE"), help: "" },
    ];

    fn parsed(arguments: &[&str]) -> Result<Parsed, String> {
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        parse(&arguments, &OPTIONS)
    }

    #[test]
    fn options_stand_anywhere() {
        let it = parsed(&["juliet", "-wa", "--file=x", "-fy", "-"]).unwrap();
        assert_eq!(it.words, ["juliet", "-"]);
        assert!(it.has("wait") && it.has("all"));
        assert_eq!(it.value("file"), Some("y"));
        let it = parsed(&["-f", "x", "--", "-w"]).unwrap();
        assert_eq!((it.words.as_slice(), it.value("file")), (&["-w".to_owned()][..], Some("x")));
        assert!(parsed(&["--wa"]).unwrap().has("wait"));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(parsed(&["-x"]).unwrap_err(), "option -x not recognized");
        assert_eq!(parsed(&["--nope"]).unwrap_err(), "option --nope not recognized");
        assert_eq!(parsed(&["--wait=1"]).unwrap_err(), "option --wait takes no value");
        assert_eq!(parsed(&["-f"]).unwrap_err(), "option -f requires argument");
        assert_eq!(parsed(&["--"]).unwrap().words.len(), 0);
    }
}
