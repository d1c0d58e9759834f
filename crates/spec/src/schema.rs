//! The JSON Schema of plimsoll.yaml, for editors.
//!
//! It is made from the very tables that readers use, so it can't say anything else than they do.

use crate::{
    section::{Foreign, Section, Shape},
    system::SYSTEM,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A duration, as a pattern.
const DURATION: &str = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w|y))+$";
/// A name, as a pattern.
const NAME: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";

/// The schema, in the dialect 2020-12.
#[must_use]
pub fn schema() -> Value {
    let mut sections: BTreeMap<String, Value> = BTreeMap::new();
    let root = reference(&SYSTEM, &mut sections);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "plimsoll.yaml",
        "description": "A system: its services, stores, edge and promises.",
        "$ref": root["$ref"],
        "$defs": sections,
    })
}

/// Refers to a section, which is written down the first time. The names of sections are unique.
fn reference(section: &'static Section, sections: &mut BTreeMap<String, Value>) -> Value {
    let name = definition(section);
    if !sections.contains_key(&name) {
        sections.insert(name.clone(), Value::Null);
        let mut properties = Map::new();
        for key in section.keys {
            let mut shape = shape(&key.shape, sections);
            shape["description"] = json!(key.about);
            properties.insert(key.name.into(), shape);
        }
        let later = section.foreign.iter().filter(|(_, what)| matches!(what, Foreign::Recorded(_)));
        for (name, _) in later {
            properties.insert((*name).into(), json!({ "description": "Recorded; without effect on this machine." }));
        }
        let whole = json!({ "type": ["object", "null"], "additionalProperties": false, "properties": properties });
        sections.insert(name.clone(), whole);
    }
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// "a rolling update" → `rolling-update`.
fn definition(section: &Section) -> String {
    let name = ["a ", "an ", "the "].into_iter().find_map(|article| section.name.strip_prefix(article));
    let name = name.unwrap_or(section.name);
    name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == ' ').collect::<String>().replace(' ', "-")
}

fn shape(shape: &'static Shape, sections: &mut BTreeMap<String, Value>) -> Value {
    let quantity = |pattern: &str| json!({ "type": ["string", "null"], "pattern": pattern });
    match shape {
        Shape::Text => json!({ "type": ["string", "number", "boolean", "null"] }),
        Shape::Name => json!({ "type": ["string", "null"], "pattern": NAME }),
        Shape::Integer => json!({ "type": ["integer", "null"], "minimum": 0 }),
        Shape::Boolean => json!({ "type": ["boolean", "null"] }),
        Shape::Duration => quantity(DURATION),
        Shape::Bytes => {
            json!({ "type": ["string", "number", "null"], "pattern": r"^[0-9]+(\.[0-9]+)?([KMGTPE]i|[kMGTP]|[eE][0-9]+)?$" })
        }
        Shape::Cpu => json!({ "type": ["string", "number", "null"], "pattern": r"^[0-9]+(\.[0-9]+)?m?$" }),
        Shape::Percent => quantity(r"^[0-9]+(\.[0-9]+)?%$"),
        Shape::Rate => quantity(r"^[0-9]+(\.[0-9]+)?/[smh]$"),
        Shape::Word(words) => {
            let mut words: Vec<Value> = words.iter().map(|word| json!(word)).collect();
            words.push(Value::Null);
            json!({ "enum": words })
        }
        Shape::Map(section) => reference(section, sections),
        Shape::Named(inner) => {
            json!({ "type": ["object", "null"], "additionalProperties": self::shape(inner, sections) })
        }
        Shape::List(inner) => json!({ "type": ["array", "null"], "items": self::shape(inner, sections) }),
        Shape::Either(shapes) => {
            let all: Vec<Value> = shapes.iter().map(|one| self::shape(one, sections)).collect();
            json!({ "anyOf": all })
        }
        Shape::Anything => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every section that can be reached, each once.
    pub(crate) fn sections() -> Vec<&'static Section> {
        fn visit(shape: &'static Shape, all: &mut Vec<&'static Section>) {
            match shape {
                Shape::Map(section) => enter(section, all),
                Shape::Named(inner) | Shape::List(inner) => visit(inner, all),
                Shape::Either(shapes) => shapes.iter().for_each(|one| visit(one, all)),
                _ => {}
            }
        }
        fn enter(section: &'static Section, all: &mut Vec<&'static Section>) {
            if !all.iter().any(|known| std::ptr::eq(*known, section)) {
                all.push(section);
                section.keys.iter().for_each(|key| visit(&key.shape, all));
            }
        }
        let mut all = Vec::new();
        enter(&SYSTEM, &mut all);
        all
    }

    #[test]
    fn sections_have_names_of_their_own() {
        let names: std::collections::BTreeSet<String> = sections().into_iter().map(definition).collect();
        assert_eq!(names.len(), sections().len());
    }

    #[test]
    fn no_key_is_known_and_foreign_at_once() {
        for section in sections() {
            for (name, _) in section.foreign {
                assert!(!section.keys.iter().any(|key| key.name == *name), "`{name}` of {}", section.name);
            }
        }
    }

    /// A key that only stands in a table would be accepted and ignored.
    #[test]
    fn readers_ask_for_every_key_of_every_table() {
        let text = include_str!("../tests/everything.yaml");
        let checked = crate::check(&crate::Input::new("everything/plimsoll.yaml", text));
        // It may be warned of what it says, for it says everything.
        let errors: Vec<_> = checked.diagnostics.iter().filter(|one| one.severity == crate::Severity::Error).collect();
        assert_eq!(errors, Vec::<&crate::Diagnostic>::new());
        let asked = crate::reading::asked::all();
        for section in sections() {
            for key in section.keys {
                let is_asked = asked.contains(&(section.name, key.name.to_owned()));
                assert!(
                    is_asked,
                    "no reader asks for `{}` of {} (or everything.yaml lacks the section)",
                    key.name, section.name
                );
            }
        }
    }
}
