//! The dispatcher: the one thread on which the host's callbacks run, one at a time, in order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle, ThreadId};

type Job = Box<dyn FnOnce() + Send>;

/// Started with the first job; ends when it is dropped and its jobs are done.
#[derive(Default)]
pub(crate) struct Dispatcher(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Running {
        jobs: mpsc::Sender<Job>,
        thread: JoinHandle<()>,
        busy: Arc<AtomicBool>,
    },
    /// The system refused a thread; jobs run where they are posted, late is better than never.
    Refused,
}

impl Dispatcher {
    /// Runs `job` on the dispatcher thread, after all jobs posted before it.
    pub(crate) fn post(&self, job: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        if matches!(*state, State::Idle) {
            *state = start();
        }
        match &*state {
            State::Running { jobs, .. } => {
                // The receiver lives as long as this sender: the send cannot fail.
                let _ = jobs.send(Box::new(job));
            }
            State::Idle | State::Refused => {
                drop(state);
                run(Box::new(job));
            }
        }
    }

    /// The dispatcher thread, if it was needed yet.
    pub(crate) fn thread_id(&self) -> Option<ThreadId> {
        match &*self.lock() {
            State::Running { thread, .. } => Some(thread.thread().id()),
            State::Idle | State::Refused => None,
        }
    }

    /// Lets the thread end after the jobs it has, and waits for that unless a callback of the host
    /// is running: the host may be holding a lock that the callback waits for.
    pub(crate) fn stop(&self) {
        let State::Running { jobs, thread, busy } = std::mem::take(&mut *self.lock()) else { return };
        drop(jobs);
        if thread.thread().id() != thread::current().id() && !busy.load(Ordering::SeqCst) {
            let _ = thread.join();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn start() -> State {
    let (jobs, queue) = mpsc::channel::<Job>();
    let busy = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&busy);
    let spawned = thread::Builder::new().name("lime-dispatcher".into()).spawn(move || {
        crate::runtime::claim_thread();
        crate::signals::restore_broken_pipes();
        for job in queue {
            flag.store(true, Ordering::SeqCst);
            run(job);
            flag.store(false, Ordering::SeqCst);
        }
    });
    match spawned {
        Ok(thread) => State::Running { jobs, thread, busy },
        Err(_) => State::Refused,
    }
}

/// A panic of a callback ends that callback, not the thread that all others share.
fn run(job: Job) {
    let _ = catch_unwind(AssertUnwindSafe(job));
}
