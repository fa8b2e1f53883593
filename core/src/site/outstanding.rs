//! The login requests whose end this process is to see and has not seen, and when each is to be asked for.
//!
//! No I/O and no clock: `catch_up` asks, the event stream says what it has seen. Moments are the client's
//! monotonic clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// From a request's expiry, or from a frame that nobody could read, to asking: an event may be on its way.
const GRACE: Duration = Duration::from_secs(15);
/// How long after a request has ended its event may still arrive, on a stream that is open and is being read.
pub(super) const SETTLED: Duration = Duration::from_secs(5);
/// Between two looks at one request, however often the stream opens.
const SPACING: Duration = Duration::from_secs(2);
/// An approved request's event is waited for as long as a passport lives.
pub(super) const PASSPORT_LIFE: Duration = Duration::from_secs(120);
/// The longest waits between two looks at a request that is approved, and at any other.
const LONGEST_APPROVED: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(300);
/// The longest pause when the platform answers nobody.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// So long after its expiry a request counts as lost of which the platform goes on saying that nothing has happened …
const GIVEN_UP: Duration = Duration::from_secs(3600);
/// … or nothing at all.
const GIVEN_UP_WITHOUT_ANSWER: Duration = Duration::from_secs(24 * 3600);
/// Frames that cannot be read make everybody look at most this often.
const BETWEEN_ALARMS: Duration = Duration::from_secs(30);
/// A site that reads no events must not collect what nobody will ask for.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// More are not kept; the oldest one goes.
pub(super) const MOST: usize = 65_536;

/// What the platform says of a request that has not been seen to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing has happened; when it expires, where the platform says so.
    Pending { expires: Option<Duration> },
    /// Approved, and the event is not out yet.
    Approved,
    /// Its event is out.
    Ended,
    /// It is not known, or not any more.
    Unknown,
    /// No answer, and how long the platform asked to wait.
    None { retry_after: Option<Duration> },
}

/// A look to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    number: u64,
    pub(super) request_id: Arc<str>,
    /// Whether its answer may be that the event is lost.
    pub(super) decisive: bool,
}

#[derive(Debug)]
struct Entry {
    request_id: Arc<str>,
    /// Kept when nobody waits for it.
    created: bool,
    waits: usize,
    expires: Option<Duration>,
    due: Option<Duration>,
    looked_at: Option<Duration>,
    /// The connection during which it was, or is being, looked at.
    looked_in: Option<u64>,
    looking: bool,
    stage: Stage,
    /// Looks of this stage.
    round: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    Approved { since: Duration },
    Ended { since: Duration },
}

/// Where the stream stands, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stream {
    /// Nobody has asked for it.
    #[default]
    Off,
    Down,
    /// The token is refused: looks would be, too.
    Refused,
    Open,
}

#[derive(Debug, Default)]
pub(super) struct Outstanding {
    /// By the order in which they were added.
    entries: BTreeMap<u64, Entry>,
    numbers: HashMap<Arc<str>, u64>,
    schedule: BTreeSet<(Duration, u64)>,
    next_number: u64,
    stream: Stream,
    /// Counts the connections of the stream.
    connection: u64,
    /// How many tasks wait for handlers that do not keep up, and since when there is none.
    held_back: usize,
    reading_since: Duration,
    alarm_at: Option<Duration>,
    /// Looks in a row that brought no answer, and until when nobody looks therefore.
    failures: u32,
    paused_until: Duration,
    forgot: bool,
}

impl Outstanding {
    /// A request was created. True when an older one is forgotten for it, for the first time.
    pub(super) fn created(&mut self, request_id: &str, expires: Option<Duration>, now: Duration) -> bool {
        self.forget_old(now);
        let number = self.number_of(request_id);
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.created = true;
            entry.expires = expires.or(entry.expires);
            let due = entry.next_look(now).into_iter().chain(entry.due).min();
            self.schedule(number, due);
        }
        self.bound()
    }

    /// Somebody waits for a request: it is looked at once on each connection. True as for `created`.
    pub(super) fn waited(&mut self, request_id: &str, now: Duration) -> bool {
        let number = self.number_of(request_id);
        let (connection, open) = (self.connection, self.stream == Stream::Open);
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.waits += 1;
            if open && entry.looked_in != Some(connection) {
                let due = entry.as_soon_as_possible(now);
                self.schedule(number, due);
            }
        }
        self.bound()
    }

    /// Somebody waits no longer.
    pub(super) fn unwaited(&mut self, request_id: &str) {
        let Some(&number) = self.numbers.get(request_id) else { return };
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.waits = entry.waits.saturating_sub(1);
            if entry.waits == 0 && !entry.created {
                self.remove(number);
            }
        }
    }

    /// The end of a request was seen.
    pub(super) fn ended(&mut self, request_id: &str) {
        if !self.entries.is_empty()
            && let Some(&number) = self.numbers.get(request_id)
        {
            self.remove(number);
        }
    }

    /// The stream is open: what was sent while there was none may be lost, so everybody is looked at.
    pub(super) fn opened(&mut self, now: Duration) {
        self.stream = Stream::Open;
        self.connection += 1;
        self.reading_since = now;
        self.all_due(|entry| {
            entry.stage = Stage::Open;
            entry.round = 0;
            Some(entry.as_soon_as_possible(now))
        });
    }

    /// The stream is being opened.
    pub(super) fn connecting(&mut self) {
        if self.stream != Stream::Refused {
            self.stream = Stream::Down; // a token that was refused may be refused again
        }
    }

    /// The stream broke, or is refused.
    pub(super) fn went_down(&mut self, refused: bool) {
        self.stream = if refused { Stream::Refused } else { Stream::Down };
    }

    /// A task takes no events in, because handlers do not keep up.
    pub(super) fn held_back(&mut self) {
        self.held_back += 1;
    }

    /// It does so again.
    pub(super) fn reads_on(&mut self, now: Duration) {
        self.held_back = self.held_back.saturating_sub(1);
        self.reading_since = now;
    }

    /// A frame could not be read; it may have been anybody's.
    pub(super) fn unreadable(&mut self, now: Duration) {
        if self.alarm_at.is_some_and(|at| now.saturating_sub(at) < BETWEEN_ALARMS) {
            return;
        }
        self.alarm_at = Some(now);
        self.all_due(|entry| {
            let lately = entry.looked_at.is_some_and(|at| now.saturating_sub(at) < BETWEEN_ALARMS);
            let due = now + GRACE;
            (!lately).then(|| entry.due.map_or(due, |earlier| earlier.min(due)))
        });
    }

    /// Those who are to be looked at now, at most this many.
    pub(super) fn take_due(&mut self, now: Duration, most: usize) -> Vec<Look> {
        let mut looks = Vec::new();
        while looks.len() < most && self.next_due().is_some_and(|due| due <= now) {
            let Some((_, number)) = self.schedule.pop_first() else { break };
            let Some(entry) = self.entries.get_mut(&number) else { continue };
            entry.due = None;
            entry.looking = true;
            entry.looked_at = Some(now);
            entry.looked_in = Some(self.connection);
            let decisive = !matches!(entry.stage, Stage::Open);
            looks.push(Look { number, request_id: Arc::clone(&entry.request_id), decisive });
        }
        looks
    }

    /// When the next look is due, if there is one.
    pub(super) fn next_due(&self) -> Option<Duration> {
        if matches!(self.stream, Stream::Off | Stream::Refused) {
            return None;
        }
        self.schedule.first().map(|(due, _)| (*due).max(self.paused_until))
    }

    /// What a look has brought. True when the event of the request is lost: the request is not outstanding any
    /// more then. `jitter` is from 0 to 1.
    pub(super) fn answered(&mut self, look: &Look, answer: Answer, now: Duration, jitter: f64) -> bool {
        self.pause(answer, now, jitter);
        let (stream, connection) = (self.stream, self.connection);
        let reading = (self.held_back == 0).then_some(self.reading_since);
        let Some(entry) = self.entries.get_mut(&look.number) else { return false };
        entry.looking = false;
        if let Answer::Pending { expires } = answer {
            entry.expires = expires.or(entry.expires);
        }
        if entry.looked_in != Some(connection) {
            // The stream opened in the meantime: what was lost before may be newer than this answer.
            let due = entry.as_soon_as_possible(now);
            self.schedule(look.number, due);
            return false;
        }
        let open = stream == Stream::Open;
        // What was not created here may never have been: who waits for it has a time limit.
        let is_stranger = answer == Answer::Unknown && !entry.created;
        let given_up = match answer {
            Answer::Pending { .. } => Some(GIVEN_UP),
            Answer::None { .. } => Some(GIVEN_UP_WITHOUT_ANSWER),
            _ => None,
        };
        if given_up.is_some_and(|after| entry.expires.is_some_and(|expires| expires + after <= now)) {
            self.remove(look.number);
            return true;
        }
        let due = match answer {
            Answer::None { .. } => Some(now + entry.growing(SPACING, LONGEST)),
            Answer::Unknown if is_stranger => Some(now + entry.growing(GRACE, LONGEST)),
            Answer::Pending { .. } => {
                if !matches!(entry.stage, Stage::Open) {
                    (entry.stage, entry.round) = (Stage::Open, 0);
                }
                entry.next_look(now)
            }
            // Asked again when it has opened.
            Answer::Approved | Answer::Ended | Answer::Unknown if !open => None,
            Answer::Approved => {
                let since = match entry.stage {
                    Stage::Approved { since } => since,
                    Stage::Open | Stage::Ended { .. } => now,
                };
                entry.enter(Stage::Approved { since });
                if is_over(since, PASSPORT_LIFE, reading, now) {
                    self.remove(look.number);
                    return true;
                }
                Some(now + entry.growing(SPACING, LONGEST_APPROVED))
            }
            Answer::Ended | Answer::Unknown => {
                let since = match entry.stage {
                    Stage::Ended { since } => since,
                    Stage::Open | Stage::Approved { .. } => now,
                };
                entry.enter(Stage::Ended { since });
                if is_over(since, SETTLED, reading, now) {
                    self.remove(look.number);
                    return true;
                }
                Some(reading.map_or(now, |reading| reading.max(since)) + SETTLED)
            }
        };
        self.schedule(look.number, due);
        false
    }

    /// A platform that does not answer is not asked for the next request either.
    fn pause(&mut self, answer: Answer, now: Duration, jitter: f64) {
        let Answer::None { retry_after } = answer else {
            self.failures = 0;
            return;
        };
        let mut wait = retry_after.unwrap_or_default().min(LONGEST);
        // Nobody looks during a pause: what fails in one was under way before, beside what it began with.
        if now >= self.paused_until {
            let longer = Duration::from_secs(1).saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
            wait = wait.max(longer.mul_f64(0.5 + jitter / 2.0));
            self.failures += 1;
        }
        self.paused_until = self.paused_until.max(now + wait);
    }

    fn number_of(&mut self, request_id: &str) -> u64 {
        if let Some(&number) = self.numbers.get(request_id) {
            return number;
        }
        let number = self.next_number;
        self.next_number += 1;
        let request_id: Arc<str> = request_id.into();
        self.numbers.insert(Arc::clone(&request_id), number);
        let entry = Entry {
            request_id,
            created: false,
            waits: 0,
            expires: None,
            due: None,
            looked_at: None,
            looked_in: None,
            looking: false,
            stage: Stage::Open,
            round: 0,
        };
        self.entries.insert(number, entry);
        number
    }

    fn remove(&mut self, number: u64) {
        if let Some(entry) = self.entries.remove(&number) {
            self.numbers.remove(&entry.request_id);
            if let Some(due) = entry.due {
                self.schedule.remove(&(due, number));
            }
        }
    }

    fn schedule(&mut self, number: u64, due: impl Into<Option<Duration>>) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        if entry.looking {
            return; // what the look brings decides
        }
        if let Some(before) = entry.due.take() {
            self.schedule.remove(&(before, number));
        }
        entry.due = due.into();
        if let Some(due) = entry.due {
            self.schedule.insert((due, number));
        }
    }

    /// Gives those a new moment for whom there is one.
    fn all_due(&mut self, due: impl Fn(&mut Entry) -> Option<Duration>) {
        for (number, entry) in &mut self.entries {
            let Some(due) = due(entry) else { continue };
            if !entry.looking {
                if let Some(before) = entry.due.replace(due) {
                    self.schedule.remove(&(before, *number));
                }
                self.schedule.insert((due, *number));
            }
        }
    }

    fn forget_old(&mut self, now: Duration) {
        while self.stream == Stream::Off
            && let Some((&number, entry)) = self.entries.first_key_value()
            && entry.expires.is_some_and(|expires| expires + FORGOTTEN_AFTER < now)
        {
            self.remove(number);
        }
    }

    fn bound(&mut self) -> bool {
        let mut forgot = false;
        while self.entries.len() > MOST
            && let Some((&number, _)) = self.entries.first_key_value()
        {
            self.remove(number);
            forgot |= self.stream != Stream::Off;
        }
        forgot && !std::mem::replace(&mut self.forgot, true)
    }

    #[cfg(test)]
    pub(super) fn ids(&self) -> Vec<&str> {
        self.entries.values().map(|entry| &*entry.request_id).collect()
    }
}

/// Whether this much time has passed since then, in all of which the stream was being read.
fn is_over(since: Duration, long: Duration, reading: Option<Duration>, now: Duration) -> bool {
    reading.is_some_and(|reading| now.saturating_sub(reading.max(since)) >= long)
}

impl Entry {
    fn as_soon_as_possible(&self, now: Duration) -> Duration {
        self.looked_at.map_or(now, |at| now.max(at + SPACING))
    }

    /// When a request of which nothing has happened is to be looked at: behind its expiry, then less and less often.
    fn next_look(&mut self, now: Duration) -> Option<Duration> {
        let overdue = self.expires? + GRACE;
        Some(if overdue > now { overdue } else { now + self.growing(GRACE, LONGEST) })
    }

    fn enter(&mut self, stage: Stage) {
        if std::mem::discriminant(&self.stage) != std::mem::discriminant(&stage) {
            self.round = 0;
        }
        self.stage = stage;
    }

    fn growing(&mut self, first: Duration, longest: Duration) -> Duration {
        let wait = first.saturating_mul(1 << self.round.min(16)).min(longest);
        self.round += 1;
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELIVERED: Answer = Answer::Ended;
    const PENDING: Answer = Answer::Pending { expires: None };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// The stream is open since second 0, and this request was created then; it expires in second 300.
    fn open_with(request_id: &str) -> Outstanding {
        let mut outstanding = Outstanding::default();
        outstanding.opened(at(0));
        assert!(!outstanding.created(request_id, Some(at(300)), at(0)));
        outstanding
    }

    fn ids(looks: &[Look]) -> Vec<&str> {
        looks.iter().map(|look| &*look.request_id).collect()
    }

    /// The one look that is due by then.
    fn look(outstanding: &mut Outstanding, now: Duration) -> Look {
        let mut looks = outstanding.take_due(now, 16);
        assert_eq!(looks.len(), 1, "{outstanding:?}");
        looks.remove(0)
    }

    #[test]
    fn nobody_is_asked_for_before_there_is_a_stream() {
        let mut outstanding = Outstanding::default();
        outstanding.created("a", Some(at(300)), at(0));
        assert_eq!(outstanding.next_due(), None);
        assert!(outstanding.take_due(at(1000), 16).is_empty());
        outstanding.connecting();
        assert_eq!(
            outstanding.next_due(),
            Some(at(315)),
            "an expiry is not missed, also while the stream is down"
        );
    }

    #[test]
    fn whoever_was_there_before_the_stream_opened_is_looked_at() {
        let mut outstanding = Outstanding::default();
        outstanding.created("a", Some(at(300)), at(0));
        outstanding.opened(at(1));
        outstanding.created("b", Some(at(300)), at(1));
        let looks = outstanding.take_due(at(1), 16);
        assert_eq!(ids(&looks), ["a"]);
        assert!(!outstanding.answered(&looks[0], PENDING, at(1), 0.0));
        outstanding.went_down(false);
        outstanding.opened(at(10));
        assert_eq!(ids(&outstanding.take_due(at(10), 16)), ["a", "b"]);
    }

    #[test]
    fn a_stream_that_opens_again_and_again_is_no_storm_of_looks() {
        let mut outstanding = open_with("a");
        for millis in 0..1000 {
            outstanding.went_down(false);
            outstanding.opened(Duration::from_millis(2 * millis));
            for look in outstanding.take_due(Duration::from_millis(2 * millis), 16) {
                assert_eq!(millis, 0, "once in two seconds");
                outstanding.answered(&look, PENDING, Duration::from_millis(2 * millis), 0.0);
            }
        }
        assert_eq!(look(&mut outstanding, at(2)).request_id.to_string(), "a", "but not never");
    }

    #[test]
    fn what_was_asked_before_the_stream_opened_is_asked_again() {
        let mut outstanding = Outstanding::default();
        outstanding.created("a", Some(at(300)), at(0));
        outstanding.opened(at(1));
        let first = look(&mut outstanding, at(1));
        outstanding.went_down(false);
        outstanding.opened(at(2));
        assert_eq!(outstanding.next_due(), None, "under way");
        assert!(!outstanding.answered(&first, PENDING, at(2), 0.0));
        assert_eq!(outstanding.next_due(), Some(at(3)));
    }

    #[test]
    fn an_expiry_without_an_event_is_asked_for_less_and_less_often() {
        let mut outstanding = open_with("a");
        let mut moments = Vec::new();
        while let Some(now) = outstanding.next_due() {
            moments.push(now.as_secs());
            let look = look(&mut outstanding, now);
            let lost = outstanding.answered(&look, PENDING, now, 0.0);
            assert_eq!(lost, now >= at(3900), "an hour later nobody will tell");
        }
        assert_eq!(moments[..7], [315, 330, 360, 420, 540, 780, 1080]);
        assert_eq!(moments.last(), Some(&4080));
        assert!(outstanding.ids().is_empty());
    }

    #[test]
    fn a_platform_that_never_answers_is_asked_for_a_day() {
        let mut outstanding = open_with("a");
        let mut last = at(0);
        while let Some(now) = outstanding.next_due() {
            last = now;
            let look = look(&mut outstanding, now);
            outstanding.answered(&look, Answer::None { retry_after: None }, now, 0.0);
        }
        assert!(last >= at(300 + 24 * 3600) && last <= at(600 + 24 * 3600), "{last:?}");
    }

    #[test]
    fn the_platforms_own_word_on_the_expiry_counts() {
        let mut outstanding = Outstanding::default();
        outstanding.opened(at(0));
        outstanding.waited("a", at(0));
        let first = look(&mut outstanding, at(0));
        outstanding.answered(&first, Answer::Pending { expires: Some(at(100)) }, at(0), 0.0);
        assert_eq!(outstanding.next_due(), Some(at(115)));
    }

    #[test]
    fn a_wait_looks_once_on_each_connection() {
        let mut outstanding = open_with("a");
        assert_eq!(outstanding.next_due(), Some(at(315)));
        outstanding.waited("a", at(1));
        let first = look(&mut outstanding, at(1));
        outstanding.waited("a", at(1));
        outstanding.answered(&first, PENDING, at(1), 0.0);
        outstanding.waited("a", at(1));
        assert_eq!(outstanding.next_due(), Some(at(315)));
        outstanding.unwaited("a");
        assert_eq!(outstanding.ids(), ["a"], "it was created here");
        outstanding.waited("b", at(2));
        outstanding.waited("b", at(2));
        outstanding.unwaited("b");
        assert_eq!(outstanding.ids(), ["a", "b"]);
        outstanding.unwaited("b");
        assert_eq!(outstanding.ids(), ["a"], "it was not, and nobody waits any more");
        assert_eq!(outstanding.next_due(), Some(at(315)));
    }

    #[test]
    fn an_event_in_time_closes_everything() {
        let mut outstanding = open_with("a");
        outstanding.waited("a", at(1));
        let look = look(&mut outstanding, at(1));
        outstanding.ended("a");
        assert!(!outstanding.answered(&look, DELIVERED, at(2), 0.0));
        assert!(outstanding.ids().is_empty() && outstanding.next_due().is_none());
    }

    #[test]
    fn an_event_that_went_out_and_does_not_come_is_lost() {
        let mut outstanding = open_with("a");
        outstanding.waited("a", at(1));
        let first = look(&mut outstanding, at(1));
        assert!(!first.decisive && !outstanding.answered(&first, DELIVERED, at(1), 0.0));
        assert_eq!(outstanding.next_due(), Some(at(6)));
        let second = look(&mut outstanding, at(6));
        assert!(second.decisive && outstanding.answered(&second, DELIVERED, at(6), 0.0));
        assert!(outstanding.ids().is_empty() && outstanding.next_due().is_none());
    }

    #[test]
    fn what_the_platform_does_not_know_is_lost_if_it_was_created_here() {
        let mut outstanding = open_with("a");
        outstanding.waited("a", at(1));
        outstanding.waited("stranger", at(1));
        let mut lost = Vec::new();
        for second in 1..1000 {
            for look in outstanding.take_due(at(second), 16) {
                if outstanding.answered(&look, Answer::Unknown, at(second), 0.0) {
                    lost.push((look.request_id.to_string(), second));
                }
            }
        }
        assert_eq!(lost, [("a".to_owned(), 6)]);
        assert_eq!(outstanding.ids(), ["stranger"]);
    }

    #[test]
    fn nothing_is_lost_while_the_stream_is_not_read() {
        let mut outstanding = open_with("a");
        outstanding.waited("a", at(1));
        let first = look(&mut outstanding, at(1));
        outstanding.answered(&first, DELIVERED, at(1), 0.0);
        // Handlers do not keep up: the event may be in the socket.
        outstanding.held_back();
        outstanding.held_back();
        for now in [6, 11, 16] {
            let again = look(&mut outstanding, at(now));
            assert!(!outstanding.answered(&again, DELIVERED, at(now), 0.0));
        }
        outstanding.reads_on(at(17));
        let again = look(&mut outstanding, at(21));
        assert!(!outstanding.answered(&again, DELIVERED, at(21), 0.0), "another task is still held back");
        outstanding.reads_on(at(22));
        let again = look(&mut outstanding, at(26));
        assert!(!outstanding.answered(&again, DELIVERED, at(26), 0.0));
        assert_eq!(outstanding.next_due(), Some(at(27)));
        let again = look(&mut outstanding, at(27));
        assert!(outstanding.answered(&again, DELIVERED, at(27), 0.0));
    }

    #[test]
    fn nothing_is_lost_while_the_stream_is_down() {
        let mut outstanding = open_with("a");
        outstanding.waited("a", at(1));
        let first = look(&mut outstanding, at(1));
        outstanding.went_down(false);
        assert!(!outstanding.answered(&first, DELIVERED, at(1), 0.0));
        assert_eq!(outstanding.next_due(), None, "when it opens");
        outstanding.opened(at(100));
        let second = look(&mut outstanding, at(100));
        assert!(!outstanding.answered(&second, DELIVERED, at(100), 0.0), "it may be sent again now");
        let third = look(&mut outstanding, at(105));
        assert!(outstanding.answered(&third, DELIVERED, at(105), 0.0));
    }

    #[test]
    fn an_approval_is_waited_for_as_long_as_a_passport_lives() {
        let mut outstanding = open_with("a");
        outstanding.waited("a", at(1));
        let mut now = at(1);
        let mut waits = Vec::new();
        loop {
            let look = look(&mut outstanding, now);
            if outstanding.answered(&look, Answer::Approved, now, 0.0) {
                break;
            }
            let next = outstanding.next_due().unwrap();
            waits.push(next.saturating_sub(now).as_secs());
            now = next;
        }
        assert_eq!(waits, [2, 4, 8, 16, 30, 30, 30]);
        assert!(outstanding.ids().is_empty());
    }

    #[test]
    fn what_is_approved_and_then_out_has_its_own_time() {
        let mut outstanding = open_with("a");
        outstanding.waited("a", at(1));
        let first = look(&mut outstanding, at(1));
        outstanding.answered(&first, Answer::Approved, at(1), 0.0);
        let second = look(&mut outstanding, at(100));
        assert!(!outstanding.answered(&second, DELIVERED, at(100), 0.0));
        assert_eq!(outstanding.next_due(), Some(at(105)));
    }

    #[test]
    fn a_frame_that_nobody_could_read_may_have_been_anybodys() {
        let mut outstanding = open_with("a");
        outstanding.created("b", Some(at(310)), at(0));
        outstanding.waited("b", at(290));
        let looked = look(&mut outstanding, at(290));
        outstanding.answered(&looked, PENDING, at(290), 0.0);
        outstanding.unreadable(at(291));
        assert_eq!(outstanding.next_due(), Some(at(306)));
        let looked = look(&mut outstanding, at(306));
        assert_eq!(looked.request_id.to_string(), "a", "b was looked at lately");
        outstanding.answered(&looked, PENDING, at(306), 0.0);
        // A flood of them is no flood of looks.
        for _ in 0..1000 {
            outstanding.unreadable(at(307));
        }
        assert_eq!(outstanding.next_due(), Some(at(315)));
    }

    #[test]
    fn a_platform_that_does_not_answer_is_left_alone() {
        let mut outstanding = Outstanding::default();
        for number in 0..1000 {
            outstanding.created(&number.to_string(), Some(at(300)), at(0));
        }
        outstanding.opened(at(0));
        let mut asked = 0;
        for second in 0..600 {
            for look in outstanding.take_due(at(second), 1) {
                asked += 1;
                outstanding.answered(&look, Answer::None { retry_after: None }, at(second), 0.999);
            }
        }
        assert!((10..=16).contains(&asked), "1, 2, 4 … 60, 60: {asked}");
        // The platform's own wish, and then everybody again.
        let now = at(1000);
        let look = outstanding.take_due(now, 1).remove(0);
        outstanding.answered(&look, Answer::None { retry_after: Some(at(100)) }, now, 0.0);
        assert_eq!(outstanding.next_due(), Some(at(1100)));
        let look = outstanding.take_due(at(1100), 1).remove(0);
        outstanding.answered(&look, PENDING, at(1100), 0.0);
        assert_eq!(outstanding.take_due(at(1100), 16).len(), 16);
    }

    /// Sixteen looks that were under way together are one sign that the platform does not answer.
    #[test]
    fn looks_that_fail_together_are_one_failure() {
        let mut outstanding = Outstanding::default();
        for number in 0..16 {
            outstanding.created(&number.to_string(), Some(at(300)), at(0));
        }
        outstanding.opened(at(0));
        let none = Answer::None { retry_after: None };
        let looks = outstanding.take_due(at(0), 16);
        assert_eq!(looks.len(), 16);
        for look in &looks {
            outstanding.answered(look, none, at(0), 0.999);
        }
        assert!(outstanding.paused_until <= at(1), "{:?}", outstanding.paused_until);
        // And one after the other they are as many as they are.
        for (now, wait) in [(10, 2), (20, 4), (40, 8)] {
            let look = outstanding.take_due(at(now), 1).remove(0);
            outstanding.answered(&look, none, at(now), 0.999);
            let until = outstanding.paused_until;
            assert!(until > at(now + wait - 1) && until <= at(now + wait), "{until:?} after {now}");
        }
    }

    #[test]
    fn a_token_that_is_refused_is_not_used_for_looks() {
        let mut outstanding = open_with("a");
        outstanding.went_down(true);
        assert_eq!(outstanding.next_due(), None);
        outstanding.connecting();
        assert_eq!(outstanding.next_due(), None);
        outstanding.opened(at(1000));
        assert_eq!(outstanding.next_due(), Some(at(1000)));
    }

    #[test]
    fn a_site_without_a_stream_does_not_collect_requests() {
        let mut outstanding = Outstanding::default();
        for second in 0..5000 {
            assert!(!outstanding.created(&second.to_string(), Some(at(second + 300)), at(second)));
        }
        assert!(outstanding.entries.len() <= 901, "{}", outstanding.entries.len());
        assert_eq!(outstanding.numbers.len(), outstanding.entries.len());
        assert_eq!(outstanding.schedule.len(), outstanding.entries.len());
    }

    #[test]
    fn the_oldest_is_forgotten_when_there_are_too_many_and_it_is_said_once() {
        let mut outstanding = Outstanding::default();
        outstanding.opened(at(0));
        let said: Vec<usize> =
            (0..MOST + 3).filter(|n| outstanding.created(&n.to_string(), Some(at(300)), at(0))).collect();
        assert_eq!(said, [MOST]);
        assert_eq!(outstanding.entries.len(), MOST);
        assert_eq!(outstanding.ids()[0], "3");
        assert_eq!(outstanding.schedule.len(), MOST);
    }
}
