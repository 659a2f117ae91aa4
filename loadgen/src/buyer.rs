//! One buyer as a small state machine: the next action from the last answer. No sockets, no clock; its choices come
//! from its own seeded stream, so a buyer that sees the same answers does the same things.
//!
//! ```text
//! begin → Hold → refused → Look → Hold … → best available → Leave
//!           └─ held → Book | Release | Leave (abandoned)
//! ```

use onrush_api::holds::{BestAvailable, GeneralAdmission, HoldRequest};
use onrush_api::problem::Kind;

use crate::answer::{Answer, Refusal, Seats};
use crate::scenario::{Bot, BuyerKind};
use crate::seats::{Hall, Seat, View};

/// What a buyer asks a hold for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// These seats.
    Seats(Vec<Seat>),
    /// These seats, which the server offered by label.
    Offer(Vec<String>),
    /// The best free ones.
    BestAvailable { quantity: u32, adjacent: bool },
    /// Places in a standing area.
    Standing { section: String, quantity: u32 },
}

impl Wish {
    /// As the contract has it.
    pub(crate) fn request(&self, hall: &Hall) -> HoldRequest {
        let mut request = HoldRequest::default();
        match self {
            Self::Seats(seats) => {
                request.seats = Some(seats.iter().map(|&seat| hall.label(seat).to_owned()).collect());
            }
            Self::Offer(labels) => request.seats = Some(labels.clone()),
            Self::BestAvailable { quantity, adjacent } => {
                let (quantity, adjacent) = (*quantity, *adjacent);
                request.best_available = Some(BestAvailable { quantity, tier: None, section: None, adjacent });
            }
            Self::Standing { section, quantity } => {
                request.general_admission = Some(GeneralAdmission { section: section.clone(), quantity: *quantity });
            }
        }
        request
    }
}

/// What a buyer does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Holds seats.
    Hold(Wish),
    /// Looks at a fresh availability.
    Look,
    /// Books what it holds.
    Book,
    /// Gives back what it holds.
    Release,
    /// Goes.
    Leave(Ending),
}

/// How a buyer's visit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With a booking that was acknowledged.
    Booked,
    /// Empty-handed: nothing was left.
    NothingLeft,
    /// Empty-handed: every try was too late.
    GaveUp,
    /// It held seats and went away without a word.
    Abandoned,
    /// It held seats and gave them back.
    Released,
    /// Refused for another reason than taken seats: a limit, a closed sale, an ended hold, an overloaded server.
    Refused,
    /// Whether its last request took effect cannot be told.
    Unknown,
    /// The server answered outside its contract, or could not be reached.
    Failed,
}

impl Ending {
    /// In the order of the report.
    pub(crate) const ALL: [Self; 8] = [
        Self::Booked,
        Self::NothingLeft,
        Self::GaveUp,
        Self::Abandoned,
        Self::Released,
        Self::Refused,
        Self::Unknown,
        Self::Failed,
    ];
}

/// What a buyer can see when it chooses.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) hall: &'a Hall,
    pub(crate) view: &'a View,
    /// A seat that somebody else has just taken.
    pub(crate) just_taken: Option<Seat>,
}

/// A buyer under way.
#[derive(Debug)]
pub(crate) struct Buyer {
    bot: Bot,
    /// What it asked for last.
    wish: Wish,
    /// Where it points next; `None` for anywhere.
    place: Option<Seat>,
    refusals: u32,
    held: Option<Seats>,
}

impl Buyer {
    /// Refusals after which a picker leaves the choice to the engine.
    const PICKS_MAX: u32 = 5;
    /// Refusals after which anybody gives up.
    const REFUSALS_MAX: u32 = 10;

    /// A buyer at the door.
    pub(crate) fn new(bot: Bot) -> Self {
        let wish = Wish::BestAvailable { quantity: bot.party, adjacent: true };
        Self { bot, wish, place: None, refusals: 0, held: None }
    }

    /// What it holds.
    pub(crate) fn held(&self) -> Option<&Seats> {
        self.held.as_ref()
    }

    /// The first action.
    pub(crate) fn begin(&mut self, sight: Sight<'_>) -> Action {
        match (self.bot.kind, sight.just_taken) {
            (BuyerKind::BestAvailable | BuyerKind::Abandoner, _) => self.hold(self.wish.clone()),
            (BuyerKind::Contender, Some(taken)) => {
                self.place = Some((taken + 1) % sight.hall.capacity());
                self.hold(pointing(sight.hall, vec![taken]))
            }
            (BuyerKind::Contender | BuyerKind::Picker, _) => {
                let place = self.bot.random.below(sight.hall.capacity());
                self.hold(pointing(sight.hall, sight.hall.pick_blindly(place, self.bot.party)))
            }
        }
    }

    /// The action that follows an answer.
    pub(crate) fn next(&mut self, answer: Answer, sight: Sight<'_>) -> Action {
        match answer {
            Answer::Held(seats) => self.after_hold(seats),
            Answer::Booked(..) => Action::Leave(Ending::Booked),
            Answer::Released => Action::Leave(Ending::Released),
            Answer::Looked => self.point_again(sight),
            Answer::Refused(refusal) => self.after_refusal(refusal),
            Answer::Unknown => Action::Leave(Ending::Unknown),
            Answer::Strange(_) => Action::Leave(Ending::Failed),
        }
    }

    fn hold(&mut self, wish: Wish) -> Action {
        self.wish.clone_from(&wish);
        Action::Hold(wish)
    }

    fn after_hold(&mut self, seats: Seats) -> Action {
        self.held = Some(seats);
        match self.bot.kind {
            BuyerKind::Abandoner => Action::Leave(Ending::Abandoned),
            _ if self.bot.releases => Action::Release,
            _ => Action::Book,
        }
    }

    fn after_refusal(&mut self, refusal: Refusal) -> Action {
        self.refusals += 1;
        let chooses = !matches!(self.wish, Wish::BestAvailable { .. });
        match refusal.kind {
            Kind::SeatsUnavailable | Kind::NotAdjacent if self.refusals >= Self::REFUSALS_MAX => {
                Action::Leave(Ending::GaveUp)
            }
            Kind::SeatsUnavailable if chooses && self.refusals < Self::PICKS_MAX => Action::Look,
            Kind::SeatsUnavailable if chooses => {
                self.hold(Wish::BestAvailable { quantity: self.bot.party, adjacent: true })
            }
            Kind::SeatsUnavailable => self.want_less(refusal.remaining),
            Kind::NotAdjacent => self.take_what_is_offered(refusal.split),
            _ => Action::Leave(Ending::Refused),
        }
    }

    /// There were not as many free seats as the last wish had: as many as there are, apart if it must be.
    fn want_less(&mut self, remaining: Option<u64>) -> Action {
        let Wish::BestAvailable { quantity: asked, .. } = self.wish else { return Action::Leave(Ending::GaveUp) };
        // Where the server does not say what remains, one seat is the last thing to ask for.
        let remaining = remaining.map_or(u32::from(asked > 1), |seats| u32::try_from(seats).unwrap_or(u32::MAX));
        match asked.min(remaining) {
            0 => Action::Leave(Ending::NothingLeft),
            quantity => self.hold(Wish::BestAvailable { quantity, adjacent: false }),
        }
    }

    fn take_what_is_offered(&mut self, split: Vec<Vec<String>>) -> Action {
        let Wish::BestAvailable { quantity, .. } = self.wish else { return Action::Look };
        let offer: Vec<String> = split.into_iter().flatten().take(quantity as usize).collect();
        // The first offer is taken by name; who was too late for it takes any seats.
        if offer.is_empty() || self.refusals > 1 {
            return self.hold(Wish::BestAvailable { quantity, adjacent: false });
        }
        self.hold(Wish::Offer(offer))
    }

    fn point_again(&mut self, sight: Sight<'_>) -> Action {
        if sight.view.free.is_empty() {
            return Action::Leave(Ending::NothingLeft);
        }
        let place = self.place.take().unwrap_or_else(|| self.bot.random.below(sight.hall.capacity()));
        self.hold(pointing(sight.hall, sight.hall.pick_free(sight.view, place, self.bot.party)))
    }
}

/// Pointing at a standing area asks for places in it; elsewhere it asks for exactly these seats.
fn pointing(hall: &Hall, mut seats: Vec<Seat>) -> Wish {
    let area = seats.first().and_then(|&seat| hall.standing_area(seat));
    seats.retain(|&seat| hall.standing_area(seat) == area);
    match area {
        Some(section) => Wish::Standing { section: section.to_owned(), quantity: seats.len() as u32 },
        None => Wish::Seats(seats),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::seats::tests::{small_hall, view};
    use onrush_api::bookings::BookingStatus;

    fn buyer(kind: BuyerKind, party: u32) -> Buyer {
        Buyer::new(Bot { kind, party, releases: false, random: Random::new(1, 1) })
    }

    fn refused(kind: Kind) -> Answer {
        Answer::Refused(Refusal { kind, remaining: None, split: Vec::new() })
    }

    fn held() -> Answer {
        Answer::Held(Seats { id: "hold_1".to_owned(), labels: vec!["A-1-1".to_owned()] })
    }

    fn best(quantity: u32, adjacent: bool) -> Action {
        Action::Hold(Wish::BestAvailable { quantity, adjacent })
    }

    #[test]
    fn who_holds_books_releases_or_walks_away() {
        let (hall, free) = (small_hall(), view(&[0]));
        let sight = Sight { hall: &hall, view: &free, just_taken: None };
        let mut settled = buyer(BuyerKind::BestAvailable, 2);
        assert_eq!(settled.begin(sight), best(2, true));
        assert_eq!(settled.next(held(), sight), Action::Book);
        assert_eq!(settled.held().map(|seats| seats.id.as_str()), Some("hold_1"));
        let booked = Answer::Booked(settled.held.clone().unwrap(), BookingStatus::Confirmed);
        assert_eq!(settled.next(booked, sight), Action::Leave(Ending::Booked));

        let mut hesitant = buyer(BuyerKind::Picker, 2);
        hesitant.bot.releases = true;
        assert_eq!(hesitant.next(held(), sight), Action::Release);
        assert_eq!(hesitant.next(Answer::Released, sight), Action::Leave(Ending::Released));

        let mut gone = buyer(BuyerKind::Abandoner, 2);
        assert_eq!(gone.next(held(), sight), Action::Leave(Ending::Abandoned));
    }

    #[test]
    fn a_picker_looks_and_points_again_then_leaves_the_choice_to_the_engine() {
        let (hall, free) = (small_hall(), view(&[3, 4]));
        let sight = Sight { hall: &hall, view: &free, just_taken: None };
        let mut picker = buyer(BuyerKind::Picker, 2);
        assert!(matches!(picker.begin(sight), Action::Hold(_)));
        for _ in 1..Buyer::PICKS_MAX {
            assert_eq!(picker.next(refused(Kind::SeatsUnavailable), sight), Action::Look);
            assert_eq!(picker.next(Answer::Looked, sight), Action::Hold(Wish::Seats(vec![3, 4])));
        }
        assert_eq!(picker.next(refused(Kind::SeatsUnavailable), sight), best(2, true));
    }

    #[test]
    fn a_picker_who_sees_an_empty_plan_leaves() {
        let (hall, free) = (small_hall(), view(&[]));
        let sight = Sight { hall: &hall, view: &free, just_taken: None };
        let mut picker = buyer(BuyerKind::Picker, 1);
        picker.begin(sight);
        picker.next(refused(Kind::SeatsUnavailable), sight);
        assert_eq!(picker.next(Answer::Looked, sight), Action::Leave(Ending::NothingLeft));
    }

    #[test]
    fn a_contender_reaches_for_what_was_taken_and_tries_the_next() {
        let (hall, free) = (small_hall(), view(&[0, 2]));
        let sight = Sight { hall: &hall, view: &free, just_taken: Some(1) };
        let mut contender = buyer(BuyerKind::Contender, 1);
        assert_eq!(contender.begin(sight), Action::Hold(Wish::Seats(vec![1])));
        assert_eq!(contender.next(refused(Kind::SeatsUnavailable), sight), Action::Look);
        assert_eq!(contender.next(Answer::Looked, sight), Action::Hold(Wish::Seats(vec![2])));
    }

    #[test]
    fn a_standing_area_is_asked_for_places() {
        let (hall, free) = (small_hall(), view(&[7, 8, 9]));
        let sight = Sight { hall: &hall, view: &free, just_taken: Some(7) };
        let standing = |quantity| Action::Hold(Wish::Standing { section: "Floor".to_owned(), quantity });
        let mut contender = buyer(BuyerKind::Contender, 2);
        assert_eq!(contender.begin(sight), standing(1));
        contender.next(refused(Kind::SeatsUnavailable), sight);
        assert_eq!(contender.next(Answer::Looked, sight), standing(2));
    }

    #[test]
    fn who_wants_many_takes_the_offer_then_fewer_and_apart() {
        let (hall, free) = (small_hall(), view(&[0, 2]));
        let sight = Sight { hall: &hall, view: &free, just_taken: None };
        let refusal = |kind, remaining, split| Answer::Refused(Refusal { kind, remaining, split });
        let offer = vec!["A-1-1".to_owned(), "A-1-3".to_owned()];
        let mut buyer = buyer(BuyerKind::BestAvailable, 2);
        buyer.begin(sight);
        let split = offer.iter().map(|label| vec![label.clone()]).collect();
        let not_adjacent = refusal(Kind::NotAdjacent, None, split);
        assert_eq!(buyer.next(not_adjacent, sight), Action::Hold(Wish::Offer(offer)));
        assert_eq!(buyer.next(refused(Kind::SeatsUnavailable), sight), Action::Look);
        buyer.wish = Wish::BestAvailable { quantity: 2, adjacent: true };
        assert_eq!(buyer.next(refused(Kind::NotAdjacent), sight), best(2, false));
        assert_eq!(buyer.next(refusal(Kind::SeatsUnavailable, Some(1), Vec::new()), sight), best(1, false));
        let nothing = refusal(Kind::SeatsUnavailable, Some(0), Vec::new());
        assert_eq!(buyer.next(nothing, sight), Action::Leave(Ending::NothingLeft));
    }

    #[test]
    fn nobody_goes_on_for_ever() {
        let (hall, free) = (small_hall(), view(&[0, 2]));
        let sight = Sight { hall: &hall, view: &free, just_taken: None };
        let always = |kind| Answer::Refused(Refusal { kind, remaining: Some(9), split: Vec::new() });
        for kind in [Kind::SeatsUnavailable, Kind::NotAdjacent] {
            let mut buyer = buyer(BuyerKind::Picker, 3);
            let mut action = buyer.begin(sight);
            let mut steps = 0;
            while !matches!(action, Action::Leave(_)) {
                let answer = if action == Action::Look { Answer::Looked } else { always(kind) };
                action = buyer.next(answer, sight);
                steps += 1;
            }
            assert_eq!(action, Action::Leave(Ending::GaveUp));
            assert!(steps < 20);
        }
    }

    #[test]
    fn other_refusals_and_strange_answers_end_the_visit() {
        let (hall, free) = (small_hall(), view(&[0]));
        let sight = Sight { hall: &hall, view: &free, just_taken: None };
        for (answer, ending) in [
            (refused(Kind::LimitExceeded), Ending::Refused),
            (refused(Kind::HoldExpired), Ending::Refused),
            (Answer::Unknown, Ending::Unknown),
            (Answer::Strange("?".to_owned()), Ending::Failed),
        ] {
            assert_eq!(buyer(BuyerKind::Picker, 1).next(answer, sight), Action::Leave(ending));
        }
    }

    #[test]
    fn a_wish_is_one_of_the_three_of_the_contract() {
        let hall = small_hall();
        let json = |wish: Wish| serde_json::to_string(&wish.request(&hall)).unwrap();
        assert_eq!(json(Wish::Seats(vec![0, 4])), r#"{"seats":["A-1-1","A-2-b"]}"#);
        assert_eq!(
            json(Wish::BestAvailable { quantity: 2, adjacent: false }),
            r#"{"best_available":{"quantity":2,"adjacent":false}}"#
        );
        assert_eq!(
            json(Wish::Standing { section: "Floor".to_owned(), quantity: 3 }),
            r#"{"general_admission":{"section":"Floor","quantity":3}}"#
        );
    }
}
