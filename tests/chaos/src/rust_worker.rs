//! The program of Rust: see [`worker`](crate::worker) for what it is told and tells.

use std::future::Future;
use std::io::BufRead;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use lime_core::{
    AgentConfig, ApprovalRequest, Error, LimeAgent, LimeSite, LoginEvent, PassportCheck, Platform, Sesame,
    SesameConfig, SiteConfig, WaitOptions,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{JoinHandle, JoinSet};

struct Clients {
    sites: Vec<LimeSite>,
    agent: LimeAgent,
    sesame: Sesame,
    verifier: JoinHandle<()>,
    /// Ends the verifier.
    enough: tokio::sync::mpsc::UnboundedSender<Option<(usize, LoginEvent)>>,
    jobs: JoinSet<()>,
}

/// Reads orders until there are no more.
pub fn run() -> std::io::Result<()> {
    let (sender, mut orders) = unbounded_channel();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async {
        let mut clients = None;
        while let Some(line) = orders.recv().await {
            let fields: Vec<&str> = line.split('\t').collect();
            match (fields.as_slice(), &mut clients) {
                (["open", api, broker, agent, key, timeout, platform, sites @ ..], none @ None) => {
                    *none = Some(Clients::open([api, broker, agent, key, timeout, platform], sites));
                    println!("opened");
                }
                (["login", job, site, agent], Some(clients)) => clients.login(job, site, agent),
                (["gate", job, action, dedup, timeout], Some(clients)) => {
                    clients.gate(job, action, dedup, timeout);
                }
                (["close"], some) => {
                    if let Some(clients) = some.take() {
                        clients.close().await;
                    }
                    println!("closed");
                }
                (fields, _) => panic!("an order that is none: {fields:?}"),
            }
        }
    });
    Ok(())
}

fn kind<T>(result: &Result<T, Error>) -> &'static str {
    result.as_ref().map_or_else(|error| error.kind().name(), |_| "ok")
}

impl Clients {
    fn open([api, broker, agent, key, timeout, platform]: [&str; 6], sites: &[&str]) -> Self {
        let base_url = Some(api.to_owned());
        let timeout = Duration::from_millis(timeout.parse().unwrap());
        let platform = Platform { require_issuer: false, ..Platform::named(platform).unwrap() };
        let (sender, arrived) = unbounded_channel();
        let sites: Vec<LimeSite> = sites
            .iter()
            .enumerate()
            .map(|(number, token)| {
                let site = LimeSite::new(SiteConfig {
                    site_token: Some((*token).to_owned()),
                    base_url: base_url.clone(),
                    timeout,
                    sse_backoff_base: Duration::from_millis(5),
                    platform,
                    ..SiteConfig::default()
                })
                .unwrap();
                let sender = sender.clone();
                site.on_login(move |event| {
                    let how = if event.passport.is_some() { "approved" } else { "expired" };
                    println!("event\t{number}\t{}\t{how}", event.request_id);
                    let _ = sender.send(Some((number, event.clone())));
                })
                .unwrap();
                site.on_gap(move |gap| {
                    gap.request_ids.iter().for_each(|id| println!("gap\t{number}\t{id}"));
                })
                .unwrap();
                site
            })
            .collect();
        let agent = AgentConfig {
            agent_token: Some(agent.to_owned()),
            base_url,
            timeout,
            platform,
            ..AgentConfig::default()
        };
        let sesame = SesameConfig {
            api_key: Some(key.to_owned()),
            base_url: Some(broker.to_owned()),
            timeout,
            poll_timeout: timeout,
            ..SesameConfig::default()
        };
        Self {
            verifier: tokio::spawn(verify(sites.clone(), arrived)),
            sites,
            agent: LimeAgent::new(agent).unwrap(),
            sesame: Sesame::new(sesame).unwrap(),
            enough: sender,
            jobs: JoinSet::new(),
        }
    }

    fn spawn(&mut self, job: impl Future<Output = ()> + Send + 'static) {
        while self.jobs.try_join_next().is_some() {}
        self.jobs.spawn(job);
    }

    fn login(&mut self, job: &str, site: &str, agent: &str) {
        let site = self.sites[site.parse::<usize>().unwrap()].clone();
        let agent = (agent == "1").then(|| self.agent.clone());
        let job = job.to_owned();
        self.spawn(async move {
            let created = site.create_login_request().await;
            let request = match created {
                Ok(request) => request,
                Err(error) => return println!("create\t{job}\t{}", error.kind().name()),
            };
            println!("created\t{job}\t{}", request.request_id);
            if let Some(agent) = agent {
                println!("login\t{job}\t{}", kind(&agent.login(&request.request_id).await));
            }
        });
    }

    fn gate(&mut self, job: &str, action: &str, dedup: &str, timeout: &str) {
        let sesame = self.sesame.clone();
        let mut request = ApprovalRequest::new(action, "Something that matters");
        if !dedup.is_empty() {
            request = request.dedup_key(dedup);
        }
        let options = WaitOptions {
            timeout: Duration::from_millis(timeout.parse().unwrap()),
            poll_interval: Duration::from_millis(10),
        };
        let job = job.to_owned();
        self.spawn(async move {
            let gone_through = sesame.require_approval(request, options).await;
            if gone_through.is_ok() {
                println!("ran\t{job}");
            }
            println!("gate\t{job}\t{}", kind(&gone_through));
        });
    }

    async fn close(mut self) {
        while self.jobs.join_next().await.is_some() {}
        // What has arrived is still before this.
        let _ = self.enough.send(None);
        self.verifier.await.unwrap();
        for site in &self.sites {
            site.close_and_wait();
        }
    }
}

async fn verify(sites: Vec<LimeSite>, mut arrived: UnboundedReceiver<Option<(usize, LoginEvent)>>) {
    let sites = Arc::<[LimeSite]>::from(sites);
    while let Some(Some((number, event))) = arrived.recv().await {
        let Some(passport) = event.passport.as_deref() else { continue };
        let check = PassportCheck::default().expected_request_id(&event.request_id);
        let verified = sites[number].verify_passport(passport, check).await;
        println!("session\t{}\t{}", event.request_id, kind(&verified));
    }
}
