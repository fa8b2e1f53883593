//! The way from the library's threads to JavaScript: a queue for each environment (the main thread, each
//! worker). Many things that happen at once cost one wake-up.
//!
//! An environment may end at any moment: a worker is terminated, `process.exit()` is called in a handler. A
//! hook then closes the queue, gives up the calls and closes the clients of this environment, on its
//! thread and before its memory goes. After that nothing is put in and JavaScript is not called any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use lime_core::log::{Level, Logger};
use lime_core::{
    Delivery, Error, LimeAgent, LimeSite, Operation, OperationId, Sesame, TokenVerifier, cancel_operation,
};
use napi::Status;
use napi::bindgen_prelude::{Env, Function};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode, UnknownReturnValue};
use napi_derive::napi;
use serde_json::{Value, json};

use crate::{error, fault};

/// Weak: what keeps the process alive is decided by TypeScript, see [`Queue::keep_alive`].
type Wake = ThreadsafeFunction<(), UnknownReturnValue, (), Status, false, true, 0>;

/// Something for JavaScript to do. The first member of its array is its kind, see `ts/bridge.ts`.
pub(crate) enum Kind {
    Done = 0,
    Event = 1,
    State = 2,
    HttpBegin = 3,
    HttpResume = 4,
    HttpAbort = 5,
    Log = 6,
    Gap = 7,
}

struct Items {
    /// Written as JSON, with a comma after each: the thread that has to take it has enough to do.
    waiting: String,
    /// A call of `wake` is on its way.
    woken: bool,
    wake: Option<Wake>,
    /// Calls that have not ended, by the number that TypeScript has for them. 0: being started.
    calls: HashMap<i64, OperationId>,
    /// Events that TypeScript has not handled. Each holds its place in its site's queue.
    deliveries: HashMap<u64, Delivery>,
    next_delivery: u64,
    clients: HashMap<i64, Weak<dyn Close>>,
}

/// The library's side of a queue.
pub(crate) struct Shared(Mutex<Items>);

/// A client that ends with its environment.
pub(crate) trait Close: Send + Sync {
    fn close(&self);
}

impl Close for LimeSite {
    fn close(&self) {
        LimeSite::close(self);
    }
}

impl Close for LimeAgent {
    fn close(&self) {
        LimeAgent::close(self);
    }
}

impl Close for Sesame {
    fn close(&self) {
        Sesame::close(self);
    }
}

impl Close for TokenVerifier {
    fn close(&self) {
        TokenVerifier::close(self);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Items> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds something and wakes JavaScript; false when its environment has ended.
    pub(crate) fn push(&self, kind: Kind, members: &[Value]) -> bool {
        self.lock().push(kind, members, true)
    }

    pub(crate) fn push_event(&self, site: i64, delivery: Delivery) {
        let mut items = self.lock();
        if items.wake.is_none() {
            drop(items);
            drop(delivery); // gives a place in a queue back, which is not to be done under a lock
            return;
        }
        let number = items.next_delivery;
        items.next_delivery += 1;
        let event = &delivery.event;
        let members = [site.into(), number.into(), json!(event.request_id), json!(event.passport)];
        items.deliveries.insert(number, delivery);
        items.push(Kind::Event, &members, true);
    }

    /// A logger that hands records of `least` or more to the TypeScript object with this number.
    pub(crate) fn logger(self: &Arc<Self>, logger: i64, least: Option<i32>) -> Logger {
        let least = match least {
            None => return Logger::default(),
            Some(..=10) => Level::Debug,
            Some(..=20) => Level::Info,
            Some(..=30) => Level::Warning,
            Some(_) => Level::Error,
        };
        let queue = Arc::clone(self);
        Logger::new(least, move |level, message| {
            // A request's URL comes along with its answer; a retry or a refusal is news now.
            let wake = level >= Level::Warning;
            queue.lock().push(Kind::Log, &[logger.into(), (level as i32).into(), message.into()], wake);
        })
    }

    /// Starts a call; its result comes with this number. Gives the core's own number of it.
    pub(crate) fn start<T: Send + 'static>(
        self: &Arc<Self>,
        call: i64,
        operation: Operation<T>,
        value: fn(T) -> Value,
    ) -> i64 {
        self.lock().calls.insert(call, 0);
        let queue = Arc::clone(self);
        let number = operation.start_undispatched(move |result| queue.done(call, fault::made(result, value)));
        let mut items = self.lock();
        if let Some(slot) = items.calls.get_mut(&call) {
            *slot = number; // it has not ended yet
        }
        i64::try_from(number).unwrap_or(i64::MAX)
    }

    fn done(&self, call: i64, result: Result<Value, Error>) {
        let (value, error) = match result {
            Ok(value) => (value, Value::Null),
            Err(error) => (Value::Null, error::json(&error)),
        };
        let mut items = self.lock();
        items.calls.remove(&call);
        items.push(Kind::Done, &[call.into(), value, error], true);
    }

    /// Sees to it that this client is closed with the environment at the latest.
    pub(crate) fn adopt(&self, number: i64, client: Weak<dyn Close>) {
        self.lock().clients.insert(number, client);
    }

    /// A client is gone.
    pub(crate) fn forget(&self, number: i64) {
        self.lock().clients.remove(&number);
    }

    /// The environment ends. On its thread.
    fn end(&self) {
        let mut items = self.lock();
        // From here on nobody calls JavaScript: whoever would holds the lock while it does.
        let wake = items.wake.take();
        let calls = std::mem::take(&mut items.calls);
        let deliveries = std::mem::take(&mut items.deliveries);
        let clients = std::mem::take(&mut items.clients);
        items.waiting = String::new();
        drop(items);
        drop((wake, deliveries));
        for operation in calls.into_values() {
            cancel_operation(operation);
        }
        for client in clients.into_values().filter_map(|client| client.upgrade()) {
            client.close();
        }
    }
}

impl Items {
    fn push(&mut self, kind: Kind, members: &[Value], wake: bool) -> bool {
        let Some(function) = &self.wake else { return false };
        self.waiting.push('[');
        self.waiting.push_str(&(kind as u8).to_string());
        for member in members {
            self.waiting.push(',');
            self.waiting.push_str(&member.to_string());
        }
        self.waiting.push_str("],");
        if wake && !std::mem::replace(&mut self.woken, true) {
            function.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
        true
    }
}

/// The queue of one JavaScript environment.
#[napi]
pub struct Queue {
    pub(crate) shared: Arc<Shared>,
}

#[napi]
impl Queue {
    /// A queue that calls `wake` when there is something to take. `wake` must not throw.
    #[napi(constructor, catch_unwind)]
    pub fn new(env: Env, wake: Function<'_, (), UnknownReturnValue>) -> napi::Result<Self> {
        let wake = wake.build_threadsafe_function::<()>().weak::<true>().build()?;
        let shared = Arc::new(Shared(Mutex::new(Items {
            waiting: String::new(),
            woken: false,
            wake: Some(wake),
            calls: HashMap::new(),
            deliveries: HashMap::new(),
            next_delivery: 1,
            clients: HashMap::new(),
        })));
        // Hooks run in the opposite order of their registration: before Node ends `wake` by itself.
        env.add_env_cleanup_hook(Arc::clone(&shared), |shared| shared.end())?;
        Ok(Self { shared })
    }

    /// Everything that has happened, as a JSON array of arrays that begin with their kind.
    #[napi(catch_unwind)]
    pub fn take(&self) -> String {
        let mut items = self.shared.lock();
        items.woken = false;
        let mut waiting = std::mem::take(&mut items.waiting);
        drop(items);
        waiting.pop(); // the last comma
        waiting.insert(0, '[');
        waiting.push(']');
        waiting
    }

    /// An event has been handled: its place in its site's queue is free again.
    #[napi(catch_unwind)]
    pub fn handled(&self, delivery: i64) {
        let delivery = u64::try_from(delivery).ok();
        let delivery = delivery.and_then(|number| self.shared.lock().deliveries.remove(&number));
        drop(delivery);
    }

    /// Whether the queue keeps the process alive.
    #[napi(catch_unwind)]
    #[allow(deprecated)] // in favour of a type that says it for good; here it changes all the time
    pub fn keep_alive(&self, env: Env, alive: bool) -> napi::Result<()> {
        match &mut self.shared.lock().wake {
            Some(wake) if alive => wake.refer(&env),
            Some(wake) => wake.unref(&env),
            None => Ok(()),
        }
    }
}

/// A call that the core has a number for is given up: it ends as cancelled, unless it has ended before.
#[napi(catch_unwind)]
pub fn cancel(operation: i64) -> bool {
    u64::try_from(operation).is_ok_and(cancel_operation)
}
