//! Where a form of a secret may begin, told by its first bytes.
//!
//! Most runs show some kilobytes, and each new secret would ask for another automaton: to build
//! one takes longer than to look at those kilobytes this way.

/// So many bytes are looked at.
const FIRST: usize = 4;

/// The beginnings of forms, as a set of bits that knows some more than were put into it.
pub(super) struct Starts {
    bits: [u64; 64],
    /// A form is shorter than what is looked at: nothing can be said.
    blind: bool,
}

impl Default for Starts {
    fn default() -> Self {
        Self { bits: [0; 64], blind: false }
    }
}

impl Starts {
    /// Takes a form in.
    pub(super) fn add(&mut self, form: &[u8]) {
        match form.first_chunk() {
            Some(first) => {
                let (word, bit) = place(*first);
                self.bits[word] |= bit;
            }
            None => self.blind = true,
        }
    }

    /// Each place in a text at which a form may begin; `None` when that cannot be said.
    pub(super) fn places(&self, text: &[u8]) -> Option<impl Iterator<Item = usize>> {
        let windows = text.array_windows::<FIRST>().enumerate();
        let known = windows.filter(|(_, first)| {
            let (word, bit) = place(**first);
            self.bits[word] & bit != 0
        });
        (!self.blind).then(|| known.map(|(at, _)| at))
    }
}

/// A word of the set and the bit in it: 12 bits of the product with the golden ratio (Knuth,
/// The Art of Computer Programming 3, section 6.4).
fn place(first: [u8; FIRST]) -> (usize, u64) {
    let hash = u32::from_le_bytes(first).wrapping_mul(0x9e37_79b1);
    let (word, bit) = (hash >> 26, hash >> 20 & 63);
    (word as usize, 1 << bit)
}
