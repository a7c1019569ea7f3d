//! Tables: columns side by side, as many as the screen has room for.

use super::text::{Line, beside, draw, folded};
use super::words::STRONG;

/// Columns, each with its name and its cells.
#[derive(Debug, Clone, Default)]
pub struct Table {
    columns: Vec<(&'static str, Vec<Line>)>,
}

/// Columns between two.
const GAP: usize = 2;

impl Table {
    /// Adds a column on the right.
    #[must_use]
    pub fn column(mut self, name: &'static str, cells: impl Iterator<Item = String>) -> Self {
        self.columns.push((name, cells.map(|cell| Line::bare(&cell)).collect()));
        self
    }

    /// Leaves columns out until the others have room, in this order.
    #[must_use]
    pub fn spare(mut self, names: &[&str], screen: Option<usize>) -> Self {
        let Some(width) = screen else { return self };
        for name in names {
            if self.widths(true).iter().map(|column| column + GAP).sum::<usize>() > width + GAP {
                self.columns.retain(|(own, _)| own != name);
            }
        }
        self
    }

    /// The rows as text, without the names.
    pub fn rows(self, screen: Option<usize>) -> String {
        draw(&folded(self.lines(false), screen), false)
    }

    /// The rows, below the names if these are shown. A last cell without room goes on below itself.
    pub(super) fn lines(&self, headed: bool) -> Vec<Line> {
        let widths = self.widths(headed);
        let last =
            widths.split_last().map_or(0, |(_, others)| others.iter().map(|w| w + GAP).sum());
        let head = self.columns.iter().map(|(name, _)| Line::styled(STRONG, name)).collect();
        let count = self.columns.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
        let cell = |(_, cells): &(_, Vec<Line>), at: usize| cells.get(at).cloned();
        let row =
            |at| self.columns.iter().map(|column| cell(column, at).unwrap_or_default()).collect();
        let rows = headed.then_some(head).into_iter().chain((0..count).map(row));
        rows.map(|row| beside(row, &widths).hang(last)).collect()
    }

    fn widths(&self, headed: bool) -> Vec<usize> {
        let widest = |(name, cells): &(&str, Vec<Line>)| {
            let name = if headed { name.len() } else { 0 };
            cells.iter().map(Line::width).fold(name, usize::max)
        };
        self.columns.iter().map(widest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let cells = |cells: [&'static str; 2]| cells.into_iter().map(str::to_owned);
        Table::default()
            .column("x", cells(["日本", "a"]))
            .column("far", cells(["one", ""]))
            .column("words", cells(["b", "c d e"]))
    }

    fn shown(table: &Table) -> String {
        draw(&table.lines(true), false)
    }

    #[test]
    fn columns_are_aligned_by_their_width_on_screen() {
        assert_eq!(shown(&table()), "x     far  words\n日本  one  b\na          c d e\n");
    }

    #[test]
    fn what_can_be_spared_goes_first_and_only_where_there_is_no_room() {
        let spared = |width| shown(&table().spare(&["far", "x"], width));
        assert_eq!(spared(None), shown(&table()));
        assert_eq!(spared(Some(16)), shown(&table()));
        assert_eq!(spared(Some(15)), "x     words\n日本  b\na     c d e\n");
        assert_eq!(spared(Some(5)), "words\nb\nc d e\n");
    }

    #[test]
    fn a_last_cell_goes_on_below_itself() {
        let narrow = table().spare(&["far"], Some(9)).rows(Some(9));
        assert_eq!(narrow, "日本  b\na     c d\n      e\n");
    }
}
