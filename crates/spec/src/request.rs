//! How a promise is asked for: `promises.NAME.request`.

use crate::{
    diagnostic::shown,
    node::{At, Node},
    reading::{Fields, Reading},
    section::{Section, Shape, key},
};
use plimsoll_model::promise::{Login, Request};

const METHODS: [(&str, &str); 6] =
    [("GET", "GET"), ("HEAD", "HEAD"), ("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "DELETE")];

pub(crate) static REQUEST: Section = Section {
    name: "`request`",
    keys: &[
        key("method", Shape::Word(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]), "Default GET."),
        key("path", Shape::Text, "Default: the promise's route. May hold {n}, {uuid} and {random:N}."),
        key("host", Shape::Text, "The Host to ask for. Default: the first that serves the path."),
        key("headers", Shape::Named(&Shape::Text), "Further headers."),
        key("body", Shape::Text, "The body."),
        key(
            "status",
            Shape::Either(&[Shape::Integer, Shape::List(&Shape::Integer)]),
            "Statuses that are right. Default: any 2xx or 3xx.",
        ),
        key("login", Shape::Map(&LOGIN), "A sign-in, made before; its token replaces {login}."),
    ],
    foreign: &[],
};

static LOGIN: Section = Section {
    name: "`login`",
    keys: &[
        key("request", Shape::Map(&REQUEST), "The sign-in."),
        key("token", Shape::Text, "A JSON pointer into its answer: /token."),
        key("sessions", Shape::Integer, "So many sign-ins, whose tokens are used in turn. Default 1."),
    ],
    foreign: &[("login", crate::section::Foreign::Called("a sign-in needs no sign-in"))],
};

impl Reading<'_, '_> {
    /// Reads `request`.
    pub(crate) fn request(&mut self, node: &Node, path: &str) -> Option<Request> {
        let fields = self.fields(node, &REQUEST, path)?;
        let mut request = Request {
            path: fields.get("path").and_then(|node| self.request_path(node)),
            host: fields.get("host").and_then(|node| self.some_text(node)),
            body: fields.get("body").and_then(|node| self.text(node)),
            status: self.statuses(&fields),
            login: fields.get("login").and_then(|node| self.login(node, &fields.path("login"))).map(Box::new),
            ..Request::default()
        };
        if let Some(method) = fields.get("method").and_then(|node| self.word(node, &METHODS)) {
            request.method = method.into();
        }
        if let Some(headers) = fields.get("headers") {
            for entry in self.entries(headers, "`headers: { NAME: value }`") {
                let Some(value) = self.header(&entry.key, entry.key_at, &entry.node) else { continue };
                request.headers.insert(entry.key.clone(), value);
            }
        }
        Some(request)
    }

    /// Whether a header can be called that.
    pub(crate) fn header_name(&mut self, name: &str, at: At) -> bool {
        let is_token = name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c));
        let is_name = is_token && !name.is_empty();
        if !is_name {
            let headline = format!("`{}` can't be the name of a header", shown(name));
            self.refuse("name", at, headline, "use letters, digits and `-`");
        }
        is_name
    }

    /// A header that is one: its name a token, its value one line.
    pub(crate) fn header(&mut self, name: &str, at: At, value: &Node) -> Option<String> {
        if !self.header_name(name, at) {
            return None;
        }
        let text = self.text(value)?;
        if text.chars().any(char::is_control) {
            self.refuse("wrong-type", value.at, "a header has one line", "write it in one line");
            return None;
        }
        Some(text)
    }

    fn statuses(&mut self, fields: &Fields<'_>) -> Vec<u16> {
        let Some(node) = fields.get("status") else { return Vec::new() };
        let items = if node.scalar().is_some() { std::slice::from_ref(node) } else { self.list(node, "[200, 201]") };
        let mut all = Vec::new();
        for item in items {
            let status = self.integer(item, 100..=599).and_then(|status| u16::try_from(status).ok());
            all.extend(status);
        }
        all
    }

    fn login(&mut self, node: &Node, path: &str) -> Option<Login> {
        let fields = self.fields(node, &LOGIN, path)?;
        let request = self.required(&fields, "request", "{ method: POST, path: /login }");
        let request = request.and_then(|node| self.request(node, &fields.path("request")));
        let token = self.required(&fields, "token", "/token");
        let token_at = token.map(|node| node.at);
        let token = token.and_then(|node| self.some_text(node));
        if let (Some(token), Some(at)) = (&token, token_at)
            && !token.starts_with('/')
        {
            let headline = format!("`{}` is no JSON pointer", shown(token));
            self.refuse("wrong-type", at, headline, format!("write `/{}`", shown(token)));
        }
        let mut request = request?;
        if request.login.take().is_some() {
            self.refuse(
                "wrong-type",
                fields.at("request"),
                "a sign-in needs no sign-in of its own",
                "remove the inner `login`",
            );
        }
        let sessions = fields.get("sessions").map_or(Some(1), |node| self.count(node, 1..=10_000));
        Some(Login { request, token: token?, sessions: sessions? })
    }
}
