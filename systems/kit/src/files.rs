//! The object storage: files by id, in a local folder that all replicas share.
//!
//! Invariant: a file is there whole or not at all, also after a power cut: it is written under another name, synced, and
//! renamed. What no row speaks of any more is removed by [`Files::sweep`].

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

/// Largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 5 << 20;
/// How old a file without a row must be before it is removed: longer than anybody takes from the file to the row.
const ORPHAN_AGE: Duration = Duration::from_secs(3600);

/// Files by id; cheap to clone.
#[derive(Debug, Clone)]
pub struct Files {
    folder: PathBuf,
}

impl Files {
    /// The storage in this folder, which is made where it is missing.
    ///
    /// # Errors
    /// It can't be made.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Can something be written there? For `/ready`.
    ///
    /// # Errors
    /// A sentence saying why not.
    pub async fn answers(self) -> Result<(), String> {
        blocking(move || fs::metadata(&self.folder)).await.map(drop).map_err(|why| why.to_string())
    }

    /// Keeps a file; when this returns, it is durable.
    ///
    /// # Errors
    /// The disk refused; nothing is kept.
    pub async fn put(&self, id: Uuid, bytes: Bytes) -> io::Result<()> {
        let (folder, path) = (self.folder.clone(), self.path(id));
        blocking(move || {
            let unfinished = path.with_extension("part");
            let written = write(&unfinished, &bytes).and_then(|()| fs::rename(&unfinished, &path));
            if written.is_err() {
                let _ = fs::remove_file(&unfinished);
            }
            written?;
            File::open(folder)?.sync_all()
        })
        .await
    }

    /// The file; `None`: it is not there.
    ///
    /// # Errors
    /// The disk failed.
    pub async fn get(&self, id: Uuid) -> io::Result<Option<Bytes>> {
        let path = self.path(id);
        blocking(move || match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(why),
        })
        .await
    }

    /// Removes files that have been without a row for an hour: `known` tells which of the files that are old enough a row
    /// speaks of. Answers how many.
    ///
    /// # Errors
    /// The disk or the database failed; some may be gone.
    pub async fn sweep<F>(&self, known: impl FnOnce(Vec<Uuid>) -> F) -> Result<usize, SweepError>
    where
        F: Future<Output = Result<Vec<Uuid>, sqlx::Error>>,
    {
        let folder = self.folder.clone();
        let old: Vec<Uuid> = blocking(move || old(&folder)).await?;
        let known: BTreeSet<Uuid> = known(old.clone()).await?.into_iter().collect();
        let orphans: Vec<PathBuf> = old.iter().filter(|id| !known.contains(id)).map(|id| self.path(*id)).collect();
        let count = orphans.len();
        blocking(move || orphans.iter().try_for_each(fs::remove_file)).await?;
        Ok(count)
    }

    fn path(&self, id: Uuid) -> PathBuf {
        self.folder.join(id.simple().to_string())
    }
}

/// Files were not swept.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The disk.
    #[error("cannot look through the files")]
    Disk(#[from] io::Error),
    /// The database.
    #[error("cannot ask which files are spoken of")]
    Database(#[from] sqlx::Error),
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The ids of files that are old enough to be removed; what was never finished goes at once.
fn old(folder: &Path) -> io::Result<Vec<Uuid>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let age = entry.metadata().and_then(|about| about.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_none_or(|age| age < ORPHAN_AGE) {
            continue;
        }
        let name = entry.file_name();
        match name.to_str().and_then(|name| name.parse().ok()) {
            Some(id) => ids.push(id),
            None if entry.path().extension().is_some_and(|extension| extension == "part") => {
                fs::remove_file(entry.path())?;
            }
            None => {}
        }
    }
    Ok(ids)
}

/// The headers of a file that a browser keeps and does not show: anybody may have brought anything.
pub fn download_headers(name: &str, media_type: &str, sha256: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (header, value) in [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_DISPOSITION, &disposition(name)),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "private, no-store"),
        (header::ETAG, &format!("\"{sha256}\"")),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(header, value);
        }
    }
    headers
}

/// RFC 6266, the name as in RFC 8187.
fn disposition(name: &str) -> String {
    let coded = name.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    format!("attachment; filename*=UTF-8''{}", coded.collect::<String>())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|why| Err(io::Error::other(why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_in_a_header_whatever_is_in_it() {
        assert_eq!(disposition("plan 2.pdf"), "attachment; filename*=UTF-8''plan%202.pdf");
        assert_eq!(disposition("é\"\r\n"), "attachment; filename*=UTF-8''%C3%A9%22%0D%0A");
    }

    #[tokio::test]
    async fn a_file_is_kept_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (files, id) = (Files::open(folder.path().join("files")).unwrap(), Uuid::now_v7());
        assert_eq!(files.get(id).await.unwrap(), None);
        files.put(id, Bytes::from_static(b"one")).await.unwrap();
        files.put(id, Bytes::from_static(b"two")).await.unwrap();
        assert_eq!(files.get(id).await.unwrap().as_deref(), Some(&b"two"[..]));
        let names = fs::read_dir(folder.path().join("files")).unwrap().count();
        assert_eq!(names, 1, "nothing unfinished is left");
    }
}
