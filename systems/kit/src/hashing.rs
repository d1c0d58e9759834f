//! Password hashes: Argon2id on threads of their own, few and of low priority.
//!
//! Parameters: m = 19 MiB, t = 2, p = 1, the minimum that the OWASP Password Storage Cheat Sheet allows
//! (<https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>). Each thread keeps its 19 MiB and
//! runs at nice 5, so that beside a thousand registrations at once validation still gets three
//! quarters of a contended core.
//!
//! Invariant: no more hashes run at a time than there are threads, in order of arrival; at most 4,096 callers wait.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const WAITING_MAX: usize = 4096;
/// A weight of 335 against 1,024 for those that serve requests; lower still, and other work on the machine starves
/// registrations (1,000 at once took 57 s at nice 10 with a load of 15 on two cores).
const NICE: i32 = 5;

type Job = Box<dyn FnOnce(&mut Vec<Block>) + Send>;

/// A hash was not made.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// Too many are waiting; answer 503 and let them come back.
    #[error("too many passwords are waiting to be hashed")]
    Overloaded,
    /// The hash itself failed, or a stored one is malformed.
    #[error("cannot hash a password: {0}")]
    Failed(String),
}

/// The hashing threads; cheap to clone.
#[derive(Clone)]
pub struct Hashers {
    turns: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    jobs: mpsc::Sender<Job>,
    dummy: Arc<str>,
}

impl Hashers {
    /// Starts `threads` (at least 1) hashing threads.
    ///
    /// # Errors
    /// A thread cannot be started or the first hash fails.
    pub fn start(threads: usize) -> Result<Self, HashingError> {
        let threads = threads.max(1);
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for index in 0..threads {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name(format!("hasher-{index}"))
                .spawn(move || work(&queue))
                .map_err(|why| HashingError::Failed(why.to_string()))?;
        }
        // What an unknown account is verified against, so that it takes as long as a known one.
        let dummy = hash_now(&random_password(), &mut Vec::new())?.into();
        let turns = Arc::new(Semaphore::new(threads));
        Ok(Self { turns, waiting: Arc::default(), jobs, dummy })
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// Too many are waiting.
    pub async fn turn(&self) -> Result<Turn, HashingError> {
        let waiting = Waiting::enter(&self.waiting)?;
        let permit = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| HashingError::Overloaded)?;
        drop(waiting);
        Ok(Turn { hashers: self.clone(), permit })
    }

    /// Waits for a turn and makes the hash of `password` as a PHC string.
    ///
    /// # Errors
    /// Too many are waiting, or the hash failed.
    pub async fn hash(&self, password: String) -> Result<String, HashingError> {
        self.turn().await?.run(move |memory| hash_now(&password, memory)).await
    }
}

/// The right to one hash.
pub struct Turn {
    hashers: Hashers,
    permit: OwnedSemaphorePermit,
}

impl Turn {
    /// Is this the password of `stored`? `None`: there is no such account; takes as long and answers false.
    ///
    /// # Errors
    /// The stored hash is malformed.
    pub async fn verify(self, password: String, stored: Option<String>) -> Result<bool, HashingError> {
        let dummy = Arc::clone(&self.hashers.dummy);
        self.run(move |memory| match stored {
            Some(stored) => verify_now(&password, &stored, memory),
            None => verify_now(&password, &dummy, memory).map(|_| false),
        })
        .await
    }

    async fn run<T: Send + 'static>(
        self,
        job: impl FnOnce(&mut Vec<Block>) -> Result<T, HashingError> + Send + 'static,
    ) -> Result<T, HashingError> {
        let (reply, done) = oneshot::channel();
        let permit = self.permit;
        let job: Job = Box::new(move |memory| {
            // The caller may have gone away; the turn ends when the work does.
            let _ = reply.send(job(memory));
            drop(permit);
        });
        self.hashers.jobs.send(job).map_err(|_| HashingError::Failed("hashing threads are gone".into()))?;
        done.await.map_err(|_| HashingError::Failed("a hashing thread died".into()))?
    }
}

struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn enter(count: &Arc<AtomicUsize>) -> Result<Self, HashingError> {
        let this = Self(Arc::clone(count));
        if count.fetch_add(1, Ordering::AcqRel) >= WAITING_MAX { Err(HashingError::Overloaded) } else { Ok(this) }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn work(queue: &Mutex<mpsc::Receiver<Job>>) {
    if let Err(why) = rustix::process::nice(NICE) {
        tracing::warn!(error = %why, "hashing threads run at normal priority");
    }
    let mut memory = Vec::new();
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        job(&mut memory);
    }
}

/// Hashes on this thread; for `seed`, which has no server to protect.
///
/// # Errors
/// The hash failed.
pub fn hash_blocking(password: &str) -> Result<String, HashingError> {
    hash_now(password, &mut Vec::new())
}

/// A password that nobody knows.
pub fn random_password() -> String {
    crate::sessions::hex(&rand::random::<[u8; 16]>())
}

fn hash_now(password: &str, memory: &mut Vec<Block>) -> Result<String, HashingError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(32)).map_err(failed)?;
    let salt: [u8; 16] = rand::random();
    let output = derive(password, &salt, &params, memory)?;
    let hash = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params).map_err(failed)?,
        salt: Some(Salt::new(&salt).map_err(failed)?),
        hash: Some(output),
    };
    Ok(hash.to_string())
}

fn verify_now(password: &str, stored: &str, memory: &mut Vec<Block>) -> Result<bool, HashingError> {
    let stored = PasswordHash::new(stored).map_err(failed)?;
    let params = Params::try_from(&stored).map_err(failed)?;
    let (Some(salt), Some(expected)) = (stored.salt, stored.hash) else {
        return Err(HashingError::Failed("a stored hash has no salt or no output".into()));
    };
    // `Output` compares in constant time.
    Ok(derive(password, &salt, &params, memory)? == expected)
}

fn derive(password: &str, salt: &[u8], params: &Params, memory: &mut Vec<Block>) -> Result<Output, HashingError> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    memory.resize(params.block_count(), Block::new());
    let mut output = [0_u8; 32];
    argon2
        .hash_password_into_with_memory(password.as_bytes(), salt, &mut output, memory.as_mut_slice())
        .map_err(failed)?;
    Output::new(&output).map_err(failed)
}

fn failed(why: impl std::fmt::Display) -> HashingError {
    HashingError::Failed(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::password_hash::PasswordVerifier;

    #[tokio::test]
    async fn verifies_its_own_and_nothing_else() {
        let hashers = Hashers::start(1).unwrap();
        let hash = hashers.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let verify = async |password: &str, stored: Option<&str>| {
            hashers.turn().await.unwrap().verify(password.into(), stored.map(Into::into)).await.unwrap()
        };
        assert!(verify("correct horse", Some(&hash)).await);
        assert!(!verify("wrong horse", Some(&hash)).await);
        assert!(!verify("correct horse", None).await);
    }

    #[test]
    fn agrees_with_the_crate_it_uses() {
        let hash = hash_blocking("secret").unwrap();
        let parsed = PasswordHash::new(&hash).unwrap();
        assert!(Argon2::default().verify_password(b"secret", &parsed).is_ok());
    }
}
