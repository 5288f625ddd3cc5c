//! The table of connections: places, what they hold together, and who has to go when there is no room.
//!
//! Used by the gate's loop. The order of eviction is the function [`order`], a pure one; this file touches no socket.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

/// What the order of eviction looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// Answered and told to go; what it sends is thrown away.
    Lingering,
    /// Has sent no complete head.
    Head,
    /// Kept alive, between two requests.
    Idle,
    /// Has sent a head, but not all of its body.
    Body,
    /// Takes its answer.
    Writing,
    /// Its request stands in the queue; no worker has taken it.
    Queued,
    /// A worker is at it. Never evicted.
    Begun,
}

/// One occupied place, as the order sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) doing: Doing,
    /// Since when.
    pub(super) since: Instant,
    /// Answers given on this connection so far.
    pub(super) answers: u64,
    /// The client is on this machine.
    pub(super) loopback: bool,
    /// Bytes held for it.
    pub(super) held: usize,
}

/// An occupant of a place.
pub(super) trait Occupant {
    /// How it stands now.
    fn standing(&self) -> Standing;
}

/// The table.
#[derive(Debug)]
pub(super) struct Places<T> {
    slots: Vec<Option<Seat<T>>>,
    free: Vec<usize>,
    capacity: usize,
    kept_for_loopback: usize,
    taken: usize,
    taken_by_outsiders: usize,
    held: usize,
}

#[derive(Debug)]
struct Seat<T> {
    occupant: T,
    loopback: bool,
    held: usize,
}

impl<T: Occupant> Places<T> {
    /// An empty table of `places`, of which `loopback_places` are kept for loopback.
    pub(super) fn new(places: usize, loopback_places: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            capacity: places,
            kept_for_loopback: loopback_places,
            taken: 0,
            taken_by_outsiders: 0,
            held: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken == 0
    }

    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// Bytes held for all of them together, as of their last recount.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Whether a newcomer from there finds a place.
    pub(super) fn has_room(&self, loopback: bool) -> bool {
        self.taken < self.capacity
            && (loopback || self.taken_by_outsiders < self.capacity - self.kept_for_loopback)
    }

    /// Seats a newcomer made by `make` from its place; the caller has asked [`Places::has_room`].
    pub(super) fn insert(&mut self, loopback: bool, make: impl FnOnce(usize) -> T) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[place] = Some(Seat {
            occupant: make(place),
            loopback,
            held: 0,
        });
        self.taken += 1;
        self.taken_by_outsiders += usize::from(!loopback);
        place
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        let seat = self.slots.get_mut(place)?.as_mut()?;
        Some(&mut seat.occupant)
    }

    pub(super) fn remove(&mut self, place: usize) -> Option<T> {
        let seat = self.slots.get_mut(place)?.take()?;
        self.free.push(place);
        self.taken -= 1;
        self.taken_by_outsiders -= usize::from(!seat.loopback);
        self.held -= seat.held;
        Some(seat.occupant)
    }

    /// Every occupied place. A copy, so that the table may change meanwhile.
    pub(super) fn occupied(&self) -> Vec<usize> {
        (0..self.slots.len())
            .filter(|&place| self.slots[place].is_some())
            .collect()
    }

    /// Looks again at what one place holds.
    pub(super) fn recount(&mut self, place: usize) {
        if let Some(Some(seat)) = self.slots.get_mut(place) {
            let held = seat.occupant.standing().held;
            self.held = self.held - seat.held + held;
            seat.held = held;
        }
    }

    /// Looks again at what all places hold: a request that a worker has taken is no longer ours.
    pub(super) fn recount_all(&mut self) {
        for place in 0..self.slots.len() {
            self.recount(place);
        }
    }

    /// Who has to go for a newcomer. An outsider displaces a loopback client only when those hold more than is kept for them.
    pub(super) fn victim(
        &self,
        newcomer_is_loopback: bool,
        now: Instant,
        young: Duration,
    ) -> Option<usize> {
        let among_all =
            newcomer_is_loopback || self.taken - self.taken_by_outsiders > self.kept_for_loopback;
        self.standings()
            .filter(|(_, standing)| among_all || !standing.loopback)
            .filter_map(|(place, standing)| Some((order(&standing, now, young)?, place)))
            .min()
            .map(|(_, place)| place)
    }

    /// Who has to go for want of memory: the oldest of those who hold their share of `budget` or more. When the budget is
    /// exceeded there is one; and a probe, which holds a few hundred bytes, never is.
    pub(super) fn oldest_holder(&self, budget: usize) -> Option<usize> {
        let share = (budget / self.capacity).max(1);
        self.standings()
            .filter(|(_, standing)| standing.held >= share && standing.doing != Doing::Begun)
            .min_by_key(|(_, standing)| standing.since)
            .map(|(place, _)| place)
    }

    fn standings(&self) -> impl Iterator<Item = (usize, Standing)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(place, seat)| Some((place, seat.as_ref()?.occupant.standing())))
    }
}

/// A place in the order of eviction; the least goes first.
type Order = (u8, Reverse<u64>, Reverse<Duration>);

/// The order: lingering closes, slow heads, idle ones, slow bodies and slow readers, each the oldest first; then the queued one
/// with most answers so far (floods have thousands, an honest client has few); then heads that have only just connected, since an honest
/// client is one of them. A request for health is answered as soon as its head is read, so it stands nowhere here. `None`: never.
fn order(standing: &Standing, now: Instant, young: Duration) -> Option<Order> {
    let age = now.saturating_duration_since(standing.since);
    let oldest_first = |rank| Some((rank, Reverse(0), Reverse(age)));
    match standing.doing {
        Doing::Lingering => oldest_first(0),
        Doing::Head if age >= young => oldest_first(1),
        Doing::Idle => oldest_first(2),
        Doing::Body | Doing::Writing => oldest_first(3),
        Doing::Queued => Some((
            4,
            Reverse(standing.answers),
            // Among equals the newest goes: if the oldest went, a flood of newcomers would let nobody reach a worker.
            Reverse(Duration::MAX.saturating_sub(age)),
        )),
        Doing::Head => oldest_first(5),
        Doing::Begun => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YOUNG: Duration = Duration::from_millis(250);

    #[derive(Debug)]
    struct Client(Standing);

    impl Occupant for Client {
        fn standing(&self) -> Standing {
            self.0
        }
    }

    fn client(doing: Doing, now: Instant, age_ms: u64) -> Client {
        Client(Standing {
            doing,
            since: now
                .checked_sub(Duration::from_millis(age_ms))
                .expect("the tests begin late enough"),
            answers: 0,
            loopback: false,
            held: 0,
        })
    }

    fn seat(places: &mut Places<Client>, client: Client) -> usize {
        let loopback = client.0.loopback;
        assert!(places.has_room(loopback));
        let place = places.insert(loopback, |_| client);
        places.recount(place);
        place
    }

    #[test]
    fn the_order_of_eviction_is_the_written_one() {
        let now = Instant::now() + Duration::from_secs(1000);
        let queued = |answers, age| {
            let mut client = client(Doing::Queued, now, age);
            client.0.answers = answers;
            client
        };
        // First to go comes first.
        let written = vec![
            client(Doing::Lingering, now, 20),
            client(Doing::Lingering, now, 10),
            client(Doing::Head, now, 4000),
            client(Doing::Head, now, 250),
            client(Doing::Idle, now, 50_000),
            client(Doing::Idle, now, 0),
            client(Doing::Body, now, 900),
            client(Doing::Writing, now, 800),
            client(Doing::Body, now, 1),
            queued(1000, 1),
            queued(7, 5000),
            queued(0, 1),
            queued(0, 9000),
            client(Doing::Head, now, 249),
            client(Doing::Head, now, 0),
        ];
        let mut places = Places::new(64, 8);
        let mut expected: Vec<usize> = Vec::new();
        // Seated in another order than they leave.
        let mut seated: Vec<(usize, usize)> = Vec::new();
        for (index, client) in written.into_iter().enumerate().rev() {
            seated.push((index, seat(&mut places, client)));
        }
        seated.sort_unstable();
        expected.extend(seated.into_iter().map(|(_, place)| place));
        seat(&mut places, client(Doing::Begun, now, 90_000));
        for place in expected {
            assert_eq!(places.victim(true, now, YOUNG), Some(place));
            places.remove(place);
        }
        assert_eq!(places.victim(true, now, YOUNG), None, "begun ones stay");
        assert_eq!(places.taken(), 1);
    }

    #[test]
    fn outsiders_leave_the_kept_places_alone() {
        let now = Instant::now() + Duration::from_secs(1000);
        let local = |doing| {
            let mut client = client(doing, now, 10_000);
            client.0.loopback = true;
            client
        };
        let mut places = Places::new(4, 2);
        let first = seat(&mut places, client(Doing::Idle, now, 1));
        seat(&mut places, client(Doing::Begun, now, 1));
        assert!(!places.has_room(false));
        assert!(places.has_room(true));
        seat(&mut places, local(Doing::Head));
        seat(&mut places, local(Doing::Idle));
        assert!(!places.has_room(true));
        assert_eq!(places.victim(false, now, YOUNG), Some(first));
        assert_ne!(places.victim(true, now, YOUNG), Some(first));
        places.remove(first);
        assert_eq!(places.victim(false, now, YOUNG), None);
        assert!(places.has_room(false), "a place has become free");
        let third = seat(&mut places, local(Doing::Lingering));
        assert!(!places.has_room(false));
        assert_eq!(
            places.victim(false, now, YOUNG),
            Some(third),
            "loopback holds more than is kept for it"
        );
    }

    #[test]
    fn memory_is_counted_and_the_oldest_holder_goes_first() {
        let now = Instant::now() + Duration::from_secs(1000);
        let holding = |doing, age, held| {
            let mut client = client(doing, now, age);
            client.0.held = held;
            client
        };
        let mut places = Places::new(8, 1);
        seat(&mut places, holding(Doing::Begun, 900, 0));
        seat(&mut places, holding(Doing::Idle, 800, 0));
        seat(&mut places, holding(Doing::Head, 750, 9));
        let old = seat(&mut places, holding(Doing::Writing, 700, 100));
        let young = seat(&mut places, holding(Doing::Body, 600, 10));
        assert_eq!(places.held(), 119);
        // Of a budget of 80, each of the 8 places has a share of 10.
        assert_eq!(places.oldest_holder(80), Some(old));
        places.remove(old);
        assert_eq!((places.held(), places.oldest_holder(80)), (19, Some(young)));
        if let Some(client) = places.get_mut(young) {
            client.0.held = 5;
        }
        places.recount_all();
        assert_eq!((places.held(), places.oldest_holder(80)), (14, None));
        places.remove(young);
        assert_eq!(places.held(), 9);
    }
}
