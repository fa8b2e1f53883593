//! The host's side: its callbacks, and its HTTP client, which answers out of the input.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::null;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lime_abi::clock::{lime_clock, lime_clock_advance_ms};
use lime_abi::error::{lime_error, lime_error_message, lime_error_status};
use lime_abi::operation::lime_is_library_thread;
use lime_abi::transport::*;

use super::LIME_OK;
use super::call::read;
use super::handles::{Handle, Pools};
use super::texts;

/// How often a callback was called with a piece of user data, and how often that was dropped.
#[derive(Default, Debug)]
pub(super) struct Mark {
    /// Whether it must be called exactly once.
    once: AtomicBool,
    calls: AtomicU32,
    drops: AtomicU32,
}

impl Mark {
    pub(super) fn set_once(&self, once: bool) {
        self.once.store(once, Ordering::SeqCst);
    }

    pub(super) fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    pub(super) fn drops(&self) -> u32 {
        self.drops.load(Ordering::SeqCst)
    }

    fn is_done(&self) -> bool {
        self.drops() >= 1
    }

    fn check(&self, name: &str) {
        assert_eq!(self.drops(), 1, "user data of {name}");
        if self.once.load(Ordering::SeqCst) {
            assert_eq!(self.calls(), 1, "callback of {name}");
        }
    }
}

/// A pointer on its way from a thread of the library.
struct Sent<T>(*mut T);

// SAFETY: the objects are the host's, on whatever thread.
unsafe impl<T> Send for Sent<T> {}

type Delivery = Box<dyn FnOnce(&mut Pools) + Send>;

#[derive(Default)]
struct Shared {
    answers: Vec<u8>,
    held: Vec<Sent<lime_http_request>>,
    mail: Vec<Delivery>,
    clocks: Vec<Sent<lime_clock>>,
    blocking: bool,
    ending: bool,
}

static SHARED: LazyLock<Mutex<Shared>> = LazyLock::new(Mutex::default);
static CHANGED: Condvar = Condvar::new();

fn shared() -> MutexGuard<'static, Shared> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins a run, whose answers are made of these bytes.
pub(super) fn begin(answers: &[u8]) {
    LazyLock::force(&TICKER);
    let mut shared = shared();
    shared.answers = answers.iter().rev().copied().collect();
    shared.ending = false;
}

/// From here on nothing is answered or kept.
pub(super) fn begin_to_end() {
    shared().ending = true;
}

/// Waits until every piece of user data was dropped, and looks at how often the callbacks came.
pub(super) fn wait_for(marks: &[(&'static str, Arc<Mark>)], pools: &mut Pools) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Some((name, _)) = marks.iter().find(|(_, mark)| !mark.is_done()) {
        take_held(pools);
        collect(pools);
        pools.free_all(0);
        let (guard, _) =
            CHANGED.wait_timeout(shared(), Duration::from_millis(5)).unwrap_or_else(PoisonError::into_inner);
        drop(guard);
        assert!(Instant::now() < deadline, "{name} does not come to its end");
    }
    for (name, mark) in marks {
        mark.check(name);
    }
}

/// Takes over what callbacks have been given.
pub(super) fn collect(pools: &mut Pools) {
    let mail = std::mem::take(&mut shared().mail);
    for deliver in mail {
        deliver(pools);
    }
}

/// Takes over the requests that were not answered at once.
pub(super) fn take_held(pools: &mut Pools) {
    let held = std::mem::take(&mut shared().held);
    pools.http_requests.extend(held.into_iter().map(|Sent(request)| request));
}

// ── time ──────────────────────────────────────────────────────────────────────────────────────────

/// While a call blocks, somebody else has to move the clocks.
pub(super) struct Blocking;

impl Blocking {
    pub(super) fn new(pools: &Pools) -> Self {
        let mut shared = shared();
        shared.blocking = true;
        shared.clocks = pools.clocks.iter().map(|clock| Sent(*clock)).collect();
        CHANGED.notify_all();
        Self
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        let mut shared = shared();
        shared.blocking = false;
        shared.clocks.clear();
    }
}

static TICKER: LazyLock<()> = LazyLock::new(|| {
    std::thread::spawn(|| {
        loop {
            let waiting = CHANGED.wait_while(shared(), |shared| shared.clocks.is_empty());
            let shared = waiting.unwrap_or_else(PoisonError::into_inner);
            for Sent(clock) in &shared.clocks {
                // SAFETY: a live clock: it is freed by the thread that blocks, which takes it out of here first.
                unsafe { lime_clock_advance_ms(*clock, 1000) };
            }
            // Others get a turn.
            drop(CHANGED.wait_timeout(shared, Duration::from_millis(1)));
        }
    });
});

// ── callbacks ─────────────────────────────────────────────────────────────────────────────────────

fn called(user: *mut c_void) {
    // SAFETY: user data of ours is an Arc that is held until it is dropped.
    let mark = unsafe { &*user.cast::<Mark>() };
    assert_eq!(mark.drops(), 0, "a callback after its user data was dropped");
    mark.calls.fetch_add(1, Ordering::SeqCst);
}

pub(super) unsafe extern "C" fn dropped(user: *mut c_void) {
    // SAFETY: made by `into_raw`; the world holds another one, so that a second time is seen.
    let mark = unsafe { Arc::from_raw(user.cast::<Mark>().cast_const()) };
    assert_eq!(mark.drops.fetch_add(1, Ordering::SeqCst), 0, "user data was dropped twice");
    CHANGED.notify_all();
}

/// Puts an object where the program finds it, or frees it at once.
fn keep<T: Handle + 'static>(object: *mut T) {
    if object.is_null() {
        return;
    }
    let mut shared = shared();
    if shared.ending || shared.answers.last().is_some_and(|choice| choice % 2 == 1) {
        drop(shared);
        return T::free(object);
    }
    let sent = Sent(object);
    shared.mail.push(Box::new(move |pools| {
        let sent = sent;
        T::pool(pools).push(sent.0);
    }));
}

fn look_at(status: i32, error: *mut lime_error) {
    assert_eq!(lime_is_library_thread(), 1);
    assert_eq!(status == LIME_OK, error.is_null(), "status {status}");
    // SAFETY: NULL or an error that is ours.
    unsafe {
        assert!(error.is_null() || lime_error_status(error) == status);
        read(lime_error_message(error));
    }
}

pub(super) unsafe extern "C" fn completed<T: Handle + 'static>(
    user: *mut c_void,
    status: i32,
    object: *mut T,
    error: *mut lime_error,
) {
    called(user);
    look_at(status, error);
    assert_eq!(status == LIME_OK, !object.is_null(), "status {status}");
    keep(object);
    keep(error);
}

pub(super) unsafe extern "C" fn completed_without(user: *mut c_void, status: i32, error: *mut lime_error) {
    called(user);
    look_at(status, error);
    keep(error);
}

pub(super) unsafe extern "C" fn state_changed(user: *mut c_void, state: i32, last_error: *const lime_error) {
    called(user);
    assert!((0..=5).contains(&state));
    // SAFETY: NULL or lent for the call.
    read(unsafe { lime_error_message(last_error) });
}

pub(super) unsafe extern "C" fn lost(user: *mut c_void, request_ids: *const *const c_char, count: usize) {
    called(user);
    assert!(count > 0);
    // SAFETY: as many texts as it says, lent for the call.
    unsafe { std::slice::from_raw_parts(request_ids, count) }.iter().copied().for_each(read);
}

pub(super) unsafe extern "C" fn logged(user: *mut c_void, level: i32, message: *const c_char) {
    called(user);
    assert!(matches!(level, 10 | 20 | 30 | 40));
    read(message);
    // SAFETY: a text.
    let message = unsafe { CStr::from_ptr(message) }.to_string_lossy();
    for secret in ["st_secret", "at_secret", "sk_secret"] {
        assert!(!message.contains(secret), "{message}");
    }
}

pub(super) unsafe extern "C" fn signed_in(
    user: *mut c_void,
    request_id: *const c_char,
    passport: *const c_char,
) {
    called(user);
    assert_eq!(lime_is_library_thread(), 1);
    assert!(!request_id.is_null());
    read(request_id);
    read(passport);
}

pub(super) unsafe extern "C" fn event(
    user: *mut c_void,
    name: *const c_char,
    data: *const c_char,
    length: usize,
    id: *const c_char,
) {
    called(user);
    read(name);
    read(id);
    // SAFETY: a text of this length.
    assert!(length >= unsafe { CStr::from_ptr(data) }.count_bytes());
}

pub(super) unsafe extern "C" fn notice(user: *mut c_void, _request_id: u64) {
    called(user);
}

/// A login event, or a request for the host's HTTP client.
pub(super) unsafe extern "C" fn handed_over<T: Handle + 'static>(user: *mut c_void, object: *mut T) {
    called(user);
    assert!(!object.is_null());
    if T::NAME == lime_http_request::NAME {
        answer(object.cast());
    } else {
        keep(object);
    }
}

// ── the host's HTTP client ────────────────────────────────────────────────────────────────────────

fn answer(request: *mut lime_http_request) {
    // SAFETY: a live request.
    let stream = unsafe { lime_http_request_is_stream(request) } == 1;
    let mut shared = shared();
    let choice = if shared.ending { None } else { shared.answers.pop() };
    // A stream that ends is opened again at once.
    let later = choice.map_or(stream, |choice| choice % 8 == 0 || stream && choice % 8 < 6);
    if later && !shared.blocking && !shared.ending {
        return shared.held.push(Sent(request));
    }
    let Some(choice) = choice else {
        drop(shared);
        return lime_http_request::free(request);
    };
    let more = [shared.answers.pop().unwrap_or_default(), shared.answers.pop().unwrap_or_default()];
    drop(shared);
    serve(request, choice, more);
    lime_http_request::free(request);
}

/// Answers a request in one of the ways that there are.
pub(super) fn serve(request: *mut lime_http_request, choice: u8, more: [u8; 2]) {
    let (names, values) = ([c"Content-Type", c"Retry-After"], [c"application/json", c"1"]);
    // SAFETY: a live request, texts, and arrays of two.
    unsafe {
        read(lime_http_request_method(request));
        read(lime_http_request_url(request));
        for index in 0..=lime_http_request_header_count(request) {
            read(lime_http_request_header_name(request, index));
            read(lime_http_request_header_value(request, index));
        }
        let mut length = 0;
        let sent = lime_http_request_body(request, &raw mut length);
        let sent = if sent.is_null() { &[] } else { std::slice::from_raw_parts(sent.cast::<u8>(), length) };
        let url = CStr::from_ptr(lime_http_request_url(request)).to_string_lossy().into_owned();
        let method = CStr::from_ptr(lime_http_request_method(request)).to_string_lossy().into_owned();
        if choice % 8 == 7 {
            let reach = i32::from(more[0] % 5);
            lime_http_request_fail(request, reach, c"no".as_ptr());
            return;
        }
        let stream = lime_http_request_is_stream(request) == 1 && url.ends_with("/events");
        let kind = if stream { c"text/event-stream" } else { values[0] };
        let names = names.map(CStr::as_ptr);
        let values = [kind.as_ptr(), values[1].as_ptr()];
        let status = match choice % 8 {
            6 => *[401, 404, 409, 429, 500, 503, 204, 302].get(usize::from(more[0] % 8)).unwrap_or(&200),
            _ => 200,
        };
        let count = if status == 429 { 2 } else { 1 };
        lime_http_request_respond(request, status, names.as_ptr(), values.as_ptr(), count);
        let body = texts::answer(&method, &url, sent, status);
        let cut = if more[1] % 4 == 3 { body.len() / 2 } else { body.len() };
        for piece in body.as_bytes()[..cut].chunks(usize::from(more[1] / 4) + 9) {
            lime_http_request_wants_more(request);
            lime_http_request_write(request, piece.as_ptr().cast(), piece.len());
            lime_http_request_wants_more(request);
        }
        if more[1] % 8 != 6 {
            lime_http_request_end(request);
        }
        lime_http_request_write(request, null(), 0);
        lime_http_request_is_wanted(request);
    }
}

/// A transport with the host's functions, whose user data is watched like any other.
pub(super) fn transport(marks: &mut Vec<(&'static str, Arc<Mark>)>) -> *mut lime_transport {
    let mark = Arc::new(Mark::default());
    marks.push(("lime_transport_new", Arc::clone(&mark)));
    let mut transport = std::ptr::null_mut();
    // SAFETY: functions of ours, user data that lives until it is dropped, and a place.
    let status = unsafe {
        lime_transport_new(
            Some(handed_over::<lime_http_request>),
            Some(notice),
            Some(notice),
            Arc::into_raw(mark).cast_mut().cast(),
            Some(dropped),
            &raw mut transport,
            std::ptr::null_mut(),
        )
    };
    assert_eq!(status, LIME_OK);
    transport
}

/// A text for C.
pub(super) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}
