//! The pages, as a browser without JavaScript sees them.

use crate::world::{PASSWORD, World};
use http::Method;
use plimsoll_kit::testing::client::{Client, More, Reply};
use plimsoll_kit::testing::process::PATIENCE;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Cookies and the address of the pages.
struct Browser {
    client: Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn new(world: &World) -> Self {
        Self { client: world.client("portal"), cookies: BTreeMap::new() }
    }

    async fn send(&mut self, method: Method, path: &str, body: &str) -> Reply {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let more = More::text(body).with("cookie", &cookies).with("content-type", "application/x-www-form-urlencoded");
        let reply = self.client.send(method, path, more).await;
        for set in reply.headers.get_all("set-cookie") {
            let (name, rest) = set.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            assert!(rest.contains("HttpOnly") && rest.contains("SameSite="), "{set:?}");
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        reply
    }

    /// A page, which anybody can read with anything.
    async fn page(&mut self, path: &str) -> String {
        let reply = self.send(Method::GET, path, "").await.expect(200);
        accessible(&reply.text);
        reply.text
    }

    /// Sends a form.
    async fn form(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let csrf = self.cookies.get("csrf").cloned().unwrap_or_default();
        let fields = fields.iter().copied().chain([("csrf", csrf.as_str())]);
        let body: Vec<_> = fields.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        self.send(Method::POST, path, &body.join("&")).await
    }

    async fn sign_in(&mut self, name: &str) {
        self.page("/sign-in").await;
        let email = format!("{name}@example.com");
        let reply = self.form("/sign-in", &[("email", &email), ("password", PASSWORD)]).await.expect(303);
        assert_eq!(reply.header("location"), "/");
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A language, a title, one heading, a way past the menu, a label for every field, no script.
#[track_caller]
fn accessible(page: &str) {
    assert!(
        page.contains("<html lang=\"en\">") && page.contains("<title>") && page.contains("href=\"#main\""),
        "{page}"
    );
    assert_eq!(page.matches("<h1").count(), 1, "{page}");
    assert!(!page.contains("<script"), "{page}");
    for field in
        page.split('<').filter(|tag| ["input ", "select ", "textarea "].iter().any(|name| tag.starts_with(name)))
    {
        let id = field.split_once(" id=\"").map(|(_, rest)| rest.split('"').next().unwrap());
        let labelled = id.is_some_and(|id| page.contains(&format!("<label for=\"{id}\"")));
        assert!(labelled || field.contains("type=\"hidden\""), "no label: {field}");
    }
    assert_eq!(page.matches("<table").count(), page.matches("<caption").count());
}

/// The first page and its files, signing in, and a filing that is put right: an employer.
async fn filed(world: &World) -> Browser {
    let mut employer = Browser::new(world);
    let home = employer.send(Method::GET, "/", "").await.expect(200);
    assert_eq!((home.header("cache-control"), home.header("vary")), ("public, max-age=300", "Cookie"));
    assert!(home.header("content-security-policy").starts_with("default-src 'none'") && employer.cookies.is_empty());
    let css = home.text.split_once("/static/app.css").unwrap().1.split('"').next().unwrap().to_owned();
    let css = employer.send(Method::GET, &format!("/static/app.css{css}"), "").await.expect(200);
    assert_eq!(css.header("cache-control"), "public, max-age=86400");

    let email = ("email", "employer0@example.com");
    employer.form("/sign-in", &[email, ("password", PASSWORD)]).await.expect(403);
    employer.page("/sign-in").await;
    let wrong = employer.form("/sign-in", &[email, ("password", "a wrong password")]).await.expect(401);
    assert!(wrong.text.contains("role=\"alert\"") && wrong.text.contains("employer0@example.com"), "{}", wrong.text);
    employer.sign_in("employer0").await;

    let page = employer.send(Method::GET, "/organization", "").await.expect(200);
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(page.text.contains("Organization 0") && page.text.contains("M-000002"), "{}", page.text);
    let head = "number,wage,employee,employer,pension\r\n";
    let wrong = format!("{head}M-000000,15000,1800,551,1250\r\n");
    let filing = |lines| [("month", "2025-04"), ("total", "3600"), ("lines", lines)];
    let refused = employer.form("/organization/filings", &filing(&wrong)).await.expect(422);
    accessible(&refused.text);
    assert!(
        refused.text.contains("Line 2: employer is 550.00") && refused.text.contains("M-000000,15000"),
        "{}",
        refused.text
    );
    employer.form("/organization/filings", &filing(&wrong.replace("551", "550"))).await.expect(303);
    // The access token has expired; the page comes all the same.
    employer.cookies.remove("access");
    let page = employer.page("/organization").await;
    assert!(page.contains("3600.00") && employer.cookies.contains_key("access"), "{page}");
    employer
}

#[tokio::test(flavor = "multi_thread")]
async fn employers_file_members_claim_and_officers_decide_on_pages_without_a_script() {
    let mut world = World::start().await;
    world.complete();
    let mut employer = filed(&world).await;
    let mut member = Browser::new(&world);
    let sent = member.send(Method::GET, "/account", "").await.expect(303);
    assert_eq!(sent.header("location"), "/sign-in");
    member.sign_in("member0").await;
    member.send(Method::GET, "/cases", "").await.expect(303);
    let page = member.page("/account").await;
    assert!(page.contains("<dd>1800.00</dd>") && page.contains("<dd>1250.00</dd>"), "{page}");
    let once = page.split_once("name=\"once\" value=\"").unwrap().1.split('"').next().unwrap();
    let claim = |amount| {
        [("once", once), ("kind", "advance"), ("amount", amount), ("account", "123456789"), ("ifsc", "sbin0001234")]
    };
    let refused = member.form("/account/claims", &claim("900.01")).await.expect(422);
    assert!(refused.text.contains("0.01 to 900.00"), "{}", refused.text);
    member.form("/account/claims", &claim("900")).await.expect(303);
    member.form("/account/claims", &claim("900")).await.expect(303);
    let page = member.page("/account").await;
    assert_eq!(page.matches("<button class=\"quiet\">Withdraw").count(), 1, "claimed once: {page}");

    let deadline = Instant::now() + PATIENCE;
    let case = loop {
        let page = employer.page("/cases").await;
        if let Some((_, rest)) = page.split_once("action=\"/cases/") {
            break rest.split('/').next().unwrap().to_owned();
        }
        assert!(Instant::now() < deadline, "the case never came");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let mut officer = Browser::new(&world);
    officer.sign_in("officer0").await;
    employer.form(&format!("/cases/{case}/verify"), &[]).await.expect(303);
    assert!(officer.page("/cases").await.contains(&format!("/cases/{case}/approve")));
    officer.form(&format!("/cases/{case}/approve"), &[]).await.expect(303);
    let refused = officer.form(&format!("/cases/{case}/sanction"), &[]).await.expect(403);
    assert!(refused.text.contains("another person is to do that"), "{}", refused.text);

    let page = officer.page("/members?query=member%201").await;
    assert!(page.contains("Member 1 of 0") && page.contains("Member 1 of 1"), "{page}");
    assert!(
        page.contains("<th scope=\"row\">Sum</th><td class=\"amount\">2</td><td class=\"amount\">6</td>"),
        "{page}"
    );
    officer.form("/sign-out", &[]).await.expect(303);
    officer.send(Method::GET, "/members", "").await.expect(303);
    world.stop();
}
