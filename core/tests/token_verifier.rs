//! Access tokens of the sandbox, verified; and the keys for it: found by the metadata, fetched once, old ones
//! serve while the platform is down.

#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod common;

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::*;
use lime_core::clock::ManualClock;
use lime_core::{ErrorKind, TokenKeys, TokenVerifier, TokenVerifierConfig, VerifiedToken};
use lime_sandbox::{Fault, NewMcpToken, Sandbox};
use serde_json::{Value, json};

const DOMAIN: &str = "tools.example.com";

fn config(sandbox: &Sandbox) -> TokenVerifierConfig {
    TokenVerifierConfig {
        base_url: Some(sandbox.origin().to_owned()),
        expected_domain: Some(DOMAIN.to_owned()),
        ..TokenVerifierConfig::default()
    }
}

fn verifier(sandbox: &Sandbox) -> TokenVerifier {
    ticking(sandbox).0
}

fn ticking(sandbox: &Sandbox) -> (TokenVerifier, Arc<ManualClock>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let clock = Arc::new(ManualClock::at(now).skipping_sleeps());
    let config = TokenVerifierConfig { clock: Arc::clone(&clock) as _, ..config(sandbox) };
    (TokenVerifier::new(config).unwrap(), clock)
}

/// Both clocks at once: tokens stay as young as they are.
fn advance(sandbox: &Sandbox, clock: &ManualClock, by: Duration) {
    clock.advance(by);
    sandbox.advance(by).unwrap();
}

fn token(sandbox: &Sandbox, domain: &str, claims: &Value) -> String {
    let claims = claims.as_object().unwrap().clone();
    sandbox.mcp_token(&NewMcpToken { domain: domain.into(), agent_id: None, claims }).unwrap().access_token
}

fn good(sandbox: &Sandbox) -> String {
    token(sandbox, DOMAIN, &json!({}))
}

fn verify(verifier: &TokenVerifier, token: &str) -> Result<VerifiedToken, (ErrorKind, Option<String>)> {
    verifier.verify(token).wait().map_err(|error| (error.kind(), error.code().map(str::to_owned)))
}

fn fails(verifier: &TokenVerifier, token: &str) -> ErrorKind {
    verify(verifier, token).unwrap_err().0
}

fn code(verifier: &TokenVerifier, token: &str) -> String {
    let (kind, code) = verify(verifier, token).unwrap_err();
    assert_eq!(kind, ErrorKind::InvalidToken);
    code.unwrap()
}

#[test]
fn a_token_of_the_platform_is_verified_and_says_whose_it_is() {
    let sandbox = sandbox();
    let verifier = verifier(&sandbox);
    let token = good(&sandbox);
    assert!(verifier.verify_cached(&token).is_none(), "there are no keys yet");
    let found = verify(&verifier, &token).unwrap();
    assert_eq!(found.agent_id(), sandbox.agent_id());
    assert_eq!(found.domain(), DOMAIN);
    assert_eq!(found.claims["aud"], "mcp");
    assert_eq!(verifier.verify_cached(&token).unwrap().unwrap(), found, "now on the calling thread");
    assert_eq!(sandbox.received_on("mcp_metadata").len(), 1);
    assert_eq!(sandbox.received_on("jwks").len(), 1);
    assert_eq!(verifier.keys().fetches(), 1);
    let headers = &sandbox.received_on("jwks")[0].headers;
    assert!(!headers.contains_key("authorization"), "a public endpoint");
}

#[test]
fn tokens_that_are_not_for_this_server_are_refused() {
    let sandbox = sandbox();
    let verifier = verifier(&sandbox);
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    for (domain, claims, wanted) in [
        ("other.example.com", json!({}), "wrong_domain"),
        ("Tools.example.com", json!({}), "invalid_domain"),
        ("https://tools.example.com", json!({}), "invalid_domain"),
        ("", json!({}), "missing_domain"),
        (DOMAIN, json!({"domain": null}), "missing_domain"),
        (DOMAIN, json!({"exp": now - 121}), "expired"),
        (DOMAIN, json!({"exp": null}), "invalid_claim"),
        (DOMAIN, json!({"iat": now + 300}), "not_yet_valid"),
        (DOMAIN, json!({"nbf": now + 300}), "not_yet_valid"),
        (DOMAIN, json!({"iss": "https://lime.pics"}), "wrong_issuer"),
        (DOMAIN, json!({"aud": "lime-site-login"}), "wrong_audience"),
        (DOMAIN, json!({"user_id": "u"}), "forbidden_claim"),
        (DOMAIN, json!({"sub": " "}), "missing_subject"),
    ] {
        assert_eq!(code(&verifier, &token(&sandbox, domain, &claims)), wanted, "{domain}");
    }
    // Within the leeway.
    for claims in [json!({"exp": now - 60}), json!({"iat": now + 60}), json!({"nbf": now + 60})] {
        assert!(verify(&verifier, &token(&sandbox, DOMAIN, &claims)).is_ok());
    }
    assert_eq!(code(&verifier, "no token"), "malformed");
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused() {
    let sandbox = sandbox();
    let with = |change: fn(&mut TokenVerifierConfig)| {
        let mut config = config(&sandbox);
        change(&mut config);
        TokenVerifier::new(config).map(|verifier| verifier.expected_domain().to_owned())
    };
    assert_eq!(
        with(|config| config.expected_domain = Some("https://Tools.Example.com/mcp".into())).unwrap(),
        DOMAIN
    );
    let changes: [fn(&mut TokenVerifierConfig); 9] = [
        |config| config.expected_domain = None,
        |config| config.expected_domain = Some(" ".into()),
        |config| config.expected_domain = Some("localhost".into()),
        |config| config.expected_domain = Some("tools.example.com:8443".into()),
        |config| config.base_url = Some("lime".into()),
        |config| config.user_agent = Some("a\nb".into()),
        |config| config.timeout = Duration::ZERO,
        |config| config.tls_pins = vec!["no pin".into()],
        // It is not encrypted: there is no key to look at.
        |config| config.tls_pins = vec!["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".into()],
    ];
    for change in changes {
        assert_eq!(with(change).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
}

#[test]
fn an_api_root_will_do_as_the_origin() {
    let sandbox = sandbox();
    let config = TokenVerifierConfig {
        base_url: Some(format!("{}/", sandbox.lime_api_base())),
        user_agent: Some("probe/1".into()),
        ..config(&sandbox)
    };
    let verifier = TokenVerifier::new(config).unwrap();
    assert!(verify(&verifier, &good(&sandbox)).is_ok());
    assert_eq!(verifier.keys().base_url(), sandbox.origin());
    for route in ["mcp_metadata", "jwks"] {
        assert_eq!(sandbox.received_on(route)[0].headers["user-agent"], "probe/1");
    }
}

#[test]
fn five_hundred_first_verifications_make_one_fetch() {
    let sandbox = sandbox();
    let verifier = verifier(&sandbox);
    let token = good(&sandbox);
    let (sender, results) = mpsc::channel();
    for _ in 0..500 {
        let sender = sender.clone();
        verifier.verify(&token).start(move |result| sender.send(result).unwrap());
    }
    assert!(results.iter().take(500).all(|result| result.is_ok()));
    assert_eq!(sandbox.received_on("mcp_metadata").len(), 1);
    assert_eq!(sandbox.received_on("jwks").len(), 1);
}

#[test]
fn rotation_is_found_and_made_up_kids_cause_one_fetch_a_minute() {
    let sandbox = sandbox();
    let (verifier, clock) = ticking(&sandbox);
    let old = good(&sandbox);
    assert!(verify(&verifier, &old).is_ok());
    sandbox.rotate_keys(false);
    assert!(verify(&verifier, &good(&sandbox)).is_ok());
    assert_eq!(code(&verifier, &old), "unknown_key", "the whole set was replaced");
    for _ in 0..5 {
        assert_eq!(code(&verifier, &old), "unknown_key");
    }
    assert_eq!(verifier.keys().fetches(), 2);
    // A second rotation within the minute is found after it.
    sandbox.rotate_keys(false);
    let new = good(&sandbox);
    advance(&sandbox, &clock, Duration::from_secs(59));
    assert_eq!(code(&verifier, &new), "unknown_key");
    advance(&sandbox, &clock, Duration::from_secs(1));
    assert!(verify(&verifier, &new).is_ok());
    assert_eq!(verifier.keys().fetches(), 3);
}

#[test]
fn made_up_kids_cause_one_fetch_a_minute_also_while_the_platform_is_down() {
    let sandbox = sandbox();
    let (verifier, clock) = ticking(&sandbox);
    let old = good(&sandbox);
    assert!(verify(&verifier, &old).is_ok());
    sandbox.rotate_keys(false);
    sandbox.add_fault(Fault::on("mcp_metadata").status(503).always()).unwrap();
    let new = good(&sandbox);
    for asked in [2, 3] {
        for _ in 0..10 {
            assert_eq!(fails(&verifier, &new), ErrorKind::Api);
            advance(&sandbox, &clock, Duration::from_millis(5900));
        }
        assert_eq!(sandbox.received_on("mcp_metadata").len(), asked);
        assert!(verify(&verifier, &old).is_ok());
        advance(&sandbox, &clock, Duration::from_secs(1));
    }
}

#[test]
fn warming_up_twice_fetches_once_and_a_failure_is_told() {
    let sandbox = sandbox();
    let (verifier, clock) = ticking(&sandbox);
    sandbox.add_fault(Fault::on("mcp_metadata").status(503).times(2)).unwrap();
    let error = verifier.warm_up().wait().unwrap_err();
    assert_eq!((error.kind(), error.http_status()), (ErrorKind::Api, Some(503)));
    clock.advance(Duration::from_secs(5));
    verifier.warm_up().wait().unwrap();
    verifier.warm_up().wait().unwrap();
    assert_eq!(verifier.keys().fetches(), 1);
    assert!(verifier.verify_cached(&good(&sandbox)).unwrap().is_ok());
    // With keys at hand a failing refresh is told too, and the keys stay.
    clock.advance(Duration::from_secs(60));
    sandbox.add_fault(Fault::on("jwks").status(500)).unwrap();
    assert_eq!(verifier.warm_up().wait().unwrap_err().kind(), ErrorKind::Api);
    let held = verifier.keys().held().unwrap();
    assert!(format!("{:?}", held.keys()).contains("sandbox-"), "their names: {:?}", held.keys());
    // Asked for in so many words, they are fetched again, fresh or not.
    clock.advance(Duration::from_secs(60));
    verifier.keys().fetch().wait().unwrap();
    assert_eq!(verifier.keys().fetches(), 2);
    verifier.keys().forget();
    assert!(verifier.keys().held().is_none());
    clock.advance(Duration::from_secs(5));
    assert!(verify(&verifier, &good(&sandbox)).is_ok());
}

#[test]
fn old_keys_serve_for_a_day_while_the_platform_is_down() {
    let sandbox = sandbox();
    let (verifier, clock) = ticking(&sandbox);
    assert!(verify(&verifier, &good(&sandbox)).is_ok());
    let down = sandbox.add_fault(Fault::on("mcp_metadata").status(503).always()).unwrap();
    for _ in 0..24 {
        advance(&sandbox, &clock, Duration::from_secs(3600));
        assert!(verify(&verifier, &good(&sandbox)).is_ok(), "overdue keys serve on");
    }
    let asked = sandbox.received_on("mcp_metadata").len();
    for _ in 0..20 {
        assert!(verify(&verifier, &good(&sandbox)).is_ok());
    }
    assert_eq!(sandbox.received_on("mcp_metadata").len(), asked, "and the platform is not hammered");
    advance(&sandbox, &clock, Duration::from_secs(3600));
    assert_eq!(fails(&verifier, &good(&sandbox)), ErrorKind::Api);
    sandbox.remove_fault(down).unwrap();
    clock.advance(Duration::from_secs(5));
    assert!(verify(&verifier, &good(&sandbox)).is_ok());
}

/// The least time between two fetches is for those that a token or a caller causes.
#[test]
fn keys_that_are_due_are_fetched_soon_after_the_platform_is_back() {
    let sandbox = sandbox();
    let (_, clock) = ticking(&sandbox);
    let verifier = TokenVerifier::new(TokenVerifierConfig {
        clock: Arc::clone(&clock) as _,
        jwks_cache_ttl: Some(Duration::from_secs(300)),
        min_refresh: Some(Duration::from_secs(3600)),
        ..config(&sandbox)
    })
    .unwrap();
    verify(&verifier, &good(&sandbox)).unwrap();
    advance(&sandbox, &clock, Duration::from_secs(300));
    let down = sandbox.add_fault(Fault::on("jwks").status(503).always()).unwrap();
    sandbox.clear_received();
    for _ in 0..30 {
        verify(&verifier, &good(&sandbox)).expect("old keys serve");
        advance(&sandbox, &clock, Duration::from_secs(1));
    }
    assert_eq!(sandbox.received_on("jwks").len(), 2, "in half a minute");
    sandbox.remove_fault(down).unwrap();
    sandbox.rotate_keys(false);
    verify(&verifier, &good(&sandbox)).expect("the platform is back");
}

#[test]
fn keys_from_another_origin_are_never_fetched() {
    let sandbox = sandbox();
    let elsewhere = common::sandbox();
    let metadata = |jwks_uri: String| {
        let body = json!({"issuer": sandbox.origin(), "jwks_uri": jwks_uri});
        Fault::on("mcp_metadata").status(200).body(body)
    };
    for jwks_uri in [
        format!("{}/api/v1/core/.well-known/jwks.json", elsewhere.origin()),
        format!("//127.0.0.1:{}/api/v1/core/.well-known/jwks.json", elsewhere.port()),
        format!("http://127.0.0.1:{}@127.0.0.1:{}/", sandbox.port(), elsewhere.port()),
    ] {
        sandbox.add_fault(metadata(jwks_uri)).unwrap();
        let verifier = verifier(&sandbox);
        assert_eq!(fails(&verifier, &good(&elsewhere)), ErrorKind::BadResponse);
    }
    assert!(elsewhere.received().is_empty());
    // Neither by a redirect.
    let away = format!("{}/api/v1/core/.well-known/jwks.json", elsewhere.origin());
    sandbox.add_fault(Fault::on("jwks").redirect(away)).unwrap();
    assert_eq!(fails(&verifier(&sandbox), &good(&elsewhere)), ErrorKind::BadResponse);
    assert!(elsewhere.received().is_empty());
}

#[test]
fn broken_answers_are_told_from_broken_tokens() {
    let sandbox = sandbox();
    let token = good(&sandbox);
    for fault in [
        Fault::on("mcp_metadata").garbage(),
        Fault::on("mcp_metadata").status(200).body(json!([])),
        Fault::on("mcp_metadata").status(200).body(json!({"issuer": "i"})),
        Fault::on("jwks").garbage(),
        Fault::on("jwks").status(200).body(json!({"keys": []})),
        Fault::on("jwks").status(200).body(json!({"keys": 7})),
    ] {
        sandbox.add_fault(fault).unwrap();
        assert_eq!(fails(&verifier(&sandbox), &token), ErrorKind::BadResponse);
    }
    sandbox.add_fault(Fault::on("jwks").status(429).times(2)).unwrap();
    assert_eq!(fails(&verifier(&sandbox), &token), ErrorKind::RateLimit);
}

#[test]
fn verifiers_share_keys_and_close_together() {
    let sandbox = sandbox();
    let config = config(&sandbox);
    let keys = TokenKeys::new(&config).unwrap();
    let first = TokenVerifier::with_keys(&config, keys.clone()).unwrap();
    let other = TokenVerifierConfig { expected_domain: Some("other.example.com".into()), ..config };
    let second = TokenVerifier::with_keys(&other, keys.clone()).unwrap();
    let for_second = token(&sandbox, "other.example.com", &json!({}));
    assert!(verify(&first, &good(&sandbox)).is_ok());
    assert!(second.verify_cached(&for_second).unwrap().is_ok());
    assert_eq!(code(&first, &for_second), "wrong_domain");
    assert_eq!(keys.fetches(), 1);
    let found = keys.find(None).wait().unwrap();
    assert_eq!(found.issuer, sandbox.origin());
    assert_eq!(keys.fetches(), 1);
    assert_eq!(first.audience(), "mcp");
    for shown in [format!("{keys:?}"), format!("{first:?}")] {
        assert!(shown.contains(sandbox.origin()), "{shown}");
    }
    first.close();
    assert_eq!(fails(&second, &for_second), ErrorKind::Closed);
}
