//! The fakes of other services beside one: a runbook that uses another's runbooks is rehearsed
//! against all of them, at one address.
//!
//! Each keeps its own definitions and its own state, the latter under its name in the first
//! one's. What the first has no route or command for is asked of the others, in order.

use std::path::Path;

use super::Fake;
use crate::diag::Diag;
use crate::jq::Val;
use crate::source::Source;

impl Fake {
    /// Parses several, the first with the others beside it; of one with mistakes its place in the
    /// list and all that is wrong with it. None for an empty list.
    pub fn parse_all(sources: &[Source]) -> Result<Option<Self>, (usize, Vec<Diag>)> {
        let mut all = Vec::with_capacity(sources.len());
        for (place, source) in sources.iter().enumerate() {
            let fake = Self::parse(source).map_err(|mistakes| (place, mistakes))?;
            all.push((service(source), fake));
        }
        let mut all = all.into_iter();
        Ok(all.next().map(|(_, first)| Self { beside: all.collect(), ..first }))
    }
}

/// The folder a fake stands in: the service's name.
fn service(source: &Source) -> String {
    let folder = Path::new(&*source.path).parent().and_then(Path::file_name);
    let name = folder.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.rsplit(':').next().unwrap_or_default().to_owned()
}

/// Asks a fake that stands beside another one, with its own part of the state.
pub(super) fn inside<T>(state: &mut Val, name: &str, ask: impl FnOnce(&mut Val) -> T) -> T {
    let key = Val::from(name.to_owned());
    let part = |state: &Val| match state {
        Val::Obj(parts) => parts.get(&key).cloned(),
        _ => None,
    };
    let mut own = part(state).unwrap_or_default();
    let answer = ask(&mut own);
    if let Val::Obj(parts) = state {
        let mut parts = (**parts).clone();
        parts.insert(key, own);
        *state = Val::obj(parts);
    }
    answer
}
