//! `plimsoll load` without an address: the streams of the file, sent to what runs.

use crate::{look::WEB, world::World};

const STREAMS: &str = r#"
simulation:
  traffic:
    visitors: { route: /, rate: 20/s }
    readers: { route: /pages, rate: 10/s }
"#;

#[test]
fn the_streams_of_the_file_are_sent_to_what_runs() {
    let world = World::up(&format!("{WEB}{STREAMS}"));
    let shown = world.run(&["load", "--duration", "1"]).good();
    assert!(shown.contains("visitors") && shown.contains("readers"), "{shown}");
    let figures = world.run(&["load", "--duration", "1", "--times", "3", "--stream", "visitors", "--json"]).good();
    let figures: serde_json::Value = serde_json::from_str(&figures).unwrap();
    assert!(figures["visitors"]["asked"].as_u64() > Some(0) && figures.get("readers").is_none(), "{figures}");
    world.down();
}

/// What holds for one address only is not taken in silence where there is none.
#[test]
fn what_is_of_an_address_needs_one() {
    let world = World::new();
    for words in [["-c", "5"], ["-X", "POST"], ["-H", "A: b"], ["--body", "{}"], ["--rate", "5"]] {
        let ran = world.run(&["load", words[0], words[1]]);
        assert!(ran.code == Some(2) && ran.err.contains("<URL>"), "{words:?}: {:?} {}{}", ran.code, ran.out, ran.err);
    }
}
