//! Incidents: what somebody has to see to, opened by a person or by a threshold that was crossed.

use std::sync::Arc;

use onrush_api::incidents::{Comment, Incident, IncidentChange, IncidentDraft, IncidentState, IncidentSummary};
use onrush_api::policies::{Anomaly, Severity};
use onrush_api::problem::{FieldError, Kind, Problem};
use onrush_api::text::{Text, Time};
use onrush_api::token::Caller;
use onrush_engine::id::{AccountId, ShowId};
use onrush_engine::time::{Clock, Timestamp};
use serde::{Deserialize, Serialize};

use crate::accounts::secret;
use crate::callers::{check_operates, is_admin};
use crate::store::{Change, Store, StoreError};

const INCIDENT: &[u8] = b"n";
const TITLE_LEN_MAX: usize = 200;
const COMMENT_LEN_MAX: usize = 5_000;
const COMMENTS_MAX: usize = 100;
/// Incidents of one seller, and of all; of all the oldest that are resolved go first.
const PER_SELLER_MAX: usize = 200;
const ALL_MAX: usize = 10_000;

/// An incident, and whose show it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    incident: Incident,
    seller: Option<Text<AccountId>>,
    /// The threshold that opened it, by deployment and rule: while it is not resolved, the same opens no other.
    cause: Option<(String, String)>,
}

/// Which incidents are asked for; nothing asks for any.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Filter {
    pub(crate) state: Option<IncidentState>,
    pub(crate) severity: Option<Severity>,
    pub(crate) assignee: Option<AccountId>,
    pub(crate) show: Option<ShowId>,
}

/// See the module.
pub struct Incidents {
    store: Arc<Store>,
    clock: Arc<dyn Clock + Send + Sync>,
}

impl Record {
    fn put(&self) -> Change {
        let json = serde_json::to_vec(self).expect("plain fields always make JSON");
        Change::default().put(key(&self.incident.id), json)
    }

    /// Whether a caller may see it.
    fn is_of(&self, caller: &Caller) -> bool {
        is_admin(caller)
            || self.seller == Some(Text(caller.account))
            || self.incident.assignee == Some(Text(caller.account))
    }

    fn is_open(&self) -> bool {
        self.incident.state != IncidentState::Resolved
    }

    fn say(&mut self, by: Option<AccountId>, at: Timestamp, text: String) {
        let comments = &mut self.incident.comments;
        comments.push(Comment { by: by.map(Text), at: Time(at), text });
        // What was said first and last is worth most.
        if comments.len() > COMMENTS_MAX {
            comments.remove(1);
        }
        self.incident.updated_at = Time(at);
    }
}

fn key(id: &str) -> Vec<u8> {
    [INCIDENT, id.as_bytes()].concat()
}

fn unknown() -> Problem {
    Problem::new(Kind::NotFound).detail("You have no such incident.")
}

impl Filter {
    fn takes(&self, incident: &Incident) -> bool {
        self.state.is_none_or(|state| state == incident.state)
            && self.severity.is_none_or(|severity| severity == incident.severity)
            && self.assignee.is_none_or(|assignee| Some(Text(assignee)) == incident.assignee)
            && self.show.is_none_or(|show| Some(Text(show)) == incident.show)
    }
}

/// Incidents in numbers. Pure.
pub(crate) fn summary<'a>(incidents: impl IntoIterator<Item = &'a Incident>, now: Timestamp) -> IncidentSummary {
    let mut summary = IncidentSummary::default();
    for incident in incidents {
        *summary.by_state.entry(incident.state).or_default() += 1;
        if incident.state == IncidentState::Resolved {
            continue;
        }
        *summary.by_severity.entry(incident.severity).or_default() += 1;
        let assignee =
            incident.assignee.as_ref().map_or_else(|| "nobody".to_owned(), |assignee| assignee.0.to_string());
        *summary.by_assignee.entry(assignee).or_default() += 1;
        summary.overdue += u32::from(incident.due_at.is_some_and(|due| due.0 < now));
    }
    summary
}

/// What is wrong with what was said of an incident.
fn check(title: Option<&str>, comment: Option<&str>) -> Result<(), Problem> {
    let wrong = |text: Option<&str>, pointer: &str, most: usize| {
        let length = text?.trim().chars().count();
        let detail = format!("has 1 to {most} characters");
        (length == 0 || length > most).then(|| FieldError { pointer: pointer.to_owned(), detail })
    };
    let errors: Vec<_> = [wrong(title, "/title", TITLE_LEN_MAX), wrong(comment, "/comment", COMMENT_LEN_MAX)]
        .into_iter()
        .flatten()
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(Problem::new(Kind::InvalidBody).errors(errors)) }
}

impl Incidents {
    pub(crate) fn new(store: Arc<Store>, clock: Arc<dyn Clock + Send + Sync>) -> Self {
        Self { store, clock }
    }

    /// Those that a caller may see, the latest first.
    pub(crate) async fn list(&self, caller: &Caller, filter: &Filter) -> Result<Vec<Incident>, Problem> {
        check_operates(caller)?;
        let mut own: Vec<_> =
            self.all().await?.into_iter().filter(|record| record.is_of(caller)).map(|record| record.incident).collect();
        own.retain(|incident| filter.takes(incident));
        own.sort_by(|one, two| (two.created_at, &two.id).cmp(&(one.created_at, &one.id)));
        Ok(own)
    }

    /// The same in numbers.
    pub(crate) async fn summary(&self, caller: &Caller) -> Result<IncidentSummary, Problem> {
        let own = self.list(caller, &Filter::default()).await?;
        Ok(summary(&own, self.clock.now()))
    }

    /// One that a caller may see.
    pub(crate) async fn read(&self, caller: &Caller, id: &str) -> Result<Incident, Problem> {
        check_operates(caller)?;
        let wanted = key(id);
        let bytes = self.store.ask(move |store| store.get(&wanted)).await?.ok_or_else(unknown)?;
        let record: Record = serde_json::from_slice(&bytes).map_err(|_| Problem::new(Kind::Internal))?;
        if record.is_of(caller) { Ok(record.incident) } else { Err(unknown()) }
    }

    /// Opens one; `seller` is who sells its show.
    pub(crate) async fn open(
        &self,
        caller: &Caller,
        draft: IncidentDraft,
        seller: Option<AccountId>,
    ) -> Result<Incident, Problem> {
        check_operates(caller)?;
        check(Some(&draft.title), draft.comment.as_deref())?;
        let own_show = seller == Some(caller.account);
        if !is_admin(caller) && !own_show {
            return Err(Problem::field(
                "/show",
                "is none of yours: an incident of a seller's is about one of their shows",
            ));
        }
        if draft.show.is_some() && seller.is_none() {
            return Err(Problem::field("/show", "is no show"));
        }
        let now = self.clock.now();
        let mut record = self.record(draft.title, draft.severity, now)?;
        record.seller = seller.map(Text);
        record.incident.show = draft.show;
        record.incident.assignee = draft.assignee;
        record.incident.due_at = draft.due_at;
        record.incident.opened_by = Some(Text(caller.account));
        draft.comment.into_iter().for_each(|text| record.say(Some(caller.account), now, text));
        self.put(record).await
    }

    fn record(&self, title: String, severity: Severity, now: Timestamp) -> Result<Record, Problem> {
        let incident = Incident {
            id: format!("inc_{}", secret::id()?),
            title,
            severity,
            state: IncidentState::Open,
            show: None,
            deployment: None,
            assignee: None,
            due_at: None,
            opened_by: None,
            created_at: Time(now),
            updated_at: Time(now),
            resolved_at: None,
            comments: Vec::new(),
        };
        Ok(Record { incident, seller: None, cause: None })
    }

    async fn put(&self, record: Record) -> Result<Incident, Problem> {
        let incident = record.incident.clone();
        let has_room = self.store.ask(move |store| {
            store.write(|| {
                let known = all(store)?;
                let own = known.iter().filter(|other| other.seller == record.seller && other.is_open()).count();
                if own >= PER_SELLER_MAX {
                    return Ok((Change::default(), false));
                }
                Ok((room_in(known).and(record.put()), true))
            })
        });
        let refused = || {
            let detail = format!("There are {PER_SELLER_MAX} incidents that are not resolved. Resolve one first.");
            Problem::new(Kind::LimitExceeded).detail(detail).limit(PER_SELLER_MAX as u64)
        };
        has_room.await?.then_some(incident).ok_or_else(refused)
    }

    /// Changes one.
    pub(crate) async fn change(&self, caller: &Caller, id: &str, change: IncidentChange) -> Result<Incident, Problem> {
        check_operates(caller)?;
        check(change.title.as_deref(), change.comment.as_deref())?;
        let (wanted, now, caller) = (key(id), self.clock.now(), *caller);
        let changed = self.store.ask(move |store| {
            store.write(|| {
                let known = read(store, &wanted)?.filter(|record| record.is_of(&caller));
                let Some(mut record) = known else { return Ok((Change::default(), None)) };
                record.change(change, caller.account, now);
                Ok((record.put(), Some(record.incident)))
            })
        });
        changed.await?.ok_or_else(unknown)
    }

    /// A threshold was crossed: opens an incident for it, or says so to the one that is not resolved. Its id.
    pub(crate) async fn raise(&self, anomaly: &Anomaly, seller: AccountId, text: String) -> Result<String, Problem> {
        let now = self.clock.now();
        let cause = (anomaly.deployment.clone(), anomaly.rule.clone());
        let mut fresh = self.record(format!("{} of {}", anomaly.rule, anomaly.deployment), anomaly.severity, now)?;
        fresh.seller = Some(Text(seller));
        fresh.cause = Some(cause.clone());
        (fresh.incident.show, fresh.incident.deployment) = (Some(anomaly.show), Some(anomaly.deployment.clone()));
        self.store
            .ask(move |store| {
                store.write(|| {
                    let is_open = |record: &Record| record.cause.as_ref() == Some(&cause) && record.is_open();
                    let known = all(store)?;
                    let mut record = known.iter().find(|record| is_open(record)).cloned().unwrap_or(fresh);
                    record.say(None, now, text);
                    Ok((room_in(known).and(record.put()), record.incident.id))
                })
            })
            .await
    }

    async fn all(&self) -> Result<Vec<Record>, Problem> {
        self.store.ask(all).await
    }
}

impl Record {
    fn change(&mut self, change: IncidentChange, by: AccountId, now: Timestamp) {
        let incident = &mut self.incident;
        let IncidentChange { title, severity, state, assignee, due_at, comment } = change;
        title.into_iter().for_each(|title| incident.title = title);
        severity.into_iter().for_each(|severity| incident.severity = severity);
        assignee.into_iter().for_each(|assignee| incident.assignee = Some(assignee));
        due_at.into_iter().for_each(|due_at| incident.due_at = Some(due_at));
        if let Some(state) = state.filter(|state| *state != incident.state) {
            incident.state = state;
            incident.resolved_at = (state == IncidentState::Resolved).then_some(Time(now));
        }
        incident.updated_at = Time(now);
        comment.into_iter().for_each(|text| self.say(Some(by), now, text));
    }
}

fn read(store: &Store, key: &[u8]) -> Result<Option<Record>, StoreError> {
    Ok(store.get(key)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// All that a store has; one that does not read is left alone, and the log says so.
fn all(store: &Store) -> Result<Vec<Record>, StoreError> {
    let pairs = store.below(INCIDENT)?;
    let read = |(key, bytes): &(Vec<u8>, Vec<u8>)| {
        serde_json::from_slice(bytes)
            .inspect_err(
                |error| tracing::error!(key = %String::from_utf8_lossy(key), %error, "an incident is left alone"),
            )
            .ok()
    };
    Ok(pairs.iter().filter_map(read).collect())
}

/// Lets the oldest that are resolved go, where there are as many as there may be.
fn room_in(mut known: Vec<Record>) -> Change {
    let beyond = (known.len() + 1).saturating_sub(ALL_MAX);
    known.retain(|record| !record.is_open());
    known.sort_by_key(|record| record.incident.updated_at);
    known.iter().take(beyond).fold(Change::default(), |change, record| change.remove(key(&record.incident.id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident(state: IncidentState, assignee: Option<&str>, due: Option<i64>) -> Incident {
        let at = |millis| Time(Timestamp::from_millis(millis));
        Incident {
            id: "inc_1".into(),
            title: "Rain".into(),
            severity: Severity::Warning,
            state,
            show: None,
            deployment: None,
            assignee: assignee.map(|account| Text(account.parse().unwrap())),
            due_at: due.map(at),
            opened_by: None,
            created_at: at(1),
            updated_at: at(1),
            resolved_at: None,
            comments: Vec::new(),
        }
    }

    #[test]
    fn a_summary_counts_what_is_left_to_do() {
        let all = [
            incident(IncidentState::Open, None, Some(5)),
            incident(IncidentState::Acknowledged, Some("acc_kim"), Some(15)),
            incident(IncidentState::Acknowledged, Some("acc_kim"), None),
            incident(IncidentState::Resolved, Some("acc_kim"), Some(5)),
        ];
        let summary = summary(&all, Timestamp::from_millis(10));
        assert_eq!(
            summary.by_state,
            [(IncidentState::Open, 1), (IncidentState::Acknowledged, 2), (IncidentState::Resolved, 1)].into()
        );
        assert_eq!(summary.by_severity, [(Severity::Warning, 3)].into());
        assert_eq!(summary.by_assignee, [("nobody".to_owned(), 1), ("acc_kim".to_owned(), 2)].into());
        assert_eq!(summary.overdue, 1, "what is resolved is not overdue");
    }

    #[test]
    fn a_filter_takes_what_has_all_that_it_names() {
        let one = incident(IncidentState::Open, Some("acc_kim"), None);
        assert!(Filter::default().takes(&one));
        let filter = Filter {
            state: Some(IncidentState::Open),
            assignee: Some("acc_kim".parse().unwrap()),
            ..Filter::default()
        };
        assert!(filter.takes(&one));
        assert!(!Filter { severity: Some(Severity::Critical), ..filter.clone() }.takes(&one));
        assert!(!Filter { show: Some(ShowId(1)), ..filter }.takes(&one));
    }
}
