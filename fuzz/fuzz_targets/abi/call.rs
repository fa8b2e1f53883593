//! A call of any function: its arguments are made by their types, and what comes back is looked at and kept.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::Arc;

use lime_abi::EXPORTS;
use lime_abi::error::lime_error;
use lime_abi::strings::lime_string_free;
use lime_abi::userdata::lime_drop_user_data;

use super::LIME_OK;
use super::handles::{Handle, Pools};
use super::host::{self, Mark};
use super::texts;

/// A function of the ABI.
pub(super) struct Entry {
    pub(super) name: &'static str,
    call: Box<dyn Fn(&mut World) + Send + Sync>,
}

/// The table of all functions, from their numbers of parameters and their names.
macro_rules! table {
    ($($count:tt => { $($name:ident)* })*) => {
        /// The table.
        pub(super) fn entries() -> Vec<$crate::abi::call::Entry> {
            vec![$($($crate::abi::call::by_count::$count(stringify!($name), $name),)*)*]
        }
    };
}
pub(super) use table;

/// The bytes of the input, one choice after the other; zeros behind its end.
pub(super) struct Choices<'a>(pub(super) &'a [u8]);

impl Choices<'_> {
    pub(super) fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn of<T: Copy>(&mut self, several: &[T]) -> T {
        several[usize::from(self.next()) % several.len()]
    }

    /// One time in sixteen.
    fn seldom(&mut self) -> bool {
        self.next() % 16 == 15
    }
}

/// What a program has at a moment.
pub(super) struct World<'a> {
    pub(super) choices: Choices<'a>,
    pub(super) pools: Pools,
    pub(super) operations: Vec<u64>,
    pub(super) marks: Vec<(&'static str, Arc<Mark>)>,
    frame: Frame,
}

impl<'a> World<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self {
            choices: Choices(input),
            pools: Pools::default(),
            operations: Vec::new(),
            marks: Vec::new(),
            frame: Frame::default(),
        }
    }

    pub(super) fn call(&mut self, entry: &Entry) {
        self.frame = Frame { name: entry.name, ..Frame::default() };
        // Each call that takes time has two forms; the one without `_start` blocks.
        let blocks = EXPORTS.iter().any(|name| name.strip_suffix("_start") == Some(entry.name));
        if blocks {
            // Nothing that this thread would have to do itself may be waited for.
            self.pools.let_requests_go();
        }
        let _blocking = blocks.then(|| host::Blocking::new(&self.pools));
        (entry.call)(self);
    }

    fn after(&mut self, status: Option<i32>) {
        let frame = std::mem::take(&mut self.frame);
        for take in frame.after {
            take(&mut self.pools, &mut self.operations, status.filter(|_| frame.has_error_place), frame.name);
        }
        let Some(mark) = frame.mark else { return };
        if !frame.drop_given {
            // Whatever it was given to has ended with the call.
            // SAFETY: made by `into_raw` for this call, and nobody else takes it back.
            unsafe { drop(Arc::from_raw(Arc::as_ptr(&mark))) };
            return;
        }
        mark.set_once(frame.name.ends_with("_start"));
        if status == Some(LIME_OK) {
            self.marks.push((frame.name, mark));
        } else {
            assert_eq!((mark.calls(), mark.drops()), (0, 1), "{} has failed with {status:?}", frame.name);
        }
    }
}

type Take = Box<dyn FnOnce(&mut Pools, &mut Vec<u64>, Option<i32>, &'static str)>;

/// What belongs to one call.
#[derive(Default)]
struct Frame {
    name: &'static str,
    texts: Vec<CString>,
    bytes: Vec<Box<[u8]>>,
    arrays: Vec<Vec<*const c_char>>,
    room: Vec<Vec<c_char>>,
    /// Of the argument before, which the next number has to say.
    length: Option<usize>,
    after: Vec<Take>,
    has_error_place: bool,
    mark: Option<Arc<Mark>>,
    drop_given: bool,
}

pub(super) mod by_count {
    //! One function for each number of parameters.

    use super::{Argument, Entry, Returned, World};

    macro_rules! counts {
        ($($(#[$allow:meta])* $count:ident($($argument:ident)*);)*) => {$(
            #[allow(non_snake_case, clippy::too_many_arguments, unused_variables)]
            pub(in super::super) fn $count<R: Returned + 'static, $($argument: Argument + 'static),*>(
                name: &'static str,
                function: unsafe extern "C" fn($($argument),*) -> R,
            ) -> Entry {
                let call = move |world: &mut World<'_>| {
                    $(let $argument = $argument::make(world);)*
                    // SAFETY: every pointer is NULL or what the header asks for by its type, and lives as long.
                    let returned = unsafe { function($($argument),*) };
                    let status = returned.look(world);
                    world.after(status);
                };
                Entry { name, call: Box::new(call) }
            }
        )*};
    }

    counts! {
        none(); one(A); two(A B); three(A B C); four(A B C D); five(A B C D E); six(A B C D E F);
        seven(A B C D E F G); eight(A B C D E F G H); nine(A B C D E F G H I); ten(A B C D E F G H I J);
        eleven(A B C D E F G H I J K);
    }
}

// ── arguments ─────────────────────────────────────────────────────────────────────────────────────

pub(super) trait Argument {
    fn make(world: &mut World<'_>) -> Self;
}

impl<T: Handle> Argument for *const T {
    fn make(world: &mut World<'_>) -> Self {
        let (pool, choice) = (T::pool(&mut world.pools), world.choices.next());
        // NULL where there is none, and now and then where there is one.
        if pool.is_empty() || choice == 255 { null() } else { pool[usize::from(choice) % pool.len()] }
    }
}

impl<T: Handle> Argument for *mut T {
    fn make(world: &mut World<'_>) -> Self {
        <*const T>::make(world).cast_mut()
    }
}

/// A place for a handle.
impl<T: Handle + 'static> Argument for *mut *mut T {
    fn make(world: &mut World<'_>) -> Self {
        if world.choices.seldom() {
            return null_mut();
        }
        let place = Box::into_raw(Box::new(null_mut::<T>()));
        let is_error = T::NAME == <lime_error as Handle>::NAME;
        world.frame.has_error_place |= is_error;
        world.frame.after.push(Box::new(move |pools, _, status, name| {
            // SAFETY: made above, and the call has ended.
            let found = unsafe { *Box::from_raw(place) };
            match status {
                Some(LIME_OK) if is_error => assert!(found.is_null(), "{name} has an error and none"),
                Some(LIME_OK) | None => {}
                Some(status) => assert_eq!(found.is_null(), !is_error, "{name} has failed with {status}"),
            }
            if !found.is_null() {
                T::pool(pools).push(found);
            }
        }));
        place
    }
}

/// A place for a text that is the caller's.
impl Argument for *mut *mut c_char {
    fn make(world: &mut World<'_>) -> Self {
        if world.choices.seldom() {
            return null_mut();
        }
        let place = Box::into_raw(Box::new(null_mut::<c_char>()));
        world.frame.after.push(Box::new(move |_, _, status, name| {
            // SAFETY: made above, and the call has ended.
            let found: *mut c_char = unsafe { *Box::from_raw(place) };
            assert!(found.is_null() || status.is_none_or(|status| status == LIME_OK), "{name}");
            if !found.is_null() {
                read(found);
                // SAFETY: the caller's own, freed once.
                unsafe { lime_string_free(found) };
            }
        }));
        place
    }
}

/// Places for numbers.
macro_rules! number_places {
    ($($number:ty)*) => {$(
        impl Argument for *mut $number {
            fn make(world: &mut World<'_>) -> Self {
                // What is started is also cancelled: on a clock that stands still it would not end by itself.
                if world.choices.seldom() && !world.frame.name.ends_with("_start") {
                    return null_mut();
                }
                let place = Box::into_raw(Box::<$number>::default());
                world.frame.after.push(Box::new(move |_, operations, _, name| {
                    // SAFETY: made above, and the call has ended.
                    let found = unsafe { *Box::from_raw(place) };
                    if name.ends_with("_start") && found != 0 {
                        operations.push(u64::try_from(found).unwrap_or_default());
                    }
                }));
                place
            }
        }
    )*};
}
number_places! { u64 i64 i32 usize }

impl Argument for *const c_char {
    fn make(world: &mut World<'_>) -> Self {
        let Some(text) = texts::text(&mut world.choices) else { return null() };
        world.frame.texts.push(text);
        world.frame.texts.last().map_or(null(), |text| text.as_ptr())
    }
}

impl Argument for *const c_void {
    fn make(world: &mut World<'_>) -> Self {
        let bytes = texts::text(&mut world.choices).map(CString::into_bytes);
        world.frame.length = Some(bytes.as_ref().map_or(0, Vec::len));
        let Some(bytes) = bytes else { return null() };
        world.frame.bytes.push(bytes.into());
        world.frame.bytes.last().map_or(null(), |bytes| bytes.as_ptr().cast())
    }
}

/// Texts; of several arrays of a call all have as many.
impl Argument for *const *const c_char {
    fn make(world: &mut World<'_>) -> Self {
        let count = world.frame.length.unwrap_or_else(|| usize::from(world.choices.next() % 5));
        world.frame.length = Some(count);
        let array = (0..count).map(|_| <*const c_char>::make(world)).collect();
        world.frame.arrays.push(array);
        world.frame.arrays.last().map_or(null(), Vec::as_ptr)
    }
}

/// Room for a text.
impl Argument for *mut c_char {
    fn make(world: &mut World<'_>) -> Self {
        let length = world.choices.of(&[0, 1, 20, 21, 64, 65, 100]);
        world.frame.length = Some(length);
        world.frame.room.push(vec![0; length]);
        world.frame.room.last_mut().map_or(null_mut(), Vec::as_mut_ptr)
    }
}

impl Argument for usize {
    fn make(world: &mut World<'_>) -> Self {
        if let Some(length) = world.frame.length.take() {
            return length;
        }
        let setter = world.frame.name.contains("_set_");
        world.choices.of(&[1, 0, 2, 3, 100, if setter { Self::MAX } else { 5 }])
    }
}

impl Argument for u64 {
    fn make(world: &mut World<'_>) -> Self {
        let name = world.frame.name;
        if name == "lime_operation_cancel" {
            let choice = world.choices.next();
            return world.operations.get(usize::from(choice) % 32).copied().unwrap_or(choice.into());
        }
        // What a call may take in real time is short; what is only set, or started and cancelled, may be anything.
        let free = name.contains("_set_") || name.starts_with("lime_sesame") && name.ends_with("_start");
        if free && !name.contains("pow") && world.choices.next().is_multiple_of(4) {
            return world.choices.of(&[Self::MAX, Self::MAX / 1000, 1 << 40, 86_400_001, 300_000]);
        }
        world.choices.of(&[20, 0, 1, 5, 10])
    }
}

impl Argument for u32 {
    fn make(world: &mut World<'_>) -> Self {
        world.choices.of(&[0, 1, 2, 3])
    }
}

impl Argument for i32 {
    fn make(world: &mut World<'_>) -> Self {
        world.choices.of(&[0, 1, 2, 3, 10, 40, 200, 401, 503, -1, Self::MIN, Self::MAX, 4, 5, 16, 20])
    }
}

impl Argument for i64 {
    fn make(world: &mut World<'_>) -> Self {
        world.choices.of(&[1, 0, 8, 5, -1, 300, 257, 1_000_000, Self::MIN, Self::MAX])
    }
}

impl Argument for f64 {
    fn make(world: &mut World<'_>) -> Self {
        world.choices.of(&[1030.0, 0.0, 0.5, -1.0, Self::NAN, Self::INFINITY, Self::NEG_INFINITY, 1e300])
    }
}

impl Argument for *mut c_void {
    fn make(world: &mut World<'_>) -> Self {
        let mark = Arc::new(Mark::default());
        world.frame.mark = Some(Arc::clone(&mark));
        Arc::into_raw(mark).cast_mut().cast()
    }
}

impl Argument for lime_drop_user_data {
    fn make(world: &mut World<'_>) -> Self {
        world.frame.drop_given = true;
        Some(host::dropped)
    }
}

/// Functions of the host; NULL now and then.
macro_rules! callbacks {
    ($($([$($generic:tt)*])? @ $function:expr => ($($parameter:ty),*);)*) => {$(
        impl $(<$($generic)*>)? Argument for Option<unsafe extern "C" fn(*mut c_void, $($parameter),*)> {
            fn make(world: &mut World<'_>) -> Self {
                let function: unsafe extern "C" fn(*mut c_void, $($parameter),*) = $function;
                (!world.choices.seldom()).then_some(function)
            }
        }
    )*};
}
callbacks! {
    [T: Handle + 'static] @ host::completed::<T> => (i32, *mut T, *mut lime_error);
    @ host::completed_without => (i32, *mut lime_error);
    [T: Handle + 'static] @ host::handed_over::<T> => (*mut T);
    @ host::state_changed => (i32, *const lime_error);
    @ host::lost => (*const *const c_char, usize);
    @ host::logged => (i32, *const c_char);
    @ host::signed_in => (*const c_char, *const c_char);
    @ host::notice => (u64);
    @ host::event => (*const c_char, *const c_char, usize, *const c_char);
}

// ── what comes back ───────────────────────────────────────────────────────────────────────────────

pub(super) trait Returned {
    /// Looks at it as a program would; gives it if it may be a status.
    fn look(self, world: &mut World<'_>) -> Option<i32>;
}

impl Returned for i32 {
    fn look(self, _: &mut World<'_>) -> Option<i32> {
        Some(self)
    }
}

macro_rules! unseen {
    ($($number:ty)*) => {$(
        impl Returned for $number {
            fn look(self, _: &mut World<'_>) -> Option<i32> {
                None
            }
        }
    )*};
}
unseen! { () u32 u64 i64 usize }

impl Returned for *const c_char {
    fn look(self, _: &mut World<'_>) -> Option<i32> {
        read(self);
        None
    }
}

impl<T: Handle> Returned for *mut T {
    fn look(self, world: &mut World<'_>) -> Option<i32> {
        if !self.is_null() {
            T::pool(&mut world.pools).push(self);
            T::furnish(self, &mut world.pools);
        }
        None
    }
}

/// Reads a text of the library's to its end.
pub(super) fn read(text: *const c_char) {
    if !text.is_null() {
        // SAFETY: a text that is valid until its object is freed.
        let text = unsafe { CStr::from_ptr(text) };
        assert!(text.to_str().is_ok(), "{text:?} is not UTF-8");
    }
}
