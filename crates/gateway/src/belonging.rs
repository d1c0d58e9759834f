//! What a request says of where it belongs: its client's own replica, and the version that it is to have of a canary.

use crate::{draw::draw, table::Backend};
use plimsoll_control::route::version::Asked;
use plimsoll_model::audience::Stickiness;
use plimsoll_wire::sum::{START, fnv};

/// What was found in a request's head.
#[derive(Debug, Default)]
pub(crate) struct Belonging {
    /// What a cookie says of its replica.
    pub(crate) replica: Option<String>,
    /// For the choice between a canary and the other version.
    pub(crate) asked: Asked,
    /// A cookie to be told to a client that has none, for the canary's stickiness.
    pub(crate) cookie: Option<String>,
}

/// Where cookies and other fields are found, in whatever form a protocol's engine has them.
pub(crate) trait Head<'h> {
    /// The first field with that name.
    fn field(&self, name: &str) -> Option<&'h [u8]>;

    /// All fields with cookies.
    fn cookies(&self) -> impl Iterator<Item = &'h [u8]>;
}

impl Belonging {
    /// `secure`: the client speaks TLS, and its cookies are for that alone.
    pub(crate) fn of<'h>(backend: &Backend, head: &impl Head<'h>, secure: bool) -> Self {
        let mut found = Self::default();
        if let Some(name) = &backend.sticky {
            found.replica = cookie(head, name).map(str::to_owned);
        }
        let Some(canary) = &backend.canary else { return found };
        let audience = &canary.rule.audience;
        if let Some(matches) = &audience.matches {
            let has = |(name, value): (&String, &String)| head.field(name) == Some(value.as_bytes());
            found.asked.matches = matches.header.iter().all(has);
        }
        match &audience.stickiness {
            Some(Stickiness::Header(name)) => found.asked.key = head.field(name).map(|value| fnv(START, value)),
            Some(Stickiness::Cookie { name, max_age }) => {
                let given = cookie(head, name).filter(|value| !value.is_empty());
                let key = given.map_or_else(|| format!("{:016x}", draw()), str::to_owned);
                found.asked.key = Some(fnv(START, key.as_bytes()));
                found.cookie = given.is_none().then(|| {
                    let seconds = max_age.0 / 1000;
                    format!("{}; Max-Age={seconds}", set_cookie(name, &key, secure))
                });
            }
            None => {}
        }
        found
    }
}

/// The value of a `Set-Cookie` for all paths of a host, out of reach of scripts.
pub(crate) fn set_cookie(name: &str, value: &str, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}")
}

fn cookie<'h>(head: &impl Head<'h>, name: &str) -> Option<&'h str> {
    head.cookies().find_map(|value| {
        std::str::from_utf8(value).ok()?.split(';').find_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name).then_some(value)
        })
    })
}
