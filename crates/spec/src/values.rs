//! Typed readers of single values: each says what it wants, and what to write instead.

use crate::{
    diagnostic::shown,
    node::{At, Entry, Node, Scalar, Value},
    quantity,
    reading::Reading,
    suggest::nearest,
    traps,
};
use plimsoll_model::{Amount, Bytes, MilliCpu, Millis, Rate, Ratio};
use std::ops::RangeInclusive;

impl Reading<'_, '_> {
    /// A value of the wrong type.
    pub(crate) fn wrong_type(&mut self, node: &Node, wanted: &str, help: &str) {
        let found = match node.scalar() {
            Some(scalar) => format!("`{}`", shown(&scalar.text)),
            None => node.kind().to_owned(),
        };
        self.refuse("wrong-type", node.at, format!("{wanted} is wanted here, not {found}"), help);
    }

    fn scalar<'n>(&mut self, node: &'n Node, wanted: &str, help: &str) -> Option<&'n Scalar> {
        let scalar = node.scalar();
        if scalar.is_none() {
            self.wrong_type(node, wanted, help);
        }
        scalar
    }

    /// Text, exactly as written; a plain scalar that readers disagree about is refused.
    pub(crate) fn text(&mut self, node: &Node) -> Option<String> {
        let scalar = self.scalar(node, "text", "write text")?;
        if let Some(why) = traps::ambiguity(&scalar.text).filter(|_| scalar.plain) {
            let text = shown(&scalar.text);
            let headline = format!("`{text}` isn't the same for every YAML reader: {why}");
            self.refuse("ambiguous-scalar", node.at, headline, format!("quote it: \"{text}\""));
            return None;
        }
        if scalar.text.contains('\0') {
            self.refuse("wrong-type", node.at, "this text holds a NUL character", "remove it");
            return None;
        }
        Some(scalar.text.clone())
    }

    /// Text that is not empty.
    pub(crate) fn some_text(&mut self, node: &Node) -> Option<String> {
        let text = self.text(node)?;
        if text.is_empty() {
            self.refuse("wrong-type", node.at, "this text is empty", "write something, or leave the key out");
            return None;
        }
        Some(text)
    }

    /// `true` or `false`, nothing else.
    pub(crate) fn boolean(&mut self, node: &Node) -> Option<bool> {
        let scalar = self.scalar(node, "true or false", "write true or false")?;
        match scalar.text.as_str() {
            "true" if scalar.plain => Some(true),
            "false" if scalar.plain => Some(false),
            _ => {
                let no = ["no", "off", "false", "n"].contains(&scalar.text.to_lowercase().as_str());
                let help = if no { "write false" } else { "write true or false" };
                self.wrong_type(node, "true or false", help);
                None
            }
        }
    }

    /// A whole number in decimal digits.
    pub(crate) fn integer(&mut self, node: &Node, range: RangeInclusive<u64>) -> Option<u64> {
        let scalar = self.scalar(node, "a whole number", "write digits only")?;
        let is_decimal = scalar.text.bytes().all(|b| b.is_ascii_digit()) && !scalar.text.is_empty();
        let leads_with_zero = scalar.text.len() > 1 && scalar.text.starts_with('0');
        if !scalar.plain || !is_decimal || leads_with_zero {
            let digits: String = scalar.text.chars().filter(char::is_ascii_digit).collect();
            let help = match (scalar.plain, digits.trim_start_matches('0')) {
                (false, digits) if is_decimal && !digits.is_empty() => format!("write it without quotes: {digits}"),
                _ => "write digits only, without a leading zero".to_owned(),
            };
            self.wrong_type(node, "a whole number", &help);
            return None;
        }
        let number = scalar.text.parse::<u64>().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let headline = format!("{} is out of range", shown(&scalar.text));
            let help = format!("write a number from {} to {}", range.start(), range.end());
            self.refuse("out-of-range", node.at, headline, help);
        }
        number
    }

    /// A whole number that fits 32 bits.
    pub(crate) fn count(&mut self, node: &Node, range: RangeInclusive<u32>) -> Option<u32> {
        let number = self.integer(node, u64::from(*range.start())..=u64::from(*range.end()))?;
        u32::try_from(number).ok()
    }

    /// A port from 1 to 65535.
    pub(crate) fn port(&mut self, node: &Node) -> Option<u16> {
        self.integer(node, 1..=65535).and_then(|port| u16::try_from(port).ok())
    }

    /// Seconds as Kubernetes writes them: a bare number.
    pub(crate) fn seconds(&mut self, node: &Node, range: RangeInclusive<u32>) -> Option<Millis> {
        if let Some(text) = node.scalar().map(|s| s.text.clone()).filter(|text| quantity::duration(text).is_some()) {
            let seconds = quantity::duration(&text).map_or(0, |time| time.0.div_ceil(1000));
            let headline = format!("Kubernetes counts this in whole seconds, without a unit: `{}`", shown(&text));
            self.refuse("wrong-type", node.at, headline, format!("write {seconds}"));
            return None;
        }
        self.count(node, range).map(|seconds| Millis::from_secs(u64::from(seconds)))
    }

    /// One of our own quantities, which carry a unit.
    fn quantity<T>(&mut self, node: &Node, ours: &Quantity<T>) -> Option<T> {
        let scalar = self.scalar(node, ours.name, &format!("write {}", ours.example))?;
        let text = scalar.text.as_str();
        if let Some(value) = (ours.read)(text) {
            return Some(value);
        }
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && !ours.unit.is_empty() {
            let help = format!("write {text}{}", ours.unit);
            self.refuse("missing-unit", node.at, format!("`{}` has no unit", shown(text)), help);
            return None;
        }
        let help = match spelled(text).filter(|text| (ours.read)(text).is_some()) {
            Some(better) => format!("write {better}"),
            None => format!("write for example {}", ours.example),
        };
        self.refuse("quantity", node.at, format!("`{}` is not {}", shown(text), ours.name), help);
        None
    }

    /// `30s`.
    pub(crate) fn duration(&mut self, node: &Node) -> Option<Millis> {
        let example = "30s, 5m, 1h30m or 7d";
        self.quantity(node, &Quantity { name: "a length of time", example, unit: "s", read: quantity::duration })
    }

    /// A length of time that isn't zero.
    pub(crate) fn some_duration(&mut self, node: &Node) -> Option<Millis> {
        let time = self.duration(node)?;
        if time == Millis(0) {
            self.refuse("out-of-range", node.at, "this time must be longer than zero", "write at least 1ms");
            return None;
        }
        Some(time)
    }

    /// `99.9%`.
    pub(crate) fn percent(&mut self, node: &Node) -> Option<Ratio> {
        self.quantity(node, &Quantity { name: "a share", example: "70%", unit: "%", read: quantity::percent })
    }

    /// `100/s`; never zero.
    pub(crate) fn rate(&mut self, node: &Node) -> Option<Rate> {
        let read = |text: &str| quantity::rate(text).filter(|rate| rate.0 > 0);
        self.quantity(node, &Quantity { name: "a rate above zero", example: "100/s", unit: "/s", read })
    }

    /// `250m` or `1`, as Kubernetes.
    pub(crate) fn cpu(&mut self, node: &Node) -> Option<MilliCpu> {
        let read = |text: &str| quantity::cpu(text).filter(|cpu| cpu.0 > 0);
        self.quantity(
            node,
            &Quantity { name: "an amount of processor above zero", example: "250m or \"1\"", unit: "", read },
        )
    }

    /// `256Mi`, as Kubernetes. Thousandths and Compose's units have diagnostics of their own.
    pub(crate) fn bytes(&mut self, node: &Node) -> Option<Bytes> {
        let text = node.scalar().map(|scalar| scalar.text.clone()).unwrap_or_default();
        let number = text.strip_suffix('m').filter(|number| number.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
        if let Some(number) = number.filter(|number| !number.is_empty()) {
            let headline =
                format!("`{}` is {number} thousandths of a byte in Kubernetes, and megabytes in Compose", shown(&text));
            self.refuse("milli-bytes", node.at, headline, format!("write {number}Mi"));
            return None;
        }
        let read = |text: &str| quantity::bytes(text).filter(|bytes| bytes.0 > 0);
        self.quantity(
            node,
            &Quantity { name: "an amount of memory above zero", example: "256Mi or 1Gi", unit: "", read },
        )
    }

    /// A count, or a share such as `25%`.
    pub(crate) fn amount(&mut self, node: &Node) -> Option<Amount> {
        let text = node.scalar().map(|scalar| scalar.text.clone()).unwrap_or_default();
        if text.contains('%') {
            return self.percent(node).map(Amount::Share);
        }
        self.count(node, 0..=10_000).map(Amount::Count)
    }

    /// Hundredths and currency.
    pub(crate) fn money(&mut self, node: &Node) -> Option<(u64, String)> {
        self.quantity(
            node,
            &Quantity { name: "a sum of money", example: "1475 USD", unit: " USD", read: quantity::money },
        )
    }

    /// `02:00`.
    pub(crate) fn time_of_day(&mut self, node: &Node) -> Option<u32> {
        let read = quantity::time_of_day;
        self.quantity(node, &Quantity { name: "a time of day", example: "\"02:00\"", unit: "", read })
    }

    /// `44us`, `1.5ms`, `2s`: microseconds.
    pub(crate) fn micros(&mut self, node: &Node) -> Option<u64> {
        let read = quantity::micros;
        self.quantity(node, &Quantity { name: "a short time", example: "44us, 1.5ms or 2s", unit: "ms", read })
    }

    /// `5` or `1.5`, in thousandths.
    pub(crate) fn times_as_much(&mut self, node: &Node) -> Option<u64> {
        let read = quantity::thousandths;
        self.quantity(node, &Quantity { name: "how many times as much", example: "1.5", unit: "", read })
    }

    /// A quantity of Kubernetes, in thousandths.
    pub(crate) fn milli(&mut self, node: &Node) -> Option<i64> {
        self.quantity(
            node,
            &Quantity { name: "a quantity", example: "\"100\" or 500m", unit: "", read: quantity::milli },
        )
    }

    /// One of some words.
    pub(crate) fn word<T: Copy>(&mut self, node: &Node, words: &[(&'static str, T)]) -> Option<T> {
        let all = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let scalar = self.scalar(node, "a word", &format!("write one of: {all}"))?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == scalar.text) {
            return Some(*value);
        }
        let help = match nearest(&scalar.text, words.iter().map(|(word, _)| *word)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write one of: {all}"),
        };
        self.refuse("unknown-word", node.at, format!("`{}` is not known here", shown(&scalar.text)), help);
        None
    }

    /// The items of a list.
    pub(crate) fn list<'n>(&mut self, node: &'n Node, example: &str) -> &'n [Node] {
        match &node.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => {
                self.wrong_type(node, "a list", &format!("write {example}"));
                &[]
            }
        }
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, node: &Node, example: &str) -> Vec<String> {
        let items = self.list(node, example);
        items.iter().filter_map(|item| self.text(item)).collect()
    }

    /// The entries of a map whose keys are free.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node, example: &str) -> &'n [Entry] {
        match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                self.wrong_type(node, "a map", &format!("write {example}"));
                &[]
            }
        }
    }

    /// Whether a name is an RFC 1123 label of at most 63 characters; says so if not.
    pub(crate) fn is_name(&mut self, name: &str, at: At) -> bool {
        let Some(wrong) = wrong_name(name) else { return true };
        let mut better: String =
            name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        better.truncate(63);
        let better = better.trim_matches('-');
        let help = match wrong_name(better) {
            None if name.is_ascii() => format!("write `{better}`"),
            _ => "use lower-case letters, digits and `-`, at most 63 of them".to_owned(),
        };
        self.refuse("name", at, format!("`{}` can't be a name: {wrong}", shown(name)), help);
        false
    }
}

struct Quantity<'q, T> {
    name: &'q str,
    example: &'q str,
    unit: &'q str,
    read: fn(&str) -> Option<T>,
}

/// What keeps a text from being an RFC 1123 label.
fn wrong_name(name: &str) -> Option<String> {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if name.is_empty() {
        return Some("it is empty".into());
    }
    if let Some(odd) = name.chars().find(|c| !is_alphanumeric(*c) && *c != '-') {
        let what =
            if odd.is_ascii_graphic() { format!("`{odd}`") } else { format!("the character U+{:04X}", u32::from(odd)) };
        return Some(format!("{what} is neither a lower-case letter nor a digit nor `-`"));
    }
    if name.len() > 63 {
        return Some(format!("it has {} characters, and 63 is the most", name.len()));
    }
    if !name.starts_with(is_alphanumeric) || !name.ends_with(is_alphanumeric) {
        return Some("it begins or ends with `-`".into());
    }
    None
}

/// How a quantity is probably meant: `30 minutes` → `30m`, `512MB` → `512Mi`, `1 GB` → `1Gi`.
fn spelled(text: &str) -> Option<String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = (&text[..end], text[end..].trim().to_lowercase());
    let unit = match unit.as_str() {
        "millisecond" | "milliseconds" | "msec" | "ms" => "ms",
        "second" | "seconds" | "sec" | "secs" | "s" => "s",
        "minute" | "minutes" | "min" | "mins" => "m",
        "hour" | "hours" | "hr" | "hrs" | "h" => "h",
        "day" | "days" | "d" => "d",
        "week" | "weeks" => "w",
        "year" | "years" => "y",
        "kb" | "kib" | "ki" => "Ki",
        "mb" | "mib" | "mi" => "Mi",
        "gb" | "gib" | "gi" | "g" => "Gi",
        "tb" | "tib" | "ti" | "t" => "Ti",
        "percent" | "%" => "%",
        "rps" | "req/s" | "requests/s" | "requests/second" | "per second" | "/sec" | "/second" | "/ s" => "/s",
        "core" | "cores" | "cpu" | "cpus" => "",
        _ => return None,
    };
    Some(format!("{number}{unit}"))
}
