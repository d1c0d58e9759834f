//! Chromium without a window, driven by its DevTools protocol over a pipe: keys, scripts, the tree that screen readers see.

use plimsoll_kit::testing::process::{PATIENCE, command};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Tells of what the page's policy forbade, and was tried nevertheless.
const WATCH: &str = "window.violations = []; \
    document.addEventListener('securitypolicyviolation', event => violations.push(event.violatedDirective + ' ' + event.blockedURI));";

/// A browser with one page; ended when dropped.
pub(crate) struct Chromium {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    asked: u64,
    page: Option<String>,
    _profile: TempDir,
}

impl Chromium {
    /// Starts it with an empty page; `None` where there is none. On a CI there must be one.
    pub(crate) fn start() -> Option<Self> {
        let known = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
        let Some(program) = known.into_iter().find(|path| std::path::Path::new(path).exists()) else {
            assert!(std::env::var_os("CI").is_none(), "no Chromium here: apt-get install -y chromium");
            eprintln!("skipped: no Chromium here (apt-get install -y chromium)");
            return None;
        };
        let profile = TempDir::new().unwrap();
        let mut child = launch(program, &profile).spawn().unwrap();
        let (to, out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, from) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(out).split(0).map_while(Result::ok) {
                if sender.send(serde_json::from_slice(&message).unwrap_or_default()).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self { child, to, from, asked: 0, page: None, _profile: profile };
        let target = browser.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let attached = browser.ask("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        browser.page = attached["sessionId"].as_str().map(str::to_owned);
        browser.ask("Page.enable", json!({}));
        browser.ask("Page.addScriptToEvaluateOnNewDocument", json!({ "source": WATCH }));
        Some(browser)
    }

    /// Sends a command of the protocol, and waits for its result.
    fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.asked += 1;
        let mut message = json!({ "id": self.asked, "method": method, "params": parameters });
        if let Some(page) = &self.page {
            message["sessionId"] = json!(page);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let answer = self.from.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no answer to {method}"));
            if answer["id"] == self.asked {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
        }
    }

    /// Goes to an address, and waits until the page is there.
    pub(crate) fn go(&mut self, url: &str) {
        self.ask("Page.navigate", json!({ "url": url }));
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// What a script of the page says.
    pub(crate) fn script(&mut self, text: &str) -> Value {
        let how = json!({ "expression": text, "awaitPromise": true, "returnByValue": true });
        let answer = self.ask("Runtime.evaluate", how);
        assert!(answer["exceptionDetails"].is_null(), "{text}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Waits until a script says something true.
    pub(crate) fn until(&mut self, text: &str) {
        let end = Instant::now() + PATIENCE;
        // Between two pages there is no place to run a script in.
        while self.ask("Runtime.evaluate", json!({ "expression": text, "returnByValue": true }))["result"]["value"]
            != true
        {
            assert!(Instant::now() < end, "never so: {text}; the page: {}", self.script("document.body.innerText"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Types a text into what has the focus.
    pub(crate) fn types(&mut self, text: &str) {
        for letter in text.chars() {
            self.ask("Input.dispatchKeyEvent", json!({ "type": "keyDown", "text": letter, "key": letter }));
            self.ask("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": letter }));
        }
    }

    /// Presses the tabulator key.
    pub(crate) fn tab(&mut self) {
        let key = |kind: &str| json!({ "type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9 });
        self.ask("Input.dispatchKeyEvent", key("rawKeyDown"));
        self.ask("Input.dispatchKeyEvent", key("keyUp"));
    }

    /// Presses the enter key.
    pub(crate) fn enter(&mut self) {
        let key = |kind: &str| json!({ "type": kind, "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r" });
        self.ask("Input.dispatchKeyEvent", key("keyDown"));
        self.ask("Input.dispatchKeyEvent", key("keyUp"));
    }

    /// Presses the tabulator key until what `selector` finds has the focus.
    pub(crate) fn tab_to(&mut self, selector: &str) {
        for _ in 0..30 {
            if self.script(&format!("document.activeElement?.matches({selector:?}) ?? false")) == true {
                return;
            }
            self.tab();
        }
        panic!("the keyboard doesn't lead to {selector}");
    }

    /// Role and name of everything that a screen reader is told of.
    pub(crate) fn spoken(&mut self) -> Vec<(String, String)> {
        let tree = self.ask("Accessibility.getFullAXTree", json!({}));
        let word = |node: &Value, key: &str| node[key]["value"].as_str().unwrap_or_default().to_owned();
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        nodes
            .iter()
            .filter(|node| node["ignored"] != true)
            .map(|node| (word(node, "role"), word(node, "name")))
            .collect()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The protocol speaks on descriptors 3 and 4.
fn launch(program: &str, profile: &TempDir) -> Command {
    let mut chromium = command("sh", None);
    chromium.args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null", program]);
    chromium.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--remote-debugging-pipe",
    ]);
    chromium.arg(format!("--user-data-dir={}", profile.path().display()));
    chromium.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    chromium
}
