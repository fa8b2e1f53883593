//! Our own HTTP client: reqwest on rustls.

use std::error::Error as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use rustls_platform_verifier::Verifier;

use super::pins::{PinnedVerifier, Pins};
use super::{BODY_LIMIT, Request, Response, StreamResponse, Transport, TransportError};

/// For how long a connection is kept that nobody uses: less than the 5 s after which Node and uvicorn close it. A POST
/// that meets the close on its way is in doubt, and one that may act twice is not sent again then. A new connection
/// costs a round trip or a few, and only calls that are farther apart than this pay it.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// Shared by all clients of the process.
#[derive(Clone, Debug)]
pub(crate) struct HttpTransport {
    client: reqwest::Client,
}

/// What a client is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// Honour `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`; not for addresses of this machine.
    pub(crate) proxies: bool,
    /// Load root certificates, which takes tens of milliseconds.
    pub(crate) tls: bool,
}

impl HttpTransport {
    pub(crate) fn new(kind: Kind) -> Result<Self, String> {
        Self::with_addresses(kind, &[])
    }

    /// A client that connects to these addresses where these host names are asked for. Ports are the URL's, and
    /// certificates are checked against the names.
    pub(crate) fn with_addresses(kind: Kind, addresses: &[(String, IpAddr)]) -> Result<Self, String> {
        let builder = addresses.iter().fold(usual(kind), |builder, (name, address)| {
            builder.resolve(name, SocketAddr::new(*address, 0))
        });
        Self::build(match (kind.tls, roots_are_named()) {
            (false, _) => builder.tls_certs_only([]),
            // A company that names its own roots does not want the public ones beside them.
            (true, true) => builder,
            (true, false) => builder.tls_certs_merge(
                webpki_root_certs::TLS_SERVER_ROOT_CERTS
                    .iter()
                    .filter_map(|certificate| reqwest::Certificate::from_der(certificate).ok()),
            ),
        })
    }

    /// A client that talks to servers with these public keys only.
    pub(crate) fn pinned(kind: Kind, pins: Pins) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let roots = if roots_are_named() { &[] } else { webpki_root_certs::TLS_SERVER_ROOT_CERTS };
        let config =
            Verifier::new_with_extra_roots(roots.iter().cloned(), Arc::clone(&provider)).and_then(|usual| {
                let verifier = PinnedVerifier { usual: Arc::new(usual), pins };
                Ok(rustls::ClientConfig::builder_with_provider(provider)
                    .with_protocol_versions(rustls::ALL_VERSIONS)?
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(verifier))
                    .with_no_client_auth())
            });
        let mut config = config.map_err(|error| format!("TLS could not be set up: {error}"))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self::build(usual(kind).tls_backend_preconfigured(config))
    }

    fn build(builder: reqwest::ClientBuilder) -> Result<Self, String> {
        builder.build().map(|client| Self { client }).map_err(|error| describe(&error))
    }
}

/// What all clients have in common.
fn usual(kind: Kind) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("lime-sdk/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .connect_timeout(Duration::from_secs(30))
        .pool_idle_timeout(POOL_IDLE)
        .tcp_nodelay(true)
        .tcp_keepalive(Duration::from_secs(60))
        .tls_version_min(reqwest::tls::Version::TLS_1_2);
    if kind.proxies { builder } else { builder.no_proxy() }
}

/// Whether the environment says which roots count. Otherwise the system's do, and a bundled copy of Mozilla's, since
/// a slim container has none and could not even build a client.
fn roots_are_named() -> bool {
    std::env::var_os("SSL_CERT_FILE").is_some() || std::env::var_os("SSL_CERT_DIR").is_some()
}

impl Transport for HttpTransport {
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, TransportError>> {
        let opened = self.open(request);
        async move {
            let (head, mut body) = opened.await?.into_parts();
            let mut collected = BytesMut::new();
            while let Some(chunk) = body.try_next().await? {
                if collected.len() + chunk.len() > BODY_LIMIT {
                    return Err(TransportError::too_large());
                }
                collected.extend_from_slice(&chunk);
            }
            Ok(Response::from_parts(head, collected.freeze()))
        }
        .boxed()
    }

    fn open(&self, request: Request) -> BoxFuture<'static, Result<StreamResponse, TransportError>> {
        let client = self.client.clone();
        async move {
            let request = reqwest::Request::try_from(request)
                .map_err(|error| TransportError::not_sent(describe(&error)))?;
            // Lets the runtime look at its sockets first. Otherwise a busy one would still take a connection for a
            // living one whose end has arrived long ago, and write the request into it.
            tokio::task::yield_now().await;
            let response = client.execute(request).await.map_err(classify)?;
            let (head, body) = ::http::Response::<reqwest::Body>::from(response).into_parts();
            let stream = reqwest::Response::from(::http::Response::new(body)).bytes_stream();
            Ok(StreamResponse::from_parts(head, stream.map_err(classify).boxed()))
        }
        .boxed()
    }
}

#[allow(clippy::needless_pass_by_value)] // as map_err hands it over
fn classify(error: reqwest::Error) -> TransportError {
    let message = describe(&error);
    if error.is_timeout() {
        let reach = if error.is_connect() { super::Reach::NotSent } else { super::Reach::MaybeSent };
        TransportError { reach, timed_out: true, message }
    } else if error.is_connect() || error.is_builder() {
        TransportError::not_sent(message)
    } else {
        TransportError::maybe_sent(message)
    }
}

/// The whole chain of causes: "error sending request" alone helps nobody. Without the URL, which the
/// log has already and an error report need not have.
fn describe(error: &reqwest::Error) -> String {
    let mut text =
        if error.is_connect() { "Connection failed".to_owned() } else { "Request failed".to_owned() };
    let mut cause = error.source();
    let mut last = String::new();
    while let Some(inner) = cause {
        let this = inner.to_string();
        if this != last && !text.ends_with(&this) {
            text.push_str(": ");
            text.push_str(&this);
        }
        last = this;
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    const PLAIN: Kind = Kind { proxies: false, tls: false };

    fn post(listener: &TcpListener) -> Request {
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let request = ::http::Request::post(url).header("content-length", 2);
        request.body(bytes::Bytes::from_static(b"{}")).unwrap()
    }

    /// Answers requests until the client closes the connection.
    fn serve(mut socket: TcpStream) {
        let mut read = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = socket.read(&mut piece) {
            read.extend_from_slice(&piece[..count]);
            if read.ends_with(b"\r\n\r\n{}") {
                read.clear();
                socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_connection_that_is_about_to_be_closed_by_its_server_is_not_used() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let request = post(&listener);
        let (sender, accepted) = mpsc::channel();
        thread::spawn(move || {
            for socket in listener.incoming() {
                sender.send(()).unwrap();
                thread::spawn(move || serve(socket.unwrap()));
            }
        });
        let client = HttpTransport::new(PLAIN).unwrap();
        // Each is how long nobody has used the connection, and whether it is a new one then.
        for (idle, new) in [(0, true), (2000, false), (4100, true), (2000, false), (5000, true)] {
            tokio::time::pause();
            tokio::time::advance(Duration::from_millis(idle)).await;
            tokio::time::resume();
            client.send(request.clone()).await.unwrap();
            assert_eq!(accepted.try_recv().is_ok(), new, "after {idle} ms");
        }
    }
}
