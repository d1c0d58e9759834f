//! HTML pages that need nothing else: no script, no font, no image from elsewhere.
//!
//! Invariant: every text that comes from outside is escaped.

const STYLE: &str = include_str!("page.css");

/// A whole page. `title` is text; `body` is HTML.
#[must_use]
pub fn page(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(title)
    )
}

/// The table of all promises. `figure` is the head of the column that tells what came of each: a text; `rows` are HTML.
#[must_use]
pub fn promises(figure: &str, rows: &str) -> String {
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"All promises\">\n<table>\n\
         <thead><tr><th scope=\"col\">Promise</th><th scope=\"col\">Target</th><th scope=\"col\">{}</th>\
         <th scope=\"col\" class=\"number\">Margin</th><th scope=\"col\" class=\"number\">N</th>\
         <th scope=\"col\" class=\"number\">Failed</th><th scope=\"col\">Verdict</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n</div>\n",
        escape(figure)
    )
}

/// A verdict: `held`, `broken`, or a word for what is not known.
#[must_use]
pub fn verdict(word: &str) -> String {
    let class = if matches!(word, "held" | "broken") { word } else { "unknown" };
    format!("<span class=\"verdict {class}\">{}</span>", escape(word))
}

/// Text that is safe between tags and in quoted attributes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_text() {
        assert!(page("a<b", "<p>c</p>\n").contains("<title>a&lt;b</title>"));
        assert_eq!(escape("<\"&'>"), "&lt;&quot;&amp;&#39;&gt;");
    }

    #[test]
    fn a_verdict_is_a_word_with_a_sign() {
        assert_eq!(verdict("held"), "<span class=\"verdict held\">held</span>");
        assert_eq!(verdict("unproven"), "<span class=\"verdict unknown\">unproven</span>");
    }
}
