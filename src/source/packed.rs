//! The tables of a TOML file in a form that is quick to read: places in the text, as bytes.
//!
//! What comes with the program is read by the parser when that is built, and only put
//! together when it runs. `build.rs` writes this form (it includes this file), [`unpack`] reads
//! it; the two go together and are never parted, so the form needs no version.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// What the next value is.
const WRITTEN: u8 = 0;
const TEXT: u8 = 1;
const OTHER: u8 = 2;
const LIST: u8 = 3;
const TABLE: u8 = 4;

type Value<'a> = Spanned<DeValue<'a>>;

/// Packs the tables of a text. Their places are those in this text.
pub fn pack(table: &Spanned<DeTable<'_>>, text: &str) -> Vec<u8> {
    let mut packed = Vec::new();
    range(&mut packed, &table.span());
    entries(&mut packed, table.get_ref(), text);
    packed
}

fn entries(packed: &mut Vec<u8>, table: &DeTable<'_>, text: &str) {
    number(packed, table.len());
    for (key, value) in table {
        string(packed, key.get_ref(), &key.span(), text);
        write(packed, value, text);
    }
}

fn write(packed: &mut Vec<u8>, value: &Value<'_>, text: &str) {
    let span = value.span();
    match value.get_ref() {
        DeValue::String(found) => string(packed, found, &span, text),
        DeValue::Array(items) => {
            packed.push(LIST);
            range(packed, &span);
            number(packed, items.len());
            items.iter().for_each(|item| write(packed, item, text));
        }
        DeValue::Table(table) => {
            packed.push(TABLE);
            range(packed, &span);
            entries(packed, table, text);
        }
        // numbers, dates and booleans are short, and few
        _ => {
            packed.push(OTHER);
            range(packed, &span);
        }
    }
}

/// A string: by its place where it stands there as it is, else with what it says.
fn string(packed: &mut Vec<u8>, found: &str, span: &Range<usize>, text: &str) {
    if let Some(at) = text.get(span.clone()).and_then(|literal| literal.find(found)) {
        packed.push(WRITTEN);
        range(packed, span);
        range(packed, &(at..at + found.len()));
    } else {
        packed.push(TEXT);
        range(packed, span);
        number(packed, found.len());
        packed.extend_from_slice(found.as_bytes());
    }
}

fn range(packed: &mut Vec<u8>, range: &Range<usize>) {
    number(packed, range.start);
    number(packed, range.len());
}

/// Seven bits a byte, the low ones first; the highest bit says that more come.
fn number(packed: &mut Vec<u8>, mut number: usize) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return packed.push(low);
        }
        packed.push(low | 0x80);
    }
}

/// The tables that were packed with [`pack`] from this text; `None` if it was another one.
pub fn unpack<'a>(packed: &'a [u8], text: &'a str) -> Option<Spanned<DeTable<'a>>> {
    let mut packed = Packed { bytes: packed, text };
    let span = packed.range()?;
    Some(Spanned::new(span, packed.entries()?))
}

/// What is still to be read.
struct Packed<'a> {
    bytes: &'a [u8],
    text: &'a str,
}

impl<'a> Packed<'a> {
    fn entries(&mut self) -> Option<DeTable<'a>> {
        let count = self.number()?;
        let mut table = DeTable::with_capacity(count);
        for _ in 0..count {
            let kind = self.byte()?;
            let span = self.range()?;
            let key = self.string(kind, &span)?;
            table.insert(Spanned::new(span, key), self.value()?);
        }
        Some(table)
    }

    fn value(&mut self) -> Option<Value<'a>> {
        let kind = self.byte()?;
        let span = self.range()?;
        let value = match kind {
            LIST => {
                let count = self.number()?;
                let items: Option<DeArray<'a>> = (0..count).map(|_| self.value()).collect();
                DeValue::Array(items?)
            }
            TABLE => DeValue::Table(self.entries()?),
            OTHER => DeValue::parse(self.text.get(span.clone())?).ok()?.into_inner(),
            _ => DeValue::String(self.string(kind, &span)?),
        };
        Some(Spanned::new(span, value))
    }

    fn string(&mut self, kind: u8, span: &Range<usize>) -> Option<Cow<'a, str>> {
        if kind == WRITTEN {
            let within = self.range()?;
            let place = span.start + within.start..span.start + within.end;
            return self.text.get(place).map(Cow::Borrowed);
        }
        let length = self.number()?;
        let (text, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        std::str::from_utf8(text).ok().map(Cow::Borrowed)
    }

    fn range(&mut self) -> Option<Range<usize>> {
        let start = self.number()?;
        Some(start..start.checked_add(self.number()?)?)
    }

    fn number(&mut self) -> Option<usize> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.byte()?;
            number |= usize::from(byte & 0x7f).checked_shl(shift)?;
            shift += 7;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(text: &str) {
        let table = DeTable::parse(text).unwrap();
        let packed = pack(&table, text);
        let back = unpack(&packed, text).unwrap();
        assert_eq!(format!("{back:#?}"), format!("{table:#?}"));
    }

    #[test]
    fn tables_come_back_with_every_place() {
        there_and_back("");
        there_and_back("a = 'x'\n\"b c\" = \"x\\ty\\u00e9\"\n'' = ''\n[t.u]\nv.w = [1, [], {}]\n");
        there_and_back("a = \"\"\"\none \\\n  two é\"\"\"\nb = '''\n'x' \"\"\"'''\n[[t]]\n[[t]]\n");
        there_and_back("a = 0x1F\nb = 1_000.5\nc = nan\nd = true\ne = 1979-05-27 07:32:00Z\n");
        there_and_back(&format!("a = '{}'\n", "é".repeat(9000)));
    }

    #[test]
    fn what_is_cut_short_or_of_another_text_is_not_read() {
        let text = "a = 'text'\nb = [1, \"t\\n\"]\n";
        let packed = pack(&DeTable::parse(text).unwrap(), text);
        for end in 0..packed.len() {
            assert!(unpack(&packed[..end], text).is_none(), "{end}");
        }
        assert!(unpack(&packed, "").is_none());
    }
}
