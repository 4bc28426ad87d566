//! `cpus = "0-3,^1"` and `cpus = ["0", "2"]`: which processors a guest's vcpus may run on.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Processors beyond this number aren't known to any hypervisor we run on.
pub const MAX_CPUS: u32 = 4096;

/// The processors one vcpu may run on; empty means any.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CpuSet(pub BTreeSet<u32>);

impl CpuSet {
    /// Reads `all`, `0,2`, `0-3,^1`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut cpus = BTreeSet::new();
        for part in text.split(',').map(str::trim) {
            if part.is_empty() || part == "all" {
                continue;
            }
            let (excluded, range) = match part.strip_prefix('^') {
                Some(range) => (true, range),
                None => (false, part),
            };
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(format!("'{part}' is a range that runs backwards"));
            }
            if excluded {
                cpus.retain(|cpu| !(first..=last).contains(cpu));
            } else {
                cpus.extend(first..=last);
            }
        }
        if cpus.is_empty() && text.contains('^') {
            return Err(format!("'{text}' leaves no processor"));
        }
        Ok(Self(cpus))
    }

    /// The shortest text that means the same: `0-3,5`, or `all`.
    pub fn text(&self) -> String {
        if self.0.is_empty() { "all".to_owned() } else { ranges(self.0.iter().copied()) }
    }
}

/// Ascending numbers as ranges: `0-3,5`.
pub fn ranges(numbers: impl IntoIterator<Item = u32>) -> String {
    let mut found: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => found.push((number, number)),
        }
    }
    let text = |(first, last): (u32, u32)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    found.into_iter().map(text).collect::<Vec<_>>().join(",")
}

fn number(text: &str) -> Result<u32, String> {
    match text.trim().parse() {
        Ok(number) if number < MAX_CPUS => Ok(number),
        _ => Err(format!("'{text}' is no processor's number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sets_as_people_write_them() {
        let text = |text| CpuSet::parse(text).unwrap().text();
        assert_eq!(text("0"), "0");
        assert_eq!(text("0-3,^1"), "0,2-3");
        assert_eq!(text("3, 1 ,2"), "1-3");
        assert_eq!(text("all"), "all");
        assert_eq!(text(""), "all");
        for wrong in ["x", "3-1", "-1", "0,^0", "99999", "1-"] {
            assert!(CpuSet::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_set_reads_back(cpus in prop::collection::btree_set(0u32..64, 0..20)) {
            let set = CpuSet(cpus);
            prop_assert_eq!(CpuSet::parse(&set.text()).unwrap(), set);
        }

        #[test]
        fn any_text_is_judged_without_panic(text in "\\PC*|[0-9,^-]*") {
            let _ = CpuSet::parse(&text);
        }
    }
}
