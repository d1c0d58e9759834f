//! Two courses over time as a picture (SVG).

use plimsoll_report::escape;
use std::fmt::Write as _;

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 140.0;
/// Room for labels at the left, above and below.
const LEFT: f64 = 70.0;
const ABOVE: f64 = 14.0;
const BELOW: f64 = 20.0;

/// What is drawn.
pub(crate) struct Chart<'a> {
    /// What it shows, for those who can't see it.
    pub(crate) told: String,
    /// The length of a step, in seconds.
    pub(crate) step_s: f64,
    /// A solid line, and a dashed one.
    pub(crate) lines: [Vec<f64>; 2],
    /// Marked steps: failures, or nothing.
    pub(crate) marked: Vec<bool>,
    /// The unit of the lines.
    pub(crate) unit: &'a str,
}

impl Chart<'_> {
    /// The picture; "" if there is nothing to be drawn.
    pub(crate) fn svg(&self) -> String {
        let steps = self.lines[0].len();
        let highest = self.lines.iter().flatten().fold(0.0_f64, |highest, value| highest.max(*value));
        if steps < 2 || highest <= 0.0 {
            return String::new();
        }
        let bottom = ABOVE + HEIGHT;
        let x = |step: usize| LEFT + (WIDTH - LEFT) * step as f64 / (steps - 1) as f64;
        let mut out = format!(
            "<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{}\">\n",
            bottom + BELOW,
            escape(&self.told)
        );
        push(&mut out, format_args!("<path class=\"axis\" fill=\"none\" d=\"M{LEFT} {ABOVE}V{bottom}H{WIDTH}\"/>"));
        let top = format!("{} {}", short(highest), self.unit);
        push(&mut out, format_args!("<text x=\"0\" y=\"{}\">{}</text>", ABOVE + 10.0, escape(&top)));
        push(&mut out, format_args!("<text x=\"{LEFT}\" y=\"{}\">0</text>", bottom + 14.0));
        let end = length(self.step_s * steps as f64);
        push(&mut out, format_args!("<text x=\"{WIDTH}\" y=\"{}\" text-anchor=\"end\">{end}</text>", bottom + 14.0));
        for step in (0..self.marked.len()).filter(|step| self.marked[*step]) {
            push(
                &mut out,
                format_args!(
                    "<rect class=\"failed\" x=\"{:.1}\" y=\"{:.1}\" width=\"3\" height=\"6\"/>",
                    x(step),
                    bottom - 6.0
                ),
            );
        }
        for (line, class) in self.lines.iter().zip(["one", "two"]).filter(|(line, _)| !line.is_empty()) {
            let point = |(step, value): (usize, &f64)| {
                format!("{:.1} {:.1}", x(step), ABOVE + HEIGHT * (1.0 - (value / highest).min(1.0)))
            };
            let points: Vec<String> = line.iter().enumerate().map(point).collect();
            push(&mut out, format_args!("<path class=\"{class}\" d=\"M{}\"/>", points.join("L")));
        }
        out.push_str("</svg>\n");
        out
    }
}

fn short(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

fn length(seconds: f64) -> String {
    match seconds {
        s if s >= 7200.0 => format!("{:.1} h", s / 3600.0),
        s if s >= 120.0 => format!("{:.1} min", s / 60.0),
        s => format!("{s:.0} s"),
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let written = writeln!(out, "{text}");
    debug_assert!(written.is_ok(), "writing to a String can't fail");
}
