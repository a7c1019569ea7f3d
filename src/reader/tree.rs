//! A value of any shape, with templates in its strings.

use toml::Spanned;
use toml::de::DeValue;

use super::{Gather, Sink, as_text};
use crate::diag::Diag;
use crate::source::Span;
use crate::template::{Lookup, RenderError, Template};
use crate::value::Json;

/// A value of any shape, with templates in its strings.
#[derive(Debug)]
pub enum Tree {
    /// Says the same whatever the values.
    Literal(Json),
    /// A string with `{{ }}`.
    Template(Template),
    /// A list.
    List(Vec<Tree>),
    /// A table.
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// Checks every string in a value.
    pub fn parse(gather: &Gather<'_>, value: &Spanned<DeValue<'_>>, sink: Sink) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(_) => {
                let template = gather.template(&as_text(value)?, sink)?;
                Some(if template.is_literal() {
                    Self::Literal(Json::String(template.source().to_owned()))
                } else {
                    Self::Template(template)
                })
            }
            DeValue::Array(items) => items
                .iter()
                .map(|item| Self::parse(gather, item, sink))
                .collect::<Option<_>>()
                .map(Self::List),
            DeValue::Table(table) => table
                .iter()
                .map(|(key, value)| {
                    Some((key.get_ref().to_string(), Self::parse(gather, value, sink)?))
                })
                .collect::<Option<_>>()
                .map(Self::Map),
            _ => {
                gather.fits(value);
                Some(Self::Literal(to_json(value)))
            }
        }
    }

    /// The value with every template rendered.
    pub fn render(&self, values: &dyn Lookup) -> Result<Json, RenderError> {
        match self {
            Self::Literal(json) => Ok(json.clone()),
            Self::Template(template) => template.render(values),
            Self::List(items) => items
                .iter()
                .map(|item| item.render(values))
                .collect::<Result<_, _>>()
                .map(Json::Array),
            Self::Map(entries) => entries
                .iter()
                .map(|(key, tree)| Ok((key.clone(), tree.render(values)?)))
                .collect::<Result<_, _>>()
                .map(Json::Object),
        }
    }

    /// Every name it reads.
    pub fn reads(&self) -> Vec<&str> {
        match self {
            Self::Literal(_) => Vec::new(),
            Self::Template(template) => template.reads().iter().map(|read| &*read.name).collect(),
            Self::List(items) => items.iter().flat_map(Self::reads).collect(),
            Self::Map(entries) => entries.iter().flat_map(|(_, tree)| tree.reads()).collect(),
        }
    }
}

/// A TOML value as JSON; dates become text.
pub fn to_json(value: &Spanned<DeValue<'_>>) -> Json {
    match value.get_ref() {
        DeValue::String(text) => Json::String(text.to_string()),
        DeValue::Integer(number) => number_of(number.as_str(), number.radix()),
        DeValue::Float(number) => {
            number.as_str().replace('_', "").parse::<f64>().map_or(Json::Null, Json::from)
        }
        DeValue::Boolean(yes) => Json::Bool(*yes),
        DeValue::Datetime(when) => Json::String(when.to_string()),
        DeValue::Array(items) => items.iter().map(to_json).collect(),
        DeValue::Table(table) => {
            table.iter().map(|(key, value)| (key.get_ref().to_string(), to_json(value))).collect()
        }
    }
}

impl Gather<'_> {
    /// Reports a number that JSON has none for, anywhere in a value.
    pub(super) fn fits(&self, value: &Spanned<DeValue<'_>>) {
        if let Some(span) = unfit(value) {
            self.report(Diag::error("this number does not fit", span));
        }
    }
}

/// Where a number stands that JSON has none for: too large, or not finite.
fn unfit(value: &Spanned<DeValue<'_>>) -> Option<Span> {
    match value.get_ref() {
        DeValue::Integer(_) | DeValue::Float(_) => to_json(value).is_null().then(|| value.span()),
        DeValue::Array(items) => items.iter().find_map(unfit),
        DeValue::Table(table) => table.values().find_map(unfit),
        _ => None,
    }
}

fn number_of(digits: &str, radix: u32) -> Json {
    let digits = digits.replace('_', "");
    i64::from_str_radix(&digits, radix).map_or(Json::Null, Json::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::{Loaded, Reader};
    use crate::source::Source;

    #[test]
    fn a_number_that_json_has_none_for_is_a_mistake_at_its_place() {
        let text = "a = [1, -inf, { b = 99999999999999999999 }]\nb = [0.5, { c = nan }]\n";
        let source = Source::new("a.toml", text);
        let table = toml::de::DeTable::parse(text).unwrap();
        let none = |_: &str| Err::<Loaded, _>(String::new());
        let gather = Gather::new(&source, &none);
        let reader = Reader::new(&gather, table.get_ref(), &(0..0));
        reader.tree("a", Sink::Closed);
        reader.json("b");
        let (diags, _) = gather.finish();
        let places: Vec<&str> =
            diags.iter().map(|diag| &text[diag.span.clone().unwrap()]).collect();
        assert_eq!(places, ["-inf", "99999999999999999999", "nan"]);
        assert_eq!(diags[0].title, "this number does not fit");
    }
}
