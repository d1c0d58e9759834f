//! The filter as a replica of the API sees it: parameters read once a second, look-ups in batches, a breaker around all.

use super::layout::{BLOCK_BYTES, Layout, Place};
use crate::names::Folded;
use futures_util::future::try_join_all;
use plimsoll_kit::breaker::Breaker;
use plimsoll_kit::keyvalue::{Home, KeyValue, KeyValueError};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Where the parameters are.
const PARAMETERS: &str = "{names}:filter";
/// The filter is asked this long at most; PostgreSQL answers in less.
const LOOK_UP_MAX: Duration = Duration::from_millis(100);
/// Failures in a row that open the breaker, and the pause between trials.
const FAILURES_MAX: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// A filter that stands in Redis: its number and its layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// Grows with every rebuild.
    pub number: u64,
    /// Its size and shape.
    pub layout: Layout,
    /// Names in it when it was built.
    pub entries: u64,
}

/// What the filter says of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Certainly not in it: free, unless registered within the last moments.
    Absent,
    /// Ask PostgreSQL.
    Perhaps,
    /// The filter cannot say: Redis lost this bitmap.
    Unknown,
}

/// The filter; cheap to clone.
#[derive(Clone)]
pub struct Filter {
    store: KeyValue,
    shared: Arc<Shared>,
}

struct Shared {
    breaker: Breaker,
    generation: RwLock<Option<Generation>>,
    roads: RwLock<Arc<Roads>>,
    damaged: AtomicBool,
}

/// Which bitmaps are asked for together: those that one node of the cluster serves.
#[derive(Default, PartialEq, Eq)]
struct Roads {
    homes: Vec<Home>,
    /// For each shard of the generation, its place in `homes`. Empty: not known, each shard is asked by itself.
    of_shard: Vec<usize>,
}

impl Roads {
    fn new(by_shard: Vec<Home>) -> Self {
        let mut roads = Self::default();
        for home in by_shard {
            let known = roads.homes.iter().position(|known| *known == home);
            roads.of_shard.push(known.unwrap_or(roads.homes.len()));
            if known.is_none() {
                roads.homes.push(home);
            }
        }
        roads
    }
}

impl Filter {
    /// A filter kept in `store`; nothing is known of it until [`Filter::refresh`].
    pub fn new(store: KeyValue) -> Self {
        let breaker = Breaker::new(FAILURES_MAX, PAUSE);
        let shared = Shared {
            breaker,
            generation: RwLock::new(None),
            roads: RwLock::default(),
            damaged: AtomicBool::new(false),
        };
        Self { store, shared: Arc::new(shared) }
    }

    /// The store it is kept in.
    pub fn store(&self) -> &KeyValue {
        &self.store
    }

    /// The generation in use; `None`: there is none, or it was not read yet.
    pub fn generation(&self) -> Option<Generation> {
        *self.shared.generation.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is the breaker open, so that PostgreSQL is asked instead?
    pub fn is_cut_off(&self) -> bool {
        self.shared.breaker.is_open()
    }

    /// Was a bitmap found lost since the parameters were last read? It must be rebuilt.
    pub fn is_damaged(&self) -> bool {
        self.shared.damaged.load(Ordering::Acquire)
    }

    /// Reads the parameters, and which node serves which bitmap; `None` if there is no filter.
    ///
    /// # Errors
    /// Redis does not answer; the generation in use stays.
    pub async fn refresh(&self) -> Result<Option<Generation>, KeyValueError> {
        let fields: HashMap<String, u64> = self.store.query(redis::cmd("HGETALL").arg(PARAMETERS)).await?;
        let generation = read(&fields);
        if self.generation() != generation {
            *self.shared.generation.write().unwrap_or_else(PoisonError::into_inner) = generation;
            self.shared.damaged.store(false, Ordering::Release);
        }
        self.find_roads(generation).await;
        Ok(generation)
    }

    /// What cannot be found out is no error: then each bitmap is asked for by itself.
    async fn find_roads(&self, generation: Option<Generation>) {
        let Some(Generation { number, layout, .. }) = generation else { return };
        let keys: Vec<_> = (0..layout.shards).map(|shard| bitmap_key(number, shard)).collect();
        let homes = self.store.homes(&keys).await.ok().flatten();
        self.take_roads(homes.map(Roads::new).unwrap_or_default());
    }

    fn take_roads(&self, roads: Roads) {
        let mut known = self.shared.roads.write().unwrap_or_else(PoisonError::into_inner);
        if **known != roads {
            *known = Arc::new(roads);
        }
    }

    fn roads(&self, generation: &Generation) -> Option<Arc<Roads>> {
        let roads = Arc::clone(&self.shared.roads.read().unwrap_or_else(PoisonError::into_inner));
        // Of another generation: the next look at the parameters finds out.
        u32::try_from(roads.of_shard.len()).is_ok_and(|shards| shards == generation.layout.shards).then_some(roads)
    }

    /// Looks names up in one pipeline for each node that serves some of their bitmaps; `None` if Redis is cut off, too slow, or holds no filter.
    pub async fn look_up(&self, names: &[Folded]) -> Option<Vec<Presence>> {
        let generation = self.generation()?;
        if !self.shared.breaker.allows() {
            return None;
        }
        match tokio::time::timeout(LOOK_UP_MAX, self.fetch(&generation, names)).await {
            Ok(Ok(found)) => {
                self.shared.breaker.succeeded();
                if found.contains(&Presence::Unknown) {
                    self.shared.damaged.store(true, Ordering::Release);
                }
                Some(found)
            }
            Ok(Err(why)) => self.cut_off(&why.to_string()),
            Err(_) => self.cut_off("no answer in time"),
        }
    }

    fn cut_off(&self, why: &str) -> Option<Vec<Presence>> {
        self.shared.breaker.failed();
        tracing::warn!(why, "the filter does not answer; asking PostgreSQL");
        None
    }

    async fn fetch(&self, generation: &Generation, names: &[Folded]) -> Result<Vec<Presence>, KeyValueError> {
        let places: Vec<_> = names.iter().map(|name| generation.layout.place(name)).collect();
        if let Some(roads) = self.roads(generation) {
            let groups = grouped(&places, roads.homes.len(), |place| roads.of_shard[shard_index(place)]);
            let asked = groups.iter().map(|(home, group)| {
                self.store.pipeline_at::<Vec<u8>>(&roads.homes[*home], blocks_asked(generation, &places, group))
            });
            match try_join_all(asked).await {
                Ok(answers) => return Ok(found(&places, groups.into_iter().zip(answers))),
                // A slot has moved: ask each bitmap by itself until it is known where they are.
                Err(KeyValueError::Failed(_)) => self.take_roads(Roads::default()),
                Err(too_slow) => return Err(too_slow),
            }
        }
        let shards = usize::try_from(generation.layout.shards).unwrap_or(usize::MAX);
        let groups = grouped(&places, shards, shard_index);
        let asked = groups.iter().map(|(_, group)| async {
            let commands = blocks_asked(generation, &places, group);
            self.store.pipeline::<Vec<Vec<u8>>>(&commands).await
        });
        let answers = try_join_all(asked).await?;
        Ok(found(&places, groups.into_iter().zip(answers)))
    }

    /// Adds a name; without a filter there is nothing to do, for the next rebuild finds the name in PostgreSQL.
    ///
    /// # Errors
    /// Redis does not answer; add it again later.
    pub async fn add(&self, name: &Folded) -> Result<(), KeyValueError> {
        match self.generation() {
            Some(generation) => self.add_to(&generation, name).await,
            None => Ok(()),
        }
    }

    /// Adds a name to this generation. A bitmap that was lost is not begun anew: it would claim names to be free.
    ///
    /// # Errors
    /// As [`Filter::add`].
    pub async fn add_to(&self, generation: &Generation, name: &Folded) -> Result<(), KeyValueError> {
        let place = generation.layout.place(name);
        let mut bits: Vec<_> = place.bits().collect();
        bits.sort_unstable();
        bits.dedup();
        let mut command = redis::cmd("EVAL");
        command.arg(ADD_IF_WHOLE).arg(1).arg(bitmap_key(generation.number, place.shard));
        command.arg(u64::from(generation.layout.blocks) * 64);
        for bit in bits {
            command.arg(place.first_byte() * 8 + bit);
        }
        self.store.query::<i64>(&command).await.map(drop)
    }

    /// Writes a generation's parameters; from now on it is the one in use.
    ///
    /// # Errors
    /// Redis does not answer.
    pub(super) async fn publish(&self, generation: &Generation) -> Result<(), KeyValueError> {
        let layout = generation.layout;
        let mut command = redis::cmd("HSET");
        command.arg(PARAMETERS).arg("generation").arg(generation.number).arg("entries").arg(generation.entries);
        command.arg("shards").arg(layout.shards).arg("blocks").arg(layout.blocks).arg("probes").arg(layout.probes);
        self.store.query::<i64>(&command).await?;
        self.refresh().await.map(drop)
    }
}

/// Indices of places by group, without the groups that have none.
fn grouped(places: &[Place], groups: usize, group: impl Fn(&Place) -> usize) -> Vec<(usize, Vec<usize>)> {
    let mut members = vec![Vec::new(); groups];
    for (index, place) in places.iter().enumerate() {
        members[group(place)].push(index);
    }
    members.into_iter().enumerate().filter(|(_, members)| !members.is_empty()).collect()
}

fn shard_index(place: &Place) -> usize {
    usize::try_from(place.shard).unwrap_or(usize::MAX)
}

/// Asks for the blocks of these places.
fn blocks_asked(generation: &Generation, places: &[Place], group: &[usize]) -> redis::Pipeline {
    let mut commands = redis::Pipeline::with_capacity(group.len());
    for place in group.iter().map(|index| places[*index]) {
        let first = place.first_byte();
        let key = bitmap_key(generation.number, place.shard);
        commands.cmd("GETRANGE").arg(key).arg(first).arg(first + BLOCK_BYTES - 1);
    }
    commands
}

/// What the blocks say, in the order of the places.
fn found(places: &[Place], answers: impl Iterator<Item = ((usize, Vec<usize>), Vec<Vec<u8>>)>) -> Vec<Presence> {
    let mut found = vec![Presence::Unknown; places.len()];
    for ((_, group), blocks) in answers {
        for (index, block) in group.into_iter().zip(blocks) {
            found[index] = match <&[u8; BLOCK_BYTES]>::try_from(block.as_slice()) {
                Ok(block) if places[index].is_in(block) => Presence::Perhaps,
                Ok(_) => Presence::Absent,
                Err(_) => Presence::Unknown,
            };
        }
    }
    found
}

/// Redis pads a string with zeros when a bit beyond its end is set; a lost bitmap must stay lost.
const ADD_IF_WHOLE: &str = "if redis.call('STRLEN', KEYS[1]) < tonumber(ARGV[1]) then return 0 end \
    for i = 2, #ARGV do redis.call('SETBIT', KEYS[1], ARGV[i], 1) end return 1";

/// The key of a shard's bitmap.
pub(super) fn bitmap_key(generation: u64, shard: u32) -> String {
    format!("{{names:{shard}}}:{generation}")
}

fn read(fields: &HashMap<String, u64>) -> Option<Generation> {
    let field = |name: &str| fields.get(name).copied();
    let layout = Layout {
        shards: u32::try_from(field("shards")?).ok().filter(|shards| *shards > 0)?,
        blocks: u32::try_from(field("blocks")?).ok().filter(|blocks| *blocks > 0)?,
        probes: u8::try_from(field("probes")?).ok().filter(|probes| (1..=14).contains(probes))?,
    };
    Some(Generation { number: field("generation")?, layout, entries: field("entries")? })
}
