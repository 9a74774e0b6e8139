//! Medians, percentiles, and goals with their outcome.

use std::time::Duration;

/// The smallest value that at least the fraction `p` of the values do not exceed (nearest rank).
pub fn percentile(values: &[f64], p: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (p * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

pub fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

pub fn max(values: &[f64]) -> f64 {
    percentile(values, 1.0)
}

pub fn ms(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}

/// `1.23 [1.10–1.40]`: median, least and greatest.
pub fn spread(values: &[f64]) -> String {
    format!("{:.2} [{:.2}–{:.2}]", median(values), percentile(values, 0.0), max(values))
}

/// Prints whether a figure reaches its goal. Goals are told, never enforced: a busy machine is no defect.
pub fn goal(what: &str, figure: f64, limit: f64, unit: &str) {
    let verdict = if figure <= limit { "reached" } else { "MISSED" };
    println!("  {verdict}: {what}: {figure:.2} {unit} (goal: at most {limit:.2} {unit})");
}
