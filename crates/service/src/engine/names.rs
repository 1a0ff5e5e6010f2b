//! Names of nodes, zones, namespaces and the like, each held once.

use std::collections::HashSet;
use std::sync::Arc;

#[derive(Default)]
pub(crate) struct Names {
    all: HashSet<Arc<str>>,
    /// With so many, those that nobody has any more are forgotten.
    limit: usize,
}

/// Fewer than this are not worth the search.
const FEW: usize = 256;

impl Names {
    pub(crate) fn intern(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.all.get(text) {
            return Arc::clone(known);
        }
        if self.all.len() >= self.limit.max(FEW) {
            self.all.retain(|name| Arc::strong_count(name) > 1);
            self.limit = 2 * self.all.len();
        }
        let name: Arc<str> = text.into();
        self.all.insert(Arc::clone(&name));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_held_once_while_somebody_has_it() {
        let mut names = Names::default();
        let kept = names.intern("kept");
        for number in 0..10 * FEW {
            names.intern(&number.to_string());
        }
        assert!(Arc::ptr_eq(&kept, &names.intern("kept")));
        assert!(names.all.len() <= FEW, "{}", names.all.len());
    }
}
