//! The C ABI by random sequences of calls: any function with any arguments that its type allows, objects freed in any
//! order, started calls cancelled or left alone, requests of the host's HTTP client answered late, badly or never. A
//! callback of a started call comes exactly once, user data is dropped exactly once after it, a result and an error
//! exclude each other, texts are UTF-8, and everything ends when everything is freed.
//!
//! The input is choices: the first byte says how many of them are the HTTP client's.

#![allow(unsafe_code)]
// Sixty functions in one module are named by a star; C's names are the header's.
#![allow(clippy::wildcard_imports, clippy::undocumented_unsafe_blocks)]

mod call;
mod handles;
mod host;
mod table;
mod texts;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use lime_abi::EXPORTS;
use lime_abi::clock::lime_clock_new;
use lime_abi::operation::lime_operation_cancel;

use crate::network::keep_threads;
use call::{Choices, Entry, World};
use handles::{FREES, Handle};

/// As the header has it.
const LIME_OK: i32 = 0;

/// What the table leaves to be called in another way: to be freed, or with a length that goes out, or by a thread of
/// the host's own.
const BY_HAND: [&str; 3] = ["lime_string_free", "lime_http_request_body", "lime_http_request_wait"];

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let entries = table::entries();
    let named: BTreeSet<&str> =
        entries.iter().map(|entry| entry.name).chain(FREES.iter().copied()).chain(BY_HAND).collect();
    let exports: BTreeSet<&str> = EXPORTS.iter().copied().collect();
    let differing: Vec<_> = named.symmetric_difference(&exports).collect();
    assert!(differing.is_empty(), "the table has what there is not, or lacks what there is: {differing:?}");
    entries
});

/// The library keeps its panics to itself and makes errors of them. Here each of them is a find.
static PANICS: LazyLock<()> = LazyLock::new(|| {
    lime_operation_cancel(0); // its own hook is in place after the first guarded call
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}\n{}", std::backtrace::Backtrace::force_capture());
        std::process::abort();
    }));
});

/// The most steps of a run.
const STEPS: usize = 60;

/// What makes a client of each kind, which a run may begin with.
const CLIENTS: [&[&str]; 4] = [
    &["lime_site_options_new", "lime_site_new"],
    &["lime_agent_options_new", "lime_agent_new"],
    &["lime_sesame_options_new", "lime_sesame_new", "lime_approval_request_new"],
    &["lime_token_verifier_options_new", "lime_token_verifier_new"],
];

fn named(name: &str) -> &'static Entry {
    ENTRIES.iter().find(|entry| entry.name == name).expect("a function of the table")
}

/// Runs the target once.
///
/// # Panics
/// When the library is wrong.
pub fn run(data: &[u8]) {
    LazyLock::force(&PANICS);
    let Some(([settings, of_the_host], rest)) = data.split_first_chunk() else { return };
    if settings % 4 != 0 {
        // Else the library's threads end with this run's last client.
        keep_threads();
    }
    let (answers, choices) = rest.split_at(usize::from(*of_the_host % 48).min(rest.len()));
    host::begin(answers);
    let mut world = World::new(&[]);
    let transport = host::transport(&mut world.marks);
    world.pools.usual = Some((transport, lime_clock_new(1_030_000, 1)));
    for (number, client) in CLIENTS.iter().enumerate() {
        if settings >> (4 + number) & 1 == 1 {
            // Without choices left, every argument is the first one that there is.
            client.iter().for_each(|name| world.call(named(name)));
        }
    }
    world.choices = Choices(choices);
    for _ in 0..STEPS {
        if world.choices.0.is_empty() {
            break;
        }
        step(&mut world);
    }
    end(world, *settings);
}

fn step(world: &mut World<'_>) {
    host::collect(&mut world.pools);
    host::take_held(&mut world.pools);
    match world.choices.next() {
        0..190 => {
            let number = usize::from(world.choices.next()) << 8 | usize::from(world.choices.next());
            world.call(&ENTRIES[number % ENTRIES.len()]);
        }
        190..215 => {
            let (kind, which) = (world.choices.next(), world.choices.next());
            world.pools.free_one(kind, which);
        }
        215..250 => {
            let (which, choice) = (world.choices.next(), world.choices.next());
            let more = [world.choices.next(), world.choices.next()];
            let requests = &mut world.pools.http_requests;
            if !requests.is_empty() {
                let which = usize::from(which) % requests.len();
                let request = requests[which];
                host::serve(request, choice, more);
                if choice % 2 == 0 {
                    Handle::free(requests.swap_remove(which));
                }
            }
        }
        _ => {
            for operation in &world.operations {
                lime_operation_cancel(*operation);
            }
        }
    }
}

/// Gives everything up and back, and waits until the library has done so, too.
fn end(mut world: World<'_>, settings: u8) {
    host::begin_to_end();
    if settings & 4 == 4 {
        // First the objects, then the calls that used them.
        world.pools.free_all(settings);
    }
    for operation in &world.operations {
        lime_operation_cancel(*operation);
    }
    host::take_held(&mut world.pools);
    world.pools.free_all(settings);
    host::wait_for(&world.marks, &mut world.pools);
    host::collect(&mut world.pools);
    world.pools.free_all(0);
}
