//! A run over time as a picture (SVG): median and 99th percentile for each second, failures, and marked moments.

use std::fmt::Write as _;
use std::time::Duration;

use plimsoll_load::{Report, Second};
use plimsoll_report::escape;

use crate::proof::time;

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 160.0;
/// Room for labels at the left and below.
const LEFT: f64 = 60.0;
const BELOW: f64 = 20.0;
/// Room for the names of marked moments.
const ABOVE: f64 = 16.0;

/// The picture of a run; "" if it was too short to have a course.
pub(crate) fn latency(report: &Report) -> String {
    let last = report.series.last().map_or(Duration::ZERO, |second| second.at);
    let Some(highest) = report.series.iter().map(|second| second.p99).max().filter(|highest| !highest.is_zero()) else {
        return String::new();
    };
    if report.series.len() < 3 {
        return String::new();
    }
    let frame = Frame { last_s: last.as_secs_f64() + 1.0, highest_s: highest.as_secs_f64() };
    let told = format!(
        "Latency for each second of {}: highest 99th percentile {}; {} of {} requests failed",
        time(last + Duration::from_secs(1)),
        time(highest),
        report.failed,
        report.asked
    );
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{}\">\n",
        ABOVE + HEIGHT + BELOW,
        escape(&told)
    );
    let bottom = ABOVE + HEIGHT;
    push(&mut out, format_args!("<path class=\"axis\" fill=\"none\" d=\"M{LEFT} {ABOVE}V{bottom}H{WIDTH}\"/>"));
    push(&mut out, format_args!("<text x=\"0\" y=\"{}\">{}</text>", ABOVE + 10.0, escape(&time(highest))));
    push(&mut out, format_args!("<text x=\"{LEFT}\" y=\"{}\">0 s</text>", bottom + 14.0));
    let end = escape(&time(last + Duration::from_secs(1)));
    push(&mut out, format_args!("<text x=\"{WIDTH}\" y=\"{}\" text-anchor=\"end\">{end}</text>", bottom + 14.0));
    for second in report.series.iter().filter(|second| second.failed > 0) {
        let (x, share) = (frame.x(second.at), second.failed as f64 / second.asked as f64);
        let height = (HEIGHT * share).max(2.0);
        let y = bottom - height;
        push(
            &mut out,
            format_args!("<rect class=\"failed\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"3\" height=\"{height:.1}\"/>"),
        );
    }
    push(&mut out, format_args!("<path class=\"one\" d=\"{}\"/>", frame.line(&report.series, |second| second.p50)));
    push(&mut out, format_args!("<path class=\"two\" d=\"{}\"/>", frame.line(&report.series, |second| second.p99)));
    for mark in &report.marks {
        let (x, label) = (frame.x(mark.at), escape(&mark.label));
        push(&mut out, format_args!("<path class=\"mark\" d=\"M{x:.1} {ABOVE}V{bottom}\"/>"));
        push(&mut out, format_args!("<text x=\"{x:.1}\" y=\"11\">{label}</text>"));
    }
    out.push_str("</svg>\n<p class=\"quiet\">Solid: median; dashed: 99th percentile; bars: share that failed; each second by intended start.</p>\n");
    out
}

struct Frame {
    last_s: f64,
    highest_s: f64,
}

impl Frame {
    fn x(&self, at: Duration) -> f64 {
        LEFT + (WIDTH - LEFT) * (at.as_secs_f64() / self.last_s).min(1.0)
    }

    fn line(&self, series: &[Second], value: impl Fn(&Second) -> Duration) -> String {
        let point = |second: &Second| {
            let y = ABOVE + HEIGHT * (1.0 - (value(second).as_secs_f64() / self.highest_s).min(1.0));
            format!("{:.1} {y:.1}", self.x(second.at))
        };
        format!("M{}", series.iter().map(point).collect::<Vec<_>>().join("L"))
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let written = writeln!(out, "{text}");
    debug_assert!(written.is_ok(), "writing to a String can't fail");
}
