//! `plimsoll up --watch`: a change of a source is built and comes in; one that does not build changes nothing.

use crate::{
    sweep,
    world::{World, ended},
};
use rustix::process::Signal;
use std::fs;

/// What is built is the source itself, unless it holds the word `mistake`.
const FILE: &str = r#"
system: voyage
services:
  web:
    build: { command: sh build.sh, sources: [sources] }
    command: [./built]
    port: 80
    readinessProbe: { httpGet: { path: /ready }, periodSeconds: 1 }
ingress: { listen: [0], hosts: { "*": { paths: { /: web } } } }
"#;
const BUILD: &str = "if grep -n mistake sources/*; then echo 'there is a mistake' >&2; exit 1; fi\n\
                     cp sources/web.sh new && chmod +x new && mv new built\n";

fn source(word: &str) -> String {
    format!("#!/bin/sh\nexport WORD={word}\nexec ./app \"$@\"\n")
}

#[test]
fn what_changes_is_built_and_brought_in() {
    let world = World::new();
    let sources = world.dir.join("sources");
    fs::create_dir(&sources).unwrap();
    fs::write(sources.join("web.sh"), source("one")).unwrap();
    fs::write(world.dir.join("build.sh"), BUILD).unwrap();
    world.write(FILE);
    assert_eq!(world.run(&["up", "--watch", "--detach"]).code, Some(2), "nobody would watch");
    let (mut command, out, err) = world.command(&["up", "--watch"]);
    let child = command.spawn().unwrap();
    let said = || fs::read_to_string(&out).unwrap() + &fs::read_to_string(&err).unwrap();
    world.until("it watches", || said().contains("watching the sources").then_some(()));
    let serves = |word: &str| world.until(word, || (world.get("/env?name=WORD").1 == word).then_some(()));
    serves("one");

    // As most editors save: a new file in the place of the old one.
    fs::write(world.dir.join("web.sh"), source("two")).unwrap();
    fs::rename(world.dir.join("web.sh"), sources.join("web.sh")).unwrap();
    serves("two");
    let before = world.settle();
    fs::write(sources.join("web.sh"), source("mistake")).unwrap();
    world.until("the builder's words", || said().contains("there is a mistake").then_some(()));
    world.until("what came of it", || said().contains("failed").then_some(()));
    // A folder that is made later is watched, too; what is in it does not build either.
    fs::create_dir(sources.join("more")).unwrap();
    fs::write(sources.join("web.sh"), source("three")).unwrap();
    serves("three");
    let builds = || said().matches("building: ").count();
    let so_far = builds();
    fs::write(sources.join("more/other.txt"), "words").unwrap();
    world.until("another build", || (builds() > so_far).then_some(()));
    let after = world.settle();
    assert_ne!(crate::look::pids(&before, "web"), crate::look::pids(&after, "web"));

    // A file with a finding changes nothing, and is brought in when it is mended.
    world.write(&FILE.replace("port: 80", "prot: 80"));
    world.until("the finding", || said().contains("did you mean `port`").then_some(()));
    assert_eq!(world.get("/env?name=WORD").1, "three");
    world.write(&FILE.replace("port: 80", "port: 80\n    env: { OTHER: word }"));
    world.until("the file came in", || (world.get("/env?name=OTHER").1 == "word").then_some(()));
    sweep::signal(child.id().cast_signed(), Signal::INT);
    assert_eq!(ended(child, "an up that watches", &err), Some(130));
    world.until_gone();
}
