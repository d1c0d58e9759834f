//! A store: `stores.NAME`.

use crate::{
    backup::BACKUP,
    diagnostic::shown,
    env::password,
    node::{At, Entry, Node},
    reading::{Fields, Reading},
    resources::RESOURCES,
    section::{
        Foreign::{Called, Later},
        Section, Shape, key,
    },
    traps,
    variables::Secrets,
};
use plimsoll_model::{
    Store,
    store::{Cluster, Engine, Pooler},
};
use std::collections::{BTreeMap, BTreeSet};

/// The engines, by the word that stands for them.
pub(crate) const ENGINES: [(&str, Engine); 9] = [
    ("postgres", Engine::Postgres),
    ("redis", Engine::Redis),
    ("nats", Engine::Nats),
    ("rabbitmq", Engine::Rabbitmq),
    ("memcached", Engine::Memcached),
    ("kafka", Engine::Kafka),
    ("opensearch", Engine::Opensearch),
    ("elasticsearch", Engine::Elasticsearch),
    ("s3", Engine::S3),
];

const ENGINE_WORDS: &[&str] =
    &["postgres", "redis", "nats", "rabbitmq", "memcached", "kafka", "opensearch", "elasticsearch", "s3"];

const EVICTIONS: [(&str, &str); 8] = [
    ("noeviction", "noeviction"),
    ("allkeys-lru", "allkeys-lru"),
    ("allkeys-lfu", "allkeys-lfu"),
    ("allkeys-random", "allkeys-random"),
    ("volatile-lru", "volatile-lru"),
    ("volatile-lfu", "volatile-lfu"),
    ("volatile-random", "volatile-random"),
    ("volatile-ttl", "volatile-ttl"),
];

const EVICTION_WORDS: &[&str] = &[
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
];

pub(crate) static STORE: Section = Section {
    name: "a store",
    keys: &[
        key("engine", Shape::Word(ENGINE_WORDS), "What it is."),
        key("version", Shape::Text, "The version asked for, as text: \"15\"."),
        key("external", Shape::Text, "Where it already is: a URL, or $(secret:NAME). Used and watched, never owned."),
        key("instances", Shape::Integer, "Members: one primary and its replicas. Default 1."),
        key("synchronous", Shape::Boolean, "A commit waits for a replica."),
        key(
            "strict",
            Shape::Boolean,
            "It does so also when no replica is there: no write rather than one copy. Default false.",
        ),
        key("cluster", Shape::Map(&CLUSTER), "The shape of a Redis Cluster."),
        key("maxMemory", Shape::Bytes, "The largest memory of data, for caches."),
        key("eviction", Shape::Word(EVICTION_WORDS), "What a cache drops when it is full. Default noeviction."),
        key("persistent", Shape::Boolean, "Whether data is written to disk. Default true."),
        key("pooler", Shape::Map(&POOLER), "A connection pooler before it."),
        key("backup", Shape::Map(&BACKUP), "Backups."),
        key("resources", Shape::Map(&RESOURCES), "Requests and limits of each member."),
        key("settings", Shape::Named(&Shape::Text), "Further settings, as in the server's own configuration file."),
    ],
    foreign: &[
        ("type", Called("it is called `engine` here")),
        ("kind", Called("it is called `engine` here")),
        ("url", Called("it is called `external` here")),
        ("replicas", Called("it is called `instances` here: one primary and its replicas")),
        ("nodes", Called("write `instances`, or `cluster: { masters: 3, replicasPerMaster: 1 }`")),
        ("image", Called("write `engine` and `version`")),
        ("password", Called("passwords are generated; for an external store write `$(secret:NAME)`")),
        ("port", Called("a store gets a port of its own, told in NAME_URL")),
        ("storage", Later("disk isn't limited on this machine; leave it out")),
        ("shards", Later("write `cluster: { masters: 3 }` for Redis")),
        ("users", Later("each store has one user, whose address is told in NAME_URL")),
        ("databases", Later("write a store for each database")),
    ],
};

static CLUSTER: Section = Section {
    name: "`cluster`",
    keys: &[
        key("masters", Shape::Integer, "At least 3."),
        key("replicasPerMaster", Shape::Integer, "Replicas of each master. Default 0."),
    ],
    foreign: &[
        ("shards", Called("it is called `masters` here")),
        ("replicas", Called("it is called `replicasPerMaster` here")),
    ],
};

static POOLER: Section = Section {
    name: "`pooler`",
    keys: &[
        key("poolMode", Shape::Word(&["transaction", "session", "statement"]), "Default transaction."),
        key("maxConnections", Shape::Integer, "Clients at most. Default 1000."),
        key("defaultPoolSize", Shape::Integer, "Server connections for each user and database. Default 20."),
        key("reservePoolSize", Shape::Integer, "More of them under pressure. Default 0."),
    ],
    foreign: &[],
};

impl Reading<'_, '_> {
    /// Reads one store.
    pub(crate) fn store(&mut self, entry: &Entry) -> Option<Store> {
        let path = format!("stores.{}", entry.key);
        let fields = self.fields(&entry.node, &STORE, &path)?.called(entry);
        let engine = match fields.get("engine") {
            Some(node) => self.word(node, &ENGINES),
            None => {
                self.refuse("missing-key", fields.at, "this store has no `engine`", "write `engine: postgres`");
                None
            }
        };
        let count = fields.get("instances").and_then(|node| self.count(node, 1..=100));
        let store = Store {
            engine: engine.unwrap_or(Engine::Postgres),
            version: fields.get("version").and_then(|node| self.version(node)),
            external: fields.get("external").and_then(|node| self.external(node)),
            instances: count.unwrap_or(1),
            synchronous: fields.get("synchronous").and_then(|node| self.boolean(node)).unwrap_or(false),
            strict: fields.get("strict").and_then(|node| self.boolean(node)).unwrap_or(false),
            cluster: fields.get("cluster").and_then(|node| self.cluster(node, &path)),
            max_memory: fields.get("maxMemory").and_then(|node| self.bytes(node)),
            eviction: fields.get("eviction").and_then(|node| self.word(node, &EVICTIONS)).map(str::to_owned),
            persistent: fields.get("persistent").and_then(|node| self.boolean(node)).unwrap_or(true),
            pooler: fields.get("pooler").and_then(|node| self.pooler(node, &fields.path("pooler"))),
            backup: fields.get("backup").and_then(|node| self.backup(node, &fields.path("backup"))),
            resources: fields
                .get("resources")
                .map(|n| self.resources(n, &fields.path("resources")))
                .unwrap_or_default(),
            settings: fields.get("settings").map(|node| self.settings(node)).unwrap_or_default(),
        };
        engine?;
        self.check_store(&fields, &store);
        if store.external.is_none() {
            self.record_store(&fields, &store);
        }
        Some(store)
    }

    /// A version is text, and never what a float leaves of it.
    fn version(&mut self, node: &Node) -> Option<String> {
        if let Some(scalar) = node.scalar()
            && scalar.plain
            && scalar.text.contains('.')
            && traps::is_number(&scalar.text)
        {
            let text = shown(&scalar.text);
            let number = scalar.text.parse::<f64>().map_or_else(|_| text.clone(), |number| number.to_string());
            let headline = format!("`{text}` is a number here, which YAML readers turn into {number}");
            self.refuse("version-number", node.at, headline, format!("quote it: \"{text}\""));
            return None;
        }
        let version = self.some_text(node)?;
        if !version.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')) {
            let headline = format!("`{}` is not a version", shown(&version));
            self.refuse("wrong-type", node.at, headline, "write for example \"15\"");
            return None;
        }
        Some(version)
    }

    fn external(&mut self, node: &Node) -> Option<String> {
        let url = self.some_text(node)?;
        self.check_variables(&url, node.at, &BTreeSet::new(), Secrets::Allowed);
        if password(&url).is_some() {
            let headline = "this address holds a password";
            self.refuse(
                "secret-in-file",
                node.at,
                headline,
                "put the whole address into a secret: `external: $(secret:NAME)`",
            );
        } else if !url.contains("$(") && !url.contains("://") {
            let headline = format!("`{}` is not a URL", shown(&url));
            self.refuse("wrong-type", node.at, headline, "write `external: $(secret:NAME)` or a URL without password");
        }
        Some(url)
    }

    fn cluster(&mut self, node: &Node, path: &str) -> Option<Cluster> {
        let fields = self.fields(node, &CLUSTER, path)?;
        let Some(masters) = fields.get("masters") else {
            self.refuse("missing-key", node.at, "a cluster has `masters`", "write `masters: 3`");
            return None;
        };
        let at = masters.at;
        let masters = self.count(masters, 0..=1000)?;
        let replicas = fields.get("replicasPerMaster").and_then(|node| self.count(node, 0..=10));
        if masters < 3 {
            let headline = format!("a Redis Cluster has at least 3 masters, and this one has {masters}");
            let found = self
                .error_at("redis-cluster-size", at, headline)
                .note("a failover needs a majority of masters, which 1 or 2 can't give when one dies")
                .help("write `masters: 3`, or leave `cluster` out for a single server");
            self.push(found);
        }
        Some(Cluster { masters, replicas_per_master: replicas.unwrap_or(0) })
    }

    fn pooler(&mut self, node: &Node, path: &str) -> Option<Pooler> {
        let fields = self.fields(node, &POOLER, path)?;
        let words = [("transaction", "transaction"), ("session", "session"), ("statement", "statement")];
        let mode = fields.get("poolMode").and_then(|node| self.word(node, &words)).unwrap_or("transaction");
        let mut count = |key, least: u32, default| {
            fields.get(key).and_then(|node| self.count(node, least..=100_000)).unwrap_or(default)
        };
        let pooler = Pooler {
            pool_mode: mode.into(),
            max_connections: count("maxConnections", 1, 1000),
            default_pool_size: count("defaultPoolSize", 1, 20),
            reserve_pool_size: count("reservePoolSize", 0, 0),
        };
        if pooler.default_pool_size > pooler.max_connections {
            let headline = format!(
                "`defaultPoolSize` ({}) is above `maxConnections` ({})",
                pooler.default_pool_size, pooler.max_connections
            );
            self.refuse("min-over-max", fields.at("defaultPoolSize"), headline, "lower it");
        }
        Some(pooler)
    }

    fn settings(&mut self, node: &Node) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for entry in self.entries(node, "`settings: { NAME: value }`") {
            let is_name = entry.key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
            if !is_name || entry.key.is_empty() {
                let headline = format!("`{}` can't be the name of a setting", shown(&entry.key));
                self.refuse("name", entry.key_at, headline, "use letters, digits, `_`, `-` and `.`");
                continue;
            }
            let Some(value) = self.text(&entry.node) else { continue };
            if value.contains(['\n', '\r']) {
                self.refuse("wrong-type", entry.node.at, "a setting has one line", "write it in one line");
                continue;
            }
            all.insert(entry.key.clone(), value);
        }
        all
    }

    /// Settings that don't fit the engine or each other.
    fn check_store(&mut self, fields: &Fields<'_>, store: &Store) {
        let name = engine_name(store.engine);
        let is = |engines: &[Engine]| engines.contains(&store.engine);
        let mut unfit = |key: &str, fits: bool, help: &str| {
            if fields.entry(key).is_some() && !fits {
                let headline = format!("`{key}` means nothing for {name}");
                self.refuse("store-setting", fields.at(key), headline, help);
            }
        };
        unfit("cluster", is(&[Engine::Redis]), "remove it, or write `engine: redis`");
        unfit("eviction", is(&[Engine::Redis]), "remove it");
        unfit("maxMemory", is(&[Engine::Redis, Engine::Memcached]), "write `resources: { limits: { memory: 1Gi } }`");
        unfit("pooler", is(&[Engine::Postgres]), "remove it");
        unfit("synchronous", is(&[Engine::Postgres]), "remove it");
        unfit("strict", is(&[Engine::Postgres]), "remove it");
        unfit("persistent", is(&[Engine::Redis, Engine::Nats]), "remove it");
        if store.cluster.is_some() && fields.entry("instances").is_some() {
            let headline = "both `cluster` and `instances` say how many members there are";
            self.refuse("two-owners", fields.at("instances"), headline, "remove `instances`");
        }
        if store.strict && !store.synchronous && store.engine == Engine::Postgres {
            let headline = "`strict` says for what commits wait when no standby is there, and here they wait for none";
            self.refuse("store-setting", fields.at("strict"), headline, "write `synchronous: true`, or remove it");
        }
        if store.external.is_some() {
            let owned = [
                "instances",
                "synchronous",
                "strict",
                "cluster",
                "maxMemory",
                "eviction",
                "persistent",
                "backup",
                "resources",
                "settings",
            ];
            for key in owned.into_iter().filter(|key| fields.entry(key).is_some()) {
                let headline = format!("`{key}` is the business of whoever owns an external store");
                self.refuse("store-setting", fields.at(key), headline, format!("remove `{key}`, or `external`"));
            }
        }
    }

    /// What of a store has no effect on this machine.
    fn record_store(&mut self, fields: &Fields<'_>, store: &Store) {
        let at = |key: &str| -> (String, At) { (fields.path(key), fields.at(key)) };
        let mut later: Vec<((String, At), String)> = Vec::new();
        if !self.machine.engines.contains(&store.engine) {
            let known: Vec<&str> = self.machine.engines.iter().map(|engine| engine_name(*engine)).collect();
            later.push((
                at("engine"),
                format!("no driver here runs {} yet ({} run here)", engine_name(store.engine), known.join(", ")),
            ));
        }
        let replicates = self.machine.replicates.contains(&store.engine);
        if store.instances > 1 && !replicates {
            later.push((
                at("instances"),
                format!("replication of {} comes in a later version; one instance runs", engine_name(store.engine)),
            ));
        }
        if store.synchronous && (store.instances == 1 || !replicates) {
            later.push((at("synchronous"), "there is no standby that a commit could wait for".to_owned()));
        }
        if store.backup.is_some() && !self.machine.backs_up {
            later.push((at("backup"), "backups come in a later version; none are made".to_owned()));
        }
        for ((path, at), why) in later {
            self.refused(path, at, why);
        }
    }
}

/// The word that stands for an engine.
pub(crate) fn engine_name(engine: Engine) -> &'static str {
    ENGINES.iter().find(|(_, known)| *known == engine).map_or("this engine", |(name, _)| name)
}
