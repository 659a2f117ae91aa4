//! A curve as an SVG: how something grows, over an axis of powers.

use std::fmt::Write as _;

/// One panel: what is varied, and what came of each value.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// What is varied.
    pub axis: &'static str,
    /// Each value with the measured one.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 240.0;
const MARGIN: f64 = 48.0;

/// Panels side by side, with one scale from 0 up.
pub fn svg(title: &str, panels: &[Panel]) -> String {
    let top = panels.iter().flat_map(|panel| &panel.points).map(|(_, y)| *y).fold(0.0, f64::max) * 1.1;
    let (width, height) = (WIDTH * panels.len() as f64, HEIGHT + 24.0);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"{MARGIN}\" y=\"18\" font-size=\"13\">{title}</text>\n"
    );
    for (place, panel) in panels.iter().enumerate() {
        write!(text, "<g transform=\"translate({} 24)\">\n{}</g>\n", WIDTH * place as f64, panel.draw(top))
            .expect("writing to memory does not fail");
    }
    text + "</svg>\n"
}

impl Panel {
    fn draw(&self, top: f64) -> String {
        let mut text = String::new();
        let mut line = |element: String| {
            text.push_str(&element);
            text.push('\n');
        };
        let floor = HEIGHT - MARGIN;
        line(format!("<path d=\"M{MARGIN} 8V{floor}H{}\" fill=\"none\" stroke=\"#888\"/>", WIDTH - 8.0));
        line(format!("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>", WIDTH / 2.0, HEIGHT - 8.0, self.axis));
        for (x, y) in &self.points {
            let (across, up) = (self.across(*x), floor - y / top * (floor - 8.0));
            line(format!("<circle cx=\"{across:.1}\" cy=\"{up:.1}\" r=\"3\" fill=\"#06c\"/>"));
            line(format!("<text x=\"{across:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{y:.0}</text>", up - 8.0));
            line(format!("<text x=\"{across:.1}\" y=\"{}\" text-anchor=\"middle\">{x}</text>", floor + 16.0));
        }
        let points: Vec<String> = self
            .points
            .iter()
            .map(|(x, y)| format!("{:.1},{:.1}", self.across(*x), floor - y / top * (floor - 8.0)))
            .collect();
        line(format!("<polyline points=\"{}\" fill=\"none\" stroke=\"#06c\"/>", points.join(" ")));
        text
    }

    /// Where a value stands: as far from the next as its logarithm.
    fn across(&self, x: f64) -> f64 {
        let ends = [self.points.first(), self.points.last()].map(|point| point.map_or(1.0, |(x, _)| x.ln()));
        let span = (ends[1] - ends[0]).max(f64::MIN_POSITIVE);
        MARGIN + 24.0 + (x.ln() - ends[0]) / span * (WIDTH - MARGIN - 64.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_factors_are_equally_far() {
        let panel = Panel { axis: "seats", points: vec![(1.0, 5.0), (10.0, 5.0), (100.0, 10.0)] };
        let [first, second, third] = [1.0, 10.0, 100.0].map(|x| panel.across(x));
        assert!((second - first - (third - second)).abs() < 1e-9);
        let svg = svg("growth", &[panel.clone(), panel]);
        assert_eq!(svg.matches("<circle").count(), 6);
        assert!(svg.ends_with("</svg>\n"));
    }
}
