//! Keys and values of labels, each held once.

use super::pool::Pool;

/// Stands for a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Sym(pub(crate) u32);

impl Sym {
    /// Stands for no text; comes after all others.
    pub(crate) const NONE: Self = Self(u32::MAX);
    /// Comes before all others.
    pub(crate) const FIRST: Self = Self(0);
}

/// A label, or a named port (see [`super::labels`]).
pub(crate) type Pair = (Sym, Sym);

#[derive(Default)]
pub(crate) struct Strings {
    pool: Pool<Box<str>, ()>,
}

impl Strings {
    /// One user more of a text.
    pub(crate) fn intern(&mut self, text: &str) -> Sym {
        Sym(self.pool.acquire(text, || (text.into(), ())).0)
    }

    pub(crate) fn pair(&mut self, (key, value): (&str, &str)) -> Pair {
        (self.intern(key), self.intern(value))
    }

    /// One user less.
    pub(crate) fn release(&mut self, sym: Sym) {
        self.pool.release(sym.0);
    }

    pub(crate) fn release_pairs(&mut self, pairs: &[Pair]) {
        for (key, value) in pairs {
            self.release(*key);
            self.release(*value);
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.pool.is_empty()
    }

    pub(crate) fn text(&self, sym: Sym) -> &str {
        self.pool.key(sym.0).map_or("", |text| text)
    }
}
