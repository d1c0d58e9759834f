//! The keys of `simulation`.

use crate::section::{Foreign::Called, Section, Shape, key};

pub(crate) static SIMULATION: Section = Section {
    name: "a simulation",
    keys: &[
        key("duration", Shape::Duration, "How long is imagined. Default 10m."),
        key("warmUp", Shape::Duration, "What is not counted at the beginning. Default 0s."),
        key("traffic", Shape::Named(&Shape::Map(&TRAFFIC)), "Who asks for what, by a name."),
        key("services", Shape::Named(&Shape::Map(&WORK)), "How services do their work."),
        key("stores", Shape::Named(&Shape::Map(&WORK)), "How stores do their work."),
        key("nodes", Shape::Named(&Shape::Map(&NODES)), "Machines, by pool. Default: there is always room."),
        key("network", Shape::Map(&NETWORK), "How long messages travel."),
        key("metrics", Shape::Map(&METRICS), "How late autoscalers see what is used."),
        key("prices", Shape::Map(&PRICES), "What requested resources cost."),
        key("releases", Shape::List(&Shape::Map(&RELEASE)), "New versions that come in."),
        key("faults", Shape::List(&Shape::Map(&FAULT)), "What goes wrong."),
    ],
    foreign: &[("seed", Called("it is told to the command: `plimsoll simulate --seed 7`"))],
};

pub(super) static TRAFFIC: Section = Section {
    name: "a stream of traffic",
    keys: &[
        key("route", Shape::Text, "The path as clients see it, or a service."),
        key("rate", Shape::Rate, "An open stream: so many a second on average."),
        key("users", Shape::Integer, "People who wait for an answer, think, and ask again."),
        key("think", Shape::Duration, "How long people think, on average. Default 10s."),
        key("session", Shape::Duration, "After so long on average another person comes. Default: never."),
        key("trace", Shape::Text, "A file of `seconds,rate` lines, or a gateway's access log."),
        key("clients", Shape::Integer, "How many clients share an open stream. Default 1000."),
        key("retries", Shape::Integer, "How often a client asks again at once after a failure. Default 0."),
        key("daily", Shape::Map(&DAILY), "The course of a day; the simulation begins at midnight."),
        key("spikes", Shape::List(&Shape::Map(&SPIKE)), "Times of more."),
        key("region", Shape::Text, "Where clients are. Default: beside the gateway."),
        key(
            "time",
            Shape::Either(&[Shape::Text, Shape::Map(&TIME)]),
            "How long the service works for such a request. Default: as `services` says.",
        ),
        key("calls", Shape::Named(&Shape::Integer), "What it calls for such a request. Default: as `services` says."),
    ],
    foreign: &[],
};

pub(super) static DAILY: Section = Section {
    name: "the course of a day",
    keys: &[
        key("low", Shape::Percent, "What is left at the quietest time. Default 20%."),
        key("peak", Shape::Text, "When it is highest. Default \"20:00\"."),
    ],
    foreign: &[],
};

pub(super) static SPIKE: Section = Section {
    name: "a spike of traffic",
    keys: &[
        key("at", Shape::Duration, "From when on."),
        key("for", Shape::Duration, "For how long."),
        key("times", Shape::Text, "How many times as much."),
    ],
    foreign: &[],
};

pub(super) static WORK: Section = Section {
    name: "imagined work",
    keys: &[
        key(
            "time",
            Shape::Either(&[Shape::Text, Shape::Map(&TIME)]),
            "How long one request takes when nothing else is there, without what it calls. Default { mean: 1ms }.",
        ),
        key("cpu", Shape::Percent, "How much of that is processor time. Default 100%."),
        key("workers", Shape::Integer, "How many at once. Default: one for each processor; 16 for a store."),
        key("blocking", Shape::Boolean, "A worker waits for what it calls. Default false."),
        key("queue", Shape::Integer, "How many wait for a worker. Default 4096."),
        key("start", Shape::Duration, "From the start of a process until it can answer. Default 1s."),
        key("errors", Shape::Percent, "Requests that end in an error. Default 0%."),
        key("calls", Shape::Named(&Shape::Integer), "What is called for each request, and how often."),
    ],
    foreign: &[("latency", Called("it is called `time` here"))],
};

pub(super) static TIME: Section = Section {
    name: "a time of work",
    keys: &[
        key("mean", Shape::Text, "Exponential with that mean: 44us, 1.5ms."),
        key("p50", Shape::Text, "Half of all take at most so long."),
        key("p90", Shape::Text, "90 of 100 do."),
        key("p95", Shape::Text, "95 of 100 do."),
        key("p99", Shape::Text, "99 of 100 do."),
        key("p999", Shape::Text, "999 of 1000 do."),
        key("max", Shape::Text, "All do."),
    ],
    foreign: &[],
};

pub(super) static NODES: Section = Section {
    name: "a pool of nodes",
    keys: &[
        key("count", Shape::Integer, "How many. Default 1."),
        key("cpu", Shape::Cpu, "Processors of each."),
        key("memory", Shape::Bytes, "Memory of each."),
        key("zone", Shape::Text, "The zone they are in. Default: the region's name."),
        key("region", Shape::Text, "The region they are in. Default home."),
    ],
    foreign: &[],
};

pub(super) static NETWORK: Section = Section {
    name: "an imagined network",
    keys: &[
        key("local", Shape::Text, "One way within a zone. Default 0us."),
        key("zones", Shape::Text, "One way between zones of a region. Default 0us."),
        key("regions", Shape::Text, "One way between regions. Default 0us."),
    ],
    foreign: &[],
};

pub(super) static METRICS: Section = Section {
    name: "an imagined pipeline of metrics",
    keys: &[
        key("every", Shape::Duration, "How often it is read. Default 5s."),
        key("window", Shape::Duration, "Over how long it is averaged. Default 15s."),
        key("delay", Shape::Duration, "Until an autoscaler can see it. Default 0s."),
    ],
    foreign: &[],
};

pub(super) static PRICES: Section = Section {
    name: "imagined prices",
    keys: &[
        key("cpu", Shape::Text, "A requested processor for a month: 30 USD."),
        key("memory", Shape::Text, "A requested GiB for a month: 4 USD."),
    ],
    foreign: &[],
};

pub(super) static RELEASE: Section = Section {
    name: "an imagined release",
    keys: &[
        key("at", Shape::Duration, "When it is asked for."),
        key("service", Shape::Name, "Of which service."),
        key("errors", Shape::Percent, "Requests of the new version that end in an error. Default 0%."),
        key("times", Shape::Text, "How many times as long its work takes. Default 1."),
    ],
    foreign: &[],
};

pub(super) static FAULT: Section = Section {
    name: "an imagined fault",
    keys: &[
        key("at", Shape::Duration, "From when on."),
        key("for", Shape::Duration, "For how long. Default 1m."),
        key("crash", Shape::Name, "Replicas of this service end; or this store is away."),
        key("hang", Shape::Name, "Replicas of this service, or this store, answer nothing."),
        key("slow", Shape::Name, "Its work takes longer."),
        key("clog", Shape::Name, "What is sent to it, and what it answers, arrives only afterwards."),
        key("zone", Shape::Text, "The machines of this zone are gone."),
        key("partition", Shape::Text, "This zone can't be reached."),
        key("count", Shape::Integer, "How many replicas. Default 1."),
        key("times", Shape::Text, "How many times as long work takes. Default 10."),
    ],
    foreign: &[],
};
