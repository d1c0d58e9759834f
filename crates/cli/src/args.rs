//! The words of the command line.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use plimsoll_load::Statuses;
use std::path::PathBuf;

/// Runs a system from one file, and proves what it promises.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which file, and which environment.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct FileArgs {
    /// The file; a folder stands for the plimsoll.yaml in it. Default: here, or in the nearest folder above
    #[arg(short, long, value_name = "PATH")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) overlay: Overlay,
}

/// Which environment: for commands that read the file. What runs has one already.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct Overlay {
    /// The environment laid over the file. Default: `development` where there is one
    #[arg(short, long, value_name = "NAME")]
    pub(crate) env: Option<String>,
}

/// Which running system.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct At {
    /// The file; a folder stands for the plimsoll.yaml in it. Default: here, or in the nearest folder above
    #[arg(short, long, value_name = "PATH")]
    pub(crate) file: Option<PathBuf>,
    /// The state directory. Default: .plimsoll beside the file
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

/// Which running system, for commands that follow it: their `-f` is `--follow`.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct Followed {
    /// The file; a folder stands for the plimsoll.yaml in it. Default: here, or in the nearest folder above
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// The state directory. Default: .plimsoll beside the file
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl Followed {
    /// As other commands have it.
    pub(crate) fn at(&self) -> At {
        At { file: self.file.clone(), state: self.state.clone() }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the system on this machine, or bring a changed file in
    Up(Up),
    /// End the system
    Down {
        #[command(flatten)]
        at: At,
        /// Drop the data of its stores too
        #[arg(long)]
        volumes: bool,
        /// End it only if this keeper looks after it; nothing is ended if there is no number (for systemd's unit)
        #[arg(long, hide = true)]
        keeper: Option<String>,
    },
    /// Show how the system is
    Status {
        #[command(flatten)]
        at: At,
        /// Show it again whenever it changes
        #[arg(short, long)]
        watch: bool,
        /// Show what each service should request, beside what it does, and what that would save
        #[arg(long)]
        sizes: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the logs of a service, a replica, or everything
    Logs {
        #[command(flatten)]
        at: Followed,
        /// A service (`web`), a replica (`web-3`), a store, or `engine`, `gateway`, `keeper`
        service: Option<String>,
        /// Go on as lines come
        #[arg(short, short_alias = 'F', long)]
        follow: bool,
        /// How many lines of each log to begin with
        #[arg(short = 'n', long, default_value_t = 100)]
        tail: usize,
    },
    /// Show what happened and why
    Events(Events),
    /// Say why something was decided, and what would have changed it
    Explain {
        #[command(flatten)]
        at: At,
        /// `last`, `event N`, `service NAME`, `replica NAME-N`, `store NAME`; or just a name or a number. Default: `last`
        what: Vec<String>,
        /// As JSON, with everything that the deciders were given
        #[arg(long)]
        json: bool,
    },
    /// Replace every replica of a service without losing a request
    Restart {
        #[command(flatten)]
        at: At,
        /// The service
        service: String,
    },
    /// Have another member become the primary of a store with standbys
    Switchover {
        #[command(flatten)]
        at: At,
        /// The store
        store: String,
        /// The member, as `status` names it: orders-2. Default: the one with the most log
        member: Option<String>,
    },
    /// Bring new versions in, wait for the end, and fail if they were sent back; or do something about a release
    Release(Release),
    /// Go back to a former version, of one service or of all that changed last
    Rollback {
        #[command(flatten)]
        at: At,
        /// The service. Default: all that changed last
        service: Option<String>,
        /// To the version at that line of `plimsoll history`. Default: to what ran before
        #[arg(long, value_name = "NUMBER")]
        to: Option<u64>,
        /// Why, for the ledger
        #[arg(long, default_value = "")]
        why: String,
    },
    /// Show what happened in releases, by whom and why
    History {
        #[command(flatten)]
        at: At,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Run another number of replicas, until the file says otherwise
    Scale {
        #[command(flatten)]
        at: At,
        /// The service
        service: String,
        /// How many
        replicas: u32,
    },
    /// Check the file; nothing runs
    Check {
        #[command(flatten)]
        file: FileArgs,
        /// How findings are written
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Write the file in its canonical form
    Fmt {
        /// The file; a folder stands for the plimsoll.yaml in it. Default: here, or in the nearest folder above
        #[arg(short, long, value_name = "PATH")]
        file: Option<PathBuf>,
        /// Write nothing; exit 1 if the form differs
        #[arg(long)]
        check: bool,
    },
    /// Print the JSON Schema of the file
    Schema,
    /// Show what `up` would change, and what this machine does not enforce
    Plan {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        overlay: Overlay,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what this machine lacks for the file, and what installs it
    Doctor {
        #[command(flatten)]
        file: FileArgs,
    },
    /// Test every promise for real
    Prove(Prove),
    /// Imagine the system under a scenario: the same decisions, any size, any speed
    Simulate(Simulate),
    /// Send open-loop load and measure honestly
    Load(Load),
    /// Decide what was recorded again, by today's code or under another file; exit 1 if a decision differs
    Replay(Replay),
    /// Have systemd start the system at boot
    Install {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        scope: Scope,
    },
    /// Take that back; what runs goes on
    Uninstall {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        scope: Scope,
    },
    /// Change Plimsoll itself to another version, under load, without losing a request
    Upgrade {
        #[command(flatten)]
        at: At,
        /// The new program. Default: the one that runs this command
        #[arg(long, value_name = "PATH")]
        to: Option<PathBuf>,
        /// Give up waiting after so many seconds (the upgrade goes on)
        #[arg(long, value_name = "SECONDS", default_value_t = 300)]
        timeout: u64,
    },
    #[command(hide = true)]
    Speaks {
        #[arg(long)]
        state: PathBuf,
        #[arg(long)]
        out: PathBuf,
    },
    #[command(hide = true)]
    Keeper {
        #[arg(long)]
        state: PathBuf,
        #[arg(long)]
        take_over: bool,
    },
    #[command(hide = true)]
    Engine {
        #[arg(long)]
        state: PathBuf,
    },
    #[command(hide = true)]
    Gateway {
        #[arg(long)]
        state: PathBuf,
        #[arg(long)]
        id: String,
    },
}

/// Whose systemd, and which unit.
#[derive(Debug, ClapArgs)]
pub(crate) struct Scope {
    /// Your own systemd. Default, unless you are root
    #[arg(long, conflicts_with = "system")]
    pub(crate) user: bool,
    /// The machine's systemd. Default for root
    #[arg(long)]
    pub(crate) system: bool,
    /// The unit's name. Default: `plimsoll-` and the name of the folder
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Change nothing; show the unit
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Events {
    #[command(flatten)]
    pub(crate) at: Followed,
    /// Only the last so many
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub(crate) last: Option<usize>,
    /// Only those since then: `10m` ago, or a moment such as 2026-11-28T09:30:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Go on as they come
    #[arg(short, short_alias = 'F', long)]
    pub(crate) follow: bool,
    /// As JSON lines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Replay {
    #[command(flatten)]
    pub(crate) at: At,
    #[command(flatten)]
    pub(crate) overlay: Overlay,
    /// A state directory, or the `journal` in it. Default: that of the system here
    pub(crate) journal: Option<PathBuf>,
    /// Decide under this file instead; what was recorded does not react to that, and differences are no failure
    #[arg(long, value_name = "FILE")]
    pub(crate) with: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// A file of inputs for the Kubernetes autoscaler; prints each decision as a JSON line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["journal", "with"])]
    pub(crate) hpa: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) at: At,
    #[command(flatten)]
    pub(crate) overlay: Overlay,
    /// Return once everything is ready, and leave it running
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Build and bring in anew whenever the file or something under `build.sources` changes
    #[arg(short, long, conflicts_with_all = ["detach", "no_build"])]
    pub(crate) watch: bool,
    /// Don't run the services' build commands
    #[arg(long)]
    pub(crate) no_build: bool,
    /// Give up waiting after so many seconds (the system goes on)
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(crate) timeout: u64,
}

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Release {
    #[command(flatten)]
    pub(crate) at: At,
    #[command(flatten)]
    pub(crate) overlay: Overlay,
    /// Only these services; others stay as they are. Default: all of the file
    pub(crate) services: Vec<String>,
    /// Return once it has begun
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Don't run the services' build commands
    #[arg(long)]
    pub(crate) no_build: bool,
    /// Give up waiting after so many seconds (the release goes on). Default: wait for its end
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
    #[command(subcommand)]
    pub(crate) command: Option<ReleaseCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseCommand {
    /// Skip what is left to wait for; replicas must still come up
    Promote(Gate),
    /// Send the new version back
    Abort(Gate),
    /// Hold it where it is
    Pause(Gate),
    /// Let it go on
    Resume(Gate),
    /// Let a version that was sent back, or gone back from, be tried again
    Forgive(Gate),
}

/// Something about the release of one service.
#[derive(Debug, ClapArgs)]
pub(crate) struct Gate {
    #[command(flatten)]
    pub(crate) at: At,
    /// The service
    pub(crate) service: String,
    /// Why, for the ledger
    #[arg(long, default_value = "")]
    pub(crate) why: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Prove {
    #[command(flatten)]
    pub(crate) at: At,
    /// Only these promises
    pub(crate) promises: Vec<String>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a page with every figure there
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Test a production system too: replicas are killed and load is sent
    #[arg(long)]
    pub(crate) allow_production: bool,
    /// The seed of everything that is drawn at random. Default: from the clock; it is printed
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Also write figures, conditions, failures, and what each experiment shows
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Simulate {
    #[command(flatten)]
    pub(crate) file: FileArgs,
    /// The seed of every draw: the same seed gives the same course, byte by byte
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How long is imagined: 30s, 10m, 24h. Default: as the scenario says
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Go so many times as fast as the clock, and show it as it goes (on standard error). Default: as fast as it can
    #[arg(long, value_name = "TIMES", value_parser = speed)]
    pub(crate) speed: Option<f64>,
    /// Lay a setting over the file: services.cart.autoscaling.maxReplicas=20
    #[arg(long, value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
    /// Times of work as measured: a report of `plimsoll prove --json`
    #[arg(long, value_name = "FILE")]
    pub(crate) measured: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a page with every course there
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write a line for everything that happens there
    #[arg(long, value_name = "FILE", conflicts_with = "fluid")]
    pub(crate) trace: Option<PathBuf>,
    /// Imagine rates and not single requests: days in seconds, without probes, retries and most faults
    #[arg(long, conflicts_with = "speed")]
    pub(crate) fluid: bool,
    /// Find the load line: the most people, between two numbers, at which every promise holds, and what breaks first
    #[arg(long, value_name = "FROM..TO", conflicts_with_all = ["fluid", "speed", "trace", "html", "until"])]
    pub(crate) users: Option<String>,
    /// Play so many worlds with faults of chance, one for each seed from --seed on, and check what must always be
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..),
        conflicts_with_all = ["users", "fluid", "speed", "trace", "html", "until"]
    )]
    pub(crate) swarm: Option<u64>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Load {
    #[command(flatten)]
    pub(crate) at: At,
    /// What to ask for, as `http://HOST[:PORT]/PATH`; may hold, in braces, `n` (its number), `uuid`, `random:N`. Without
    /// it: the streams of the file's `simulation.traffic`, sent to the running system
    pub(crate) url: Option<String>,
    /// Only this stream of the file; may be repeated
    #[arg(long, value_name = "NAME", conflicts_with = "url")]
    pub(crate) stream: Vec<String>,
    /// So many times as much as the file says
    #[arg(long, value_name = "N", default_value_t = 1.0, conflicts_with = "url")]
    pub(crate) times: f64,
    /// Requests a second
    #[arg(short, long, default_value_t = 100.0, requires = "url")]
    pub(crate) rate: f64,
    /// Seconds
    #[arg(short, long, default_value_t = 10)]
    pub(crate) duration: u64,
    /// Connections at most
    #[arg(short, long, default_value_t = 256, requires = "url")]
    pub(crate) connections: u32,
    /// The method
    #[arg(short = 'X', long, default_value = "GET", requires = "url")]
    pub(crate) method: String,
    /// A header, as `Name: value`
    #[arg(short = 'H', long, requires = "url")]
    pub(crate) header: Vec<String>,
    /// The body
    #[arg(long, default_value = "", requires = "url")]
    pub(crate) body: String,
    /// The statuses of a right answer: 200, 2xx, 200-299, and several with commas. Default: 200-399
    #[arg(long, value_name = "STATUSES", requires = "url")]
    pub(crate) expect: Option<Statuses>,
    /// The seed of everything that is drawn at random. Default: from the clock
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Send the file's streams to a production system too
    #[arg(long, conflicts_with = "url")]
    pub(crate) allow_production: bool,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// How findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    Sarif,
}

/// A speed that time can go at.
fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok().filter(|speed: &f64| *speed > 0.0 && speed.is_finite());
    speed.ok_or_else(|| "write a number above 0".to_owned())
}
