//! Quantities: `100m`, `1.5Gi`, `2e3`.
//!
//! Kept as an exact count of nano-units in an `i128` (±1.7e29 units), with the family of suffixes it was written
//! in, so that sums print canonically. Finer fractions round up, as Kubernetes does.
//! Source: Kubernetes API conventions, "Quantity".

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

const NANOS_PER_UNIT: i128 = 1_000_000_000;
const NANOS_PER_MILLI: i128 = 1_000_000;

/// An exact resource amount.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// Which suffixes the canonical text uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    DecimalSi,
    BinarySi,
    DecimalExponent,
}

/// Why a quantity text was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
pub struct ParseQuantityError;

const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
const DECIMAL: [(&str, i32); 9] =
    [("n", -9), ("u", -6), ("m", -3), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

impl Quantity {
    pub const ZERO: Self = Self { nanos: 0, format: Format::DecimalSi };

    /// Whole units, printed with decimal suffixes.
    pub fn from_units(units: i64) -> Self {
        Self { nanos: i128::from(units) * NANOS_PER_UNIT, format: Format::DecimalSi }
    }

    /// Thousandths, as CPU is counted.
    pub fn from_millis(millis: i64) -> Self {
        Self { nanos: i128::from(millis) * NANOS_PER_MILLI, format: Format::DecimalSi }
    }

    /// Bytes, printed with binary suffixes.
    pub fn from_bytes(bytes: i64) -> Self {
        Self { nanos: i128::from(bytes) * NANOS_PER_UNIT, format: Format::BinarySi }
    }

    pub fn parse(text: &str) -> Result<Self, ParseQuantityError> {
        let digits_end = text
            .char_indices()
            .find(|(at, c)| !(c.is_ascii_digit() || *c == '.' || (*at == 0 && (*c == '+' || *c == '-'))))
            .map_or(text.len(), |(at, _)| at);
        let (number, suffix) = text.split_at(digits_end);
        let (format, scale) = parse_suffix(suffix)?;
        let (negative, digits) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number.strip_prefix('+').unwrap_or(number)),
        };
        let nanos = scale_digits(digits, scale)?;
        Ok(Self { nanos: if negative { -nanos } else { nanos }, format })
    }

    /// Whole units, rounded up.
    pub fn value(&self) -> i64 {
        saturate(div_ceil(self.nanos, NANOS_PER_UNIT))
    }

    /// Thousandths, rounded up.
    pub fn milli_value(&self) -> i64 {
        saturate(div_ceil(self.nanos, NANOS_PER_MILLI))
    }

    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }
}

enum Scale {
    Binary(u32),
    Decimal(i32),
}

fn parse_suffix(suffix: &str) -> Result<(Format, Scale), ParseQuantityError> {
    if suffix.is_empty() {
        return Ok((Format::DecimalSi, Scale::Decimal(0)));
    }
    if let Some((_, bits)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Ok((Format::BinarySi, Scale::Binary(*bits)));
    }
    if let Some((_, exponent)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Ok((Format::DecimalSi, Scale::Decimal(*exponent)));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(ParseQuantityError)?;
    let exponent: i32 = exponent.parse().map_err(|_| ParseQuantityError)?;
    Ok((Format::DecimalExponent, Scale::Decimal(exponent)))
}

/// `digits` × scale in nano-units, rounded up; too large saturates as Kubernetes caps its quantities.
fn scale_digits(digits: &str, scale: Scale) -> Result<i128, ParseQuantityError> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return Err(ParseQuantityError);
    }
    let mantissa: i128 = format!("0{whole}{fraction}").parse().map_err(|_| ParseQuantityError)?;
    let (multiplied, exponent) = match scale {
        Scale::Binary(bits) => (mantissa.checked_mul(1 << bits), 9),
        Scale::Decimal(exponent) => (Some(mantissa), 9 + exponent),
    };
    let exponent = exponent - i32::try_from(fraction.len()).map_err(|_| ParseQuantityError)?;
    let power = 10i128.checked_pow(exponent.unsigned_abs());
    let nanos = match (multiplied, power) {
        (Some(value), Some(power)) if exponent >= 0 => value.checked_mul(power).unwrap_or(i128::MAX / 2),
        (Some(value), Some(power)) => div_ceil(value, power),
        (Some(_), None) if exponent < 0 => i128::from(mantissa > 0),
        _ => i128::MAX / 2,
    };
    Ok(nanos)
}

/// Away from zero, so that a request never shrinks.
fn div_ceil(value: i128, by: i128) -> i128 {
    let quotient = value / by;
    if value % by == 0 { quotient } else { quotient + value.signum() }
}

fn saturate(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

impl fmt::Display for Quantity {
    /// The canonical text: no fraction, the largest suffix that keeps it whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        if self.format == Format::BinarySi && self.nanos % NANOS_PER_UNIT == 0 {
            let units = self.nanos / NANOS_PER_UNIT;
            let suffix = BINARY.iter().rev().find(|(_, bits)| units % (1i128 << bits) == 0);
            if let Some((name, bits)) = suffix {
                return write!(f, "{}{name}", units >> bits);
            }
            return write!(f, "{units}");
        }
        let (mut value, mut exponent) = (self.nanos, -9i32);
        while value % 1000 == 0 && exponent < 18 {
            value /= 1000;
            exponent += 3;
        }
        match (exponent, self.format) {
            (0, _) => write!(f, "{value}"),
            (_, Format::DecimalExponent) => write!(f, "{value}e{exponent}"),
            _ => {
                let suffix =
                    DECIMAL.iter().find(|(_, power)| *power == exponent).map_or("", |(name, _)| name);
                write!(f, "{value}{suffix}")
            }
        }
    }
}

impl FromStr for Quantity {
    type Err = ParseQuantityError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Add for Quantity {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nanos: self.nanos.saturating_add(other.nanos), format }
    }
}

impl Sub for Quantity {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { nanos: self.nanos.saturating_sub(other.nanos), format: self.format }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}
impl Eq for Quantity {}
impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_text() {
        for (text, canonical) in [
            ("0", "0"),
            ("100m", "100m"),
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1.5Gi", "1536Mi"),
            ("1024", "1024"),
            ("1024Ki", "1Mi"),
            ("1e3", "1e3"),
            ("2000", "2k"),
            ("12E", "12E"),
            ("1.0000000001", "1000000001n"),
            ("-1", "-1"),
            (".5", "500m"),
            ("5.", "5"),
        ] {
            let parsed = Quantity::parse(text).expect(text);
            assert_eq!(parsed.to_string(), canonical, "{text}");
            assert_eq!(Quantity::parse(canonical), Ok(parsed));
        }
    }

    #[test]
    fn values_round_up() {
        let quantity = Quantity::parse("1500u").expect("a quantity");
        assert_eq!((quantity.value(), quantity.milli_value()), (1, 2));
        assert_eq!(Quantity::parse("1.5Gi").expect("a quantity").value(), 1_610_612_736);
    }

    #[test]
    fn refuses_nonsense() {
        for text in ["", "m", "1x", "1.2.3", "1 Gi", "--1", "1Kii", "."] {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
    }
}
