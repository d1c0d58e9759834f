//! What people and programs are shown: text, JSON, SARIF, plans, formatted files, the schema.

use plimsoll_spec::{
    Checked, Input, Source, check, fmt, plan, plan::Verb, render_json, render_sarif, render_text, schema,
};
use serde_json::json;

const BAD: &str = "\
system: shop
services:
  web:
    command: [./web, --port, $(PORT)]
    port: 8080
    replcas: 3
    uses: [ordrs]
stores:
  orders: { engine: postgres }
  orders: { engine: redis }
";

fn checked(text: &str) -> Checked {
    check(&Input::new("shop/plimsoll.yaml", text))
}

#[test]
fn text_underlines_what_is_meant() {
    let source = Source::new("shop/plimsoll.yaml", BAD);
    let text = render_text(&checked(BAD).diagnostics, &source, false);
    let wanted = "\
error[unknown-key]: a service has no key `replcas`
 --> shop/plimsoll.yaml:6:5
  |
5 |     port: 8080
6 |     replcas: 3
  |     ^^^^^^^
  |
  = help: did you mean `replicas`?

error[unknown-name]: no service or store is called `ordrs`
 --> shop/plimsoll.yaml:7:12
  |
6 |     replcas: 3
7 |     uses: [ordrs]
  |            ^^^^^
  |
  = help: did you mean `orders`?
";
    assert!(text.starts_with(wanted), "{text}");
    assert!(text.contains("the first one stands in line 9"), "{text}");
    assert!(text.ends_with("3 errors; nothing was changed\n"), "{text}");
}

#[test]
fn colours_are_only_where_asked_for() {
    let source = Source::new("shop/plimsoll.yaml", BAD);
    let found = checked(BAD).diagnostics;
    assert!(!render_text(&found, &source, false).contains('\u{1b}'));
    assert!(render_text(&found, &source, true).contains('\u{1b}'));
}

#[test]
fn json_holds_every_part() {
    let source = Source::new("shop/plimsoll.yaml", BAD);
    let value = render_json(&checked(BAD).diagnostics, &source);
    let wanted = json!({
        "id": "unknown-key",
        "severity": "error",
        "span": { "start": 87, "end": 94, "line": 6, "column": 5, "length": 7 },
        "headline": "a service has no key `replcas`",
        "notes": [],
        "help": "did you mean `replicas`?",
    });
    assert_eq!(value["file"], "shop/plimsoll.yaml");
    assert_eq!(value["diagnostics"][0], wanted);
}

#[test]
fn sarif_names_the_rule_and_the_place() {
    let source = Source::new("shop/plimsoll.yaml", BAD);
    let log = render_sarif(&checked(BAD).diagnostics, &source);
    let run = &log["runs"][0];
    let result = &run["results"][0];
    assert_eq!(log["version"], "2.1.0");
    assert_eq!(result["ruleId"], "unknown-key");
    let index = result["ruleIndex"].as_u64().and_then(|index| usize::try_from(index).ok()).expect("an index");
    assert_eq!(run["tool"]["driver"]["rules"][index]["id"], "unknown-key");
    let region = json!({ "startLine": 6, "startColumn": 5, "endColumn": 12 });
    assert_eq!(result["locations"][0]["physicalLocation"]["region"], region);
    assert_eq!(run["results"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_plan_tells_what_is_added_changed_and_removed() {
    let old = "services:\n  web: { command: [./web], port: 1 }\n  old: { command: [./old] }\nstores:\n  db: { engine: postgres }\n";
    let new = "services:\n  web: { command: [./web], port: 1, replicas: 3, readinessProbe: /ready }\n  new: { command: [./new], image: i }\nstores:\n  db: { engine: postgres }\n";
    let before = checked(old).system.expect("a system");
    let plan = checked(new).plan(Some(&before)).expect("a plan");
    let verbs: Vec<(&str, &str, Verb)> =
        plan.changes.iter().map(|change| (change.kind, change.name.as_str(), change.verb)).collect();
    assert_eq!(
        verbs,
        [("service", "new", Verb::Added), ("service", "web", Verb::Changed), ("service", "old", Verb::Removed)]
    );
    let fields: Vec<&str> = plan.changes[1].fields.iter().map(|field| field.path.as_str()).collect();
    assert_eq!(fields, ["probes.readiness.handler.httpGet", "probes.readiness.handler.tcp", "replicas"]);
    let text = plan.render_text();
    assert!(text.contains("  + service new\n") && text.contains("      replicas: 1 → 3\n"), "{text}");
    assert!(text.contains("services.new.image (line 3): `command` runs here"), "{text}");
    assert!(text.contains("note: no ingress is written: http://127.0.0.1:1/ serves `web`"), "{text}");
}

#[test]
fn a_plan_of_the_same_file_is_empty() {
    let text = include_str!("example.yaml");
    let system = checked(text).system.expect("a system");
    let again = plan(&system, Some(&system));
    assert!(again.is_empty());
    assert!(again.render_text().contains("nothing changes"));
    // a file that only grew some lines changes nothing either
    let moved = checked(&format!("# a remark\n\n{text}")).system.expect("a system");
    assert!(plan(&moved, Some(&system)).is_empty());
}

#[test]
fn the_example_of_the_language_is_right() {
    let text = include_str!("example.yaml");
    let found = checked(text);
    assert_eq!(found.diagnostics, Vec::new());
    assert_eq!(found.notes, ["no environment is named: `development` is used"]);
    let production = check(&Input { environment: Some("production"), ..Input::new("shop/plimsoll.yaml", text) });
    let system = production.system.expect("a system");
    assert_eq!(system.stores["orders"].instances, 3);
    assert_eq!(system.stores["events"].instances, 3);
    assert_eq!(system.services["order"].uses[0].variable, "ORDERS_URL");
}

#[track_caller]
fn formats(text: &str, wanted: &str) {
    assert_eq!(fmt(text), wanted);
    assert_eq!(fmt(wanted), wanted, "formatting twice changes the text");
}

#[test]
fn formatting_orders_indents_and_keeps_comments() {
    formats(
        "# about the file\n\nstores:\n    # the truth\n    db: {engine: postgres}   # kept\n\n\n\nservices:\n      web:\n            port:   8080\n            # what runs\n            command:\n            - ./web\n            - --flag   # why\n            build:\n                command: make\nsystem: shop",
        "# about the file\n\nsystem: shop\n\n\
services:\n  web:\n    build:\n      command: make\n    # what runs\n    command:\n      - ./web\n      - --flag   # why\n    port: 8080\n\
stores:\n  # the truth\n  db: {engine: postgres}   # kept\n",
    );
}

#[test]
fn formatting_leaves_texts_of_several_lines_as_they_are() {
    formats(
        "services:\n    web:\n        command:\n            - sh\n            - -c\n            - |\n                set -e\n                # not a comment\n                  exec ./web\n        env: {\n            A: b,  # here too\n        }\n",
        "services:\n  web:\n    command:\n      - sh\n      - -c\n      - |\n          set -e\n          # not a comment\n            exec ./web\n    env: {\n        A: b,  # here too\n    }\n",
    );
}

#[test]
fn formatting_mends_line_ends_and_refuses_what_it_does_not_understand() {
    formats("\u{feff}system: shop\r\nservices: {}\r\n", "system: shop\nservices: {}\n");
    formats("services: [\n", "services: [\n");
    let merged = "services:\n    a: &a\n        command: [./a]\n    b:\n        <<: *a\n        port: 1\n";
    let formatted = fmt(merged);
    assert_eq!(checked(&formatted).system, checked(merged).system);
    assert_eq!(fmt(&formatted), formatted);
}

#[test]
fn the_schema_knows_every_part_of_the_language() {
    let schema = schema();
    let file = &schema["$defs"]["file"]["properties"];
    for key in ["system", "services", "stores", "ingress", "promises", "alerts", "environments", "defaults"] {
        assert!(file[key].is_object(), "{key}");
    }
    assert_eq!(schema["$defs"]["service"]["additionalProperties"], json!(false));
    let text = schema.to_string();
    for (at, _) in text.match_indices("#/$defs/") {
        let name: String = text[at + 8..].chars().take_while(|c| *c != '"').collect();
        assert!(schema["$defs"][&name].is_object(), "no definition of {name}");
    }
    assert_eq!(schema, plimsoll_spec::schema(), "the same each time");
}
