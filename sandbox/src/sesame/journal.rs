//! The state file: what the broker must not forget when it is killed.
//!
//! One line of JSON for each change, handed to the kernel before anybody can see the change. At
//! the start the file is read, written anew without what is outdated, and put in place as a
//! whole. A last line that is torn is a change that nobody has seen.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::outbox::Delivery;
use super::record::{Record, Stored};
use super::{ApiKey, Webhook};

/// The first line: what kind of file it is. Another file must not be overwritten by mistake.
const HEADER: &str = "{\"lime_sandbox_state\":1}";

/// What a state file holds.
pub(crate) struct Recovered {
    pub(super) file: Unopened,
    pub(crate) webhook_secret: Option<String>,
    /// The first one comes first.
    pub(crate) keys: Vec<ApiKey>,
    pub(super) approvals: Vec<Stored>,
    pub(super) answers: HashMap<(String, String), Value>,
    pub(super) deliveries: BTreeMap<u64, Delivery>,
    pub(super) webhooks: VecDeque<Webhook>,
}

/// A file that has been read and is not written to yet.
pub(super) struct Unopened {
    path: PathBuf,
    /// Keeps other sandboxes out.
    locked: File,
}

impl Recovered {
    /// Reads a state file; one that is not there yet is made.
    ///
    /// # Errors
    ///
    /// It cannot be opened, another sandbox uses it, or it is something else.
    pub(crate) fn load(path: &Path) -> io::Result<Self> {
        let about = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let mut locked = open(path).map_err(about)?;
        match locked.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let used =
                    io::Error::new(io::ErrorKind::ResourceBusy, "another sandbox uses this state file");
                return Err(about(used));
            }
            Err(TryLockError::Error(error)) => return Err(about(error)),
        }
        let mut bytes = Vec::new();
        locked.read_to_end(&mut bytes).map_err(about)?;
        let mut recovered = Self {
            file: Unopened { path: path.to_owned(), locked },
            webhook_secret: None,
            keys: Vec::new(),
            approvals: Vec::new(),
            answers: HashMap::new(),
            deliveries: BTreeMap::new(),
            webhooks: VecDeque::new(),
        };
        recovered.replay(&bytes).map_err(about)?;
        Ok(recovered)
    }

    fn replay(&mut self, bytes: &[u8]) -> io::Result<()> {
        let strange = |line: usize| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {line} is not one of a sandbox's state file; the file is left as it is"),
            )
        };
        // What follows the last line break is torn, or nothing.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole == 0 && !HEADER.as_bytes().starts_with(bytes) {
            return Err(strange(1));
        }
        let mut places = HashMap::new();
        for (at, line) in bytes[..whole].split_inclusive(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii_end();
            if at == 0 {
                if line != HEADER.as_bytes() {
                    return Err(strange(1));
                }
                continue;
            }
            let change: Vec<Record> = serde_json::from_slice(line).map_err(|_| strange(at + 1))?;
            for record in change {
                self.take(record, &mut places);
            }
        }
        Ok(())
    }

    fn take(&mut self, record: Record, places: &mut HashMap<String, usize>) {
        match record {
            Record::WebhookSecret(secret) => self.webhook_secret = Some(secret),
            Record::ApiKey(key) => self.keys.push(key),
            Record::Approval(stored) => {
                let place = *places.entry(stored.approval_id.clone()).or_insert(self.approvals.len());
                match self.approvals.get_mut(place) {
                    Some(outdated) => *outdated = *stored,
                    None => self.approvals.push(*stored),
                }
            }
            Record::Delivery(delivery) if delivery.open => {
                self.deliveries.insert(delivery.id, delivery);
            }
            Record::Delivery(delivery) => {
                self.deliveries.remove(&delivery.id);
            }
            Record::Webhook(webhook) => self.webhooks.push_back(webhook),
            Record::WebhooksCleared => self.webhooks.clear(),
            Record::Idempotent { key_id, key, answer } => {
                self.answers.insert((key_id, key), answer);
            }
        }
    }
}

impl Unopened {
    /// Puts a new file with these records in the place of the old one and goes on with it.
    pub(super) fn begin(self, records: &[Record]) -> io::Result<Journal> {
        let Self { path, locked } = self;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = path.with_file_name(name);
        let about = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", new.display()));
        let file = open(&new).map_err(about)?;
        // Nobody else can hold it: whoever wants it needs the old one first.
        file.lock().map_err(about)?;
        let mut journal = Journal { files: Some((file, locked)), len: 0, broken: false };
        journal.start_over(records).map_err(about)?;
        fs::rename(&new, &path).map_err(about)?;
        Ok(journal)
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        // It holds secrets, if only made-up ones.
        options.mode(0o600);
    }
    options.open(path)
}

/// The state file, open for changes.
#[derive(Debug)]
pub(super) struct Journal {
    /// The file, and the one whose place it has taken: locked, for another sandbox that has
    /// opened that one already. Nothing when the sandbox has stopped.
    files: Option<(File, File)>,
    /// How long the file is, for taking back what could be written only in part.
    len: u64,
    broken: bool,
}

impl Journal {
    /// Writes one change as one line, all of it or nothing.
    pub(super) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        if self.broken {
            return Err(io::Error::other("an earlier change could not be written"));
        }
        let mut line = serde_json::to_vec(records)?;
        line.push(b'\n');
        self.write(&line)
    }

    /// Empties the file and begins it with these records.
    pub(super) fn start_over(&mut self, records: &[Record]) -> io::Result<()> {
        let mut whole = Vec::from(HEADER);
        whole.push(b'\n');
        for record in records {
            serde_json::to_writer(&mut whole, &[record])?;
            whole.push(b'\n');
        }
        // A file without its beginning takes no changes.
        self.broken = true;
        self.file()?.set_len(0)?;
        self.len = 0;
        self.write(&whole)?;
        self.broken = false;
        Ok(())
    }

    /// Lets go of the file. What is still tried fails.
    pub(super) fn close(&mut self) {
        if let Some((file, old)) = self.files.take() {
            // Closing alone may not be enough: a process that is just being started holds copies
            // until it has become another program.
            let _ = file.unlock();
            let _ = old.unlock();
        }
    }

    fn file(&self) -> io::Result<&File> {
        self.files.as_ref().map(|(file, _)| file).ok_or_else(|| io::Error::other("the sandbox has stopped"))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let before = self.len;
        let mut file = self.file()?;
        if let Err(error) = file.write_all(bytes) {
            // Half a line in the middle would make the whole file unreadable.
            self.broken |= file.set_len(before).is_err();
            return Err(error);
        }
        self.len += bytes.len() as u64;
        Ok(())
    }
}
