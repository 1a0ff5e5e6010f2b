//! Weights of buckets, so that all endpoints of a group are about as likely as each other.

/// Slots in which a bucket must at least be for it to be about as likely as the others.
pub(super) const PRECISION: usize = 24;
/// The most slots of a group.
pub(super) const MOST_SLOTS: usize = 256;

/// The weight of each of so many buckets, and of the one beside them, if any, that makes Open vSwitch deal out enough
/// slots.
pub(super) fn weights(buckets: usize) -> (u16, Option<u16>) {
    let slots = slots(buckets);
    if buckets.is_power_of_two() && buckets <= slots {
        return (1, None);
    }
    // As many slots as the sum of all weights, rounded up to a power of two, in units of the smallest weight.
    let weight = u16::try_from((slots - 1) / buckets.max(1)).unwrap_or(1).max(1);
    (weight, (weight > 1).then_some(1))
}

/// How many slots so many endpoints take.
fn slots(endpoints: usize) -> usize {
    let sizes = [16, 32, 64, 128];
    let fits = |slots: &usize| {
        slots.is_multiple_of(endpoints.max(1)) || *slots >= PRECISION.saturating_mul(endpoints)
    };
    sizes.into_iter().find(fits).unwrap_or(MOST_SLOTS)
}
