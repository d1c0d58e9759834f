//! Diagnostics as text for people, and as JSON and SARIF for programs.

use crate::{
    Diagnostic, Severity, Source, Span,
    rules::{RULES, rule},
};
use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet, renderer::DecorStyle};
use serde_json::{Value, json};

/// The width that messages are cut to where the terminal's isn't known.
const WIDTH: usize = 140;
/// Lines with more bytes aren't shown: nobody reads them, and a thousand findings in one would take minutes.
const SHOWN_MAX: usize = 4096;

/// All diagnostics with the text they are about, underlined, and a last line that counts them. Empty without any.
#[must_use]
pub fn render_text(diagnostics: &[Diagnostic], source: &Source<'_>, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(WIDTH).decor_style(DecorStyle::Ascii);
    let mut out = String::new();
    for found in diagnostics {
        out.push_str(&renderer.render(&[group(found, source)]));
        out.push_str("\n\n");
    }
    if !diagnostics.is_empty() {
        out.push_str(&count(diagnostics));
        out.push('\n');
    }
    out
}

fn group<'a>(found: &'a Diagnostic, source: &Source<'a>) -> Group<'a> {
    let level = match found.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(found.headline.as_str()).id(found.id));
    if let Some(span) = found.span {
        group = group.element(snippet(source, span, AnnotationKind::Primary));
    } else {
        group = group.element(Origin::path(source.path));
    }
    for note in &found.notes {
        group = group.element(Level::NOTE.message(note.text.as_str()));
        if let Some(span) = note.span {
            group = group.element(snippet(source, span, AnnotationKind::Context));
        }
    }
    if let Some(help) = &found.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    group
}

/// A line and the one before it, underlined; just the place where they are too long to be shown.
fn snippet<'a>(source: &Source<'a>, span: Span, kind: AnnotationKind) -> Element<'a> {
    let first = span.line.saturating_sub(1).max(1);
    let (start, text) = source.lines(first, span.line);
    if text.len() > SHOWN_MAX {
        let place = Origin::path(source.path).line(span.line as usize).char_column(span.column as usize);
        return place.into();
    }
    let end = span.end.min(start + text.len());
    let from = span.start.saturating_sub(start).min(text.len());
    let to = end.saturating_sub(start).max(from).min(text.len());
    let marked = kind.span(from..to);
    Snippet::source(text).line_start(first as usize).path(source.path).fold(false).annotation(marked).into()
}

/// "3 errors, 1 warning".
fn count(diagnostics: &[Diagnostic]) -> String {
    let count = |severity| diagnostics.iter().filter(|found| found.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let plural = |n: usize, what: &str| if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") };
    match (errors, warnings) {
        (0, n) => plural(n, "warning"),
        (n, 0) => format!("{}; nothing was changed", plural(n, "error")),
        (n, m) => format!("{}, {}; nothing was changed", plural(n, "error"), plural(m, "warning")),
    }
}

/// All diagnostics as one JSON value: `{ file, diagnostics: [{ id, severity, span, headline, notes, help }] }`.
#[must_use]
pub fn render_json(diagnostics: &[Diagnostic], source: &Source<'_>) -> Value {
    json!({ "file": source.path, "diagnostics": diagnostics })
}

/// All diagnostics as a SARIF 2.1.0 log, for code hosts and editors.
#[must_use]
pub fn render_sarif(diagnostics: &[Diagnostic], source: &Source<'_>) -> Value {
    let rules: Vec<Value> =
        RULES.iter().map(|rule| json!({ "id": rule.id, "shortDescription": { "text": rule.about } })).collect();
    let results: Vec<Value> = diagnostics.iter().map(|found| result(found, source)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "plimsoll",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(found: &Diagnostic, source: &Source<'_>) -> Value {
    let mut text = found.headline.clone();
    for extra in found.notes.iter().map(|note| &note.text).chain(&found.help) {
        text.push('\n');
        text.push_str(extra);
    }
    let level = match found.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let index = rule(found.id).and_then(|rule| RULES.iter().position(|other| other == rule));
    let related: Vec<Value> = found
        .notes
        .iter()
        .filter_map(|note| note.span.map(|span| (note, span)))
        .map(|(note, span)| json!({ "message": { "text": note.text }, "physicalLocation": location(source, Some(span)) }))
        .collect();
    json!({
        "ruleId": found.id,
        "ruleIndex": index,
        "level": level,
        "message": { "text": text },
        "locations": [{ "physicalLocation": location(source, found.span) }],
        "relatedLocations": related,
    })
}

fn location(source: &Source<'_>, span: Option<Span>) -> Value {
    let mut place = json!({ "artifactLocation": { "uri": source.path } });
    if let Some(span) = span {
        let end = span.column.saturating_add(span.length.max(1));
        place["region"] = json!({ "startLine": span.line, "startColumn": span.column, "endColumn": end });
    }
    place
}
