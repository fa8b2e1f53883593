//! The host's own HTTP client: every byte of a client goes through it.

use std::collections::HashMap;
use std::ffi::{CString, c_char, c_void};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use lime_core::process::PerProcess;
use lime_core::transport::host::{ExchangeId, HostClient, HostTransport};
use lime_core::transport::{Request, TimeLimit, Transport, TransportError};
use lime_core::{Error, ErrorKind, OperationId, Result, is_library_thread};

use crate::error::lime_error;
use crate::panic;
use crate::strings::{Out, borrow, bytes, c_text, flag, get, give, invalid, set, take, text, texts};
use crate::userdata::{UserData, lime_drop_user_data};

/// How far a failed request got: it certainly did not leave, since no connection came about. Whatever it was,
/// it may be sent again.
pub const LIME_REACH_NOT_SENT: i32 = 0;
/// How far a failed request got: it may have arrived, and may have taken effect.
pub const LIME_REACH_MAYBE_SENT: i32 = 1;
/// How far a failed request got: no answer came in time; it may have arrived, and may have taken effect.
pub const LIME_REACH_TIMED_OUT: i32 = 2;
/// How far a failed request got: the host's client is closed or broken, which another try would not mend.
pub const LIME_REACH_HOST_FAULT: i32 = 3;

/// Begins to carry out `request`, which is the host's from here on: it is to be answered, now or later, and
/// freed with lime_http_request_free(). Runs on the library's runtime thread, which all clients share, so it
/// must return at once; it may call any lime_http_request_ function.
pub type lime_transport_send_callback =
    Option<unsafe extern "C" fn(user_data: *mut c_void, request: *mut lime_http_request)>;

/// Is told of the request whose lime_http_request_id() is `request_id`. Runs on a thread of the library, must return at
/// once and must not call the library.
pub type lime_transport_notice_callback =
    Option<unsafe extern "C" fn(user_data: *mut c_void, request_id: u64)>;

/// The host's HTTP client, as a table of functions. Options that it was set in, the clients made with them and
/// the requests that are under way keep it. Free it with lime_transport_free().
pub struct lime_transport {
    transport: HostTransport,
    keeps_time: Arc<AtomicBool>,
}

impl lime_transport {
    pub(crate) fn shared(&self) -> Arc<dyn Transport> {
        Arc::new(self.transport.clone())
    }
}

/// A request that the host carries out. It is answered in this order: lime_http_request_respond(), any number
/// of lime_http_request_write(), lime_http_request_end(); or, at any point, lime_http_request_fail(). To be used
/// by one thread at a time, but for the functions that say otherwise. Free it with lime_http_request_free().
pub struct lime_http_request {
    transport: HostTransport,
    id: ExchangeId,
    operation: OperationId,
    method: CString,
    url: CString,
    headers: Vec<(CString, CString)>,
    request: Request,
    stream: bool,
    progress: AtomicU8,
    notice: Arc<Notice>,
}

const BEGUN: u8 = 0;
const RESPONDED: u8 = 1;
const ENDED: u8 = 2;

/// What the library has said about a request.
#[derive(Default)]
struct Notice {
    state: Mutex<Wish>,
    changed: Condvar,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Wish {
    #[default]
    More,
    Pause,
    Nothing,
}

impl Notice {
    fn lock(&self) -> MutexGuard<'_, Wish> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, wish: Wish) {
        *self.lock() = wish;
        self.changed.notify_all();
    }

    fn wish(&self) -> Wish {
        *self.lock()
    }
}

struct Host {
    send: unsafe extern "C" fn(*mut c_void, *mut lime_http_request),
    abort: lime_transport_notice_callback,
    resume: lime_transport_notice_callback,
    user: UserData,
    keeps_time: Arc<AtomicBool>,
    notices: PerProcess<Mutex<HashMap<ExchangeId, Weak<Notice>>>>,
}

impl Host {
    fn notices<T>(&self, work: impl FnOnce(&mut HashMap<ExchangeId, Weak<Notice>>) -> T) -> T {
        let notices = self.notices.get();
        let mut notices = notices.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut notices)
    }

    fn tell(&self, callback: lime_transport_notice_callback, id: ExchangeId) {
        if let Some(callback) = callback {
            // SAFETY: the host's own function.
            unsafe { callback(self.user.pointer(), id) };
        }
    }
}

impl HostClient for Host {
    fn begin(
        &self,
        transport: &HostTransport,
        id: ExchangeId,
        operation: Option<OperationId>,
        request: Request,
        stream: bool,
    ) -> bool {
        let notice = Arc::new(Notice::default());
        self.notices(|notices| notices.insert(id, Arc::downgrade(&notice)));
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (c_text(name.as_str()), header_value(value.as_bytes())));
        let request = lime_http_request {
            transport: transport.clone(),
            id,
            operation: operation.unwrap_or(0),
            method: c_text(request.method().as_str()),
            url: c_text(&request.uri().to_string()),
            headers: headers.collect(),
            request,
            stream,
            progress: AtomicU8::new(BEGUN),
            notice,
        };
        // SAFETY: the host's own function; the request is the host's from here on.
        unsafe { (self.send)(self.user.pointer(), give(request)) };
        true
    }

    fn resume(&self, id: ExchangeId) {
        let notice = self.notices(|notices| notices.get(&id).and_then(Weak::upgrade));
        if let Some(notice) = notice {
            // Waits for a write that has just found the window full, and would say so after this.
            notice.set(Wish::More);
            self.tell(self.resume, id);
        }
    }

    fn abort(&self, id: ExchangeId) {
        let notice = self.notices(|notices| notices.remove(&id)).and_then(|notice| notice.upgrade());
        if let Some(notice) = notice {
            notice.set(Wish::Nothing);
            self.tell(self.abort, id);
        }
    }

    fn ended(&self, id: ExchangeId) {
        self.notices(|notices| notices.remove(&id));
    }

    fn keeps_time(&self) -> bool {
        self.keeps_time.load(Ordering::Relaxed)
    }
}

/// A header's value as a text for C; the library itself sets none that is not ASCII.
fn header_value(value: &[u8]) -> CString {
    c_text(&value.iter().copied().map(char::from).collect::<String>())
}

/// Makes a transport of the host's functions. Starts nothing.
///
/// Parameters: `send`: see lime_transport_send_callback. `abort`: NULL, or told when the answer of a request is
/// not wanted any more, because its caller gave up or its time ran out: close the connection; the request still
/// has to be freed. `resume`: NULL, or told that there is room again after lime_http_request_wants_more() was 0.
/// A host without the two asks with lime_http_request_is_wanted() and lime_http_request_wait(). `user_data`: given
/// back in each call. `drop_user_data`: NULL, or called once, on any thread, when the transport, the options and
/// clients that it was set in, and all its requests are freed, or before this function returns an error.
/// `transport`: gets the transport, to be freed with lime_transport_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (send or transport NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_transport_new(
    send: lime_transport_send_callback,
    abort: lime_transport_notice_callback,
    resume: lime_transport_notice_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    transport: *mut *mut lime_transport,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: NULL or a place for a pointer, as the header asks.
        let place = unsafe { Out::new(transport, "transport") }?;
        let send = send.ok_or_else(|| invalid("send is NULL"))?;
        let keeps_time = Arc::new(AtomicBool::new(false));
        let host = Host {
            send,
            abort,
            resume,
            user,
            keeps_time: Arc::clone(&keeps_time),
            notices: PerProcess::default(),
        };
        place.write(give(lime_transport { transport: HostTransport::new(host), keeps_time }));
        Ok(())
    })
}

/// Says whether the host's client has time limits of its own. Then the options' `timeout_ms` is not applied to
/// its requests. Default: 0. To be set before the first client is made with it.
///
/// Parameters: `keeps_time`: 1 or 0.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (transport NULL, another number).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_transport_set_keeps_time(
    transport: *mut lime_transport,
    keeps_time: i32,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(transport, |transport| {
            transport.keeps_time.store(flag(keeps_time, "keeps_time")?, Ordering::Relaxed);
            Ok(())
        })
    }
}

/// Frees the caller's hold on a transport; what it was set in keeps it. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_transport_free(transport: *mut lime_transport) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(transport) };
}

/// The request's number, which the two notices are given. Numbers are never used again.
///
/// Returns: the number; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_http_request_id(request: *const lime_http_request) -> u64 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, 0, |r| r.id) }
}

/// The method, "GET" or "POST".
///
/// Returns: text that is valid until the request is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_http_request_method(request: *const lime_http_request) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, std::ptr::null(), |r| r.method.as_ptr()) }
}

/// The absolute URL. Redirects must not be followed: they are given back like any other answer.
///
/// Returns: text that is valid until the request is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_http_request_url(request: *const lime_http_request) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, std::ptr::null(), |r| r.url.as_ptr()) }
}

/// How many headers are to be sent, beside those that an HTTP client adds by itself (`Host`,
/// `Content-Length`).
///
/// Returns: the number; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_http_request_header_count(request: *const lime_http_request) -> usize {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, 0, |r| r.headers.len()) }
}

/// The name of a header, in lower case.
///
/// Parameters: `index`: from 0 to lime_http_request_header_count() - 1.
///
/// Returns: text that is valid until the request is freed; NULL for NULL and beyond the last one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_http_request_header_name(
    request: *const lime_http_request,
    index: usize,
) -> *const c_char {
    let name =
        |r: &lime_http_request| r.headers.get(index).map_or(std::ptr::null(), |(name, _)| name.as_ptr());
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, std::ptr::null(), name) }
}

/// The value of a header. It may be a secret (`x-site-token`, `x-agent-token`, `authorization`): not for logs.
///
/// Parameters: `index`: from 0 to lime_http_request_header_count() - 1.
///
/// Returns: text that is valid until the request is freed; NULL for NULL and beyond the last one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_http_request_header_value(
    request: *const lime_http_request,
    index: usize,
) -> *const c_char {
    let value =
        |r: &lime_http_request| r.headers.get(index).map_or(std::ptr::null(), |(_, value)| value.as_ptr());
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, std::ptr::null(), value) }
}

/// The whole body.
///
/// Parameters: `length`: NULL, or gets its length in bytes; 0 for NULL.
///
/// Returns: bytes that are valid until the request is freed; NULL when there are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_http_request_body(
    request: *const lime_http_request,
    length: *mut usize,
) -> *const c_void {
    // SAFETY: NULL or a live handle (the header's contract).
    let (body, size) = unsafe {
        get(request, (std::ptr::null(), 0), |r| {
            let body = r.request.body();
            (if body.is_empty() { std::ptr::null() } else { body.as_ptr().cast() }, body.len())
        })
    };
    if !length.is_null() {
        // SAFETY: not NULL, so a place for a number (the header's contract).
        unsafe { length.write(size) };
    }
    body
}

/// Whether the answer's body is a stream: to be handed on piece by piece as it arrives, without a limit of time
/// between the pieces.
///
/// Returns: 1 or 0; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_http_request_is_stream(request: *const lime_http_request) -> i32 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, 0, |r| i32::from(r.stream)) }
}

/// How long the platform may hold the answer back, where that is longer than usual (a long poll): a client with
/// time limits of its own must not give up before.
///
/// Returns: milliseconds; -1 when it is a request like any other, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_http_request_time_limit_ms(request: *const lime_http_request) -> i64 {
    let limit = |r: &lime_http_request| {
        let limit = r.request.extensions().get::<TimeLimit>();
        limit.map_or(-1, |limit| i64::try_from(limit.0.as_millis()).unwrap_or(i64::MAX))
    };
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, -1, limit) }
}

/// The started call that the request is sent for.
///
/// Returns: its number, as lime_operation_cancel() takes it; 0 when the library sends it by itself (an event
/// stream, signing keys), and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_http_request_operation(request: *const lime_http_request) -> u64 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, 0, |r| r.operation) }
}

/// Whether the answer is still wanted. Any thread may ask, also while another one uses the request.
///
/// Returns: 1, or 0 when whoever asked has given up, or the request has ended or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_http_request_is_wanted(request: *const lime_http_request) -> i32 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, 0, |r| i32::from(r.notice.wish() != Wish::Nothing)) }
}

/// Whether more of the body is wanted now. It costs memory, and nothing else, to write while it is not. Any
/// thread may ask.
///
/// Returns: 1, or 0 when enough waits to be read for now (see `resume` of lime_transport_new()), or the answer is
/// not wanted any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_http_request_wants_more(request: *const lime_http_request) -> i32 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, 0, |r| i32::from(r.notice.wish() == Wish::More)) }
}

/// Blocks until more of the body is wanted, or nothing any more: for a host that carries a request out on a
/// thread of its own. On a thread of the library it does not wait.
///
/// Returns: as lime_http_request_wants_more().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_http_request_wait(request: *const lime_http_request) -> i32 {
    let wait = |r: &lime_http_request| {
        let mut wish = r.notice.lock();
        while *wish == Wish::Pause && !is_library_thread() {
            wish = r.notice.changed.wait(wish).unwrap_or_else(PoisonError::into_inner);
        }
        i32::from(*wish == Wish::More)
    };
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, 0, wait) }
}

/// Hands over the answer's status and headers.
///
/// Parameters: `http_status`: 100 to 999. `names`, `values`: arrays of `count` texts; NULL with count 0. What HTTP
/// does not allow is left out. `count`: how many headers there are. All are copied.
///
/// Returns: LIME_OK; LIME_ERROR_CANCELLED when the answer is not wanted any more; LIME_ERROR_INVALID_ARGUMENT
/// (something NULL, no HTTP status, or the request was answered already).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_http_request_respond(
    request: *mut lime_http_request,
    http_status: i32,
    names: *const *const c_char,
    values: *const *const c_char,
    count: usize,
) -> i32 {
    panic::call(std::ptr::null_mut(), || {
        // SAFETY: NULL or valid, as the header asks.
        let (request, names, values) = unsafe {
            (borrow(request, "request")?, texts(names, count, "names")?, texts(values, count, "values")?)
        };
        let status = u16::try_from(http_status).ok().filter(|status| (100..1000).contains(status));
        let status = status.ok_or_else(|| invalid("http_status is no HTTP status"))?;
        let header = |(name, value): (Option<&'static [u8]>, Option<&'static [u8]>)| {
            name.zip(value).ok_or_else(|| invalid("a header is NULL"))
        };
        let headers = names.into_iter().zip(values).map(header).collect::<Result<Vec<_>>>()?;
        request.wanted()?;
        request.go_on(BEGUN, RESPONDED)?;
        request.transport.head(request.id, status, headers);
        Ok(())
    })
}

/// Hands over a piece of the answer's body, after any decoding (`Content-Encoding`).
///
/// Parameters: `data`, `length`: the bytes; copied.
///
/// Returns: LIME_OK, also where lime_http_request_wants_more() is 0; LIME_ERROR_CANCELLED when the answer is not
/// wanted any more; LIME_ERROR_INVALID_ARGUMENT (something NULL, or the status was not handed over, or the request
/// has ended).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_http_request_write(
    request: *mut lime_http_request,
    data: *const c_void,
    length: usize,
) -> i32 {
    panic::call(std::ptr::null_mut(), || {
        // SAFETY: NULL or valid, as the header asks.
        let (request, data) = unsafe { (borrow(request, "request")?, bytes(data, length, "data")?) };
        if request.progress.load(Ordering::Relaxed) != RESPONDED {
            return Err(invalid("the request has no status yet, or has ended"));
        }
        // Held until the window is known to be full or not, so that a resume that comes of this very piece
        // waits, and is not overwritten.
        let mut wish = request.notice.lock();
        if *wish == Wish::Nothing {
            return Err(Error::new(ErrorKind::Cancelled, "The answer is not wanted any more"));
        }
        if !request.transport.chunk(request.id, data.to_vec().into()) {
            *wish = Wish::Pause;
        }
        Ok(())
    })
}

/// Says that the body is complete. The request still has to be freed.
///
/// Returns: LIME_OK, also when the answer is not wanted any more; LIME_ERROR_INVALID_ARGUMENT (request NULL, or the
/// status was not handed over, or the request has ended).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_http_request_end(request: *mut lime_http_request) -> i32 {
    panic::call(std::ptr::null_mut(), || {
        // SAFETY: NULL or a live handle, as the header asks.
        let request = unsafe { borrow(request, "request") }?;
        request.go_on(RESPONDED, ENDED)?;
        request.notice.set(Wish::Nothing);
        request.transport.end(request.id);
        Ok(())
    })
}

/// Says that there is no answer, or that its body broke off. The request still has to be freed.
///
/// Parameters: `reach`: how far it got, a LIME_REACH_ constant; when in doubt, LIME_REACH_MAYBE_SENT. `message`: for
/// people, without secrets; copied.
///
/// Returns: LIME_OK, also when the answer is not wanted any more; LIME_ERROR_INVALID_ARGUMENT (something NULL, text not
/// UTF-8, another reach, or the request has ended).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_http_request_fail(
    request: *mut lime_http_request,
    reach: i32,
    message: *const c_char,
) -> i32 {
    panic::call(std::ptr::null_mut(), || {
        // SAFETY: NULL or valid, as the header asks.
        let (request, message) = unsafe { (borrow(request, "request")?, text(message, "message")?) };
        let failure = match reach {
            LIME_REACH_NOT_SENT => TransportError::not_sent(message),
            LIME_REACH_MAYBE_SENT => TransportError::maybe_sent(message),
            LIME_REACH_TIMED_OUT => TransportError::timeout(message),
            LIME_REACH_HOST_FAULT => TransportError::host_fault(message),
            _ => return Err(invalid("reach is no LIME_REACH_ constant")),
        };
        if request.progress.swap(ENDED, Ordering::AcqRel) == ENDED {
            return Err(invalid("the request has ended"));
        }
        request.notice.set(Wish::Nothing);
        request.transport.fail(request.id, failure);
        Ok(())
    })
}

/// Frees a request. One that has neither ended nor failed counts as failed, LIME_REACH_MAYBE_SENT. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_http_request_free(request: *mut lime_http_request) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(request) };
}

impl lime_http_request {
    fn wanted(&self) -> Result<()> {
        match self.notice.wish() {
            Wish::Nothing if self.progress.load(Ordering::Relaxed) != ENDED => {
                Err(Error::new(ErrorKind::Cancelled, "The answer is not wanted any more"))
            }
            _ => Ok(()),
        }
    }

    fn go_on(&self, from: u8, to: u8) -> Result<()> {
        let step = self.progress.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        step.map(drop).map_err(|_| invalid("the request was answered already, or is not that far"))
    }
}

impl Drop for lime_http_request {
    fn drop(&mut self) {
        if *self.progress.get_mut() != ENDED {
            let failure = TransportError::maybe_sent("The host's client gave no whole answer");
            self.transport.fail(self.id, failure);
        }
    }
}
