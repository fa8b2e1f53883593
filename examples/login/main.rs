//! A site signs an agent in, from both sides.
//!
//! Reads `LIME_API_BASE`, `LIME_SITE_TOKEN` and `LIME_AGENT_TOKEN`; prints each step and its
//! milliseconds. An argument says how often (default once).

use std::sync::mpsc;
use std::time::{Duration, Instant};

use lime_core::{AgentConfig, LimeAgent, LimeSite, PassportCheck, SiteConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds = std::env::args().nth(1).map_or(Ok(1), |text| text.parse())?;
    let mut last = Instant::now();
    let mut done = |step: &str| {
        println!("{step}\t{:.1}", last.elapsed().as_secs_f64() * 1000.0);
        last = Instant::now();
    };

    let site = LimeSite::new(SiteConfig::default())?;
    let agent = LimeAgent::new(AgentConfig::default())?;
    let (sender, events) = mpsc::channel();
    site.on_login(move |event| {
        let _ = sender.send(event.clone());
    })?;

    for _ in 0..rounds {
        let request = site.create_login_request().wait()?;
        done("request created");

        agent.login(&request.request_id).wait()?;
        done("challenge solved and approved");

        let event = events.recv_timeout(Duration::from_secs(60))?;
        let jwt = event.passport.ok_or("the login request expired")?;
        done("event received");

        let check = PassportCheck::default().expected_request_id(&request.request_id);
        let passport = site.verify_passport(&jwt, check).wait()?;
        done("passport verified");

        let profile = agent.get_profile().wait()?;
        assert_eq!(passport.claims["agent_id"], profile.agent_id.as_str());
        done("profile read");
    }
    Ok(())
}
