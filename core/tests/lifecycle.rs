//! Threads: none before the first call, one runtime for all clients, none after the last close.
//! A test binary of its own with a single test, since threads are counted for the whole process.

#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]
#![cfg(target_os = "linux")]

mod common;

use common::*;

fn threads() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| name == "lime-runtime" || name == "lime-dispatcher")
        .collect();
    names.sort();
    names
}

#[test]
fn threads_come_late_and_leave() {
    let sandbox = sandbox();
    let sites: Vec<_> = (0..50).map(|_| site(&sandbox)).collect();
    let agents: Vec<_> = (0..50).map(|_| agent(&sandbox)).collect();
    assert!(threads().is_empty(), "making clients starts nothing");

    for (site, agent) in sites.iter().zip(&agents) {
        let request = site.create_login_request().wait().unwrap();
        agent.login(&request.request_id).wait().unwrap();
    }
    assert_eq!(threads(), ["lime-runtime"], "one for all, and no dispatcher without a callback");

    let received = events(&sites[0]);
    received.recv_timeout(LONG).unwrap();
    assert_eq!(threads(), ["lime-dispatcher", "lime-runtime"]);

    sites.iter().for_each(lime_core::LimeSite::close);
    agents.iter().for_each(lime_core::LimeAgent::close);
    // The dispatcher is not waited for while a callback is just returning; it ends right behind it.
    while !threads().is_empty() {
        std::thread::yield_now();
    }

    // And it starts again.
    let again = site(&sandbox);
    again.create_login_request().wait().unwrap();
    assert_eq!(threads(), ["lime-runtime"]);
    drop(again);
    assert!(threads().is_empty());

    // A pending operation holds the runtime until it has completed, once.
    let site = site(&sandbox);
    sandbox.add_fault(lime_sandbox::Fault::on("create_request").half_open()).unwrap();
    let (sender, results) = std::sync::mpsc::channel();
    let id = site.create_login_request().start(move |result| sender.send(result).unwrap());
    site.close();
    assert!(lime_core::cancel_operation(id));
    assert_eq!(results.recv_timeout(LONG).unwrap().unwrap_err().kind(), lime_core::ErrorKind::Cancelled);
    assert!(results.recv().is_err());
}
