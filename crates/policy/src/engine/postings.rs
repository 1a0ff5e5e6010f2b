//! Two indexes over labels: which things have a label, and which selectors could match one.

use std::collections::BTreeSet;

use super::selectors::{Required, Values};
use super::strings::{Pair, Sym};

/// Things by the labels they have.
#[derive(Default)]
pub(crate) struct Postings {
    entries: BTreeSet<(Sym, Sym, u32)>,
}

/// Things are counted up to here when the smallest of several lists is looked for.
const ENOUGH: usize = 256;

impl Postings {
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn insert(&mut self, thing: u32, pairs: &[Pair]) {
        self.entries.extend(pairs.iter().map(|(key, value)| (*key, *value, thing)));
    }

    pub(crate) fn remove(&mut self, thing: u32, pairs: &[Pair]) {
        for (key, value) in pairs {
            self.entries.remove(&(*key, *value, thing));
        }
    }

    /// Things that have a key, with its value.
    pub(crate) fn with_key(&self, key: Sym) -> impl Iterator<Item = (Sym, u32)> {
        let all = self.entries.range((key, Sym::FIRST, 0)..=(key, Sym::NONE, u32::MAX));
        all.map(|(_, value, thing)| (*value, *thing))
    }

    /// Things among which are all that meet the requirements; `None` where the labels they have do not narrow them.
    pub(crate) fn candidates(&self, requirements: &[Required]) -> Option<Vec<u32>> {
        let narrowing = requirements.iter().filter(|one| matches!(one.value, Values::In(_) | Values::Exists));
        let least = narrowing.min_by_key(|one| self.of(one).take(ENOUGH).count())?;
        Some(self.of(least).collect())
    }

    fn of<'a>(&'a self, required: &'a Required) -> Box<dyn Iterator<Item = u32> + 'a> {
        match &required.value {
            Values::In(values) => {
                let key = required.key;
                let ranges =
                    values.iter().map(move |v| self.entries.range((key, *v, 0)..=(key, *v, u32::MAX)));
                Box::new(ranges.flatten().map(|(_, _, thing)| *thing))
            }
            _ => Box::new(self.with_key(required.key).map(|(_, thing)| thing)),
        }
    }
}

/// Selectors, each under one label that it requires.
#[derive(Default)]
pub(crate) struct Anchors {
    entries: BTreeSet<(Sym, Sym, u32)>,
}

impl Anchors {
    /// Adds a selector. Where it stands must be kept for [`Anchors::remove`].
    pub(crate) fn insert(&mut self, selector: u32, requirements: &[Required]) -> Box<[Pair]> {
        let places = requirements.iter().filter_map(places);
        let crowd = |places: &Vec<Pair>| -> usize {
            places.iter().map(|place| self.at(*place).take(ENOUGH).count()).sum()
        };
        let places = places.min_by_key(crowd).unwrap_or_else(|| vec![(Sym::NONE, Sym::NONE)]);
        self.entries.extend(places.iter().map(|(key, value)| (*key, *value, selector)));
        places.into()
    }

    pub(crate) fn remove(&mut self, selector: u32, places: &[Pair]) {
        for (key, value) in places {
            self.entries.remove(&(*key, *value, selector));
        }
    }

    /// Selectors among which are all that match labels.
    pub(crate) fn candidates(&self, pairs: &[Pair]) -> impl Iterator<Item = u32> {
        let places = pairs.iter().flat_map(|(key, value)| [(*key, *value), (*key, Sym::NONE)]);
        places.chain([(Sym::NONE, Sym::NONE)]).flat_map(|place| self.at(place))
    }

    fn at(&self, (key, value): Pair) -> impl Iterator<Item = u32> {
        self.entries.range((key, value, 0)..=(key, value, u32::MAX)).map(|(_, _, selector)| *selector)
    }
}

fn places(required: &Required) -> Option<Vec<Pair>> {
    match &required.value {
        Values::In(values) => Some(values.iter().map(|value| (required.key, *value)).collect()),
        Values::Exists => Some(vec![(required.key, Sym::NONE)]),
        Values::NotIn(_) | Values::DoesNotExist => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn required(key: u32, value: Values) -> Required {
        Required { key: Sym(key), value }
    }

    fn is(key: u32, value: u32) -> Required {
        required(key, Values::In([Sym(value)].into()))
    }

    #[test]
    fn the_rarest_label_that_is_required_narrows_the_most() {
        let mut postings = Postings::default();
        for thing in 0..100 {
            postings.insert(thing, &[(Sym(1), Sym(1)), (Sym(2), Sym(thing % 50))]);
        }
        assert_eq!(postings.candidates(&[is(1, 1), is(2, 7)]), Some(vec![7, 57]));
        let exists = required(2, Values::Exists);
        assert_eq!(postings.candidates(&[exists]).map(|all| all.len()), Some(100));
        assert_eq!(postings.candidates(&[required(1, Values::DoesNotExist)]), None);
        postings.remove(7, &[(Sym(1), Sym(1)), (Sym(2), Sym(7))]);
        assert_eq!(postings.candidates(&[is(1, 1), is(2, 7)]), Some(vec![57]));
    }

    #[test]
    fn selectors_stand_where_few_others_do() {
        let mut anchors = Anchors::default();
        // All want 1=1, each another value of 2.
        let places: Vec<_> = (0..100).map(|one| anchors.insert(one, &[is(1, 1), is(2, one)])).collect();
        let candidates: Vec<u32> = anchors.candidates(&[(Sym(1), Sym(1)), (Sym(2), Sym(7))]).collect();
        assert!(candidates.contains(&7) && candidates.len() <= 2, "{candidates:?}");
        let nothing = anchors.insert(200, &[required(1, Values::DoesNotExist)]);
        assert_eq!(anchors.candidates(&[]).collect::<Vec<_>>(), [200]);
        anchors.remove(200, &nothing);
        places.iter().zip(0..).for_each(|(places, one)| anchors.remove(one, places));
        assert!(anchors.entries.is_empty());
    }
}
