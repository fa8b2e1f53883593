//! A TCP proxy that stands between a client and the platform, and does to connections what networks do.
//!
//! What happens to which connection is given beforehand: the first connection meets the first fault, and so on;
//! when they are used up, or while it is [told to be calm](Proxy::set_calm), everything passes.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::wire::Answers;

/// The direction in which bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the platform.
    Up,
    /// From the platform to the client.
    Down,
}

/// How a connection is broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Both ends see it closed.
    Close,
    /// Both ends see a reset.
    Reset,
}

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It is reset as soon as it is there.
    Refused,
    /// It breaks at this byte of one direction.
    Cut { way: Way, at: u64, how: Break },
    /// It breaks when it is this old.
    CutAfter { life: Duration, how: Break },
    /// At this byte of one direction everything stands still for a while.
    Stall { way: Way, at: u64, pause: Duration },
    /// From this byte of one direction on nothing arrives any more, and nobody is told, until the network is
    /// calm again.
    HalfOpen { way: Way, at: u64, how: Break },
    /// A few bytes at a time, with pauses.
    Drip { piece: usize, pause: Duration },
    /// So many bytes in a second, in each direction.
    Bandwidth { per_second: u32 },
}

impl Fault {
    /// Its kind, for counting.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Refused => "refused",
            Self::Cut { .. } => "cut",
            Self::CutAfter { .. } => "cut by time",
            Self::Stall { .. } => "stall",
            Self::HalfOpen { .. } => "half-open",
            Self::Drip { .. } => "slow drip",
            Self::Bandwidth { .. } => "bandwidth",
        }
    }
}

/// A running proxy. It ends, with its connections, when it is dropped.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    upstream: SocketAddr,
    state: Mutex<State>,
    /// How long nobody is let in, if that is so.
    away: watch::Sender<bool>,
    calm: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    /// Counts beginnings: what ends late belongs to what was before.
    epoch: u64,
    faults: VecDeque<Fault>,
    /// What has gone by on the connections that are open.
    open: Vec<Arc<Mutex<Answers>>>,
    /// What had gone by on those that ended, and were not reset.
    arrived: HashMap<String, usize>,
    met: HashMap<&'static str, u64>,
    story: Vec<String>,
}

impl Proxy {
    /// Listens on a port of this machine, on the current runtime; everything passes.
    pub fn start(upstream: u16) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let listener = socket.listen(1024)?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            upstream: SocketAddr::from((Ipv4Addr::LOCALHOST, upstream)),
            state: Mutex::default(),
            away: watch::Sender::new(false),
            calm: watch::Sender::new(false),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(Arc::clone(&shared), listener));
        Ok(Self { port, shared, _tasks: tasks })
    }

    /// Where clients connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Begins anew, with these faults for the next connections.
    pub fn begin(&self, faults: Vec<Fault>) {
        self.shared.away.send_replace(false);
        self.shared.calm.send_replace(false);
        let mut state = lock(&self.shared.state);
        (state.faults, state.arrived, state.met) = (faults.into(), HashMap::new(), HashMap::new());
        state.story.clear();
        state.epoch += 1;
        state.open.clear();
    }

    /// Lets nobody in (each new connection is reset), or everybody again.
    pub fn set_away(&self, away: bool) {
        self.shared.away.send_replace(away);
    }

    /// Adds a fault for a connection to come.
    pub fn also(&self, fault: Fault) {
        lock(&self.shared.state).faults.push_back(fault);
    }

    /// While it is calm there are no faults: what is half-open breaks, what stands still goes on, what comes
    /// passes.
    pub fn set_calm(&self, calm: bool) {
        if calm {
            self.shared.away.send_replace(false);
        }
        self.shared.calm.send_replace(calm);
    }

    /// The requests whose events have arrived at the client, whole and on connections that were not reset,
    /// and how often.
    pub fn arrived(&self) -> HashMap<String, usize> {
        let state = lock(&self.shared.state);
        let mut arrived = state.arrived.clone();
        for open in &state.open {
            for id in lock(open).arrived() {
                *arrived.entry(id.clone()).or_default() += 1;
            }
        }
        arrived
    }

    /// What became of the connections that have ended.
    pub fn story(&self) -> Vec<String> {
        lock(&self.shared.state).story.clone()
    }

    /// How many connections met each kind of fault.
    pub fn met(&self) -> HashMap<&'static str, u64> {
        lock(&self.shared.state).met.clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Out of descriptors, say: whoever knocked sees a network that is broken.
                let Ok((client, _)) = accepted else { continue };
                connections.spawn(connection(Arc::clone(&shared), client));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(shared: Arc<Shared>, client: TcpStream) {
    let calm = *shared.calm.borrow();
    let away = *shared.away.borrow();
    let carried = Arc::<Mutex<Answers>>::default();
    let (epoch, fault) = {
        let mut state = lock(&shared.state);
        let fault = match (calm, away) {
            (true, _) => Fault::None,
            (false, true) => Fault::Refused,
            (false, false) => state.faults.pop_front().unwrap_or(Fault::None),
        };
        *state.met.entry(fault.name()).or_default() += 1;
        (state.epoch, fault)
    };
    if fault == Fault::Refused {
        let _ = client.set_zero_linger();
        return;
    }
    let Ok(upstream) = TcpStream::connect(shared.upstream).await else { return };
    {
        let mut state = lock(&shared.state);
        if state.epoch == epoch {
            state.open.push(Arc::clone(&carried));
        }
    }
    let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_upstream, to_upstream) = upstream.into_split();
    let mut up = Pump::new(Way::Up, from_client, to_upstream, fault, &shared, None);
    let mut down = Pump::new(Way::Down, from_upstream, to_client, fault, &shared, Some(&carried));
    // An end that says no more is one that is gone: nobody here closes one direction alone.
    let (ended, broken) = tokio::select! {
        broken = up.run() => ("by the client", broken),
        broken = down.run() => ("by the platform", broken),
        how = life(fault) => ("by its age", Some(how)),
    };
    let passed = (up.passed, down.passed);
    if broken == Some(Break::Reset) {
        for half in [down.to, up.to] {
            // If the option cannot be set, the connection ends the ordinary way.
            let _ = half.as_ref().set_zero_linger();
            // Dropped, it would say goodbye first.
            half.forget();
        }
        drop((down.from, up.from));
    } else {
        drop((up, down));
    }
    let mut state = lock(&shared.state);
    if state.epoch != epoch {
        return;
    }
    let ids = lock(&carried).arrived().join(" ");
    state.story.push(format!("{fault:?}: {passed:?} bytes passed, {ended}, {broken:?}: {ids}"));
    state.open.retain(|open| !Arc::ptr_eq(open, &carried));
    if broken != Some(Break::Reset) {
        for id in lock(&carried).arrived() {
            *state.arrived.entry(id.clone()).or_default() += 1;
        }
    }
}

/// Ends when the connection has lived as long as it may.
async fn life(fault: Fault) -> Break {
    match fault {
        Fault::CutAfter { life, how } => {
            sleep(life).await;
            how
        }
        _ => std::future::pending().await,
    }
}

/// One direction of a connection.
struct Pump<'a> {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    fault: Fault,
    way: Way,
    passed: u64,
    calm: watch::Receiver<bool>,
    carried: Option<&'a Mutex<Answers>>,
}

impl<'a> Pump<'a> {
    fn new(
        way: Way,
        from: OwnedReadHalf,
        to: OwnedWriteHalf,
        fault: Fault,
        shared: &Shared,
        carried: Option<&'a Mutex<Answers>>,
    ) -> Self {
        Self { from, to, fault, way, passed: 0, calm: shared.calm.subscribe(), carried }
    }

    /// Passes on what comes until one end is gone, or says how the connection is to be broken.
    async fn run(&mut self) -> Option<Break> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            if self.left() == Some(0) {
                match self.fault {
                    Fault::Cut { how, .. } => return Some(how),
                    Fault::HalfOpen { how, .. } => {
                        let _ = self.calm.wait_for(|calm| *calm).await;
                        return Some(how);
                    }
                    Fault::Stall { pause, .. } => sleep(pause).await,
                    _ => {}
                }
                self.fault = Fault::None;
            }
            let (piece, pause) = self.pace();
            let most = self.left().map_or(piece, |left| piece.min(usize::try_from(left).unwrap_or(piece)));
            let Ok(read @ 1..) = self.from.read(&mut buffer[..most]).await else { return None };
            if self.to.write_all(&buffer[..read]).await.is_err() {
                return None;
            }
            self.passed += read as u64;
            if let Some(carried) = self.carried {
                lock(carried).feed(&buffer[..read]);
            }
            if !pause.is_zero() && !*self.calm.borrow() {
                sleep(pause).await;
            }
        }
    }

    /// How many bytes may pass before something happens.
    fn left(&self) -> Option<u64> {
        match self.fault {
            Fault::Cut { way, at, .. } | Fault::Stall { way, at, .. } | Fault::HalfOpen { way, at, .. }
                if way == self.way =>
            {
                Some(at.saturating_sub(self.passed))
            }
            _ => None,
        }
    }

    /// How much at a time, and how long to wait then.
    fn pace(&self) -> (usize, Duration) {
        const ALL: usize = 16 * 1024;
        const PIECES: u32 = 50;
        match self.fault {
            Fault::Drip { piece, pause } if !*self.calm.borrow() => (piece.max(1), pause),
            Fault::Bandwidth { per_second } if !*self.calm.borrow() => {
                let piece = usize::try_from(per_second / PIECES).unwrap_or(ALL);
                (piece.clamp(1, ALL), Duration::from_secs(1) / PIECES)
            }
            _ => (ALL, Duration::ZERO),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: usize = 1000;

    /// What a client gets from a platform that sends 1,000 bytes and ends, and whether it saw a reset.
    async fn received(fault: Fault, calm: bool) -> (usize, bool) {
        let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = Proxy::start(upstream.local_addr().unwrap().port()).unwrap();
        proxy.begin(vec![fault]);
        let platform = async {
            let (mut connection, _) = upstream.accept().await.unwrap();
            // The other end may be gone already.
            let _ = connection.write_all(&[b'x'; SENT]).await;
            let _ = connection.shutdown().await;
            let _ = connection.read(&mut [0]).await;
        };
        let client = async {
            let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.unwrap();
            let (mut got, mut buffer) = (0, [0; 64]);
            let reset = loop {
                if calm && got == 10 {
                    proxy.set_calm(true);
                }
                match connection.read(&mut buffer).await {
                    Ok(0) => break false,
                    Ok(read) => got += read,
                    Err(error) => break error.kind() == io::ErrorKind::ConnectionReset,
                }
            };
            (got, reset)
        };
        tokio::select! {
            got = client => got,
            () = async { platform.await; std::future::pending::<()>().await } => unreachable!(),
        }
    }

    #[tokio::test]
    async fn what_passes_arrives_whole() {
        for fault in [
            Fault::None,
            Fault::Drip { piece: 100, pause: Duration::from_millis(1) },
            Fault::Bandwidth { per_second: 20_000 },
            Fault::Stall { way: Way::Down, at: 500, pause: Duration::from_millis(1) },
            // Nothing goes that way.
            Fault::Cut { way: Way::Up, at: 1, how: Break::Reset },
        ] {
            assert_eq!(received(fault, false).await, (SENT, false), "{fault:?}");
        }
    }

    #[tokio::test]
    async fn a_cut_is_where_it_was_asked_for() {
        for at in [0, 1, 10, 999] {
            let cut = |how| Fault::Cut { way: Way::Down, at, how };
            let wanted = usize::try_from(at).unwrap();
            assert_eq!(received(cut(Break::Close), false).await, (wanted, false));
            assert_eq!(received(cut(Break::Reset), false).await, (wanted, true));
        }
        assert_eq!(received(Fault::Refused, false).await, (0, true));
    }

    #[tokio::test]
    async fn what_is_half_open_ends_when_it_is_calm() {
        let half_open = |how| Fault::HalfOpen { way: Way::Down, at: 10, how };
        assert_eq!(received(half_open(Break::Close), true).await, (10, false));
        assert_eq!(received(half_open(Break::Reset), true).await, (10, true));
    }
}
