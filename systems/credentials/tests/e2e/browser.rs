//! The pages in a real browser: the script asks while typing, and nothing violates the policy.

use crate::world::World;
use plimsoll_kit::testing::process::{PATIENCE, Process, command};
use plimsoll_kit::testing::stores::Redis;
use tempfile::TempDir;

fn browser() -> Option<&'static str> {
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
}

#[tokio::test]
async fn a_browser_shows_availability_by_itself() {
    let Some(browser) = browser() else {
        println!("skipped: no chromium here (apt-get install chromium)");
        return;
    };
    let world = World::start(Redis::single());
    world.register("dora", "correct horse").await.expect(201);
    let (_ui, _, address) = world.pages();
    for (name, expected) in [("emilia", "“emilia” is available."), ("d0ra", "a name that looks the same")] {
        let page = dump(browser, &format!("http://{address}/register?name={name}"));
        assert!(page.contains(expected), "{expected} is not in {page}");
        assert!(!page.contains("Content Security Policy"), "{page}");
    }
}

/// The page after its scripts have run, and what the browser had to say.
fn dump(browser: &str, url: &str) -> String {
    let profile = TempDir::new().unwrap();
    let mut chromium = command(browser, None);
    chromium.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
        "--virtual-time-budget=10000",
        "--dump-dom",
    ]);
    chromium.arg(format!("--user-data-dir={}", profile.path().display())).arg(url);
    chromium.arg(format!("--timeout={}", PATIENCE.as_millis()));
    let mut process = Process::start("chromium", &mut chromium);
    process.finish()
}
