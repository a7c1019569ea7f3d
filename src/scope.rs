//! The names a run knows at one moment, with their values and labels.
//!
//! One flat namespace: inputs, vars and saved values. A value is converted for templates
//! and for jq when first read there, and once. A scope below another adds names of its own
//! to it, as each item of a `for_each` does.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use crate::jq::{self, Val};
use crate::template::{Lookup, from_json};
use crate::value::{ByName, Json, Labeled, MASK};

/// Names and values.
#[derive(Default, Clone)]
pub struct Scope {
    /// None: a name that is not known here, though a scope above may know it.
    names: RefCell<ByName<Option<Rc<Slot>>>>,
    above: Option<Rc<Scope>>,
}

struct Slot {
    value: Labeled,
    template: OnceCell<minijinja::Value>,
    jq: OnceCell<Val>,
}

impl Scope {
    /// A scope that knows what another knows, and more.
    pub fn below(above: &Rc<Scope>) -> Self {
        Self { names: RefCell::default(), above: Some(Rc::clone(above)) }
    }

    /// A scope with the same names where every text and number of a secret is `***`: for what
    /// is only shown.
    pub fn veiled(of: &Rc<Self>) -> Self {
        let veiled = Self::below(of);
        for (name, json) in of.secrets() {
            veiled.set(&name, Labeled::secret(veil(json)));
        }
        veiled
    }

    /// Binds a name, in place of an older value.
    pub fn set(&self, name: &str, value: Labeled) {
        let slot = Slot { value, template: OnceCell::new(), jq: OnceCell::new() };
        self.names.borrow_mut().insert(name.to_owned(), Some(Rc::new(slot)));
    }

    /// Makes a name unknown, whatever a scope above knows of it.
    pub fn hide(&self, name: &str) {
        self.names.borrow_mut().insert(name.to_owned(), None);
    }

    /// The scope that all those above it are below of: a runbook's own.
    pub fn root(&self) -> &Self {
        self.above.as_deref().map_or(self, Self::root)
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<Labeled> {
        self.slot(name).map(|slot| slot.value.clone())
    }

    /// Whether a name is bound.
    pub fn has(&self, name: &str) -> bool {
        self.slot(name).is_some()
    }

    /// The value of a name, for jq.
    pub fn jq(&self, name: &str) -> Option<Val> {
        let slot = self.slot(name)?;
        Some(slot.jq.get_or_init(|| jq::from_json(&slot.value.json)).clone())
    }

    /// Whether any of the names is secret: the label of what is made from them.
    pub fn any_secret<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> bool {
        names.into_iter().any(|name| self.slot(name).is_some_and(|slot| slot.value.secret))
    }

    /// Every secret there is, with its name.
    pub fn secrets(&self) -> Vec<(String, Json)> {
        let mut all = self.above.as_ref().map(|above| above.secrets()).unwrap_or_default();
        let names = self.names.borrow();
        all.retain(|(name, _)| !names.contains_key(name));
        let known = names.iter().filter_map(|(name, slot)| Some((name, slot.as_ref()?)));
        let secret = known.filter(|(_, slot)| slot.value.secret);
        all.extend(secret.map(|(name, slot)| (name.clone(), slot.value.json.clone())));
        all
    }

    fn slot(&self, name: &str) -> Option<Rc<Slot>> {
        match self.names.borrow().get(name) {
            Some(own) => own.clone(),
            None => self.above.as_ref()?.slot(name),
        }
    }
}

fn veil(json: Json) -> Json {
    match json {
        Json::Array(items) => items.into_iter().map(veil).collect(),
        Json::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, veil(value))).collect()
        }
        Json::Null => Json::Null,
        Json::String(_) | Json::Number(_) | Json::Bool(_) => Json::from(MASK),
    }
}

impl Lookup for Scope {
    fn value(&self, name: &str) -> Option<minijinja::Value> {
        let slot = self.slot(name)?;
        Some(slot.template.get_or_init(|| from_json(&slot.value.json)).clone())
    }
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.names.borrow().keys()).finish()
    }
}
