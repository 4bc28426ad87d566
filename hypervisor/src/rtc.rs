//! The date in the real-time clock's registers (Motorola MC146818A data sheet; the century is where
//! ACPI's FADT says).

/// The registers' contents, read between two updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Date {
    pub second: u8,
    pub minute: u8,
    pub hour: u8,
    pub day: u8,
    pub month: u8,
    pub year: u8,
    /// The first two digits of the year, where the clock has them.
    pub century: Option<u8>,
    /// Register B, which says how numbers are written.
    pub format: u8,
}

/// Register B: numbers are binary, not decimal digits.
pub const BINARY: u8 = 1 << 2;
/// Register B: hours go to 23, not twice to 12.
pub const HOURS_24: u8 = 1 << 1;
/// Of an hour up to 12: it is after noon.
const AFTERNOON: u8 = 1 << 7;
const DAY: u64 = 24 * 60 * 60;

impl Date {
    fn number(&self, register: u8) -> Option<u64> {
        let (tens, ones) = (register >> 4, register & 15);
        match self.format & BINARY {
            0 if tens > 9 || ones > 9 => None,
            0 => Some(u64::from(tens) * 10 + u64::from(ones)),
            _ => Some(register.into()),
        }
    }

    fn hours(&self) -> Option<u64> {
        if self.format & HOURS_24 != 0 {
            return self.number(self.hour).filter(|hour| *hour < 24);
        }
        let hour = self.number(self.hour & !AFTERNOON).filter(|hour| (1..=12).contains(hour))?;
        Some(hour % 12 + if self.hour & AFTERNOON == 0 { 0 } else { 12 })
    }

    /// The year; without a century it is between 1970 and 2069.
    fn full_year(&self) -> Option<u64> {
        let year = self.number(self.year).filter(|year| *year < 100)?;
        let century = self.century.and_then(|century| self.number(century));
        match century.filter(|century| (19..=29).contains(century)) {
            Some(century) => Some(century * 100 + year),
            None => Some(year + if year < 70 { 2000 } else { 1900 }),
        }
    }

    /// Seconds since 1970 in UTC, which the clock is taken to have; `None` if it is no date.
    pub fn unix_seconds(&self) -> Option<u64> {
        let (year, month) = (self.full_year()?, self.number(self.month)?);
        let day = self.number(self.day)?;
        let is_day = (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
        let minute = self.number(self.minute).filter(|minute| *minute < 60)?;
        let second = self.number(self.second).filter(|second| *second < 60)?;
        let days = if is_day { days_before(year, month)? + day - 1 } else { return None };
        Some(days * DAY + self.hours()? * 3600 + minute * 60 + second)
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to the first of a month.
fn days_before(year: u64, month: u64) -> Option<u64> {
    let years = year.checked_sub(1970)? * 365;
    let leap_days = |year: u64| (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    let months: u64 = (1..month).map(|month| days_of(year, month)).sum();
    Some(years + leap_days(year) - leap_days(1970) + months)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn date(format: u8, numbers: [u8; 6], century: Option<u8>) -> Option<u64> {
        let [second, minute, hour, day, month, year] = numbers;
        Date { second, minute, hour, day, month, year, century, format }.unix_seconds()
    }

    #[test]
    fn dates_that_date_knows() {
        // `date -u -d '2026-11-23 17:58:09' +%s`, and so on.
        let numbers = [0x09, 0x58, 0x17, 0x23, 0x11, 0x26];
        assert_eq!(date(HOURS_24, numbers, Some(0x20)), Some(1_795_456_689));
        assert_eq!(date(HOURS_24, numbers, None), Some(1_795_456_689));
        assert_eq!(date(0, [0x09, 0x58, 0x85, 0x23, 0x11, 0x26], None), Some(1_795_456_689));
        assert_eq!(date(BINARY | HOURS_24, [0, 0, 0, 1, 1, 70], Some(19)), Some(0));
        assert_eq!(date(BINARY | HOURS_24, [0, 0, 0, 1, 3, 0], Some(20)), Some(951_868_800));
        assert_eq!(date(BINARY, [0, 0, 12, 29, 2, 24], Some(20)), Some(1_709_164_800));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for numbers in [
            [60, 0, 0, 1, 1, 0],
            [0, 60, 0, 1, 1, 0],
            [0, 0, 24, 1, 1, 0],
            [0, 0, 0, 0, 1, 0],
            [0, 0, 0, 29, 2, 23],
            [0, 0, 0, 1, 13, 0],
            [0, 0, 0, 1, 1, 100],
        ] {
            assert_eq!(date(BINARY | HOURS_24, numbers, None), None);
        }
        assert_eq!(date(HOURS_24, [0xff; 6], Some(0xff)), None);
    }

    proptest! {
        /// Days follow each other without holes, over all that a clock can show.
        #[test]
        fn each_day_is_followed_by_the_next(year in 1970_u64..2999, month in 1_u64..13) {
            let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            let length = days_before(next.0, next.1).unwrap() - days_before(year, month).unwrap();
            prop_assert_eq!(length, days_of(year, month));
        }

        /// No registers make it panic.
        #[test]
        fn any_registers_are_survived(numbers: [u8; 6], century: Option<u8>, format: u8) {
            if let Some(seconds) = date(format, numbers, century) {
                prop_assert!(seconds < 1030 * 366 * DAY);
            }
        }
    }
}
