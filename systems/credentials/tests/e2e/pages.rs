//! The pages as a browser without JavaScript uses them.

use crate::world::{ADMIN, ADMIN_PASSWORD, World};
use http::Method;
use plimsoll_kit::testing::client::{Client, More, Reply};
use plimsoll_kit::testing::stores::Redis;

/// Keeps cookies, as a browser does.
struct Visitor {
    client: Client,
    cookies: Vec<(String, String)>,
}

impl Visitor {
    fn keep(&mut self, reply: &Reply) {
        for cookie in reply.headers.get_all("set-cookie") {
            let text = cookie.to_str().unwrap();
            assert!(text.contains("HttpOnly") && text.contains("SameSite="), "{text}");
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(kept, _)| kept != name);
            self.cookies.push((name.into(), value.into()));
        }
    }

    fn cookie(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    async fn get(&mut self, path: &str) -> Reply {
        let cookie = self.cookie();
        let reply = self.client.send(Method::GET, path, More::default().with("cookie", &cookie)).await;
        self.keep(&reply);
        reply
    }

    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let cookie = self.cookie();
        let reply = self.client.send(Method::POST, path, More::form(fields).with("cookie", &cookie)).await;
        self.keep(&reply);
        reply
    }
}

/// The value of a hidden field.
#[track_caller]
fn hidden(page: &str, name: &str) -> String {
    let marker = format!("name=\"{name}\" value=\"");
    let start = page.find(&marker).unwrap_or_else(|| panic!("no field {name} in {page}")) + marker.len();
    page[start..].split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn pages_work_without_javascript() {
    let world = World::start(Redis::single());
    let (_ui, client, _) = world.pages();
    let mut visitor = Visitor { client, cookies: Vec::new() };
    finds_a_name(&mut visitor).await;
    registers(&mut visitor).await;
    administers(&mut visitor).await;
    serves_files(&mut visitor).await;
}

async fn finds_a_name(visitor: &mut Visitor) {
    let home = visitor.get("/").await.expect(200);
    assert!(home.header("content-security-policy").contains("default-src 'none'"));
    assert!(home.text.contains("<label for=\"name\">") && home.text.contains("aria-live=\"polite\""));
    assert!(visitor.get("/?name=dora").await.expect(200).text.contains("“dora” is available."));
    assert!(visitor.get("/?name=r00t").await.expect(200).text.contains("looks like a reserved one"));
    let hostile = visitor.get("/?name=%3Cscript%3Ealert(1)%3C%2Fscript%3E").await.expect(200).text;
    assert!(!hostile.contains("<script>alert"), "{hostile}");
}

async fn registers(visitor: &mut Visitor) {
    let form = visitor.get("/register?name=dora").await.expect(200).text;
    let (csrf, once) = (hidden(&form, "csrf"), hidden(&form, "once"));
    let send = |password, csrf| [("csrf", csrf), ("once", &*once), ("username", "dora"), ("password", password)];
    visitor.post("/register", &send("correct horse", "00")).await.expect(403);
    let refused = visitor.post("/register", &send("short", &csrf)).await.expect(422);
    assert!(refused.text.contains("needs at least 8 characters"));
    let welcome = visitor.post("/register", &send("correct horse", &csrf)).await.expect(201);
    assert!(welcome.text.contains("“dora” is yours now."));
    // The form sent twice registers once and says the same.
    visitor.post("/register", &send("correct horse", &csrf)).await.expect(201);
    let second = visitor.get("/register").await.expect(200).text;
    let once = hidden(&second, "once");
    let again = [("csrf", &*csrf), ("once", &*once), ("username", "d0ra"), ("password", "correct horse")];
    assert!(visitor.post("/register", &again).await.expect(409).text.contains("is taken"));
}

async fn administers(visitor: &mut Visitor) {
    assert!(visitor.get("/admin").await.expect(401).text.contains("Sign in first"));
    let csrf = hidden(&visitor.get("/sign-in").await.expect(200).text, "csrf");
    let wrong = [("csrf", &*csrf), ("username", ADMIN), ("password", "wrong horse")];
    assert!(visitor.post("/sign-in", &wrong).await.expect(401).text.contains("Wrong name or password."));
    let right = [("csrf", &*csrf), ("username", ADMIN), ("password", ADMIN_PASSWORD)];
    assert_eq!(visitor.post("/sign-in", &right).await.expect(303).header("location"), "/admin");
    let list = visitor.get("/admin?query=dor").await.expect(200).text;
    assert!(list.contains("Disable dora") && !list.contains("Disable harbourmaster"));
    let action = list.split("action=\"/admin/accounts/").nth(1).unwrap().split('"').next().unwrap();
    let fields = [("csrf", &*csrf), ("query", "dor"), ("after", "")];
    let back = visitor.post(&format!("/admin/accounts/{action}"), &fields).await.expect(303);
    let list = visitor.get(back.header("location")).await.expect(200).text;
    assert!(list.contains("Enable dora"), "{list}");
    assert!(visitor.get("/admin/audit").await.expect(200).text.contains("<td>disable</td>"));
    visitor.post("/sign-out", &[("csrf", &csrf)]).await.expect(303);
    visitor.get("/admin").await.expect(401);
}

async fn serves_files(visitor: &mut Visitor) {
    let page = visitor.get("/offline").await.expect(200).text;
    let css =
        page.split("href=\"").find(|part| part.starts_with("/static/app.css")).unwrap().split('"').next().unwrap();
    assert!(visitor.get(css).await.expect(200).header("cache-control").contains("immutable"));
    let worker = visitor.get("/sw.js").await.expect(200);
    assert!(worker.text.contains("/offline") && !worker.text.contains("VERSION"));
    assert!(worker.text.contains(css), "the worker keeps what pages ask for");
    assert_eq!(visitor.get("/manifest.webmanifest").await.expect(200).json()["start_url"], "/");
    visitor.get("/static/none.css").await.expect(404);
}
