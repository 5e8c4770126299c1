//! The prime field with `p = 2^127 - 1`.
//!
//! Large enough that a sum of fixed-point numbers of a whole cohort never wraps, small enough for one machine word
//! pair. Additions, subtractions and multiplications take no branch that depends on a value.

use rand_core::CryptoRng;
use subtle::{Choice, ConstantTimeEq};
use zeroize::DefaultIsZeroes;

/// The modulus, a Mersenne prime.
pub const P: u128 = (1 << 127) - 1;

/// Length of an encoded element in bytes.
pub const ENCODED_LEN: usize = 16;

/// An element of the field, always reduced. It may be part of a mask, so that `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Fp(u128);

impl DefaultIsZeroes for Fp {}

impl core::fmt::Debug for Fp {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Fp(..)")
    }
}

impl ConstantTimeEq for Fp {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

/// Brings any `u128` below `P`.
fn reduce(x: u128) -> u128 {
    // 2^127 = 1 in this field, so the top bit is worth one; afterwards x is at most P + 1.
    let x = (x & P) + (x >> 127);
    let less = x.wrapping_sub(P);
    // The top bit is set exactly when the subtraction borrowed.
    let borrow = 0u128.wrapping_sub(less >> 127);
    less.wrapping_add(P & borrow)
}

impl Fp {
    /// Zero.
    pub const ZERO: Fp = Fp(0);
    /// One.
    pub const ONE: Fp = Fp(1);

    /// The element `x mod P`.
    pub fn new(x: u128) -> Fp {
        Fp(reduce(x))
    }

    /// The representative in `0..P`.
    pub fn value(self) -> u128 {
        self.0
    }

    /// A signed integer; negative numbers are counted back from `P`. The caller keeps `|v| < P / 2` if it wants it back.
    pub fn from_signed(v: i128) -> Fp {
        let magnitude = Fp::new(v.unsigned_abs());
        // A branch on the sign would tell the sign of a data-dependent number by its time.
        let negative = 0u128.wrapping_sub((v >> 127) as u128 & 1);
        Fp((magnitude.0 & !negative) | ((Fp::ZERO - magnitude).0 & negative))
    }

    /// The signed integer of least absolute value in this class.
    pub fn to_signed(self) -> i128 {
        if self.0 > P / 2 { -((P - self.0) as i128) } else { self.0 as i128 }
    }

    /// A uniform element, by rejection: 127 random bits, drawn again in the one case of 2^127 that is not reduced.
    pub fn random(rng: &mut (impl CryptoRng + ?Sized)) -> Fp {
        loop {
            let mut bytes = [0u8; ENCODED_LEN];
            rng.fill_bytes(&mut bytes);
            let x = u128::from_le_bytes(bytes) & P;
            if x != P {
                return Fp(x);
            }
        }
    }

    /// `self` to the power of `e`; the time depends on `e`, which must be public.
    fn pow(self, mut e: u128) -> Fp {
        let (mut base, mut out) = (self, Fp::ONE);
        while e > 0 {
            if e & 1 == 1 {
                out = out * base;
            }
            base = base * base;
            e >>= 1;
        }
        out
    }

    /// The multiplicative inverse; `None` for zero.
    pub fn inverse(self) -> Option<Fp> {
        if self == Fp::ZERO { None } else { Some(self.pow(P - 2)) }
    }

    /// Little-endian bytes.
    pub fn to_bytes(self) -> [u8; ENCODED_LEN] {
        self.0.to_le_bytes()
    }

    /// Reads little-endian bytes; `None` when the number is not below `P`, so that an element has one encoding.
    pub fn from_bytes(bytes: [u8; ENCODED_LEN]) -> Option<Fp> {
        let x = u128::from_le_bytes(bytes);
        (x < P).then_some(Fp(x))
    }
}

impl Fp {
    /// `self * x + c` for a small number, which costs half of what a multiplication does.
    pub(crate) fn times_small_plus(self, x: u8, c: Fp) -> Fp {
        let x = u128::from(x);
        let low = (self.0 & u128::from(u64::MAX)) * x;
        let high = (self.0 >> 64) * x;
        // The product is high * 2^64 + low with 71 and 72 bits; what is above bit 127 of it is worth as many ones.
        let product = ((high << 64) & P) + low + (high >> 63);
        let product = (product & P) + (product >> 127);
        // At most 2^127 and below 2^127: no overflow.
        Fp(reduce(product + c.0))
    }
}

impl core::ops::Add for Fp {
    type Output = Fp;
    fn add(self, other: Fp) -> Fp {
        // Both are below 2^127: no overflow.
        Fp(reduce(self.0 + other.0))
    }
}

impl core::ops::AddAssign for Fp {
    fn add_assign(&mut self, other: Fp) {
        *self = *self + other;
    }
}

impl core::ops::Sub for Fp {
    type Output = Fp;
    fn sub(self, other: Fp) -> Fp {
        Fp(reduce(self.0 + (P - other.0)))
    }
}

impl core::ops::Mul for Fp {
    type Output = Fp;
    fn mul(self, other: Fp) -> Fp {
        Fp(reduce(self.product(other)))
    }
}

impl Fp {
    /// A number in the class of the product, at most `2 P`.
    fn product(self, other: Fp) -> u128 {
        const LOW: u128 = u64::MAX as u128;
        let (a0, a1) = (self.0 & LOW, self.0 >> 64);
        let (b0, b1) = (other.0 & LOW, other.0 >> 64);
        // a1 and b1 have 63 bits, so the two middle products together stay below 2^128.
        let low = a0 * b0;
        let middle = a0 * b1 + a1 * b0;
        let (low, carry) = low.overflowing_add(middle << 64);
        let high = a1 * b1 + (middle >> 64) + u128::from(carry);
        // The product is high * 2^128 + low, and 2^127 = 1. Both parts are at most P.
        (low & P) + ((high << 1) | (low >> 127))
    }
}

/// A sum of products that is brought below `P` once, at its end.
#[derive(Clone, Copy)]
pub(crate) struct Sum(
    /// At most `P`.
    u128,
);

impl Sum {
    /// Nothing was added yet.
    pub(crate) const ZERO: Sum = Sum(0);

    /// Adds `a * b`.
    pub(crate) fn add_product(&mut self, a: Fp, b: Fp) {
        // Twice P or less becomes P or less when its top bit is taken as one.
        let fold = |x: u128| (x & P) + (x >> 127);
        self.0 = fold(self.0 + fold(a.product(b)));
    }

    /// The sum.
    pub(crate) fn element(self) -> Fp {
        Fp::new(self.0)
    }
}

/// A number that stands for an element: the element itself, or its encoding as it lies in a blob.
pub(crate) trait Element: Copy {
    /// The element.
    fn element(self) -> Fp;
}

impl Element for Fp {
    fn element(self) -> Fp {
        self
    }
}

/// Of an encoding that [`view_vector`] has checked.
impl Element for [u8; ENCODED_LEN] {
    fn element(self) -> Fp {
        Fp::new(u128::from_le_bytes(self))
    }
}

/// Encodes a vector, 16 bytes an element, without a count.
pub(crate) fn encode_vector(v: &[Fp]) -> Vec<u8> {
    let mut out = Vec::with_capacity(v.len() * ENCODED_LEN);
    for x in v {
        out.extend_from_slice(&x.to_bytes());
    }
    out
}

/// Looks at a vector without a count where it lies; `None` for a length that is no multiple of 16 and for elements that are not
/// reduced.
pub(crate) fn view_vector(bytes: &[u8]) -> Option<&[[u8; ENCODED_LEN]]> {
    let (chunks, rest) = bytes.as_chunks::<ENCODED_LEN>();
    // To the end in any case: the elements may be a share, and without a way out the loop is fast.
    let reduced = chunks.iter().fold(true, |all, c| all & (u128::from_le_bytes(*c) < P));
    (rest.is_empty() && reduced).then_some(chunks)
}

/// Adds a vector to another one of the same length, element by element.
pub(crate) fn add_vector<E: Element>(sum: &mut [Fp], v: &[E]) {
    for (sum, &x) in sum.iter_mut().zip(v) {
        *sum += x.element();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Schoolbook multiplication by doubling, to compare with.
    fn slow_mul(a: Fp, b: Fp) -> Fp {
        let mut out = Fp::ZERO;
        for i in (0..127).rev() {
            out = out + out;
            if b.value() >> i & 1 == 1 {
                out += a;
            }
        }
        out
    }

    fn any_fp() -> impl Strategy<Value = Fp> {
        prop_oneof![
            any::<u128>().prop_map(Fp::new),
            (0u128..3).prop_map(Fp::new),
            (0u128..3).prop_map(|d| Fp::new(P - d))
        ]
    }

    #[test]
    fn edges_are_reduced() {
        assert_eq!(Fp::new(P), Fp::ZERO);
        assert_eq!(Fp::new(P + 1), Fp::ONE);
        assert_eq!(Fp::new(u128::MAX).value(), 1);
        assert_eq!(Fp::new(P - 1) + Fp::ONE, Fp::ZERO);
        assert_eq!(Fp::ZERO - Fp::ONE, Fp::new(P - 1));
        assert_eq!(Fp::new(P - 1) * Fp::new(P - 1), Fp::ONE);
        assert_eq!(Fp::ZERO.inverse(), None);
    }

    #[test]
    fn only_reduced_bytes_are_read() {
        assert!(Fp::from_bytes((P - 1).to_le_bytes()).is_some());
        assert!(Fp::from_bytes(P.to_le_bytes()).is_none());
        assert!(Fp::from_bytes([0xff; 16]).is_none());
        assert!(view_vector(&[0; 15]).is_none() && view_vector(&[0; 16]).is_some());
        assert!(view_vector(&[[0; 16], P.to_le_bytes()].concat()).is_none());
    }

    #[test]
    fn values_do_not_print() {
        assert_eq!(format!("{:?}", Fp::new(12345)), "Fp(..)");
    }

    proptest! {
        #[test]
        fn field_laws(a in any_fp(), b in any_fp(), c in any_fp()) {
            prop_assert_eq!(a + b, b + a);
            prop_assert_eq!((a + b) + c, a + (b + c));
            prop_assert_eq!((a + b) - b, a);
            prop_assert_eq!(a * b, slow_mul(a, b));
            let mut sum = Sum::ZERO;
            [(a, b), (b, c), (c, a), (c, c)].into_iter().for_each(|(x, y)| sum.add_product(x, y));
            prop_assert_eq!(sum.element(), a * b + b * c + c * a + c * c);
            let small = (b.value() & 0xff) as u8;
            prop_assert_eq!(a.times_small_plus(small, c), a * Fp::new(small.into()) + c);
            prop_assert_eq!((a * b) * c, a * (b * c));
            prop_assert_eq!(a * (b + c), a * b + a * c);
            prop_assert!((a + b).value() < P && (a - b).value() < P && (a * b).value() < P);
            if let Some(i) = a.inverse() { prop_assert_eq!(a * i, Fp::ONE); }
            prop_assert_eq!(Fp::from_bytes(a.to_bytes()), Some(a));
        }

        #[test]
        fn signed_round_trip(v in -(1i128 << 125)..(1i128 << 125), w in -(1i128 << 125)..(1i128 << 125)) {
            prop_assert_eq!(Fp::from_signed(v).to_signed(), v);
            prop_assert_eq!((Fp::from_signed(v) + Fp::from_signed(w)).to_signed(), v + w);
        }
    }
}
