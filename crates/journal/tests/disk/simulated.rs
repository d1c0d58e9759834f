//! A disk of the mind: it knows what was synced and what was not, fails or dies at any operation, and loses power.

use plimsoll_journal::{Files, WritableFile};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    rc::Rc,
};

/// What happens at an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails with EIO, once. A write has written half of it.
    Fails,
    /// The process dies in it; a write has written half of it.
    Dies,
}

/// What a loss of power leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// None: only the process died.
    None,
    /// Nothing that was not synced, neither bytes nor names.
    All,
    /// Names, but no bytes that were not synced.
    Bytes,
    /// Bytes, but no names that were not synced.
    Names,
    /// Half of the bytes that were not synced.
    Half,
}

pub(crate) const LOSSES: [Loss; 5] = [Loss::None, Loss::All, Loss::Bytes, Loss::Names, Loss::Half];

#[derive(Debug, Default)]
struct Inode {
    data: Vec<u8>,
    synced: Vec<u8>,
    /// From here to there, a failed sync made the kernel forget that it must write.
    forgotten: Vec<(usize, usize)>,
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    operations: usize,
    fault: Option<(usize, Fault)>,
    is_dead: bool,
    is_locked: bool,
}

/// The disk; clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Simulated(Rc<RefCell<State>>);

pub(crate) struct OpenFile {
    disk: Simulated,
    inode: usize,
}

pub(crate) struct Lock(Simulated);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.0.borrow_mut().is_locked = false;
    }
}

impl Simulated {
    /// The `at`th operation from now (from 1) goes wrong.
    pub(crate) fn set_fault(&self, at: usize, fault: Fault) {
        let mut state = self.0.borrow_mut();
        state.fault = Some((state.operations + at, fault));
    }

    /// Whether the fault that was set has happened.
    pub(crate) fn is_fault_over(&self) -> bool {
        self.0.borrow().fault.is_none()
    }

    /// The machine, or only the process, comes back.
    pub(crate) fn restart(&self, loss: Loss) {
        let mut state = self.0.borrow_mut();
        state.is_dead = false;
        state.is_locked = false;
        state.fault = None;
        if loss == Loss::None {
            return;
        }
        for inode in &mut state.inodes {
            let kept = match loss {
                Loss::Names => inode.written(),
                Loss::Half if inode.data.starts_with(&inode.synced) => {
                    let half = inode.synced.len() + (inode.data.len() - inode.synced.len()) / 2;
                    inode.written()[..half].to_vec()
                }
                _ => inode.synced.clone(),
            };
            *inode = Inode { data: kept.clone(), synced: kept, forgotten: vec![] };
        }
        if matches!(loss, Loss::All | Loss::Names) {
            state.names = state.synced_names.clone();
        }
        state.synced_names = state.names.clone();
    }

    /// All files, by name.
    pub(crate) fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.0.borrow();
        state.names.iter().map(|(path, inode)| (path.clone(), state.inodes[*inode].data.clone())).collect()
    }

    /// A disk that holds these files, durably.
    pub(crate) fn holding(contents: &BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let mut state = State::default();
        for (path, data) in contents {
            state.names.insert(path.clone(), state.inodes.len());
            state.inodes.push(Inode { data: data.clone(), synced: data.clone(), forgotten: vec![] });
        }
        state.synced_names = state.names.clone();
        Self(Rc::new(RefCell::new(state)))
    }

    fn step(&self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        if state.is_dead {
            return Err(io::Error::other("dead"));
        }
        state.operations += 1;
        match state.fault {
            Some((at, fault)) if at == state.operations => {
                state.fault = None;
                state.is_dead = fault == Fault::Dies;
                Err(io::Error::from_raw_os_error(5))
            }
            _ => Ok(()),
        }
    }

    fn inode_of(&self, path: &Path) -> io::Result<usize> {
        self.0.borrow().names.get(path).copied().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl Inode {
    /// What reaches the disk when all of it is written: zeros where the kernel forgot.
    fn written(&self) -> Vec<u8> {
        let mut bytes = self.data.clone();
        for (from, to) in &self.forgotten {
            let to = (*to).min(bytes.len());
            if *from < to {
                bytes[*from..to].fill(0);
            }
        }
        bytes
    }
}

impl Files for Simulated {
    type File = OpenFile;
    type Lock = Lock;

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.step()
    }

    fn lock(&self, _: &Path) -> io::Result<Option<Lock>> {
        self.step()?;
        let mut state = self.0.borrow_mut();
        if std::mem::replace(&mut state.is_locked, true) {
            return Ok(None);
        }
        Ok(Some(Lock(self.clone())))
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        self.step()?;
        let state = self.0.borrow();
        Ok(state.names.keys().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.step()?;
        let inode = self.inode_of(path)?;
        Ok(self.0.borrow().inodes[inode].data.clone())
    }

    fn create(&self, path: &Path) -> io::Result<OpenFile> {
        self.step()?;
        let mut state = self.0.borrow_mut();
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.names.insert(path.to_owned(), inode);
        Ok(OpenFile { disk: self.clone(), inode })
    }

    fn open(&self, path: &Path) -> io::Result<OpenFile> {
        self.step()?;
        Ok(OpenFile { disk: self.clone(), inode: self.inode_of(path)? })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let inode = self.inode_of(from)?;
        let mut state = self.0.borrow_mut();
        state.names.remove(from);
        state.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.inode_of(path)?;
        self.0.borrow_mut().names.remove(path);
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.step()?;
        let mut state = self.0.borrow_mut();
        state.synced_names = state.names.clone();
        Ok(())
    }
}

impl WritableFile for OpenFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let was_dead = self.disk.0.borrow().is_dead;
        let step = self.disk.step();
        let written = if step.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        if !was_dead {
            self.disk.0.borrow_mut().inodes[self.inode].data.extend_from_slice(written);
        }
        step
    }

    fn sync(&mut self) -> io::Result<()> {
        let step = self.disk.step();
        let mut state = self.disk.0.borrow_mut();
        let is_dead = state.is_dead;
        let inode = &mut state.inodes[self.inode];
        if step.is_ok() {
            inode.synced = inode.written();
        } else if !is_dead {
            inode.forgotten.push((inode.synced.len(), inode.data.len()));
        }
        step
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.disk.step()?;
        let mut state = self.disk.0.borrow_mut();
        state.inodes[self.inode].data.truncate(usize::try_from(len).unwrap());
        Ok(())
    }
}
