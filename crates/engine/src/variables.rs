//! Variables in commands and environments, as Kubernetes expands them: `$(NAME)`; `$$(NAME)` stands for `$(NAME)`; a name
//! that is not known stays as it is written.

/// Replaces every `$(NAME)` for which `value` knows one.
///
/// # Errors
/// The first error of `value` (a secret that is not there).
pub(crate) fn expand(
    text: &str,
    value: &mut dyn FnMut(&str) -> Result<Option<String>, String>,
) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            out.push('$');
            rest = after;
            continue;
        }
        let name = rest.strip_prefix("$(").and_then(|tail| tail.split_once(')'));
        match name {
            Some((name, tail)) => {
                match value(name)? {
                    Some(value) => out.push_str(&value),
                    None => out.push_str(&rest[..name.len() + 3]),
                }
                rest = tail;
            }
            None => {
                out.push('$');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &str) {
        let mut value = |name: &str| match name {
            "PORT" => Ok(Some("3000".to_owned())),
            "secret:GONE" => Err("no secret GONE".to_owned()),
            _ => Ok(None),
        };
        assert_eq!(expand(text, &mut value).as_deref(), Ok(want));
    }

    #[test]
    fn known_names_are_replaced() {
        check("--port=$(PORT)/$(PORT)", "--port=3000/3000");
    }

    #[test]
    fn unknown_names_and_lone_dollars_stay() {
        check("$(NOPE) $5 $(", "$(NOPE) $5 $(");
    }

    #[test]
    fn two_dollars_are_one() {
        check("$$(PORT)", "$(PORT)");
    }

    #[test]
    fn a_missing_secret_is_an_error() {
        let mut value = |name: &str| Err::<Option<String>, _>(format!("no {name}"));
        assert_eq!(expand("$(secret:GONE)", &mut value), Err("no secret:GONE".into()));
    }
}
