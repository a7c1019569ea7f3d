//! The performances of a step that have a number: items, and what was done again.

use super::frame::Unit;
use super::{Broken, Engine};
use crate::journal::names::outermost;

impl<'a> Engine<'a> {
    /// If an id names by its number an item, or another performance of a step, that there is not: those
    /// that there are. None if it is there, or if that cannot be known yet, as what gives the list is not done.
    pub fn instead_of(&self, id: &str) -> Result<Option<Vec<String>>, Broken> {
        if !id.contains(['[', '@']) {
            return Ok(None);
        }
        let mut frame = self.own_frame()?;
        let mut rest = id;
        loop {
            let (part, inner) = rest.split_once('/').map_or((rest, None), |(a, b)| (a, Some(b)));
            let own = outermost(part);
            let Some(step) = frame.runbook.step(own) else { return Ok(None) };
            let mut unit = frame.unit(step);
            let whole = part.split('[').next().unwrap_or(part);
            if whole != own {
                let numbers = self.history.borrow().again(&unit.id, |_| true);
                let number = numbers.iter().find(|number| format!("{own}@{number}") == whole);
                let Some(number) = number else {
                    let again = numbers.iter().map(|number| format!("{}@{number}", unit.id));
                    return Ok(Some(again.collect()));
                };
                unit = unit.again(*number);
            }
            if part != whole {
                let name = format!("{}{part}", frame.prefix);
                let Some(items) = self.item_units(&unit)? else { return Ok(None) };
                let Some(item) = items.iter().find(|item| item.id == name) else {
                    return Ok(Some(items.into_iter().map(|item| item.id).collect()));
                };
                unit = item.clone();
            }
            let (Some(inner), Some(nested)) = (inner, step.action.nested()) else {
                return Ok(None);
            };
            let Ok(below) = self.inner_frame(&unit, &nested, "")? else { return Ok(None) };
            (frame, rest) = (below, inner);
        }
    }

    /// The items of a step, by number; none if its list is not known yet.
    fn item_units(&self, unit: &Unit<'a>) -> Result<Option<Vec<Unit<'a>>>, Broken> {
        let Some(each) = &unit.step.for_each else { return Ok(Some(Vec::new())) };
        let items = match self.items(unit, each)? {
            Ok(items) => items.all().cloned().collect(),
            Err(_) => return Ok(None),
        };
        Ok(Some(items))
    }
}
