//! The pages in a real browser: by keyboard alone, as a screen reader is told of them, and without a network.

use crate::chromium::Chromium;
use crate::world::World;
use plimsoll_kit::testing::stores::Redis;

#[tokio::test]
async fn a_name_is_found_typed_and_registered_by_keyboard_alone() {
    let Some(mut browser) = Chromium::start() else { return };
    let world = World::start(Redis::single());
    world.register("dora", "correct horse").await.expect(201);
    let (_ui, _, address) = world.pages();
    browser.go(&format!("http://{address}/register"));
    browser.tab_to("input[name=username]");
    browser.types("d0ra");
    browser.until("document.getElementById('answer').innerText.includes('a name that looks the same')");
    assert_eq!(browser.script("document.activeElement.getAttribute('aria-invalid')"), "true");
    browser.script("document.activeElement.select()");
    browser.types("emilia");
    browser.until("document.getElementById('answer').innerText.includes('“emilia” is available.')");
    assert_eq!(browser.script("document.activeElement.getAttribute('aria-invalid')"), "false");
    browser.tab_to("input[name=password]");
    browser.types("correct horse battery");
    browser.enter();
    browser.until("document.body.innerText.includes('“emilia” is yours now.')");
    assert_eq!(browser.script("window.violations.join()"), "");
    world.register("emilia", "correct horse").await.expect(409);
}

#[tokio::test]
async fn a_screen_reader_is_told_what_each_page_is_for() {
    let Some(mut browser) = Chromium::start() else { return };
    let world = World::start(Redis::single());
    let (_ui, _, address) = world.pages();
    for (path, fields) in [("/register", ["username", "password"]), ("/sign-in", ["username", "password"])] {
        browser.go(&format!("http://{address}{path}"));
        assert!(browser.script("document.documentElement.lang").as_str().is_some_and(|lang| !lang.is_empty()));
        for field in fields {
            let labelled = format!("document.querySelector('input[name={field}]').labels.length");
            assert_eq!(browser.script(&labelled), 1, "{path}: {field} has a label");
        }
        let spoken = browser.spoken();
        let has = |role: &str| spoken.iter().any(|(own, name)| own == role && !name.is_empty());
        for role in ["heading", "textbox", "button", "link"] {
            assert!(has(role), "{path}: no {role} with a name in {spoken:?}");
        }
        assert!(spoken.iter().any(|(role, _)| role == "main"), "{path}: {spoken:?}");
        let nameless = spoken
            .iter()
            .find(|(role, name)| ["textbox", "button", "link"].contains(&role.as_str()) && name.is_empty());
        assert_eq!(nameless, None, "{path}");
    }
    let live =
        "document.getElementById('answer')?.getAttribute('aria-live') ?? document.getElementById('answer')?.role";
    browser.go(&format!("http://{address}/register"));
    assert!(["polite", "status"].map(Into::into).contains(&browser.script(live)), "what changes while typing is told");
}

#[tokio::test]
async fn pages_are_there_soon_and_one_of_them_without_a_network() {
    let Some(mut browser) = Chromium::start() else { return };
    let world = World::start(Redis::single());
    let (ui, _, address) = world.pages();
    let mut took = Vec::new();
    for path in ["/", "/register", "/sign-in", "/"] {
        browser.go(&format!("http://{address}{path}"));
        let loaded = "performance.getEntriesByType('navigation')[0].loadEventEnd";
        browser.until(&format!("{loaded} > 0"));
        took.push(format!("{path} {:.0} ms", browser.script(loaded).as_f64().unwrap_or_default()));
    }
    eprintln!("loaded, from the click to the end of the load event: {}", took.join(", "));
    browser.script("navigator.serviceWorker.ready.then(() => true)");
    drop(ui);
    browser.go(&format!("http://{address}/register"));
    assert!(browser.script("document.body.innerText").as_str().is_some_and(|text| text.contains("You are offline")));
    let styled = "[...document.styleSheets].reduce((rules, sheet) => rules + sheet.cssRules.length, 0) > 0";
    assert_eq!(browser.script(styled), true, "the page has its style");
}
