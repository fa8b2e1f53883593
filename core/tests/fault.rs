//! Panics where nothing may be printed. A test binary of its own with a single test, since the process has one hook.

#![allow(clippy::unwrap_used, missing_docs)]

use lime_core::{ErrorKind, fault};

#[test]
fn a_caught_panic_says_where_it_was_and_prints_nothing() {
    const CHILD: &str = "LIME_TEST_PANIC";
    if std::env::var_os(CHILD).is_none() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_caught_panic_says_where_it_was_and_prints_nothing", "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        return;
    }
    fault::keep_quiet();
    fault::keep_quiet();
    let panic = std::panic::catch_unwind(|| panic!("on purpose")).unwrap_err();
    let line = line!() - 1;
    let error = fault::caught(&*panic);
    assert_eq!((error.kind(), error.code()), (ErrorKind::Internal, Some("INTERNAL")));
    let start = format!("A fault of the library was caught: on purpose ({}:{line}:", file!());
    assert!(error.message().starts_with(&start), "{error}");
    // A place belongs to one panic.
    assert_eq!(fault::caught(&*panic).message(), "A fault of the library was caught: on purpose");

    // Where somebody else has caught it, and its text is lost or may be a secret.
    assert!(fault::caught_elsewhere().is_none());
    drop(std::panic::catch_unwind(|| panic!("on {}", "purpose")).unwrap_err());
    let line = line!() - 1;
    let error = fault::caught_elsewhere().unwrap();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Internal, Some("INTERNAL")));
    let start = format!("A fault of the library was caught: panic ({}:{line}:", file!());
    assert!(error.message().starts_with(&start), "{error}");
    assert!(fault::caught_elsewhere().is_none());
}
