//! What steps are called in a view, and how wide the widest of these names is.

use std::collections::{BTreeMap, HashMap};

use super::text::Line;
use crate::journal::event::StepRef;

/// Names of steps: titles, or their ids.
#[derive(Debug)]
pub(super) struct Labels {
    /// Titles, by step; none in a view that names steps by their ids.
    titles: Option<HashMap<String, Title>>,
    /// How many steps of the file have a label so wide.
    widths: BTreeMap<usize, usize>,
}

#[derive(Debug)]
struct Title {
    text: String,
    /// Whether it is one of the file's steps, not an item or an inner step.
    in_file: bool,
    /// Whether it is as it was when the step began, rather than as the file has it.
    begun: bool,
}

impl Labels {
    /// No steps yet.
    pub(super) fn new(by_title: bool) -> Self {
        Self { titles: by_title.then(HashMap::new), widths: BTreeMap::new() }
    }

    /// The steps of the file, from here on.
    pub(super) fn define(&mut self, steps: &[StepRef]) {
        self.widths.clear();
        if let Some(titles) = &mut self.titles {
            for title in titles.values_mut() {
                title.in_file = false;
            }
            for step in steps {
                let new = || Title { text: String::new(), in_file: true, begun: false };
                let title = titles.entry(step.id.clone()).or_insert_with(new);
                title.in_file = true;
                if !title.begun {
                    title.text.clone_from(&step.title);
                }
            }
        }
        for step in steps {
            let width = width(self.of(&step.id));
            *self.widths.entry(width).or_default() += 1;
        }
    }

    /// A step has begun, and this is its title.
    pub(super) fn begin(&mut self, step: &str, text: &str) {
        let Some(titles) = &mut self.titles else { return };
        if let Some(title) = titles.get_mut(step).filter(|title| title.in_file) {
            if let Some(count) = self.widths.get_mut(&width(&title.text)) {
                *count -= 1;
            }
            *self.widths.entry(width(text)).or_default() += 1;
            text.clone_into(&mut title.text);
            title.begun = true;
        } else {
            let title = Title { text: text.to_owned(), in_file: false, begun: true };
            titles.insert(step.to_owned(), title);
        }
    }

    /// What a step is called.
    pub(super) fn of<'a>(&'a self, step: &'a str) -> &'a str {
        let titles = self.titles.as_ref();
        titles.and_then(|titles| titles.get(step)).map_or(step, |title| &title.text)
    }

    /// The columns of the widest label of the file's steps that has room.
    pub(super) fn widest(&self, room: usize) -> usize {
        let mut there = self.widths.range(..=room).rev().filter(|(_, count)| **count > 0);
        there.next().map_or(0, |(width, _)| *width)
    }
}

/// The columns a label takes.
fn width(label: &str) -> usize {
    Line::bare(label).width()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(id: &str, title: &str) -> StepRef {
        StepRef { id: id.into(), title: title.into(), digest: String::new() }
    }

    #[test]
    fn the_widest_is_that_of_the_titles_as_they_are_now() {
        let mut labels = Labels::new(true);
        labels.define(&[step("a", "Make {{ a_long_name }}"), step("b", "Wait")]);
        assert_eq!((labels.of("a"), labels.widest(80)), ("Make {{ a_long_name }}", 22));
        assert_eq!(labels.widest(21), 4, "what has no room does not widen the others");
        labels.begin("a", "Make x");
        labels.begin("each[1]", "An item that is no step of the file");
        assert_eq!((labels.of("a"), labels.widest(80)), ("Make x", 6));
        assert_eq!(labels.of("each[1]"), "An item that is no step of the file");
        labels.define(&[step("a", "Make {{ a_long_name }}"), step("c", "Look up")]);
        assert_eq!(
            (labels.of("a"), labels.widest(80)),
            ("Make x", 7),
            "what began keeps its title"
        );
    }

    #[test]
    fn by_their_ids_steps_have_one_name() {
        let mut labels = Labels::new(false);
        labels.define(&[step("a", "A title")]);
        labels.begin("a", "Another title");
        assert_eq!((labels.of("a"), labels.of("b"), labels.widest(80)), ("a", "b", 1));
    }
}
