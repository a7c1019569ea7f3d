//! A token whose time is over: looked for again where it came from, or asked for, and the call
//! made once more, the run going on.
//!
//! What the service refused did not happen, so the call may be made again. The new value is an
//! event: resume knows it. Nobody is asked while other calls are under way, and for calls that
//! are refused together only once.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};

use tokio::sync::RwLock;

use super::frame::Unit;
use super::{Broken, Durable, Engine};
use crate::journal::event::{ASKED, Event, Stored};
use crate::runbook::Input;
use crate::runbook::settle::{Anew, Places, Settled, anew};
use crate::step::connection::{Renew, named};
use crate::step::{Again, Answer, Cx, Step, Trouble};
use crate::value::{Json, Labeled};

/// What a walk knows of values that were refused.
#[derive(Default)]
pub(super) struct Renewals {
    /// Held by every call, and by whoever renews alone.
    under_way: RwLock<()>,
    /// The performances that have had their second chance.
    tried: RefCell<HashSet<String>>,
    /// Refused values, by input.
    refused: RefCell<HashMap<String, Vec<Json>>>,
}

impl Engine<'_> {
    /// Does an action; a value that the service takes no longer is remembered as refused.
    pub(super) async fn act(
        &self,
        unit: &Unit<'_>,
        action: &dyn Step,
        cx: &Cx<'_>,
    ) -> Result<Answer, Trouble> {
        let _under_way = self.renewals.under_way.read().await;
        let got = action.run(cx).await;
        if let Err(Trouble::Failed(_, Again::Renewed)) = &got
            && let Some((_, input)) = renewable(unit, action)
            && let Some(value) = unit.scope.root().get(&input.name)
        {
            let mut refused = self.renewals.refused.borrow_mut();
            refused.entry(place(unit, input)).or_default().push(value.json);
        }
        got
    }

    /// Renews what a call was refused for: then it is to be made again. Else gives the trouble
    /// back. `undone` says that the call was an effect that counts as intended.
    pub(super) async fn renew(
        &self,
        unit: &Unit<'_>,
        action: &dyn Step,
        trouble: Trouble,
        undone: bool,
    ) -> Result<(), Trouble> {
        let Trouble::Failed(failure, Again::Renewed) = trouble else { return Err(trouble) };
        // an attempt before this one may have done it all the same
        let undone = undone && !failure.doubt;
        let trouble = Trouble::Failed(failure, Again::No);
        let Some((renew, input)) = renewable(unit, action) else { return Err(trouble) };
        let trouble = renew.hint.iter().fold(trouble, Trouble::hint);
        let given = self.given(&self.refused(unit, input)?)?;
        let verb = if self.history.borrow().backwards { "undo" } else { "resume" };
        let trouble = trouble.hint(without(unit, input, given, verb));
        if !self.renewals.tried.borrow_mut().insert(unit.id.clone()) {
            return Err(trouble);
        }
        if undone {
            let (step, input) = (unit.id.clone(), place(unit, input));
            // Before anybody is asked: they may think for hours.
            let refused = Event::Refused { step, input };
            self.tell_as(refused, Durable::Written).await.map_err(unwritten)?;
        }
        let _alone = self.renewals.under_way.write().await;
        let refused = self.refused(unit, input)?;
        let now = unit.scope.root().get(&input.name).map(|value| value.json);
        if now.is_some_and(|now| !refused.contains(&now)) {
            // A call beside this one was refused too, and it is renewed by now.
            return Ok(());
        }
        if let Some(newer) = self.renewed_elsewhere(unit, input)?
            && !refused.contains(&newer.json)
        {
            return self.bind_anew(unit, input, newer);
        }
        let services = self.services;
        let rehearsal = services.hosts.is_some();
        let (world, terminal) = (&services.world, &services.person());
        let former = self.former(unit, input)?;
        let places = Places { sources: !rehearsal && !given, former: &former };
        match anew(input, unit.scope.root(), &refused, &places, world, terminal) {
            Anew::Found(new) => self.take_anew(unit, input, new).await,
            Anew::Nothing => Err(trouble),
            Anew::Wrong(message) => Err(trouble.hint(message)),
            Anew::Interrupted => Err(Trouble::Interrupted),
        }
    }

    /// All values of an input that were refused, in this walk and in those before it.
    fn refused(&self, unit: &Unit<'_>, input: &Input) -> Result<Vec<Json>, Trouble> {
        let place = place(unit, input);
        let mut all = self.renewals.refused.borrow().get(&place).cloned().unwrap_or_default();
        let earlier = self.history.borrow().refused.get(&place).cloned().unwrap_or_default();
        all.extend(self.opened(&place, &earlier)?);
        Ok(all)
    }

    /// What an input was before a walk began with something else.
    fn former(&self, unit: &Unit<'_>, input: &Input) -> Result<Vec<Json>, Trouble> {
        let place = place(unit, input);
        let former = self.history.borrow().former.get(&place).cloned().unwrap_or_default();
        self.opened(&place, &former)
    }

    /// Whether one of these was given to the run in place of what sources say: it may have been given
    /// on to a runbook that a step uses, so it is known by what it is.
    fn given(&self, refused: &[Json]) -> Result<bool, Trouble> {
        let given = self.history.borrow().given.clone();
        for (name, stored) in &given {
            if self
                .opened(name, std::slice::from_ref(stored))?
                .iter()
                .any(|it| refused.contains(it))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Values of an input as the journal keeps them, opened.
    fn opened(&self, place: &str, stored: &[Stored]) -> Result<Vec<Json>, Trouble> {
        let unreadable = |_| Trouble::failed("an earlier value cannot be read");
        let open = |one| Ok(self.open("input", place, one).map_err(unreadable)?.json);
        stored.iter().map(open).collect()
    }

    /// What an input of a used runbook was renewed to where its names stand for another time.
    fn renewed_elsewhere(
        &self,
        unit: &Unit<'_>,
        input: &Input,
    ) -> Result<Option<Labeled>, Trouble> {
        let place = place(unit, input);
        let stored = self.history.borrow().inner.get(&place).cloned();
        let value = stored.map(|stored| self.open("input", &place, &stored)).transpose();
        value.map_err(|_| Trouble::failed("a renewed value cannot be read"))
    }

    fn bind_anew(&self, unit: &Unit<'_>, input: &Input, value: Labeled) -> Result<(), Trouble> {
        let scope = unit.scope.root();
        self.know(scope, &input.name, value);
        Ok(self.vars_anew(unit.runbook, scope, BTreeSet::from([input.name.clone()]))?)
    }

    /// Records a new value and binds it, and whatever vars are made from it.
    async fn take_anew(&self, unit: &Unit<'_>, input: &Input, new: Settled) -> Result<(), Trouble> {
        self.bind_anew(unit, input, new.value.clone())?;
        // What a person typed is not asked twice, so it must not be lost.
        let durable = if new.origin == ASKED { Durable::Now } else { Durable::Written };
        let place = place(unit, input);
        let value = self.stored("input", &place, &new.value).map_err(unwritten)?;
        let (step, origin) = (unit.id.clone(), new.origin);
        let event = Event::Renewed { step, input: place, value, origin };
        self.tell_as(event, durable).await.map_err(unwritten)
    }
}

/// The next event says why, as it cannot be written either.
pub(super) fn unwritten(_: Broken) -> Trouble {
    Trouble::failed("the journal cannot be written")
}

/// What is said where there is no new value. One that was `given` has no sources that count.
fn without(unit: &Unit<'_>, input: &Input, given: bool, verb: &str) -> String {
    let name = &input.name;
    let sources: Vec<String> =
        input.from.iter().map(|from| from.words(unit.scope.root())).collect();
    match sources.as_slice() {
        [_, ..] if given => format!(
            "`{name}` was refused, and it was given to the run, so another is not looked for elsewhere: `{verb}` asks for one, if a person is there"
        ),
        [] => format!("`{name}` was refused: `{verb}` asks for another, if a person is there"),
        all => format!(
            "`{name}` was refused and there is no other: `{verb}` looks again, in {}",
            all.join(", then ")
        ),
    }
}

/// The input that an action's connection renews, and what it says about that.
fn renewable<'a>(unit: &Unit<'a>, action: &dyn Step) -> Option<(&'a Renew, &'a Input)> {
    let connection = named(&unit.runbook.connections, action.connection()?)?;
    let renew = connection.renew.as_ref()?;
    let input = unit.runbook.inputs.iter().find(|input| input.name == renew.input.value)?;
    Some((renew, input))
}

/// What the journal calls an input: below a step that uses another runbook, `outer/token`.
fn place(unit: &Unit<'_>, input: &Input) -> String {
    match unit.id.rsplit_once('/') {
        Some((outer, _)) => format!("{outer}/{}", input.name),
        None => input.name.clone(),
    }
}
