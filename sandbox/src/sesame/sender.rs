//! Sends webhooks: to this machine only, again after a while when they do not arrive.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::outbox::Delivery;
use super::{Record, Undelivered, Webhook, WebhookStatus};
use crate::state::{Core, State};

/// Connections that are open for webhooks at the same time.
const AT_ONCE: usize = 64;

/// How much of an answer is read before the connection is closed.
const ANSWER_LIMIT: usize = 64 * 1024;

impl Core {
    /// Sends what is in the outbox, for as long as it is polled.
    pub(crate) async fn run_webhooks(self: Arc<Self>) {
        let filled = self.quiet_change(|state| state.broker.outbox_filled());
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        let mut deliveries = JoinSet::new();
        loop {
            for id in self.quiet_change(|state| state.broker.outbox.take_new()) {
                deliveries.spawn(Arc::clone(&self).deliver(id, Arc::clone(&slots)));
            }
            tokio::select! {
                () = filled.notified() => {}
                Some(_) = deliveries.join_next(), if !deliveries.is_empty() => {}
            }
        }
    }

    /// Sends one webhook until it has arrived or is given up.
    async fn deliver(self: Arc<Self>, id: u64, slots: Arc<Semaphore>) {
        for round in 0.. {
            // Nobody closes the semaphore; a reset empties the outbox.
            let Ok(slot) = slots.acquire().await else { return };
            let Some((delivery, signed, patience)) = self.read(|state| state.signed(id)) else { return };
            let outcome = match target(&delivery.url) {
                Err(reason) => Outcome::Refused(reason),
                Ok(target) => attempt(&target, &delivery.body, &signed, patience).await,
            };
            drop(slot);
            match self.change(|state| state.attempted(delivery, signed, &outcome, round)) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return,
            }
        }
    }
}

/// What is put beside a body at one attempt.
struct Signed {
    time: Timestamp,
    timestamp: i64,
    signature: String,
}

enum Outcome {
    Answered(u16),
    Failed(String),
    Refused(&'static str),
}

impl State {
    fn signed(&self, id: u64) -> Option<(Delivery, Signed, Duration)> {
        let delivery = self.broker.outbox.get(id)?.clone();
        let signed = Signed {
            time: Timestamp::now(),
            timestamp: self.clock.now().as_second(),
            signature: self.sign_webhook(&delivery.body),
        };
        Some((delivery, signed, self.settings.webhook_patience()))
    }

    /// Logs an attempt. Returns how long to wait before the next one, if there is one.
    fn attempted(
        &mut self,
        mut delivery: Delivery,
        signed: Signed,
        outcome: &Outcome,
        round: usize,
    ) -> Option<Duration> {
        // Forgotten by a reset while it was under way.
        self.broker.outbox.get(delivery.id)?;
        let delivered = matches!(outcome, Outcome::Answered(200..=299));
        let wait = if delivered || matches!(outcome, Outcome::Refused(_)) {
            None
        } else {
            self.settings.webhook_retry_seconds.get(round).copied()
        };
        delivery.attempts += 1;
        delivery.open = !delivered && !matches!(outcome, Outcome::Refused(_));
        let (status, error) = match outcome {
            Outcome::Answered(status) if delivered => (WebhookStatus::Http(*status), None),
            Outcome::Answered(status) => {
                (WebhookStatus::Http(*status), Some(format!("the answer was {status}")))
            }
            Outcome::Failed(error) => (WebhookStatus::Without(Undelivered::Failed), Some(error.clone())),
            Outcome::Refused(reason) => {
                (WebhookStatus::Without(Undelivered::Refused), Some((*reason).to_owned()))
            }
        };
        let webhook = Webhook {
            n: self.broker.webhooks.next_n(),
            approval_id: delivery.approval_id.clone(),
            url: delivery.url.clone(),
            attempt: delivery.attempts,
            time: format!("{:.6}", signed.time),
            status,
            error,
            next_retry_seconds: wait,
            delivered,
            timestamp: signed.timestamp,
            signature: signed.signature,
            body: delivery.body.clone(),
        };
        // What cannot be written down is sent again after a restart: twice is better than never.
        let _ = self.broker.write(&[Record::Delivery(delivery.clone()), Record::Webhook(webhook.clone())]);
        self.broker.webhooks.enter(webhook);
        self.broker.outbox.update(delivery);
        wait.map(|wait| Duration::try_from_secs_f64(wait).unwrap_or_default())
    }
}

/// Where a webhook goes.
#[derive(Debug)]
struct Target {
    addresses: Vec<SocketAddr>,
    /// For the `Host` header.
    authority: String,
    /// Path and query.
    path: String,
}

/// Only this machine: an emulation must not knock on other people's doors. Names are not looked
/// up, so that nothing can come of what a name means elsewhere.
fn target(url: &str) -> Result<Target, &'static str> {
    let uri: Uri = url.parse().map_err(|_| "the callback URL is not a URL")?;
    if uri.scheme_str() != Some("http") {
        return Err("the sandbox sends webhooks to http:// URLs only");
    }
    let authority = uri.authority().ok_or("the callback URL has no host")?;
    if authority.as_str().contains('@') {
        return Err("the sandbox sends no credentials in a URL");
    }
    let host = authority.host();
    let port = match authority.as_str().strip_prefix(host) {
        None | Some("") => 80,
        Some(port) => {
            port.trim_start_matches(':').parse().map_err(|_| "the callback URL's port is not a port")?
        }
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let addresses: Vec<IpAddr> = if host.eq_ignore_ascii_case("localhost") {
        vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
    } else {
        bare.parse().into_iter().collect()
    };
    if addresses.is_empty() || !addresses.iter().all(IpAddr::is_loopback) {
        return Err("the sandbox sends webhooks to loopback addresses only (127.0.0.0/8, [::1], localhost)");
    }
    Ok(Target {
        addresses: addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect(),
        authority: authority.as_str().to_owned(),
        path: uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned(),
    })
}

async fn attempt(target: &Target, body: &str, signed: &Signed, patience: Duration) -> Outcome {
    match tokio::time::timeout(patience, post(target, body, signed)).await {
        Ok(Ok(status)) => Outcome::Answered(status),
        Ok(Err(error)) => Outcome::Failed(error.to_string()),
        Err(_) => Outcome::Failed(format!("no answer within {} s", patience.as_secs_f64())),
    }
}

/// One request on a connection of its own. Redirects are answers like any other.
async fn post(target: &Target, body: &str, signed: &Signed) -> io::Result<u16> {
    let tcp = TcpStream::connect(&target.addresses[..]).await?;
    // A small request in one packet; without the option it merely leaves later.
    let _ = tcp.set_nodelay(true);
    let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await.map_err(io::Error::other)?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(&target.path)
        .header(header::HOST, &target.authority)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("lime-sandbox/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .header("x-sesame-signature", &signed.signature)
        .header("x-sesame-timestamp", signed.timestamp)
        .body(Full::new(Bytes::from(body.to_owned())))
        .map_err(io::Error::other)?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        // The body says nothing, but a server that is cut off in the middle of it may complain.
        let _ = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
        Ok::<_, hyper::Error>(status)
    };
    tokio::pin!(exchange, connection);
    let answered = tokio::select! {
        biased;
        status = &mut exchange => status,
        // The connection is done; what it has received is there already.
        ended = &mut connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(error),
        },
    };
    answered.map_err(|error| {
        io::Error::other(
            std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine() {
        for (url, authority, path) in [
            ("http://127.0.0.1:8000/hook?a=1", "127.0.0.1:8000", "/hook?a=1"),
            ("HTTP://LOCALHOST:1", "LOCALHOST:1", "/"),
            ("http://[::1]:9/x", "[::1]:9", "/x"),
            ("http://127.255.0.1/x", "127.255.0.1", "/x"),
        ] {
            let target = target(url).unwrap_or_else(|reason| panic!("{url}: {reason}"));
            assert_eq!((target.authority.as_str(), target.path.as_str()), (authority, path));
            assert!(target.addresses.iter().all(|address| address.ip().is_loopback()));
        }
        for url in [
            "",
            "hook",
            "/hook",
            "127.0.0.1:80",
            "https://127.0.0.1/",
            "ftp://127.0.0.1/",
            "http://192.0.2.1/",
            "http://example.com/",
            "http://localhost.example.com/",
            "http://127.0.0.1.example.com/",
            "http://0.0.0.0/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://127.1/",
            "http://2130706433/",
            "http://user@127.0.0.1/",
            "http://127.0.0.1@example.com/",
            "http://127.0.0.1:99999/",
            "http://127.0.0.1:/",
            "http://127.0.0.1:8000 /x",
        ] {
            assert!(target(url).is_err(), "{url}");
        }
    }
}
