//! Who reaches whom: `uses` and `calls`.

use crate::{
    diagnostic::shown,
    env,
    node::{At, Value},
    reading::{Fields, Reading, ReferenceKind},
    section::Shape,
    variables::{is_variable_name, variable_name},
};
use plimsoll_model::service::Link;
use std::collections::{BTreeMap, BTreeSet};

/// Links with their places.
pub(crate) type Links = Vec<(Link, At)>;

/// `[orders, events]` or `{ orders: DATABASE_URL }`.
pub(crate) const LINKS: Shape = Shape::Either(&[Shape::List(&Shape::Name), Shape::Named(&Shape::Text)]);

impl Reading<'_, '_> {
    /// Reads `uses` or `calls` of a service, and notes whom it refers to.
    pub(crate) fn links(&mut self, from: &str, fields: &Fields<'_>, key: &'static str) -> Links {
        let Some(node) = fields.get(key) else { return Vec::new() };
        let kind = if key == "uses" { ReferenceKind::Uses } else { ReferenceKind::Calls };
        let mut links: Links = Vec::new();
        match &node.value {
            Value::List(items) => {
                for item in items {
                    if let Some([entry]) = item.map() {
                        let to = shown(&entry.key);
                        self.wrong_type(
                            item,
                            "a name",
                            &format!("write all of them as a map: `{key}: {{ {to}: VARIABLE }}`"),
                        );
                        continue;
                    }
                    let Some(to) = self.text(item) else { continue };
                    links.push((Link { variable: format!("{}_URL", variable_name(&to)), to }, item.at));
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    let variable = match &entry.node.value {
                        Value::Null => Some(format!("{}_URL", variable_name(&entry.key))),
                        _ => self.some_text(&entry.node),
                    };
                    let Some(variable) = variable else { continue };
                    if !is_variable_name(&variable) {
                        let headline = format!("`{}` can't be the name of a variable", shown(&variable));
                        let help = format!("write for example {}_URL", variable_name(&entry.key));
                        self.refuse("name", entry.node.at, headline, help);
                    }
                    links.push((Link { to: entry.key.clone(), variable }, entry.key_at));
                }
            }
            _ => {
                let text = node.scalar().map_or("NAME", |scalar| scalar.text.as_str());
                self.wrong_type(node, "a list of names", &format!("write `{key}: [{}]`", shown(text)));
            }
        }
        for (link, at) in &links {
            self.refer(kind, from, &link.to, *at);
        }
        links
    }

    /// Two links, or a link and a variable, must not be told in one variable.
    pub(crate) fn check_link_variables(&mut self, uses: &Links, calls: &Links, env: &env::Variables) {
        let mut owners: BTreeMap<&str, String> =
            env.iter().map(|(name, ..)| (name.as_str(), "a variable of `env`".to_owned())).collect();
        let mut targets: BTreeSet<&str> = BTreeSet::new();
        for (link, at) in uses.iter().chain(calls) {
            let to = shown(&link.to);
            if !targets.insert(&link.to) {
                let headline = format!("`{to}` is named twice among what this service reaches");
                self.refuse("two-owners", *at, headline, "name it once, under `uses` or under `calls`");
                continue;
            }
            if let Some(owner) = owners.insert(&link.variable, format!("the address of `{to}`")) {
                let headline = format!("`{}` would hold both {owner} and the address of `{to}`", shown(&link.variable));
                let help = format!("choose another name: `uses: {{ {to}: OTHER_URL }}`");
                self.refuse("two-owners", *at, headline, help);
            }
        }
    }

    /// Whom a service may reach is not enforced on this machine; says so.
    pub(crate) fn recorded_links(&mut self, fields: &Fields<'_>, links: Links) -> Vec<Link> {
        if !links.is_empty() && !self.machine.enforces_paths {
            let why = "waited for and told, but other paths aren't closed on this machine";
            self.recorded(fields.path("uses"), fields.at("uses"), why);
        }
        links.into_iter().map(|(link, _)| link).collect()
    }
}
