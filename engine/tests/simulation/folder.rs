//! A folder whose files and names are durable only once they were synced, each for itself.

use std::collections::BTreeMap;
use std::io;

use crate::random::Random;

#[derive(Debug, Clone, Default)]
struct File {
    bytes: Vec<u8>,
    /// Whether `bytes` are durable.
    synced: bool,
}

/// A change of the names that a crash may undo.
#[derive(Debug, Clone)]
enum Change {
    Name(String, usize),
    Rename(String, String),
    Remove(String),
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folder {
    /// Every file that there ever was; names lead here.
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    /// What makes `names` of `durable`, in order.
    pending: Vec<Change>,
}

impl Folder {
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        let file = self.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(&mut self.files[*file])
    }

    pub(crate) fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        Ok(self.file(name)?.bytes.clone())
    }

    pub(crate) fn write(&mut self, name: &str, bytes: &[u8]) {
        self.files.push(File { bytes: bytes.to_vec(), synced: false });
        self.change(Change::Name(name.to_owned(), self.files.len() - 1));
    }

    pub(crate) fn sync(&mut self, name: &str) -> io::Result<()> {
        self.file(name)?.synced = true;
        Ok(())
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.file(from)?;
        self.change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    pub(crate) fn remove(&mut self, name: &str) -> io::Result<()> {
        self.file(name)?;
        self.change(Change::Remove(name.to_owned()));
        Ok(())
    }

    pub(crate) fn sync_names(&mut self) {
        self.durable.clone_from(&self.names);
        self.pending.clear();
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.names, &change);
        self.pending.push(change);
    }

    /// What is there for good.
    pub(crate) fn durable_copy(&self) -> Self {
        let (files, names) = (self.files.clone(), self.durable.clone());
        Self { files, durable: names.clone(), names, pending: Vec::new() }
    }

    /// The machine comes back: a prefix of the changes of names is there, and of a file that was not synced a part.
    pub(crate) fn come_back(&mut self, random: &mut Random) {
        let survivors = random.below(self.pending.len() as u64 + 1) as usize;
        self.pending[..survivors].iter().for_each(|change| apply(&mut self.durable, change));
        for file in self.files.iter_mut().filter(|file| !file.synced) {
            let keep = random.below(file.bytes.len() as u64 + 1) as usize;
            file.bytes.truncate(keep);
            file.synced = true;
        }
        self.names.clone_from(&self.durable);
        self.pending.clear();
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: &Change) {
    match change {
        Change::Name(name, file) => drop(names.insert(name.clone(), *file)),
        Change::Rename(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
        Change::Remove(name) => drop(names.remove(name)),
    }
}
