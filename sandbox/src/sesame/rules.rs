//! Rules that decide instead of people, by the name of the action.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{ApprovalStatus, Decision};
use crate::error::ControlError;
use crate::state::{Core, State};

/// A rule that decides approvals. Build it with [`Rule::approve`] or [`Rule::deny`] and the methods, or as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which actions: `*` stands for any text, `?` for one character.
    pub action: String,
    /// What is decided.
    pub decision: Decision,
    /// Real milliseconds to wait first, as a person would.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delay_ms: u64,
    /// How many approvals it decides; 0 is for ever.
    #[serde(default)]
    pub count: u64,
    /// What is said with the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde wants a reference
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Rule {
    fn new(action: impl Into<String>, decision: Decision) -> Self {
        Self { action: action.into(), decision, delay_ms: 0, count: 0, note: None }
    }

    /// Approves every approval of these actions at once.
    pub fn approve(action: impl Into<String>) -> Self {
        Self::new(action, Decision::Approved)
    }

    /// Denies every approval of these actions at once.
    pub fn deny(action: impl Into<String>) -> Self {
        Self::new(action, Decision::Denied)
    }

    /// Waits first.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Decides this many; 0 is for ever.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.count = count;
        self
    }

    /// Says something with the decision.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    fn check(&self) -> Result<(), ControlError> {
        if self.action.is_empty() {
            return Err(ControlError::invalid("`action` is empty; `*` stands for every action"));
        }
        // Far more than a test needs, and far from the edges of the clock.
        if self.delay_ms > 366 * 86_400_000 {
            return Err(ControlError::invalid("`delay_ms` must be within a year"));
        }
        Ok(())
    }
}

/// A rule with its counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleState {
    /// The rule's number.
    pub id: u64,
    /// How many approvals it has decided, or is about to.
    pub applied: u64,
    /// How many more it will decide; nothing when that is for ever.
    pub remaining: Option<u64>,
    /// The rule as it was given.
    pub rule: Rule,
}

/// All rules, in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    rules: Vec<RuleState>,
    next_id: u64,
}

impl Rules {
    /// No rules. Numbers are not reused: whoever added one before must not take a later one away.
    pub(super) fn emptied(&self) -> Self {
        Self { rules: Vec::new(), next_id: self.next_id }
    }

    pub(crate) fn states(&self) -> Vec<RuleState> {
        self.rules.clone()
    }

    fn get(&self, id: u64) -> Option<&Rule> {
        self.rules.iter().find(|state| state.id == id).map(|state| &state.rule)
    }

    /// Adds rules, all or none of them. Returns their ids.
    fn add(&mut self, rules: &[Rule]) -> Result<Vec<u64>, ControlError> {
        rules.iter().try_for_each(Rule::check)?;
        let first = self.next_id;
        for rule in rules {
            let remaining = (rule.count != 0).then_some(rule.count);
            self.rules.push(RuleState { id: self.next_id, applied: 0, remaining, rule: rule.clone() });
            self.next_id += 1;
        }
        Ok((first..self.next_id).collect())
    }

    /// The first rule for this action that is not spent: counted, and handed out with its delay.
    fn take(&mut self, action: &str) -> Option<(u64, Duration)> {
        let state = self
            .rules
            .iter_mut()
            .find(|state| state.remaining != Some(0) && matches(&state.rule.action, action))?;
        state.applied += 1;
        state.remaining = state.remaining.map(|remaining| remaining - 1);
        Some((state.id, Duration::from_millis(state.rule.delay_ms)))
    }
}

/// Whether a pattern with `*` and `?` fits a text.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // The last star, and how much of the text it has taken: only the last one has to be tried again.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, taken)) = star else {
                    return false;
                };
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

impl State {
    /// Adds rules. They decide what is pending already, too, oldest first.
    pub(crate) fn add_rules(&mut self, rules: &[Rule]) -> Result<Vec<u64>, ControlError> {
        let ids = self.broker.rules.add(rules)?;
        self.offer_pending_to_rules();
        Ok(ids)
    }

    /// Takes a rule away, or all of them. What waits for its decision is free for other rules.
    pub(crate) fn remove_rules(&mut self, id: Option<u64>) -> usize {
        let before = self.broker.rules.rules.len();
        self.broker.rules.rules.retain(|state| id.is_some_and(|id| state.id != id));
        let removed = before - self.broker.rules.rules.len();
        if removed > 0 {
            let broker = &mut self.broker;
            broker.scheduled.retain(|(_, approval)| {
                let Some(entry) = broker.approvals.get_mut(approval) else {
                    return false;
                };
                let kept = entry.stored.rule.is_some_and(|rule| broker.rules.get(rule).is_some());
                if !kept && entry.stored.status == ApprovalStatus::Pending {
                    entry.stored.rule = None;
                }
                kept
            });
            self.offer_pending_to_rules();
        }
        removed
    }

    fn offer_pending_to_rules(&mut self) {
        let free: Vec<String> = self
            .broker
            .approvals_in_order()
            .map(|entry| &entry.stored)
            .filter(|stored| stored.status == ApprovalStatus::Pending && stored.rule.is_none())
            .map(|stored| stored.approval_id.clone())
            .collect();
        for id in free {
            self.offer_to_rules(&id);
        }
    }

    /// Lets the first rule for it decide a pending approval, at once or after its delay.
    pub(super) fn offer_to_rules(&mut self, id: &str) {
        let broker = &mut self.broker;
        let Some(entry) = broker.approvals.get_mut(id) else {
            return;
        };
        let Some((rule, delay)) = broker.rules.take(&entry.stored.ask.action) else {
            return;
        };
        entry.stored.rule = Some(rule);
        if delay.is_zero() {
            self.decide_by_rule(id);
        } else {
            broker.scheduled.insert((Instant::now() + delay, id.to_owned()));
        }
    }

    /// The rule of an approval decides it, unless somebody has been quicker.
    pub(super) fn decide_by_rule(&mut self, id: &str) {
        let rule = self.broker.approvals.get(id).and_then(|entry| entry.stored.rule);
        let Some((rule, Rule { decision, note, .. })) =
            rule.and_then(|rule| Some((rule, self.broker.rules.get(rule)?.clone())))
        else {
            return;
        };
        // Failing is being late, or a state file that cannot be written: it stays pending then.
        let _ = self.settle(id, decision.into(), note, Some(rule));
    }
}

impl Core {
    pub(crate) fn add_rules(&self, rules: &[Rule]) -> Result<Vec<u64>, ControlError> {
        let ids = self.change(|state| state.add_rules(rules))?;
        // A decision may be due earlier than anything before.
        self.timer.notify_one();
        Ok(ids)
    }

    pub(crate) fn remove_rules(&self, id: Option<u64>) -> usize {
        let removed = self.change(|state| state.remove_rules(id));
        self.timer.notify_one();
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "a.b"),
            ("payments.*", "payments.refund"),
            ("payments.*", "payments."),
            ("*.refund", "payments.eu.refund"),
            ("a?c", "aüc"),
            ("*a*b*", "xaxbaxb"),
            ("a**b", "ab"),
            ("", ""),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("payments.*", "payment.refund"),
            ("payments", "payments.refund"),
            ("a?c", "ac"),
            ("*.refund", "payments.refunds"),
            ("?", ""),
            ("", "a"),
            ("A", "a"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_glob_of_many_stars_is_quick() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!matches(&pattern, &"a".repeat(2000)));
    }

    #[test]
    fn rules_are_counted_in_their_order() {
        let mut rules = Rules::default();
        let plan = [Rule::approve("a.*").times(1), Rule::deny("*").delay(Duration::from_millis(5))];
        assert_eq!(rules.add(&plan), Ok(vec![0, 1]));
        assert_eq!(rules.take("a.b"), Some((0, Duration::ZERO)));
        assert_eq!(rules.take("a.b"), Some((1, Duration::from_millis(5))));
        assert_eq!(rules.states()[0].remaining, Some(0));
        assert_eq!((rules.states()[1].applied, rules.states()[1].remaining), (1, None));
        assert!(rules.add(&[Rule::approve("x"), Rule::approve("")]).is_err());
        assert_eq!(rules.states().len(), 2);
    }
}
