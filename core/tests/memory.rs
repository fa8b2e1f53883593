//! What is left of a secret in memory. A test binary of its own, since the memory is the process's.

#![allow(clippy::unwrap_used, missing_docs)]
#![cfg(target_os = "linux")]

use std::fs::File;
use std::os::unix::fs::FileExt;

use lime_core::{AgentConfig, LimeAgent, LimeSite, Sesame, SesameConfig, SiteConfig};
use zeroize::Zeroize as _;

/// In the program's text, which is not looked at.
const SECRET: &str = "sk_nobody_elses_secret_4711_which_is_as_long_as_secrets_are_0815";
/// What is looked for: an allocator writes over the beginning of what is freed.
const REST: &str = SECRET.split_at(32).1;

fn secret() -> String {
    SECRET.to_owned()
}

/// How often the secret stands in memory that can be written.
fn copies() -> usize {
    let memory = File::open("/proc/self/mem").unwrap();
    let mut buffer = vec![0_u8; 1 << 20];
    let own = buffer.as_ptr().addr()..buffer.as_ptr().addr() + buffer.len();
    let mut found = 0;
    for line in std::fs::read_to_string("/proc/self/maps").unwrap().lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let number = |text| usize::from_str_radix(text, 16).unwrap();
        let (mut at, end) = (number(start), number(end));
        if !rest.starts_with("rw") {
            continue;
        }
        while at < end {
            // What was just read is no copy.
            if own.contains(&at) {
                at = own.end;
                continue;
            }
            let stop = if at < own.start { end.min(own.start) } else { end };
            let count = (stop - at).min(buffer.len());
            if memory.read_exact_at(&mut buffer[..count], at as u64).is_ok() {
                let pieces = buffer[..count].windows(REST.len());
                found += pieces.filter(|piece| *piece == REST.as_bytes()).count();
            }
            // The next piece begins before this one's end: a secret may lie across it.
            at += if at + count < stop { count - REST.len() + 1 } else { count };
        }
        buffer.fill(0);
    }
    found
}

#[test]
fn clients_keep_one_copy_of_their_secret_and_leave_none() {
    assert_eq!(copies(), 0);
    let mut held = secret();
    assert_eq!(copies(), 1, "this looks where a secret would be");
    held.zeroize();
    assert_eq!(copies(), 0);

    let site = LimeSite::new(SiteConfig { site_token: Some(secret()), ..SiteConfig::default() }).unwrap();
    assert_eq!(copies(), 1);
    drop(site);
    assert_eq!(copies(), 0);
    // Nor do the headers of a request, once it is gone. (What a connection has sent is in its buffers; this one is none.)
    let site = LimeSite::new(SiteConfig {
        site_token: Some(secret()),
        base_url: Some("http://127.0.0.1:1/api/v1".into()),
        max_retries: 0,
        ..SiteConfig::default()
    })
    .unwrap();
    assert!(site.create_login_request().wait().is_err());
    assert_eq!(copies(), 1);
    drop(site);
    assert_eq!(copies(), 0);

    let agent =
        LimeAgent::new(AgentConfig { agent_token: Some(secret()), ..AgentConfig::default() }).unwrap();
    assert_eq!(copies(), 1);
    drop(agent);
    assert_eq!(copies(), 0);
    let sesame = Sesame::new(SesameConfig { api_key: Some(secret()), ..SesameConfig::default() }).unwrap();
    assert_eq!(copies(), 1);
    drop(sesame);
    assert_eq!(copies(), 0);
}
