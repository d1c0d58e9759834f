//! What the machine does to a system: its wall clock jumps, names do not resolve, certificates are replaced.
//!
//! Clock and names are changed for one system only, in a mount namespace with an `/etc` of its own; where this user may not
//! make one, these tests say so and do nothing.

use crate::{
    look::{WEB, all_pids, own_pid, pids},
    sweep,
    world::World,
};
use plimsoll_load::{Arrivals, Plan, RequestTemplate, Target, Trust, once};
use rustix::process::Signal;
use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, UdpSocket},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

impl World {
    /// Gives what is started from now on an `/etc` of its own: a copy, with these files in it. `false`: not here.
    fn with_etc(&mut self, files: &[(&str, String)]) -> bool {
        let probe = Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
        if !probe.is_ok_and(|status| status.success()) {
            eprintln!("skipped: this user may not make a mount namespace");
            return false;
        }
        let etc = self.dir.join("etc");
        // What can't be copied (sockets, pipes) is not missed.
        Command::new("cp").arg("-a").arg("/etc").arg(&etc).stderr(Stdio::null()).status().unwrap();
        for (name, text) in files {
            fs::remove_file(etc.join(name)).ok();
            fs::write(etc.join(name), text).unwrap();
        }
        self.etc = Some(etc);
        true
    }
}

/// The C library's wall clock, moved by as many seconds as a file says. Monotonic time is left alone.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long offset(void) {
  char text[32] = {0};
  int file = open(OFFSET, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  long length = read(file, text, sizeof text - 1);
  close(file);
  return length > 0 ? atol(text) : 0;
}
int clock_gettime(clockid_t id, struct timespec *at) {
  int failed = syscall(SYS_clock_gettime, id, at);
  if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) at->tv_sec += offset();
  return failed;
}
int gettimeofday(struct timeval *at, void *zone) {
  int failed = syscall(SYS_gettimeofday, at, zone);
  if (!failed) at->tv_sec += offset();
  return failed;
}
time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
"#;

/// Builds the library into the world's folder; gives it and the file that moves its clock.
fn movable_clock(world: &World) -> (PathBuf, PathBuf) {
    let (library, offset) = (world.dir.join("clock.so"), world.dir.join("clock-offset"));
    fs::write(&offset, "0").unwrap();
    let define = format!("-DOFFSET=\"{}\"", offset.display());
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O2", &define, "-x", "c", "-", "-o"]).arg(&library).stdin(Stdio::piped());
    let mut cc = cc.spawn().expect("a C compiler is needed (scripts/install)");
    cc.stdin.take().unwrap().write_all(CLOCK.as_bytes()).unwrap();
    assert!(cc.wait().unwrap().success());
    (library, offset)
}

#[test]
fn clock_jump() {
    const HOUR: i64 = 3_600;
    const YEAR: i64 = 365 * 24 * HOUR;
    let mut world = World::new();
    let (library, offset) = movable_clock(&world);
    if !world.with_etc(&[("ld.so.preload", format!("{}\n", library.display()))]) {
        return;
    }
    world.write(WEB);
    world.bring_up();
    let traffic = world.traffic("/", 50.0);
    let mut years = Vec::new();
    for (number, jump) in [HOUR, -HOUR, YEAR, -YEAR].into_iter().enumerate() {
        let (before, since) = (all_pids(&world.settle()), world.events().last().map_or(0, |event| event.number));
        fs::write(&offset, jump.to_string()).unwrap();
        // The jump has come: whoever stamps the lines of logs sees it.
        let word = format!("said-after-jump-{number}");
        world.get(&format!("/say?text={word}"));
        let said = world.until("the log has it", || {
            let logs = world.run(&["logs", "web"]).good();
            logs.lines().find(|line| line.contains(&word)).map(str::to_owned)
        });
        years.push(said.split('-').next().unwrap_or_default().rsplit(' ').next().unwrap_or_default().to_owned());
        // Time for every probe and timer to come round.
        traffic.more(&world, 150);
        assert_eq!(all_pids(&world.settle()), before, "after a jump of {jump} s");
        let moved: Vec<_> = world.events().into_iter().filter(|event| event.number > since && event.warning).collect();
        assert!(moved.is_empty(), "after a jump of {jump} s: {moved:#?}");
        // An engine that starts now adopts what runs, and what dies now is replaced.
        let engine = own_pid(&world.status(), "engine");
        sweep::signal(engine, Signal::KILL);
        let after = world.until_status("another engine", |status| {
            status.settled && status.processes.get("engine").is_some_and(|own| own.pid != engine)
        });
        assert_eq!(all_pids(&after), before, "by an engine after a jump of {jump} s");
        // One that dies a second time within 10 s is backed off, so each dies once.
        if let Some((name, pid)) = before.iter().nth(number) {
            sweep::signal(*pid, Signal::KILL);
            world.until_status("it is replaced", |status| {
                status.settled && pids(status, "web").get(name).is_some_and(|now| now != pid)
            });
        }
    }
    traffic.end_without_failure(&world, "four jumps of the clock, an engine killed after each");
    eprintln!("the years that the logs were stamped with: {years:?}");
    assert_ne!(years[2], years[3], "the clock was not moved, so that nothing was shown");
    world.down();
}

/// When the log was told a word, by the clock of whoever writes it.
fn stamp(world: &World, word: &str) -> String {
    world.get(&format!("/say?text={word}"));
    let said = world.until("the log has it", || {
        let logs = world.run(&["logs", "web"]).good();
        logs.lines().find(|line| line.contains(word)).map(str::to_owned)
    });
    let stamp = said.split(' ').find(|part| part.starts_with("20") && part.ends_with('Z'));
    stamp.unwrap_or_else(|| panic!("no time in {said}")).to_owned()
}

/// As Linux has them: the last second of a day comes twice, or not at all.
#[test]
fn leap_second() {
    let mut world = World::new();
    let (library, offset) = movable_clock(&world);
    if !world.with_etc(&[("ld.so.preload", format!("{}\n", library.display()))]) {
        return;
    }
    world.write(WEB);
    world.bring_up();
    let traffic = world.traffic("/", 50.0);
    let (before, since) = (all_pids(&world.settle()), world.events().last().map_or(0, |event| event.number));
    let mut times = 0;
    // On a busy machine more than a second may pass between two looks: then it comes again.
    let (first, again) = world.until("a second comes twice", || {
        times += 1;
        let first = stamp(&world, &format!("before-{times}-it"));
        fs::write(&offset, "-1").unwrap();
        let again = stamp(&world, &format!("after-{times}-it"));
        traffic.more(&world, 50);
        fs::write(&offset, "0").unwrap();
        (again < first).then_some((first, again))
    });
    traffic.more(&world, 150);
    assert_eq!(all_pids(&world.settle()), before);
    let told: Vec<_> = world.events().into_iter().filter(|event| event.number > since && event.warning).collect();
    assert!(told.is_empty(), "{told:#?}");
    traffic.end_without_failure(&world, "a second that came twice, and one that was left out");
    eprintln!("after {first} came {again}");
    world.down();
}

/// What a name server does.
const SILENT: u8 = 0;
const NO_SUCH_NAME: u8 = 1;
const ANSWERS: u8 = 2;

/// A name server that does as `mode` says; every name is 127.0.0.1 where it answers. It ends with the test's process.
fn name_server(mode: &Arc<AtomicU8>) -> Option<Ipv4Addr> {
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 53, high, low.max(1));
    let socket = UdpSocket::bind((address, 53)).ok()?;
    let mode = Arc::clone(mode);
    thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            if let Some(answer) = answered(&question[..length], mode.load(SeqCst)) {
                socket.send_to(&answer, from).ok();
            }
        }
    });
    Some(address)
}

/// The answer to a question, as RFC 1035 wants it.
fn answered(question: &[u8], mode: u8) -> Option<Vec<u8>> {
    // The name ends with an empty label; type and class follow.
    let end = 12 + question.get(12..)?.iter().position(|byte| *byte == 0)? + 5;
    let is_address = question.get(end - 4..end - 2)? == [0, 1];
    let (code, answers) = match mode {
        SILENT => return None,
        NO_SUCH_NAME => (3, 0),
        _ => (0, u8::from(is_address)),
    };
    let mut answer = question.get(..2)?.to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0]);
    answer.extend(&question[12..end]);
    if answers > 0 {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}

/// A server elsewhere, as far as watching it goes: says PONG to every command of Redis' protocol.
fn says_pong() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut chunk = [0; 4096];
                while let Ok(length) = stream.read(&mut chunk) {
                    let commands = chunk[..length].iter().filter(|byte| **byte == b'*').count();
                    if length == 0 || stream.write_all("+PONG\r\n".repeat(commands).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

#[test]
fn dns_slow_nxdomain_flapping() {
    let mode = Arc::new(AtomicU8::new(SILENT));
    let Some(server) = name_server(&mode) else { return eprintln!("skipped: this user may not listen on port 53") };
    let mut world = World::new();
    if !world.with_etc(&[("resolv.conf", format!("nameserver {server}\noptions timeout:1 attempts:2\n"))]) {
        return;
    }
    let store =
        format!("stores:\n  legacy: {{ engine: redis, external: \"redis://db.plimsoll.test:{}\" }}\n", says_pong());
    world.write(&format!("{WEB}{store}"));
    world.run(&["up", "--detach", "--timeout", "2"]).bad();
    world.until_status("the service is there", |status| status.services["web"].ready == 3);
    let traffic = world.traffic("/", 50.0);
    // A name server that says nothing holds up nobody but those who wait for the name.
    let (name, pid) = pids(&world.status(), "web").into_iter().next().unwrap();
    sweep::signal(pid, Signal::KILL);
    world.until_status("it is replaced", |status| {
        status.services["web"].ready == 3 && pids(status, "web").get(&name).is_some_and(|now| *now != pid)
    });
    assert!(!world.status().stores["legacy"].ready);
    mode.store(NO_SUCH_NAME, SeqCst);
    let told = world.until("why is told", || {
        let store = world.status().stores["legacy"].clone();
        (!store.ready && store.reason.contains("waiting for it")).then_some(store.reason)
    });
    eprintln!("without the name: {told}");
    for _ in 0..3 {
        mode.store(ANSWERS, SeqCst);
        world.until_status("it is found", |status| status.settled && status.stores["legacy"].ready);
        mode.store(SILENT, SeqCst);
        world.until_status("it is lost", |status| !status.stores["legacy"].ready);
    }
    traffic.end_without_failure(&world, "a name that is slow, unknown and flapping");
    assert_eq!(world.status().services["web"].replicas.iter().map(|one| one.restarts).sum::<u32>(), 1);
    world.down();
}

#[test]
fn cert_rotated() {
    let world = World::new();
    let (chain, key, all) = (world.dir.join("chain.pem"), world.dir.join("key.pem"), world.dir.join("all.pem"));
    let made: Vec<_> =
        (0..4).map(|_| rcgen::generate_simple_self_signed(["voyage.localhost".to_owned()]).unwrap()).collect();
    fs::write(&all, made.iter().map(|one| one.cert.pem()).collect::<String>()).unwrap();
    // As who renews certificates does it: a whole new file takes the place of the former one.
    let put = |number: usize| {
        for (file, text) in [(&chain, made[number].cert.pem()), (&key, made[number].signing_key.serialize_pem())] {
            let new = file.with_extension("new");
            fs::write(&new, text).unwrap();
            fs::rename(new, file).unwrap();
        }
    };
    put(0);
    let listen = "listen: [{ port: 0, tls: { certificate: chain.pem, key: key.pem } }]";
    world.write(&WEB.replace("listen: [0]", listen).replace("\"*\"", "voyage.localhost"));
    world.bring_up();
    let url = world.url();
    let port = url.rsplit(':').next().unwrap();
    let trusting = |file: &std::path::Path| Target {
        trust: Trust::Authority(file.to_owned()),
        ..Target::parse(&format!("https://voyage.localhost:{port}"))
            .unwrap()
            .connecting_to(([127, 0, 0, 1], port.parse().unwrap()).into())
    };
    let hour = Duration::from_secs(3600);
    let request = RequestTemplate::get("/");
    let plan = Plan::new(trusting(&all), Arrivals::Constant { rate_per_s: 50.0 }, hour, vec![request.clone()]);
    let running = Plan { timeout: crate::world::LONG, ..plan }.start().unwrap();
    for (number, one) in made.iter().enumerate().skip(1) {
        put(number);
        let only = world.dir.join("only.pem");
        fs::write(&only, one.cert.pem()).unwrap();
        world.until("the new certificate is shown", || {
            let answer = world.runtime.block_on(once(&trusting(&only), &request, (0, 0), crate::world::LONG));
            answer.ok().filter(|answer| answer.status == 200)
        });
    }
    running.stop();
    let report = world.runtime.block_on(running.finish()).unwrap();
    eprintln!("{} certificates replaced: {} of {} requests failed", made.len() - 1, report.failed, report.asked);
    assert!(report.asked > 0);
    assert_eq!(report.failed, 0, "{:?}", report.by_cause);
    world.down();
}
