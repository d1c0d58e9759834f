//! The environment of a service: our map, or Kubernetes' list with `value` and `valueFrom`.

use crate::{
    diagnostic::shown,
    node::{At, Node, Value},
    reading::Reading,
    section::{Foreign::Later, Section, Shape, key},
    traps,
    variables::is_secret_name,
};

use std::collections::BTreeSet;

/// Name, value and place of each variable.
pub(crate) type Variables = Vec<(String, String, At)>;

/// `{ NAME: value }` or `[{ name, value }]`.
pub(crate) const SHAPE: Shape = Shape::Either(&[Shape::Named(&Shape::Text), Shape::List(&Shape::Map(&VARIABLE))]);

static VARIABLE: Section = Section {
    name: "a variable",
    keys: &[
        key("name", Shape::Text, "Its name."),
        key("value", Shape::Text, "Its value, as text."),
        key("valueFrom", Shape::Map(&VALUE_FROM), "Where its value comes from."),
    ],
    foreign: &[],
};

static VALUE_FROM: Section = Section {
    name: "`valueFrom`",
    keys: &[key("secretKeyRef", Shape::Map(&SECRET_KEY), "A secret, by name and key: $(secret:NAME/KEY).")],
    foreign: &[
        ("configMapKeyRef", Later("write the value itself: `value: \"…\"`")),
        ("fieldRef", Later("a replica is told its own port in PORT; leave this variable out")),
        ("resourceFieldRef", Later("write the value itself: `value: \"…\"`")),
        ("fileKeyRef", Later("write the value itself: `value: \"…\"`")),
    ],
};

static SECRET_KEY: Section = Section {
    name: "`secretKeyRef`",
    keys: &[
        key("name", Shape::Text, "The secret."),
        key("key", Shape::Text, "The key in it."),
        key("optional", Shape::Boolean, "Must be false: a secret that is missing stops the start."),
    ],
    foreign: &[],
};

impl Reading<'_, '_> {
    /// Reads `env` in either form.
    pub(crate) fn env(&mut self, node: &Node) -> Variables {
        let mut all: Variables = Vec::new();
        let mut names: BTreeSet<String> = BTreeSet::new();
        match &node.value {
            Value::List(items) => {
                for item in items {
                    let Some((name, value, at)) = self.listed(item) else { continue };
                    if !names.insert(name.clone()) {
                        let headline = format!("`{}` is given twice", shown(&name));
                        self.refuse("duplicate-key", at, headline, "keep one of them");
                        continue;
                    }
                    all.push((name, value, at));
                }
            }
            _ => {
                for entry in self.entries(node, "`env: { NAME: value }`") {
                    let value = match &entry.node.value {
                        Value::Null => None,
                        _ => self.text(&entry.node),
                    };
                    if let Some(value) = value {
                        all.push((entry.key.clone(), value, entry.key_at));
                    }
                }
            }
        }
        for (name, value, at) in &all {
            self.check_variable(name, value, *at);
        }
        all
    }

    fn check_variable(&mut self, name: &str, value: &str, at: At) {
        let is_odd = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || name.contains(is_odd) {
            let headline = format!("`{}` can't be the name of a variable", shown(name));
            self.refuse("name", at, headline, "use letters, digits and `_`, a letter first");
        }
        if name == "PORT" {
            let headline = "PORT tells each replica its own port, and can't be set";
            self.refuse("two-owners", at, headline, "leave it out; write `port` for the container's port");
        }
        if let Some(user) = password(value) {
            let headline = format!("`{}` holds a password", shown(name));
            let help = format!("put it into a secret: `{}: $(secret:{})`", shown(name), user.to_uppercase());
            self.refuse("secret-in-file", at, headline, help);
        }
    }

    fn listed(&mut self, item: &Node) -> Option<(String, String, At)> {
        let fields = self.fields(item, &VARIABLE, "env")?;
        let (name, value, from) = (fields.entry("name"), fields.entry("value"), fields.entry("valueFrom"));
        let Some(name) = name else {
            self.refuse("missing-key", item.at, "this variable has no `name`", "write `- name: NAME`");
            return None;
        };
        let at = name.node.at;
        let name = self.some_text(&name.node)?;
        let text = match (value, from) {
            (Some(value), None) => self.kubernetes_text(&value.node)?,
            (None, Some(from)) => self.value_from(&from.node, &name)?,
            (None, None) => String::new(),
            (Some(_), Some(from)) => {
                let headline = format!("both `value` and `valueFrom` say what `{}` is", shown(&name));
                self.refuse("two-owners", from.key_at, headline, "keep one of them");
                return None;
            }
        };
        Some((name, text, at))
    }

    /// Text where Kubernetes takes nothing else, not even a number.
    fn kubernetes_text(&mut self, node: &Node) -> Option<String> {
        if let Some(scalar) = node.scalar().filter(|scalar| scalar.plain)
            && (traps::is_number(&scalar.text) || matches!(scalar.text.as_str(), "true" | "false"))
        {
            let text = shown(&scalar.text);
            let headline = format!("Kubernetes takes only text here, and `{text}` is {}", scalar.kind());
            self.refuse("wrong-type", node.at, headline, format!("quote it: \"{text}\""));
            return None;
        }
        self.text(node)
    }

    fn value_from(&mut self, node: &Node, variable: &str) -> Option<String> {
        let fields = self.fields(node, &VALUE_FROM, "env.valueFrom")?;
        let Some(secret) = fields.get("secretKeyRef") else {
            if node.map().is_none_or(<[_]>::is_empty) {
                let headline = format!("`valueFrom` of `{}` says nothing", shown(variable));
                self.refuse("missing-key", node.at, headline, "write `secretKeyRef: { name: NAME, key: KEY }`");
            }
            return None;
        };
        let fields = self.fields(secret, &SECRET_KEY, "env.valueFrom.secretKeyRef")?;
        let name = fields.get("name").and_then(|node| self.some_text(node));
        let key = fields.get("key").and_then(|node| self.some_text(node));
        if let Some(optional) = fields.entry("optional")
            && self.boolean(&optional.node) == Some(true)
        {
            let help = "leave `optional` out, and set the secret";
            self.refuse("comes-later", optional.key_at, "optional secrets come in a later version", help);
        }
        let (Some(name), Some(key)) = (name, key) else {
            self.refuse("missing-key", secret.at, "a secret has a name and a key", "write `{ name: NAME, key: KEY }`");
            return None;
        };
        let path = format!("{name}/{key}");
        if !is_secret_name(&path) {
            let headline = format!("`{}` is not the name of a secret", shown(&path));
            self.refuse("variable", secret.at, headline, "use letters, digits, `.`, `_` and `-`");
            return None;
        }
        Some(format!("$(secret:{path})"))
    }
}

/// The user of a URL that holds a password in plain text.
pub(crate) fn password(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("://")?;
    let (login, _) = rest.split('/').next()?.rsplit_once('@')?;
    let (user, password) = login.split_once(':')?;
    (!password.is_empty() && !password.contains("$(")).then_some(if user.is_empty() { "password" } else { user })
}
