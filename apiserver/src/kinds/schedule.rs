//! Cron lines: five fields or a `@` word. Only whether they are well-formed; the controller computes times.

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const WORDS: &[&str] = &["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

struct Field {
    low: u32,
    high: u32,
    /// Names stand for `low`, `low + 1`, ….
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { low: 0, high: 59, names: &[] },
    Field { low: 0, high: 23, names: &[] },
    Field { low: 1, high: 31, names: &[] },
    Field { low: 1, high: 12, names: MONTHS },
    Field { low: 0, high: 6, names: DAYS },
];

/// `Err` is what the field error says.
pub(super) fn check(line: &str) -> Result<(), String> {
    if line.contains("TZ") {
        return Err("cannot use TZ or CRON_TZ in schedule, use timeZone field instead".to_owned());
    }
    if line.starts_with('@') {
        let known =
            WORDS.contains(&line) || line.strip_prefix("@every ").is_some_and(|time| !time.trim().is_empty());
        return if known { Ok(()) } else { Err(format!("unrecognized descriptor: {line}")) };
    }
    let parts: Vec<&str> = line.split_whitespace().collect();
    if parts.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", parts.len(), parts.join(" ")));
    }
    parts
        .iter()
        .zip(&FIELDS)
        .try_for_each(|(part, field)| part.split(',').try_for_each(|range| field.check(range)))
}

impl Field {
    /// `*`, `?`, `a`, `a-b`, each with an optional `/step`.
    fn check(&self, text: &str) -> Result<(), String> {
        let (range, step) = text.split_once('/').map_or((text, None), |(range, step)| (range, Some(step)));
        if let Some(step) = step {
            let step: u32 = number(step)?;
            if step == 0 {
                return Err(format!("step of range should be a positive number: {text}"));
            }
        }
        if matches!(range, "*" | "?") {
            return Ok(());
        }
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (self.value(first)?, self.value(last)?),
            None => (self.value(range)?, self.value(range)?),
        };
        if first < self.low {
            return Err(format!("beginning of range ({first}) below minimum ({}): {text}", self.low));
        }
        if last > self.high {
            return Err(format!("end of range ({last}) above maximum ({}): {text}", self.high));
        }
        if first > last {
            return Err(format!("beginning of range ({first}) beyond end of range ({last}): {text}"));
        }
        Ok(())
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        let lower = text.to_lowercase();
        let named = self.names.iter().position(|name| *name == lower);
        match named.and_then(|position| u32::try_from(position).ok()) {
            Some(position) => Ok(self.low + position),
            None => number(text),
        }
    }
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| {
        format!("failed to parse int from {text}: strconv.Atoi: parsing \"{text}\": invalid syntax")
    })
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn cron_lines_are_checked_field_by_field() {
        for good in ["* * * * *", "*/5 0-12 1,15 jan-mar MON", "@hourly", "0 0 ? * *"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert_eq!(check("* *").unwrap_err(), "expected exactly 5 fields, found 2: [* *]");
        assert_eq!(check("61 * * * *").unwrap_err(), "end of range (61) above maximum (59): 61");
    }
}
