//! Line plots as SVG: axes, grid, lines, a legend. No scripts; colours come from the page's style.

use std::fmt::{self, Write as _};

/// A line of a plot.
pub(super) struct Line<'a> {
    /// For the legend; text of the page's own, already safe.
    pub(super) name: &'a str,
    /// From left to right, in units of the axes.
    pub(super) points: Vec<(f64, f64)>,
}

/// A mark on the horizontal axis.
pub(super) struct Mark {
    /// Where.
    pub(super) at: f64,
    /// What stands there.
    pub(super) label: String,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 30.0;

/// Draws lines over a horizontal axis from 0 to `width`, with `marks` on it.
pub(super) fn plot(title: &str, lines: &[Line<'_>], width: f64, marks: &[Mark]) -> String {
    let mut svg = String::new();
    draw(&mut svg, title, lines, width, marks).expect("writing into memory cannot fail");
    svg
}

/// Marks every so many whole seconds, at most about ten.
pub(super) fn second_marks(seconds: f64) -> Vec<Mark> {
    let step = round_step(seconds / 8.0).max(1.0);
    let count = (seconds / step) as u32;
    (0..=count).map(|mark| f64::from(mark) * step).map(|at| Mark { at, label: format!("{at:.0} s") }).collect()
}

fn draw(svg: &mut String, title: &str, lines: &[Line<'_>], width: f64, marks: &[Mark]) -> fmt::Result {
    let highest = lines.iter().flat_map(|line| &line.points).map(|point| point.1).fold(0.0, f64::max);
    let step = round_step(highest / 4.0);
    let height = (highest / step).ceil().max(1.0) * step;
    let x = |value: f64| LEFT + value / width.max(1e-9) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / height * (HEIGHT - TOP - BOTTOM);
    write!(svg, r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">"#)?;
    for tick in 0..=(height / step).round() as u32 {
        let value = f64::from(tick) * step;
        let (y, right) = (y(value), WIDTH - RIGHT);
        write!(svg, r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1}" y2="{y:.1}"/>"#)?;
        let (x, y) = (LEFT - 6.0, y + 4.0);
        write!(svg, r#"<text class="tick" x="{x}" y="{y:.1}" text-anchor="end">{}</text>"#, number(value, step))?;
    }
    for mark in marks {
        let (x, y, label) = (x(mark.at), HEIGHT - BOTTOM + 18.0, &mark.label);
        write!(svg, r#"<text class="tick" x="{x:.1}" y="{y}" text-anchor="middle">{label}</text>"#)?;
    }
    for (place, line) in lines.iter().enumerate() {
        let points: Vec<String> =
            line.points.iter().map(|&(at, value)| format!("{:.1},{:.1}", x(at), y(value))).collect();
        write!(svg, r#"<polyline class="line c{place}" points="{}"/>"#, points.join(" "))?;
        let x = LEFT + (WIDTH - LEFT) / (lines.len() as f64).max(5.0) * place as f64;
        write!(svg, r#"<rect class="c{place} key" x="{x}" y="6" width="10" height="10"/>"#)?;
        write!(svg, r#"<text class="tick" x="{}" y="15">{}</text>"#, x + 15.0, line.name)?;
    }
    svg.push_str("</svg>");
    Ok(())
}

/// 1, 2 or 5 times a power of ten, not below `rough`.
fn round_step(rough: f64) -> f64 {
    if rough <= 0.0 || !rough.is_finite() {
        return 1.0;
    }
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough).unwrap_or(10.0 * power)
}

fn number(value: f64, step: f64) -> String {
    let digits = if step >= 1.0 { 0 } else { (-step.log10().floor()) as usize };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_numbers() {
        let steps: Vec<f64> = [0.0, 0.3, 1.0, 3.0, 740.0, 1_001.0].map(round_step).to_vec();
        assert_eq!(steps, [1.0, 0.5, 1.0, 5.0, 1_000.0, 2_000.0]);
        assert_eq!((number(1_500.0, 500.0), number(0.25, 0.05)), ("1500".to_owned(), "0.25".to_owned()));
    }

    #[test]
    fn a_plot_of_nothing_is_still_a_plot() {
        let svg = plot("nothing", &[], 0.0, &second_marks(0.0));
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>") && !svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn a_line_goes_from_corner_to_corner() {
        let line = Line { name: "seats", points: vec![(0.0, 0.0), (10.0, 100.0)] };
        let svg = plot("seats", &[line], 10.0, &second_marks(10.0));
        assert!(svg.contains(r#"points="64.0,230.0 704.0,28.0""#), "{svg}");
    }
}
