//! A site that follows its event stream and verifies who signed in.
//!
//! Reads `LIME_API_BASE` and `LIME_SITE_TOKEN`. Prints `listening` once the stream is open, creates as many
//! login requests as the argument says (default 3), prints each (`request<TAB>ID`) and how each ends
//! (`event<TAB>ID<TAB>signed in|expired|lost`), and the stream's states on stderr (`state<TAB>NAME`). Ends with
//! 0 when all its requests have ended.

use std::collections::HashSet;
use std::sync::mpsc;

use lime_core::{LimeSite, LoginEvent, PassportCheck, SiteConfig, StreamState};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = std::env::args().nth(1).map_or(Ok(3), |text| text.parse())?;
    let (opened, open) = mpsc::channel();
    let (sender, ends) = mpsc::channel();

    let site = LimeSite::new(SiteConfig::default())?;
    site.on_state(move |status| {
        eprintln!("state\t{}", name(status.state));
        if status.state == StreamState::Open {
            let _ = opened.send(());
        }
    })?;
    let lost = sender.clone();
    site.on_login(move |event| {
        let _ = sender.send(End::Event(event.clone()));
    })?;
    site.on_gap(move |gap| {
        for request_id in &gap.request_ids {
            let _ = lost.send(End::Lost(request_id.clone()));
        }
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
        let (request_id, end) = match ends.recv()? {
            End::Event(event) => (event.request_id.clone(), verified(&site, &event)?),
            End::Lost(request_id) => (request_id, "lost"),
        };
        println!("event\t{request_id}\t{end}");
        left.remove(&request_id);
    }
    Ok(())
}

/// How a login request ends, as far as anybody knows.
enum End {
    Event(LoginEvent),
    Lost(String),
}

fn verified(site: &LimeSite, event: &LoginEvent) -> Result<&'static str, lime_core::Error> {
    let Some(passport) = &event.passport else { return Ok("expired") };
    let check = PassportCheck::default().expected_request_id(&event.request_id);
    site.verify_passport(passport, check).wait()?;
    Ok("signed in")
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
