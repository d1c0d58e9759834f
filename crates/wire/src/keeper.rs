//! Between the keeper and those it looks after (engine, gateways).
//!
//! A process that was spawned with `channel` finds a connected `SOCK_SEQPACKET` as its standard input; others connect to
//! [`crate::place::Place::keeper_socket`].

use serde::{Deserialize, Serialize};

/// A question or an order to the keeper. Each has a number, and its answer the same one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by who asks; at least 1.
    pub number: u64,
    /// What is asked.
    pub ask: Ask,
}

/// What can be asked of the keeper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ask {
    /// The first message on a connection. Answered by [`Answer::Hello`].
    Hello {
        /// [`crate::VERSION`] of who speaks.
        version: u32,
        /// Who speaks: `engine`, or a gateway's process id (`gateway`, `gateway-2` …).
        role: String,
    },
    /// Starts a process. Idempotent: an id that is known (running, or ended and not yet forgotten) starts nothing and is
    /// answered as the first time.
    Spawn(Box<Spawn>),
    /// Sends a signal. A process that has ended is no error.
    Signal {
        /// Which process.
        id: String,
        /// The signal's number (15 is SIGTERM).
        signal: i32,
        /// To all its descendants too.
        whole: bool,
    },
    /// Asks that the exit status of an ended process, and its id, be forgotten. A running process is an error.
    Forget {
        /// Which process.
        id: String,
    },
    /// Never starts that process (`respawn`) again: when it ends, it has ended as any other. For a gateway that an upgrade
    /// replaces.
    Retire {
        /// Which process.
        id: String,
    },
    /// Binds a TCP listener (backlog 4096, `SO_REUSEADDR`) and keeps it as `name`; idempotent by name and address.
    /// Answered by [`Answer::Listening`] or [`Answer::Refused`] with errno and, where it can be told, the owner of the port.
    Listen {
        /// The kept descriptor's name.
        name: String,
        /// `127.0.0.1:8080`; port 0 lets the kernel choose.
        address: String,
    },
    /// Keeps the descriptor that travels beside this message; replaces a former one of that name, and tells those who watch it.
    Keep {
        /// The kept descriptor's name.
        name: String,
        /// Only if nothing is kept by that name: what is handed back to a keeper that lost it may be older than what it has
        /// been given since. Version 1 always replaced.
        #[serde(default)]
        if_missing: bool,
    },
    /// Asks for a duplicate of a kept descriptor; it travels beside [`Answer::Taken`]. The pidfd of a process is kept as `pidfd/<id>`.
    Take {
        /// The kept descriptor's name.
        name: String,
    },
    /// Closes a kept descriptor. Unknown names are no error.
    Drop {
        /// The kept descriptor's name.
        name: String,
    },
    /// Asks to be told by [`Event::Kept`] when a descriptor of that name is kept, now if there is one.
    Watch {
        /// The kept descriptor's name.
        name: String,
    },
    /// Asks for everything that runs or has ended and was not forgotten, and for the names of kept descriptors.
    List,
    /// Ends everything: SIGTERM to all but the engine and gateways, SIGKILL after `grace_ms`, then gateways, engine, itself.
    Stop {
        /// How long they may take, in milliseconds.
        grace_ms: u64,
    },
    /// Executes `program` in the keeper's place, keeping children, statuses and descriptors.
    Upgrade {
        /// The new program's path.
        program: String,
        /// The engine is started from this one again if the new program's ends badly three times, or is not trusted
        /// ([`Ask::Trust`]) within two minutes. `None` (and version 1): there is no way back.
        #[serde(default)]
        former: Option<String>,
    },
    /// The new engine has gone on with what runs: the former program is not gone back to any more.
    Trust,
}

/// A process to start. Nothing is inherited from the keeper: environment, directory and limits are all here.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spawn {
    /// Chosen by the engine, never used twice: `web-3.1` is the first start of replica `web-3`. No `/`, not empty, at most 120 bytes.
    pub id: String,
    /// An absolute path, or a name looked for in the `PATH` of `env`.
    pub program: String,
    /// Without the program's own name.
    pub args: Vec<String>,
    /// The whole environment. The keeper adds only `PLIMSOLL_PROCESS=<system cookie>/<id>`.
    pub env: Vec<(String, String)>,
    /// Working directory; empty is the folder of the state directory's parent.
    pub dir: String,
    /// Who it runs as; `None` is who the keeper is.
    pub user: Option<User>,
    /// Its limits.
    pub limits: Limits,
    /// `stdout` and `stderr` go to the log of this name; `None` discards them.
    pub log: Option<String>,
    /// Standard input is a connection to the keeper; else it is `/dev/null`.
    pub channel: bool,
    /// The keeper starts it again whenever it ends (engine and gateways): at once, then after 100 ms, doubling to 5 s while it
    /// ends within 10 s of its start.
    pub respawn: bool,
}

/// A Unix user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id, and the only group.
    pub gid: u32,
}

/// Limits of a process and its descendants. What this machine can't enforce is told in [`Answer::Spawned`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Bytes of memory; the kernel kills above it.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a processor.
    pub cpu_milli: Option<u64>,
    /// Relative processor share when the machine is busy, in thousandths requested.
    pub cpu_request_milli: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Open files (`RLIMIT_NOFILE`, soft and hard). Since `ulimits` are known, those say it; older engines only this.
    pub open_files: Option<u64>,
    /// Limits of the kernel on each process.
    pub ulimits: Ulimits,
    /// No new privileges by `execve` (`PR_SET_NO_NEW_PRIVS`).
    pub no_new_privileges: bool,
}

/// Limits of the kernel on one process (`setrlimit`); `None` is the keeper's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ulimits {
    /// Bytes of a core file.
    pub core: Option<Ulimit>,
    /// Bytes of a file that it writes.
    pub fsize: Option<Ulimit>,
    /// Bytes of locked memory.
    pub memlock: Option<Ulimit>,
    /// Open files.
    pub nofile: Option<Ulimit>,
    /// Processes of its user.
    pub nproc: Option<Ulimit>,
    /// Bytes of its stack.
    pub stack: Option<Ulimit>,
}

/// One of them; `u64::MAX` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ulimit {
    /// The limit that holds.
    pub soft: u64,
    /// What it may be raised to.
    pub hard: u64,
}

/// What the keeper says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Said {
    /// The answer to the request of that number.
    Answer {
        /// The request's number.
        number: u64,
        /// The answer.
        answer: Answer,
    },
    /// Something happened.
    Event(Event),
}

/// Answers to requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// To `Hello`.
    Hello {
        /// [`crate::VERSION`] of the keeper.
        version: u32,
        /// The keeper's pid.
        pid: i32,
        /// Whether this keeper took over from one that died: some statuses are unknown.
        took_over: bool,
    },
    /// To `Spawn`.
    Spawned(Process),
    /// To `Spawn` and `Listen`: it could not be done.
    Refused(Refusal),
    /// To `Listen`.
    Listening {
        /// The address with its real port.
        address: String,
    },
    /// To `Take`; the descriptor travels beside it.
    Taken {
        /// The kept descriptor's name.
        name: String,
    },
    /// To `List`.
    Inventory(Inventory),
    /// Done, with nothing to tell.
    Done,
    /// Not done: no such process or name, still running, or a request that was not understood.
    Failed {
        /// Why, for a person.
        why: String,
    },
}

/// Why a process could not be started, or a port not be bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The act that failed: `chdir`, `exec`, `setuid`, `fork`, `log`, `bind` …
    pub stage: String,
    /// The system's error number.
    pub errno: i32,
    /// What was concerned, for a person: the path, or the port and the pid and name of its owner.
    pub detail: String,
}

/// A process, as the keeper knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// Its id.
    pub id: String,
    /// Its pid.
    pub pid: i32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/<pid>/stat`): with the boot's id, no other process is meant.
    pub start: u64,
    /// When it was started, in microseconds since the Unix epoch.
    pub started_at: u64,
    /// Its control group's folder in the memory hierarchy (v1) or the unified one (v2), where it has one.
    pub cgroup: Option<String>,
    /// Its control group's folder in the processor accounting hierarchy, where that is another one (v1).
    pub cpu_cgroup: Option<String>,
    /// Limits asked for that this machine can't enforce, by the names of [`Limits`]' fields (`memory_bytes`).
    pub unenforced: Vec<String>,
    /// How it ended; `None` while it runs.
    pub exit: Option<Exit>,
    /// How often the keeper has started it again (`respawn`).
    pub respawns: u64,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// Its exit code, if it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The kernel killed it, or a descendant, because of its memory limit.
    pub oom: bool,
    /// The most memory it had, in bytes, where it could be told.
    pub memory_peak: Option<u64>,
    /// Processor time that it used, in microseconds (user + system).
    pub cpu_us: u64,
    /// The keeper was not its parent (taken over): code and signal are not known.
    pub unknown: bool,
    /// When, in microseconds since the Unix epoch.
    pub at: u64,
    /// How many of its descendants had to be killed.
    pub stragglers: u32,
}

impl Exit {
    /// A start at `at`, in microseconds since the Unix epoch, that never came to a process: with the code of a shell.
    #[must_use]
    pub fn never_started(at: u64) -> Self {
        Self { code: Some(127), unknown: false, ..Self::unknown(at) }
    }

    /// An end of which nothing is known but that it was before `at`, in microseconds since the Unix epoch.
    #[must_use]
    pub fn unknown(at: u64) -> Self {
        Self { code: None, signal: None, oom: false, memory_peak: None, cpu_us: 0, unknown: true, at, stragglers: 0 }
    }
}

/// What the keeper looks after.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Inventory {
    /// Running processes, and ended ones that were not forgotten.
    pub processes: Vec<Process>,
    /// Kept descriptors, by name.
    pub kept: Vec<String>,
}

/// What happened without a question. Told to the engine (all), and to those who watch (`Kept`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Event {
    /// A process ended, and all its descendants are gone. Told of those with `respawn` too, before [`Event::Respawned`].
    Exited {
        /// Which one.
        id: String,
        /// How.
        exit: Exit,
    },
    /// A kept process was started again (`respawn`).
    Respawned(Process),
    /// A descriptor was kept under a watched name; it travels beside this message.
    Kept {
        /// Its name.
        name: String,
    },
    /// Log lines were dropped because they came faster than they could be written, or than allowed.
    LogDropped {
        /// The log's name.
        log: String,
        /// Bytes dropped since the last such message.
        bytes: u64,
        /// Why the disk took none of them, or not all; `None`: they came too fast.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
}
