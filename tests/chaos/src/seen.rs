//! What a program has told of a run.

use std::collections::HashMap;

/// What became of a login that was ordered.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct LoginSeen {
    /// The request's id, or the kind of the error.
    pub created: Option<Result<String, String>>,
    /// How the agent's call ended.
    pub signed_in: Option<String>,
    /// Whether it was ended from outside.
    pub ended: bool,
}

/// What became of a gate that was ordered.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct GateSeen {
    /// How often the function has run.
    pub ran: u32,
    /// How the call ended.
    pub result: Option<String>,
}

/// Everything that one program has told.
#[derive(Debug, Default)]
pub struct Seen {
    pub opened: bool,
    pub closed: bool,
    pub gone: bool,
    pub logins: HashMap<usize, LoginSeen>,
    pub gates: HashMap<usize, GateSeen>,
    /// Calls of the handler: which request, and how it ended.
    pub events: Vec<(String, String)>,
    /// Passports that were looked at: whose request, and whether they are good.
    pub sessions: Vec<(String, String)>,
    /// Requests of which the library says that it does not know how they ended.
    pub gaps: Vec<String>,
    /// What the program itself found wrong.
    pub complaints: Vec<String>,
}

impl Seen {
    /// Takes in a line; gives the job whose login request was just created.
    pub fn take(&mut self, line: &[String]) -> Option<usize> {
        let fields: Vec<&str> = line.iter().map(String::as_str).collect();
        let job = |job: &str| job.parse::<usize>().unwrap_or(usize::MAX);
        match fields[..] {
            ["opened"] => self.opened = true,
            ["closed"] => self.closed = true,
            ["created", number, id] => {
                self.logins.entry(job(number)).or_default().created = Some(Ok(id.to_owned()));
                return Some(job(number));
            }
            ["create", number, kind] => {
                self.logins.entry(job(number)).or_default().created = Some(Err(kind.to_owned()));
            }
            ["login", number, kind] => {
                self.logins.entry(job(number)).or_default().signed_in = Some(kind.to_owned());
            }
            ["event", _, id, how] => self.events.push((id.to_owned(), how.to_owned())),
            ["session", id, kind] => self.sessions.push((id.to_owned(), kind.to_owned())),
            ["gap", _, id] => self.gaps.push(id.to_owned()),
            ["ran", number] => self.gates.entry(job(number)).or_default().ran += 1,
            ["gate", number, kind] => {
                self.gates.entry(job(number)).or_default().result = Some(kind.to_owned());
            }
            _ => self.complaints.push(line.join("\t")),
        }
        None
    }

    /// How often the handler was called for this request.
    pub fn calls(&self, id: &str) -> usize {
        self.events.iter().filter(|(event, _)| event == id).count()
    }
}
