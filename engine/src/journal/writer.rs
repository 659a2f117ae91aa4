//! The journal at work beside its owner: it does one job after the other, in order, while the owner goes on with the
//! next group. So nobody who owns seats ever waits for a disk.

use std::fs::File;
use std::io;
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot};

use super::{Journal, JournalError};

/// Where work is done that waits for a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workplace {
    /// On a thread of its own.
    Thread,
    /// On the owner's thread, once everything that is ready there has had its turn: a simulation must be the same each
    /// time.
    Beside,
}

type Job = Box<dyn FnOnce(&mut Journal) + Send>;

/// Jobs that may wait: a commit, a trim and upkeep, one of each at a time; who has another waits for room.
const JOBS_MAX: usize = 4;

/// See the module. Dropping it ends the work and waits for that.
pub(crate) struct Writer {
    workplace: Workplace,
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Puts a journal to work. The lock on the data directory is held until the journal is closed.
    ///
    /// # Errors
    /// Where the system has no thread to give.
    pub(crate) fn start(journal: Journal, lock: Option<File>, workplace: Workplace) -> io::Result<Self> {
        let (jobs, waiting) = mpsc::channel(JOBS_MAX);
        let thread = match workplace {
            Workplace::Thread => {
                let work = move || {
                    work(journal, waiting);
                    drop(lock);
                };
                Some(thread::Builder::new().name("journal".into()).spawn(work)?)
            }
            Workplace::Beside => {
                actix_rt::spawn(work_beside(journal, waiting));
                None
            }
        };
        Ok(Self { workplace, jobs: Some(jobs), thread })
    }

    /// Does work that waits for the disk, but not for the journal, such as writing a snapshot.
    ///
    /// # Errors
    /// The work's own; also where it panicked.
    pub(crate) fn apart<W>(&self, work: W) -> impl Future<Output = io::Result<()>> + use<W>
    where
        W: FnOnce() -> io::Result<()> + Send + 'static,
    {
        let workplace = self.workplace;
        async move {
            match workplace {
                Workplace::Thread => tokio::task::spawn_blocking(work).await.map_err(io::Error::other).flatten(),
                Workplace::Beside => {
                    // It takes longer than a commit.
                    for _ in 0..3 {
                        give_way().await;
                    }
                    work()
                }
            }
        }
    }

    /// Does something with the journal, after all that was asked before.
    ///
    /// # Errors
    /// [`JournalError`]; also where the journal has ended, and nobody knows what became of the job.
    pub(crate) fn ask<T, J>(&self, job: J) -> impl Future<Output = Result<T, JournalError>> + use<T, J>
    where
        T: Send + 'static,
        J: FnOnce(&mut Journal) -> Result<T, JournalError> + Send + 'static,
    {
        let (done, outcome) = oneshot::channel();
        // A receiver that has gone away needs no outcome.
        let job: Job = Box::new(move |journal| drop(done.send(job(journal))));
        let jobs = self.jobs.clone();
        async move {
            let jobs = jobs.ok_or(JournalError::Failed)?;
            jobs.send(job).await.map_err(|_| JournalError::Failed)?;
            outcome.await.unwrap_or(Err(JournalError::Failed))
        }
    }
}

fn work(mut journal: Journal, mut jobs: mpsc::Receiver<Job>) {
    while let Some(job) = jobs.blocking_recv() {
        job(&mut journal);
    }
}

/// Turns that others have while a job is under way.
const TURNS: usize = 8;

async fn work_beside(mut journal: Journal, mut jobs: mpsc::Receiver<Job>) {
    while let Some(job) = jobs.recv().await {
        give_way().await;
        job(&mut journal);
    }
}

async fn give_way() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the journal's thread panicked");
        }
    }
}
