//! Variables in commands, environments and addresses: `$(PORT)`, `$(secret:NAME)`, `$(secret:NAME/KEY)`; `$$(` is a plain `$(`.

use crate::{diagnostic::shown, node::At, reading::Reading};
use std::collections::BTreeSet;

/// One variable in a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Variable<'t> {
    /// `$(NAME)`.
    Named(&'t str),
    /// `$(secret:NAME)`.
    Secret(&'t str),
}

/// The variables of a text, in order; what stands after `$(` without a `)` is the error.
pub(crate) fn variables(text: &str) -> Result<Vec<Variable<'_>>, &str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        rest = &rest[dollar..];
        if let Some(after) = rest.strip_prefix("$$") {
            rest = after;
        } else if let Some(after) = rest.strip_prefix("$(") {
            let (name, behind) = after.split_once(')').ok_or(rest)?;
            found.push(name.strip_prefix("secret:").map_or(Variable::Named(name), Variable::Secret));
            rest = behind;
        } else {
            rest = &rest[1..];
        }
    }
    Ok(found)
}

/// Whether secrets may stand in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrets {
    Allowed,
    /// An argument of a command can be read by every user of the machine.
    Forbidden,
}

impl Reading<'_, '_> {
    /// Checks the variables of a text; `known` are the names that are told to the process.
    pub(crate) fn check_variables(&mut self, text: &str, at: At, known: &BTreeSet<&str>, secrets: Secrets) {
        let found = match variables(text) {
            Ok(found) => found,
            Err(open) => {
                let headline = format!("`{}` has no `)`", shown(open));
                self.refuse("variable", at, headline, "write `$(NAME)`, or `$$(` for a plain `$(`");
                return;
            }
        };
        for variable in found {
            match variable {
                Variable::Named(name) if known.contains(&name) => {}
                Variable::Named(name) => self.unknown_variable(name, at, known),
                Variable::Secret(name) if !is_secret_name(name) => {
                    let headline = format!("`{}` is not the name of a secret", shown(name));
                    self.refuse("variable", at, headline, "write `$(secret:NAME)` or `$(secret:NAME/KEY)`");
                }
                Variable::Secret(name) if secrets == Secrets::Forbidden => {
                    let name = shown(name);
                    let headline = format!("the secret `{name}` would be readable in the list of processes");
                    let help = format!(
                        "put it into `env`, and let the program read it there: `env: {{ {}: $(secret:{name}) }}`",
                        variable_name(&name)
                    );
                    self.refuse("secret-in-command", at, headline, help);
                }
                Variable::Secret(_) => {}
            }
        }
    }

    fn unknown_variable(&mut self, name: &str, at: At, known: &BTreeSet<&str>) {
        let help = match self.meant(name, known.iter().copied()) {
            Some(near) => format!("did you mean `$({near})`?"),
            None if known.is_empty() => "write `$(secret:NAME)` for a secret".to_owned(),
            None => format!(
                "known here: {}; write `$$(` for a plain `$(`",
                known.iter().take(20).copied().collect::<Vec<_>>().join(", ")
            ),
        };
        self.refuse("unknown-variable", at, format!("nothing is called `{}` here", shown(name)), help);
    }
}

/// `NAME` or `NAME/KEY`, each of letters, digits, `.`, `_` and `-`, and not only of dots.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.len() <= 253
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    let mut parts = name.split('/');
    parts.next().is_some_and(is_part) && parts.next().is_none_or(is_part) && parts.next().is_none()
}

/// `user-service` → `USER_SERVICE`.
pub(crate) fn variable_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// Whether a text can be the name of an environment variable that every shell understands.
pub(crate) fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found() {
        assert_eq!(variables("-p $(PORT) $$(x) $5"), Ok(vec![Variable::Named("PORT")]));
        assert_eq!(variables("$(secret:A/b)"), Ok(vec![Variable::Secret("A/b")]));
        assert_eq!(variables("a $(PORT"), Err("$(PORT"));
    }

    #[test]
    fn secret_names_lead_nowhere_else() {
        for name in ["LEGACY_URL", "database-secret/url", "a.b"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["", "..", "../x", "a/b/c", "a/..", "a b", "/etc/passwd", "a/"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
