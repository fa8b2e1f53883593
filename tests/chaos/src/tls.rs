//! TLS in front of the platform, behind the proxy: so a connection is cut within its records.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A server that takes TLS off. It ends, with its connections, when it is dropped.
pub struct Front {
    port: u16,
    _tasks: JoinSet<()>,
}

impl Front {
    /// Listens on a port of this machine, on the current runtime, with a certificate and its key in one PEM file.
    pub async fn start(certificate: &Path, upstream: u16) -> io::Result<Self> {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(certificate).map_err(io::Error::other)?.collect();
        let key = PrivateKeyDer::from_pem_file(certificate).map_err(io::Error::other)?;
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain.unwrap_or_default(), key))
            .map_err(io::Error::other)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((client, _)) = accepted else { continue };
                        connections.spawn(carry(acceptor.clone(), client, upstream));
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self { port, _tasks: tasks })
    }

    /// Where clients connect to.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Whoever breaks off, also in the middle of the handshake, is no fault of this end.
async fn carry(acceptor: TlsAcceptor, client: TcpStream, upstream: u16) {
    let _ = client.set_nodelay(true);
    let Ok(mut client) = acceptor.accept(client).await else { return };
    let Ok(mut platform) = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).await else { return };
    let _ = platform.set_nodelay(true);
    let _ = copy_bidirectional(&mut client, &mut platform).await;
}
