//! Starting processes: what they get, what they may not, and how they end.

use crate::world::{World, is_alive, program, shell, write_program};
use plimsoll_wire::keeper::{Answer, Ask, Limits, Process, Spawn, Ulimit, Ulimits, User};
use std::{fs, os::unix::fs::PermissionsExt};

#[test]
fn exit_codes_and_signals_are_told() {
    let mut world = World::new();
    world.spawn(shell("code", "exit 7"));
    let exit = world.exit("code");
    assert_eq!((exit.code, exit.signal, exit.unknown, exit.oom), (Some(7), None, false, false));
    world.spawn(shell("signal", "kill -USR1 $$; sleep 100"));
    let exit = world.exit("signal");
    assert_eq!((exit.code, exit.signal), (None, Some(10)));
}

#[test]
fn a_status_is_kept_until_it_is_forgotten() {
    let mut world = World::new();
    world.spawn(shell("a", "exit 3"));
    world.exit("a");
    assert_eq!(world.process("a").and_then(|process| process.exit).and_then(|exit| exit.code), Some(3));
    assert_eq!(world.ask(Ask::Forget { id: "a".into() }), Answer::Done);
    assert_eq!(world.process("a"), None);
    assert!(matches!(world.ask(Ask::Forget { id: "a".into() }), Answer::Failed { .. }));
}

#[test]
fn a_running_process_is_not_forgotten() {
    let mut world = World::new();
    world.spawn(shell("a", "exec sleep 1000"));
    assert!(matches!(world.ask(Ask::Forget { id: "a".into() }), Answer::Failed { .. }));
}

#[test]
fn an_id_is_started_once() {
    let mut world = World::new();
    let file = world.file("starts");
    let wish = shell("a", &format!("echo x >> {}; exec sleep 1000", file.display()));
    let first = world.spawn(wish.clone());
    assert_eq!(world.spawn(wish.clone()).pid, first.pid);
    world.signal("a", 9);
    world.exit("a");
    let again: Process = world.spawn(wish);
    assert_eq!((again.pid, again.exit.and_then(|exit| exit.signal)), (first.pid, Some(9)));
}

#[test]
fn environment_directory_and_descriptors_are_exactly_those_asked_for() {
    let mut world = World::new();
    let mut wish = shell(
        "a",
        "pwd; env | sort; for fd in /proc/self/fd/*; do readlink $fd; done; cut -d' ' -f6 /proc/$$/stat; echo $$",
    );
    wish.dir = "/usr".into();
    wish.env.push(("GREETING".into(), "a b".into()));
    world.spawn(wish);
    world.exit("a");
    let log = world.log("a");
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[0], "/usr", "{log}");
    assert!(lines.contains(&"GREETING=a b") && log.contains("\nPLIMSOLL_PROCESS=") && log.contains("/a\n"), "{log}");
    assert!(!log.contains("HOME=") && !log.contains("CARGO"), "{log}");
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("socket:") || line.contains("keeper.sock")).count(),
        0,
        "{log}"
    );
    assert_eq!(lines[lines.len() - 1], lines[lines.len() - 2], "it leads its session: {log}");
}

#[test]
fn signals_are_at_their_defaults_and_unblocked() {
    let mut world = World::new();
    world.spawn(shell("a", "exec cat /proc/self/status"));
    world.exit("a");
    let log = world.log("a");
    for line in log.lines().filter(|line| ["SigBlk:", "SigIgn:", "SigCgt:"].iter().any(|name| line.starts_with(name))) {
        assert!(line.ends_with("\t0000000000000000"), "{line}");
    }
}

#[test]
fn an_empty_directory_is_the_parent_of_the_state() {
    let mut world = World::new();
    world.spawn(shell("a", "pwd -P"));
    world.exit("a");
    assert_eq!(world.log("a").trim(), world.folder.path().canonicalize().unwrap().to_str().unwrap());
}

#[test]
fn refusals_tell_what_failed_and_leave_nothing() {
    let mut world = World::new();
    let check = |world: &mut World, wish: Spawn, stage: &str, errno: i32, part: &str| {
        let refusal = world.refusal(Spawn { id: "x".into(), ..wish });
        assert_eq!((refusal.stage.as_str(), refusal.errno), (stage, errno), "{refusal:?}");
        assert!(refusal.detail.contains(part), "{refusal:?}");
        assert_eq!(world.process("x"), None);
    };
    let at = |path: &str| Spawn { program: path.into(), ..Spawn::default() };
    check(&mut world, at("/nowhere/at/all"), "exec", libc::ENOENT, "no such file");
    check(&mut world, at("no-such-program-anywhere"), "exec", libc::ENOENT, "not found in any folder of PATH");
    check(&mut world, Spawn { dir: "/nowhere".into(), ..at("/bin/true") }, "chdir", libc::ENOENT, "/nowhere");
    check(&mut world, at("/usr"), "exec", libc::EACCES, "is a directory");
    let file = world.file("program");
    let path = file.to_str().unwrap().to_owned();
    write_program(&file, "no program");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    check(&mut world, at(&path), "exec", libc::EACCES, "may not be executed");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    check(&mut world, at(&path), "exec", libc::ENOEXEC, "no program for this machine");
    write_program(&file, "#!/nowhere/interpreter\n");
    check(&mut world, at(&path), "exec", libc::ENOENT, "the interpreter");
    check(&mut world, Spawn { log: Some("../x".into()), ..at("/bin/true") }, "log", libc::EINVAL, "name of a log");
    check(&mut world, Spawn { args: vec!["a\0b".into()], ..at("/bin/true") }, "exec", libc::EINVAL, "NUL");
    let refusal = world.refusal(Spawn { id: "../x".into(), ..at("/bin/true") });
    assert_eq!(refusal.stage, "id");
}

#[test]
fn a_program_is_found_in_the_path_of_its_environment() {
    let mut world = World::new();
    world.spawn(Spawn { program: "sh".into(), ..shell("a", "echo found") });
    world.exit("a");
    assert_eq!(world.log("a"), "found\n");
}

#[test]
fn a_user_is_who_it_runs_as_or_is_refused() {
    let mut world = World::new();
    let user = Some(User { uid: 1, gid: 1 });
    let wish = Spawn { user, dir: "/".into(), ..shell("a", "id -u; id -G; exec 3>/dev/stdout; echo again >&3") };
    if rustix::process::geteuid().is_root() {
        world.spawn(wish);
        world.exit("a");
        assert_eq!(world.log("a"), "1\n1\nagain\n");
    } else {
        assert_eq!(world.refusal(wish).errno, libc::EPERM);
    }
}

#[test]
fn limits_that_need_no_group_hold() {
    let mut world = World::new();
    let limits = Limits { open_files: Some(77), no_new_privileges: true, ..Limits::default() };
    world.spawn(Spawn { limits, ..shell("a", "ulimit -n; ulimit -Hn; grep NoNewPrivs /proc/self/status | cut -f2") });
    world.exit("a");
    assert_eq!(world.log("a"), "77\n77\n1\n");
}

/// As the shell shows them: soft and hard, in its own units (512 bytes of a file, 1,024 of the others).
#[test]
fn limits_of_the_kernel_hold() {
    let mut world = World::new();
    let limit = |soft, hard| Some(Ulimit { soft, hard });
    let ulimits = Ulimits {
        core: limit(0, 0),
        fsize: limit(512, 1024),
        nofile: limit(33, 44),
        stack: limit(1 << 20, 2 << 20),
        ..Ulimits::default()
    };
    let limits = Limits { ulimits, ..Limits::default() };
    let script = "grep -E 'core file|file size|open files|stack size' /proc/self/limits | tr -s ' '";
    world.spawn(Spawn { limits, ..shell("a", script) });
    world.exit("a");
    let log = world.log("a");
    for line in
        ["Max core file size 0 0", "Max file size 512 1024", "Max open files 33 44", "Max stack size 1048576 2097152"]
    {
        assert!(log.contains(line), "{line} in:\n{log}");
    }
    // One that it breaks ends it, as the kernel says.
    world.spawn(Spawn { limits, ..shell("b", "exec head -c 4096 /dev/zero > big") });
    assert_eq!(world.exit("b").signal, Some(25), "SIGXFSZ");
}

#[test]
fn a_limit_is_enforced_or_told_not_to_be() {
    let mut world = World::new();
    let limits = Limits { pids: Some(10), cpu_milli: Some(500), cpu_request_milli: Some(250), ..Limits::default() };
    let process = world.spawn(Spawn { limits, ..shell("a", "exec sleep 1000") });
    let text = fs::read_to_string(format!("/proc/{}/cgroup", process.pid)).unwrap();
    let is_in_group = text.contains("/plimsoll-");
    assert!(is_in_group || process.unenforced.len() == 3, "{process:?} {text}");
}

#[test]
fn the_kernels_kill_for_memory_is_told_apart() {
    let mut world = World::new();
    let limits = Limits { memory_bytes: Some(48 << 20), ..Limits::default() };
    let process = world.spawn(Spawn { limits, ..program("a", &["hog", "400"]) });
    if process.unenforced.contains(&"memory_bytes".to_owned()) {
        eprintln!("skipped: no writable memory control group here");
        return;
    }
    let exit = world.exit("a");
    assert!(exit.oom, "{exit:?}");
    assert_eq!(exit.signal, Some(9));
    assert!(exit.memory_peak.is_some_and(|peak| peak > 24 << 20), "{exit:?}");
}

#[test]
fn a_descendant_killed_for_memory_is_told_too() {
    let mut world = World::new();
    let limits = Limits { memory_bytes: Some(48 << 20), ..Limits::default() };
    let script = format!("{} hog 400; exit 5", crate::world::PROGRAM);
    let process = world.spawn(Spawn { limits, ..shell("a", &script) });
    if process.unenforced.contains(&"memory_bytes".to_owned()) {
        eprintln!("skipped: no writable memory control group here");
        return;
    }
    let exit = world.exit("a");
    assert_eq!((exit.oom, exit.code), (true, Some(5)), "{exit:?}");
}

#[test]
fn an_ordinary_sigkill_is_no_memory_kill() {
    let mut world = World::new();
    let limits = Limits { memory_bytes: Some(64 << 20), ..Limits::default() };
    let process = world.spawn(Spawn { limits, ..shell("a", "exec sleep 1000") });
    world.signal("a", 9);
    let exit = world.exit("a");
    assert_eq!((exit.signal, exit.oom), (Some(9), false));
    assert!(!is_alive(process.pid));
}

#[test]
fn control_groups_are_gone_after_the_end() {
    let mut world = World::new();
    let process = world.spawn(shell("a", "exec sleep 1000"));
    world.signal("a", 15);
    world.exit("a");
    for folder in process.cgroup.iter().chain(&process.cpu_cgroup) {
        assert!(!std::path::Path::new(folder).exists(), "{folder}");
    }
}

#[test]
fn twenty_processes_start_at_once() {
    let mut world = World::new();
    let begin = std::time::Instant::now();
    for number in 0..20 {
        world.spawn(shell(&format!("a{number}"), "exec sleep 10000"));
    }
    println!("20 processes were started in {:?}", begin.elapsed());
    let begin = std::time::Instant::now();
    for number in 0..20 {
        world.signal(&format!("a{number}"), 9);
    }
    for number in 0..20 {
        world.exit(&format!("a{number}"));
    }
    println!("20 processes were ended in {:?}", begin.elapsed());
}
