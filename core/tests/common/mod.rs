//! What the tests against the sandbox share.

#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use lime_core::clock::ManualClock;
use lime_core::{AgentConfig, LimeAgent, LimeSite, LoginEvent, SiteConfig, StreamState};
use lime_sandbox::{LoginStatus, Options, Platform, Sandbox};

/// Far more than anything here takes; a test that waits this long has failed.
pub const LONG: Duration = Duration::from_secs(30);

pub fn sandbox() -> Sandbox {
    Sandbox::start_blocking(Options::new().difficulty(8)).unwrap()
}

// Difficult enough that the solution of one digest is not by chance one of the other.
pub fn sandbox_of(platform: Platform) -> Sandbox {
    Sandbox::start_blocking(Options::new().difficulty(20).platform(platform)).unwrap()
}

pub fn site_config(sandbox: &Sandbox) -> SiteConfig {
    SiteConfig {
        site_token: Some(sandbox.site_token().to_owned()),
        base_url: Some(sandbox.lime_api_base().to_owned()),
        sse_backoff_base: Duration::from_millis(1),
        ..SiteConfig::default()
    }
}

pub fn agent_config(sandbox: &Sandbox) -> AgentConfig {
    AgentConfig {
        agent_token: Some(sandbox.agent_token().to_owned()),
        base_url: Some(sandbox.lime_api_base().to_owned()),
        clock: Arc::new(ManualClock::default().skipping_sleeps()),
        ..AgentConfig::default()
    }
}

pub fn site(sandbox: &Sandbox) -> LimeSite {
    LimeSite::new(site_config(sandbox)).unwrap()
}

pub fn agent(sandbox: &Sandbox) -> LimeAgent {
    LimeAgent::new(agent_config(sandbox)).unwrap()
}

/// A handler's events, in order.
pub fn events(site: &LimeSite) -> Receiver<LoginEvent> {
    let (sender, receiver) = mpsc::channel();
    site.on_login(move |event| {
        let _ = sender.send(event.clone());
    })
    .unwrap();
    receiver
}

/// A site whose stream is open, with its handler's events.
pub fn listening(sandbox: &Sandbox) -> (LimeSite, Receiver<LoginEvent>) {
    let site = site(sandbox);
    let events = events(&site);
    assert!(sandbox.wait_for_streams_blocking(1, LONG));
    (site, events)
}

/// Blocks until the stream is in this state.
pub fn wait_for_state(site: &LimeSite, state: StreamState) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut status = site.watch_stream();
        tokio::time::timeout(LONG, status.wait_for(|status| status.state == state)).await.unwrap().unwrap();
    });
}

/// An `approved` event with a real passport, without an agent.
pub fn approved(sandbox: &Sandbox, site: &LimeSite) -> String {
    let request = site.create_login_request().wait().unwrap();
    sandbox.approve(&request.request_id, None).unwrap();
    assert!(sandbox.wait_for_status_blocking(&request.request_id, LoginStatus::Delivered, LONG));
    request.request_id
}

pub fn passport(events: &Receiver<LoginEvent>) -> String {
    events.recv_timeout(LONG).unwrap().passport.unwrap()
}

/// The same passport under another key's name.
pub fn made_up(jwt: &str, n: u32) -> String {
    use base64::Engine as _;
    let header = format!("{{\"alg\":\"RS256\",\"kid\":\"made-up-{n}\"}}");
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header);
    format!("{header}.{}", jwt.split_once('.').unwrap().1)
}
