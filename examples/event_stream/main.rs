//! A site that follows its event stream and verifies who signed in.
//!
//! Reads `LIME_API_BASE` and `LIME_SITE_TOKEN`. Prints `listening` once the stream is open, creates as many
//! login requests as the argument says (default 3), prints each (`request<TAB>ID`) and how each ends
//! (`event<TAB>ID<TAB>signed in|expired`), and the stream's states on stderr (`state<TAB>NAME`). Ends with 0
//! when all its requests have ended.

use std::collections::HashSet;
use std::sync::mpsc;

use lime_core::{LimeSite, PassportCheck, SiteConfig, StreamState};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = std::env::args().nth(1).map_or(Ok(3), |text| text.parse())?;
    let (opened, open) = mpsc::channel();
    let (sender, events) = mpsc::channel();

    let site = LimeSite::new(SiteConfig::default())?;
    site.on_state(move |status| {
        eprintln!("state\t{}", name(status.state));
        if status.state == StreamState::Open {
            let _ = opened.send(());
        }
    })?;
    site.on_login(move |event| {
        let _ = sender.send(event.clone());
    })?;
    open.recv()?;
    println!("listening");

    let mut left = HashSet::new();
    for _ in 0..count {
        let request = site.create_login_request().wait()?;
        println!("request\t{}", request.request_id);
        left.insert(request.request_id);
    }
    while !left.is_empty() {
        let event = events.recv()?;
        if let Some(passport) = &event.passport {
            let check = PassportCheck::default().expected_request_id(&event.request_id);
            site.verify_passport(passport, check).wait()?;
        }
        let end = if event.passport.is_some() { "signed in" } else { "expired" };
        println!("event\t{}\t{end}", event.request_id);
        left.remove(&event.request_id);
    }
    Ok(())
}

fn name(state: StreamState) -> &'static str {
    match state {
        StreamState::Idle => "idle",
        StreamState::Connecting => "connecting",
        StreamState::Open => "open",
        StreamState::BackingOff => "backing_off",
        StreamState::Refused => "refused",
        StreamState::Closed => "closed",
        _ => "unknown",
    }
}
