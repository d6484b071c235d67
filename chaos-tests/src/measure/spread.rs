//! Repeated figures of one kind.

use std::fmt;

/// Prints as `median (least to most)`.
#[derive(Clone, Debug, Default)]
pub struct Spread(Vec<f64>);

impl Spread {
    pub fn add(&mut self, figure: f64) {
        self.0.push(figure);
        self.0.sort_by(f64::total_cmp);
    }

    /// The middle figure; 0 of none.
    pub fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(0.0)
    }
}

impl FromIterator<f64> for Spread {
    fn from_iter<I: IntoIterator<Item = f64>>(figures: I) -> Self {
        let mut spread = Self::default();
        for figure in figures {
            spread.add(figure);
        }
        spread
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.median() >= 100.0 { 0 } else { 2 };
        let (least, most) = (self.0.first().unwrap_or(&0.0), self.0.last().unwrap_or(&0.0));
        write!(f, "{:.digits$} ({least:.digits$} to {most:.digits$})", self.median())
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn prints_the_median_and_the_ends() {
        let spread: Spread = [3.0, 1.0, 2.5].into_iter().collect();
        assert_eq!(spread.to_string(), "2.50 (1.00 to 3.00)");
        assert_eq!(Spread::default().to_string(), "0.00 (0.00 to 0.00)");
    }
}
