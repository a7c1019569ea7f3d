//! What events call a step: `create`, an item `create[3]`, what it did before it was done again
//! `create@1`, a step of a runbook it uses `create/stop`, and these put together.

/// The steps that one is a part of: `outer` and `outer/create` of `outer/create[3]`.
pub fn above(id: &str) -> impl Iterator<Item = &str> {
    id.match_indices(['/', '[']).map(|(at, _)| &id[..at])
}

/// The step as the file has it, whichever performance of it is meant: `create[0]` of `create@1[0]`,
/// `clean/stop` of `clean@17/stop`.
pub fn in_file(id: &str) -> String {
    let mut parts = id.split('@');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |own, rest| own + rest.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// The step of the run's own runbook that an id belongs to: `create` of `create[3]`, `create/stop` and
/// `create@1`.
pub fn outermost(id: &str) -> &str {
    id.split(['[', '/', '@']).next().unwrap_or(id)
}

/// The step of an earlier performance: `create[0]` of `create@1[0]`.
pub fn earlier(id: &str) -> Option<String> {
    let start = id.rfind('/').map_or(0, |slash| slash + 1);
    let (own, rest) = id[start..].split_once('@')?;
    let item = rest.find('[').map_or("", |at| &rest[at..]);
    Some(format!("{}{own}{item}", &id[..start]))
}

/// The step of a runbook that an id there belongs to, and what is meant inside of it: `create` and
/// `stop[2]` of `create[3]/stop[2]`.
pub fn inward(id: &str) -> (&str, Option<&str>) {
    (outermost(id), id.split_once('/').map(|(_, inner)| inner))
}

/// What stands behind the name of a step in that of a part of it, nothing for itself: `[3]/stop` of
/// `create[3]/stop`. None if it is no part of it.
pub fn part<'i>(id: &'i str, of: &str) -> Option<&'i str> {
    let rest = id.strip_prefix(of)?;
    (rest.is_empty() || rest.starts_with(['[', '/', '@'])).then_some(rest)
}
