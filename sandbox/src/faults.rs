//! The fault plan: which requests go wrong, how, and how often.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::ControlError;
use crate::fault::{Cut, Effect, Fault, FaultAction};
use crate::routes;

/// A rule with its counters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultState {
    /// The rule's number.
    pub id: u64,
    /// How many requests it has been applied to.
    pub applied: u64,
    /// How many more it will be applied to; nothing when that is for ever.
    pub remaining: Option<u64>,
    /// How many matching requests still pass first.
    pub skip_remaining: u64,
    /// The rule as it was given.
    pub fault: Fault,
}

/// What an event stream goes through: at most one of each.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools)] // each a fault of its own
pub(crate) struct StreamFaults {
    pub(crate) half_open: bool,
    pub(crate) cut: Option<Cut>,
    pub(crate) garbage: Option<Bytes>,
    pub(crate) one_byte: bool,
    pub(crate) lose: bool,
    pub(crate) repeat: bool,
}

impl StreamFaults {
    /// Takes an effect in unless there is already one of its kind.
    fn take(&mut self, effect: &Effect) -> bool {
        match effect {
            Effect::HalfOpen if !self.half_open => self.half_open = true,
            Effect::Cut(cut) if self.cut.is_none() => self.cut = Some(*cut),
            Effect::Garbage(raw) if self.garbage.is_none() => {
                let garbage = raw.clone();
                self.garbage = Some(garbage.unwrap_or(Bytes::from_static(b"data: {not json\n\n")));
            }
            Effect::OneByteChunks if !self.one_byte => self.one_byte = true,
            Effect::Lose if !self.lose => self.lose = true,
            Effect::Repeat if !self.repeat => self.repeat = true,
            _ => return false,
        }
        true
    }

    fn has(&self, effect: &Effect) -> bool {
        match effect {
            Effect::HalfOpen => self.half_open,
            Effect::Cut(_) => self.cut.is_some(),
            Effect::Garbage(_) => self.garbage.is_some(),
            Effect::OneByteChunks => self.one_byte,
            Effect::Lose => self.lose,
            Effect::Repeat => self.repeat,
            _ => false,
        }
    }

    /// Counts an event; the cut comes back when it is this event's turn.
    pub(crate) fn before_event(&mut self) -> Option<Cut> {
        let cut = self.cut.as_mut()?;
        if cut.after_events == 0 {
            return self.cut.take();
        }
        cut.after_events -= 1;
        None
    }
}

/// Who asks for what.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Matching<'a> {
    pub(crate) route: Option<&'static str>,
    pub(crate) site_id: Option<&'a str>,
    pub(crate) agent_id: Option<&'a str>,
    pub(crate) key_id: Option<&'a str>,
}

/// What a request goes through.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) ids: Vec<u64>,
    pub(crate) delay: Duration,
    pub(crate) rotate_keys: bool,
    pub(crate) effect: Option<Effect>,
    pub(crate) stream: StreamFaults,
}

struct Rule {
    id: u64,
    fault: Fault,
    action: FaultAction,
    effect: Effect,
    skip: u64,
    applied: u64,
}

impl Rule {
    fn is_spent(&self) -> bool {
        self.fault.count != 0 && self.applied >= self.fault.count
    }

    fn matches(&self, request: &Matching<'_>) -> bool {
        let fits = |wanted: &Option<String>, given: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == given)
        };
        !self.is_spent()
            && (self.fault.route == "*" || Some(self.fault.route.as_str()) == request.route)
            && fits(&self.fault.site_id, request.site_id)
            && fits(&self.fault.agent_id, request.agent_id)
            && fits(&self.fault.key_id, request.key_id)
    }

    /// Whether it is this request's turn, or one of those that pass.
    fn fires(&mut self) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.applied += 1;
        true
    }
}

/// All rules, in the order in which they were added.
#[derive(Default)]
pub(crate) struct FaultPlan {
    rules: Vec<Rule>,
    next_id: u64,
}

impl FaultPlan {
    /// No rules. Numbers are not reused: whoever added one before must not take a later one away.
    pub(crate) fn emptied(&self) -> Self {
        Self { rules: Vec::new(), next_id: self.next_id }
    }

    /// Adds rules, all or none of them. Returns their ids.
    pub(crate) fn add(&mut self, faults: &[Fault]) -> Result<Vec<u64>, ControlError> {
        let compiled: Vec<_> = faults.iter().map(Fault::compile).collect::<Result<_, _>>()?;
        let first = self.next_id;
        for (fault, (action, effect)) in faults.iter().zip(compiled) {
            self.rules.push(Rule {
                id: self.next_id,
                skip: fault.skip,
                fault: fault.clone(),
                action,
                effect,
                applied: 0,
            });
            self.next_id += 1;
        }
        Ok((first..self.next_id).collect())
    }

    pub(crate) fn remove(&mut self, id: u64) -> Result<(), ControlError> {
        let at = self.rules.iter().position(|rule| rule.id == id);
        let at = at.ok_or_else(|| ControlError::not_found("there is no such fault"))?;
        self.rules.remove(at);
        Ok(())
    }

    pub(crate) fn clear(&mut self) -> usize {
        let count = self.rules.len();
        self.rules.clear();
        count
    }

    pub(crate) fn states(&self) -> Vec<FaultState> {
        self.rules
            .iter()
            .map(|rule| FaultState {
                id: rule.id,
                applied: rule.applied,
                remaining: (rule.fault.count != 0).then(|| rule.fault.count - rule.applied),
                skip_remaining: rule.skip,
                fault: Fault { action: Some(rule.action), ..rule.fault.clone() },
            })
            .collect()
    }

    /// What a request goes through: every delay on the way to the first rule that does more.
    /// An event stream takes along one fault of each kind that a stream knows.
    pub(crate) fn take(&mut self, request: &Matching<'_>) -> Taken {
        let is_stream = request.route == Some(routes::EVENTS.name);
        let mut taken = Taken::default();
        for rule in &mut self.rules {
            if !rule.matches(request) {
                continue;
            }
            let for_stream = is_stream && rule.action.is_for_streams();
            if (for_stream && taken.stream.has(&rule.effect)) || !rule.fires() {
                continue;
            }
            taken.ids.push(rule.id);
            let delay = Duration::from_millis(rule.fault.delay_ms);
            taken.delay = taken.delay.saturating_add(delay);
            taken.rotate_keys |= rule.action == FaultAction::RotateKeys;
            if for_stream {
                taken.stream.take(&rule.effect);
            } else if !rule.action.lets_pass() {
                taken.effect = Some(rule.effect.clone());
                break;
            }
        }
        taken
    }

    /// What an open stream takes up of the rules with the ids from `first` on, as if it connected now.
    /// Only rules for `events` by name: a rule for everything means requests.
    pub(crate) fn take_for_open_stream(
        &mut self,
        site_id: &str,
        first: u64,
        faults: &mut StreamFaults,
    ) -> bool {
        let route = Some(routes::EVENTS.name);
        let request = Matching { route, site_id: Some(site_id), ..Matching::default() };
        let mut any = false;
        for rule in &mut self.rules {
            if rule.id >= first
                && rule.fault.route == routes::EVENTS.name
                && rule.action.is_for_streams()
                && rule.matches(&request)
                && !faults.has(&rule.effect)
                && rule.fires()
            {
                any |= faults.take(&rule.effect);
            }
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(route: &'static str) -> Matching<'static> {
        Matching { route: Some(route), ..Matching::default() }
    }

    #[test]
    fn skip_count_and_order() {
        let mut plan = FaultPlan::default();
        let faults = [
            Fault::on("jwks").status(503).skip(1).times(2),
            Fault::on("*").delay(Duration::from_millis(7)).always(),
            Fault::on("jwks").drop_before(),
        ];
        assert_eq!(plan.add(&faults), Ok(vec![0, 1, 2]));
        let taken = plan.take(&matching("jwks"));
        assert_eq!(taken.ids, [1, 2]);
        assert_eq!(taken.delay, Duration::from_millis(7));
        for _ in 0..2 {
            assert_eq!(plan.take(&matching("jwks")).ids, [0]);
        }
        assert_eq!(plan.take(&matching("jwks")).ids, [1]);
        assert_eq!(plan.take(&matching("profile")).ids, [1]);
        assert_eq!(plan.states()[0].remaining, Some(0));
    }

    #[test]
    fn streams_take_one_of_each_kind() {
        let mut plan = FaultPlan::default();
        let faults = [Fault::on("events").cut(), Fault::on("events").cut(), Fault::on("events").garbage()];
        assert!(plan.add(&faults).is_ok());
        let first = plan.take(&matching("events"));
        assert_eq!(first.ids, [0, 2]);
        assert!(first.effect.is_none());
        assert_eq!(plan.take(&matching("events")).ids, [1]);
    }

    #[test]
    fn senseless_rules_are_refused_whole() {
        let mut plan = FaultPlan::default();
        for bad in [
            Fault::on("nowhere").status(500),
            Fault::on("jwks"),
            Fault::on("jwks").status(100),
            Fault::on("jwks").status(700),
            Fault::on("jwks").action(FaultAction::Status),
            Fault::on("jwks").action(FaultAction::Redirect),
            Fault::on("jwks").status(500).header("a b", "c"),
            Fault::on("jwks").redirect("a\nb"),
            Fault::on("jwks").lose(),
            Fault::on("*").repeat(),
        ] {
            assert!(plan.add(&[Fault::on("jwks").status(500), bad]).is_err());
        }
        assert!(plan.states().is_empty());
    }
}
