//! Shamir's secret sharing of vectors over the field of [`crate::field`].
//!
//! Member `j` of `1..=members` holds the values at `j` of one random polynomial a coordinate, of degree below the
//! threshold, whose value at 0 is the secret. Any `threshold` members reconstruct it; fewer learn nothing. Shares of
//! several secrets add up to shares of the sum, which is all that a committee ever reveals.

use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::field::{Element, Fp, Sum};

/// Numbers of each share that are combined at once, so that they stay near the processor.
const STRETCH: usize = 256;

/// Subsets tried when the wrong share is looked for; 12 members with a threshold of 6 need 924.
const MAX_SUBSETS: usize = 20_000;

/// Why shares do not give a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// The threshold is not in `1..=members`.
    #[error(
        "a threshold of {threshold} is impossible with {members} members; it must be between 1 and the number of members"
    )]
    Threshold {
        /// The threshold asked for.
        threshold: u8,
        /// The number of members.
        members: u8,
    },
    /// Not enough shares.
    #[error("{got} shares are too few; {threshold} are needed to open")]
    TooFew {
        /// Shares given.
        got: usize,
        /// Shares needed.
        threshold: u8,
    },
    /// Two shares of one member, or a member 0.
    #[error("member {member} is given twice or is not a member number; give one share of each member")]
    Member {
        /// The member.
        member: u8,
    },
    /// Shares of different lengths.
    #[error("the share of member {member} has {got} numbers instead of {expected}")]
    Length {
        /// The member.
        member: u8,
        /// Numbers in the share.
        got: usize,
        /// Numbers in the first share.
        expected: usize,
    },
    /// The shares do not lie on one polynomial and these members are the ones to blame.
    #[error("the shares of members {members:?} contradict all others; leave them out")]
    Wrong {
        /// The members.
        members: Vec<u8>,
    },
    /// The shares do not lie on one polynomial and there are too few of them to tell whose is wrong.
    #[error(
        "the shares contradict each other and {got} are too few to tell whose is wrong; collect more of them"
    )]
    Inconsistent {
        /// Shares given.
        got: usize,
    },
}

/// Splits `secret` into one share a member; share `j - 1` is that of member `j`.
pub fn split(
    secret: &[Fp],
    threshold: u8,
    members: u8,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Vec<Zeroizing<Vec<Fp>>>, ShareError> {
    if threshold == 0 || threshold > members {
        return Err(ShareError::Threshold { threshold, members });
    }
    let mut shares: Vec<_> = (0..members).map(|_| Zeroizing::new(Vec::with_capacity(secret.len()))).collect();
    let mut polynomial = vec![Fp::ZERO; usize::from(threshold)];
    for &s in secret {
        for (degree, coefficient) in polynomial.iter_mut().enumerate() {
            *coefficient = if degree == 0 { s } else { Fp::random(rng) };
        }
        for (share, x) in shares.iter_mut().zip(1u8..) {
            share.push(polynomial.iter().rev().fold(Fp::ZERO, |value, &c| value.times_small_plus(x, c)));
        }
    }
    polynomial.zeroize();
    Ok(shares)
}

/// A point that is nobody's: members have 1 to 255.
const BEYOND: u128 = 256;

/// Weights `w` such that `sum w_i f(points_i) = f(at)` for every polynomial of degree below the number of points.
fn lagrange(points: &[u8], at: Fp) -> Vec<Fp> {
    let fp = |x: u8| Fp::new(u128::from(x));
    let weight = |&i: &u8| {
        let others = points.iter().filter(|&&j| j != i);
        let (top, bottom) =
            others.fold((Fp::ONE, Fp::ONE), |(t, b), &j| (t * (at - fp(j)), b * (fp(i) - fp(j))));
        // The points are distinct and below P, so that no difference and no product is zero.
        top * bottom.inverse().unwrap_or(Fp::ZERO)
    };
    points.iter().map(weight).collect()
}

/// Reconstructs the secret from the shares of at least `threshold` members, in any order, and checks all of them.
///
/// With exactly `threshold` shares there is nothing to check against; every further share is a check.
pub fn reconstruct(shares: &[(u8, &[Fp])], threshold: u8) -> Result<Vec<Fp>, ShareError> {
    combine(shares, threshold)
}

/// The same for shares as they lie in blobs.
pub(crate) fn combine<E: Element>(shares: &[(u8, &[E])], threshold: u8) -> Result<Vec<Fp>, ShareError> {
    let mut secret = Vec::new();
    secret.reserve_exact(shares.first().map_or(0, |s| s.1.len()));
    walk(shares, threshold, Some(&mut secret))?;
    Ok(secret)
}

/// The first `numbers` values of the polynomials at a point that is nobody's, from shares that agree. To whoever has fewer than
/// `threshold - 1` shares they are uniform, even if it knows the secret; from a threshold of 2 on.
pub(crate) fn beyond<E: Element>(shares: &[(u8, &[E])], threshold: u8, numbers: usize) -> Vec<Fp> {
    let base = shares.get(..usize::from(threshold)).unwrap_or(shares);
    let points: Vec<u8> = base.iter().map(|s| s.0).collect();
    let weights = lagrange(&points, Fp::new(BEYOND));
    let numbers = numbers.min(base.iter().map(|s| s.1.len()).min().unwrap_or(0));
    let value = |at: usize| {
        let terms =
            base.iter().zip(&weights).filter_map(|((_, share), &w)| Some(w * share.get(at)?.element()));
        terms.fold(Fp::ZERO, |sum, term| sum + term)
    };
    (0..numbers).map(value).collect()
}

/// Whether shares agree, as [`reconstruct`] checks it; what they are shares of is not computed.
pub(crate) fn check<E: Element>(shares: &[(u8, &[E])], threshold: u8) -> Result<(), ShareError> {
    walk(shares, threshold, None)
}

/// Checks all shares against each other and, if it is asked for, puts the secret together.
fn walk<E: Element>(
    shares: &[(u8, &[E])],
    threshold: u8,
    mut secret: Option<&mut Vec<Fp>>,
) -> Result<(), ShareError> {
    let t = usize::from(threshold);
    if t == 0 || shares.len() < t {
        return Err(ShareError::TooFew { got: shares.len(), threshold });
    }
    let expected = shares.first().map_or(0, |s| s.1.len());
    for (i, &(member, share)) in shares.iter().enumerate() {
        if member == 0 || shares.iter().take(i).any(|s| s.0 == member) {
            return Err(ShareError::Member { member });
        }
        if share.len() != expected {
            return Err(ShareError::Length { member, got: share.len(), expected });
        }
    }
    let (base, extra) = shares.split_at(t);
    let points: Vec<u8> = base.iter().map(|s| s.0).collect();
    // The weights of the secret, and those of what each further member must have.
    let weights = lagrange(&points, Fp::ZERO);
    let checks: Vec<(Vec<Fp>, &[E])> =
        extra.iter().map(|s| (lagrange(&points, Fp::new(u128::from(s.0))), s.1)).collect();
    let combined = |weights: &[Fp], from: usize, out: &mut [Sum]| {
        out.fill(Sum::ZERO);
        for (&weight, (_, share)) in weights.iter().zip(base) {
            for (o, x) in out.iter_mut().zip(share.iter().skip(from)) {
                o.add_product(weight, x.element());
            }
        }
    };
    let mut sums = [Sum::ZERO; STRETCH];
    let mut agree = true;
    for from in (0..expected).step_by(STRETCH) {
        let sums = &mut sums[..STRETCH.min(expected - from)];
        for (weights, share) in &checks {
            combined(weights, from, sums);
            agree &= sums.iter().zip(share.iter().skip(from)).all(|(s, x)| s.element() == x.element());
        }
        if let Some(secret) = &mut secret {
            combined(&weights, from, sums);
            secret.extend(sums.iter().map(|s| s.element()));
        }
    }
    if !agree {
        return Err(match find_wrong(shares, t) {
            Some(members) => ShareError::Wrong { members },
            None => ShareError::Inconsistent { got: shares.len() },
        });
    }
    Ok(())
}

/// The members outside of the one largest set of agreeing shares, when that set is unique: `e` wrong shares are found
/// among at least `threshold + 2 e`.
fn find_wrong<E: Element>(shares: &[(u8, &[E])], t: usize) -> Option<Vec<u8>> {
    let tolerated = (shares.len() - t) / 2;
    if tolerated == 0 {
        return None;
    }
    // One number a member stands for its whole vector: a combination whose weights depend on all shares, so that a
    // wrong share cannot be made to cancel. Combinations of shares are shares of the combination.
    let mut hash = Sha256::new_with_prefix(b"histone/share-fingerprint/v1");
    for (member, share) in shares {
        hash.update([*member]);
        share.iter().for_each(|x| hash.update(x.element().to_bytes()));
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut seed = [0u8; 16];
    seed.copy_from_slice(&digest[..16]);
    let r = Fp::new(u128::from_le_bytes(seed));
    let points: Vec<(u8, Fp)> =
        shares.iter().map(|(m, s)| (*m, s.iter().fold(Fp::ZERO, |sum, &x| sum * r + x.element()))).collect();

    let mut pick: Vec<usize> = (0..t).collect();
    for _ in 0..MAX_SUBSETS {
        let chosen: Vec<(u8, Fp)> = pick.iter().filter_map(|&i| points.get(i).copied()).collect();
        let xs: Vec<u8> = chosen.iter().map(|c| c.0).collect();
        let disagrees = |&&(member, value): &&(u8, Fp)| {
            let weights = lagrange(&xs, Fp::new(u128::from(member)));
            weights.into_iter().zip(&chosen).fold(Fp::ZERO, |sum, (w, c)| sum + w * c.1) != value
        };
        let wrong: Vec<u8> = points.iter().filter(disagrees).map(|p| p.0).collect();
        if wrong.len() <= tolerated {
            return Some(wrong);
        }
        // The next subset in lexicographic order.
        let last = (0..t).rev().find(|&i| pick.get(i).is_some_and(|&p| p < points.len() - t + i))?;
        let start = *pick.get(last)?;
        for (slot, value) in pick.iter_mut().skip(last).zip(start + 1..) {
            *slot = value;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use chacha20::{ChaCha20Rng, rand_core::SeedableRng};
    use proptest::prelude::*;

    fn rng(seed: u64) -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(seed)
    }

    fn view(shares: &[Zeroizing<Vec<Fp>>], members: &[u8]) -> Vec<(u8, Vec<Fp>)> {
        members.iter().map(|&m| (m, shares[usize::from(m) - 1].to_vec())).collect()
    }

    fn open(view: &[(u8, Vec<Fp>)], t: u8) -> Result<Vec<Fp>, ShareError> {
        reconstruct(&view.iter().map(|(m, s)| (*m, s.as_slice())).collect::<Vec<_>>(), t)
    }

    proptest! {
        #[test]
        fn any_quorum_opens_and_shares_add(seed: u64, d in 1usize..6, m in 1u8..9, t in 1u8..9) {
            prop_assume!(t <= m);
            let mut rng = rng(seed);
            let a: Vec<Fp> = (0..d).map(|_| Fp::random(&mut rng)).collect();
            let b: Vec<Fp> = (0..d).map(|_| Fp::random(&mut rng)).collect();
            let (sa, sb) = (split(&a, t, m, &mut rng).unwrap(), split(&b, t, m, &mut rng).unwrap());
            let sums: Vec<_> = sa.iter().zip(&sb)
                .map(|(x, y)| Zeroizing::new(x.iter().zip(y.iter()).map(|(&x, &y)| x + y).collect::<Vec<_>>())).collect();
            let total: Vec<Fp> = a.iter().zip(&b).map(|(&x, &y)| x + y).collect();
            let last: Vec<u8> = (1..=m).rev().take(usize::from(t)).collect();
            prop_assert_eq!(open(&view(&sums, &last), t).unwrap(), total.clone());
            prop_assert_eq!(open(&view(&sums, &(1..=m).collect::<Vec<_>>()), t).unwrap(), total);
        }

        /// For every value that fewer than `threshold` members hold and every other secret there is a polynomial that
        /// gives both: what they hold says nothing.
        /// Whoever knows the secret and one share less than is needed beside it still finds any value beyond.
        #[test]
        fn what_lies_beyond_is_the_same_for_every_quorum_and_free_for_others(seed: u64, m in 3u8..9, t in 3u8..9) {
            let t = t.min(m);
            let secret = vec![Fp::random(&mut rng(seed)); 3];
            let shares = split(&secret, t, m, &mut rng(seed ^ 1)).unwrap();
            let all: Vec<u8> = (1..=m).collect();
            let value = |members: &[u8], shares: &[Zeroizing<Vec<Fp>>]| {
                let view = view(shares, members);
                let view: Vec<_> = view.iter().map(|(i, s)| (*i, s.as_slice())).collect();
                beyond(&view, t, 2)
            };
            let first = value(&all[..usize::from(t)], &shares);
            prop_assert_eq!(first.len(), 2);
            prop_assert_eq!(&value(&all[usize::from(m - t)..], &shares), &first);
            // The same secret and other coins: another value.
            let others = split(&secret, t, m, &mut rng(seed ^ 2)).unwrap();
            prop_assert_ne!(&value(&all[..usize::from(t)], &others), &first);
        }

        #[test]
        fn fewer_than_threshold_fit_every_secret(seed: u64, other: u128, m in 2u8..9, t in 2u8..9) {
            prop_assume!(t <= m);
            let mut rng = rng(seed);
            let shares = split(&[Fp::random(&mut rng)], t, m, &mut rng).unwrap();
            let held = view(&shares, &(1..t).collect::<Vec<_>>());
            // The polynomial through the held shares and (0, other), evaluated at a further member.
            let mut xs: Vec<u8> = held.iter().map(|h| h.0).collect();
            xs.push(0);
            let mut ys: Vec<Fp> = held.iter().map(|h| h.1[0]).collect();
            ys.push(Fp::new(other));
            let forged = lagrange(&xs, Fp::new(u128::from(t))).into_iter().zip(ys).fold(Fp::ZERO, |s, (w, y)| s + w * y);
            let mut all = held;
            all.push((t, vec![forged]));
            prop_assert_eq!(open(&all, t).unwrap(), vec![Fp::new(other)]);
        }

        #[test]
        fn wrong_shares_are_named(seed: u64, t in 1u8..5, e in 1u8..3, d in 1usize..4) {
            let m = t + 2 * e;
            let mut rng = rng(seed);
            let secret: Vec<Fp> = (0..d).map(|_| Fp::random(&mut rng)).collect();
            let mut all = view(&split(&secret, t, m, &mut rng).unwrap(), &(1..=m).collect::<Vec<_>>());
            let bad: Vec<u8> = (1..=m).step_by(2).take(usize::from(e)).collect();
            for &b in &bad {
                let at = Fp::random(&mut rng).value() as usize % d;
                all[usize::from(b) - 1].1[at] += Fp::random(&mut rng);
            }
            prop_assert_eq!(open(&all, t), Err(ShareError::Wrong { members: bad.clone() }));
            all.retain(|(m, _)| !bad.contains(m));
            prop_assert_eq!(open(&all, t).unwrap(), secret);
        }
    }

    /// One held share of two fixed secrets: bucket counts of both look uniform (chi-square, 15 degrees of freedom).
    #[test]
    fn single_shares_of_two_secrets_look_alike() {
        let mut rng = rng(1);
        for secret in [Fp::ZERO, Fp::new(P_MINUS_SOMETHING)] {
            let mut counts = [0f64; 16];
            for _ in 0..4096 {
                counts[(split(&[secret], 2, 3, &mut rng).unwrap()[2][0].value() >> 123) as usize] += 1.0;
            }
            let chi: f64 = counts.iter().map(|c| (c - 256.0).powi(2) / 256.0).sum();
            // The seed is fixed; 50 is beyond the 99.998th percentile.
            assert!(chi < 50.0, "{chi}");
        }
    }
    const P_MINUS_SOMETHING: u128 = crate::field::P - 77;

    #[test]
    fn refuses_bad_sets_of_shares() {
        let shares = split(&[Fp::ONE], 3, 5, &mut rng(2)).unwrap();
        assert_eq!(open(&view(&shares, &[1, 2]), 3), Err(ShareError::TooFew { got: 2, threshold: 3 }));
        assert_eq!(open(&view(&shares, &[1, 2, 1]), 3), Err(ShareError::Member { member: 1 }));
        assert!(
            split(&[Fp::ONE], 4, 3, &mut rng(2)).is_err() && split(&[Fp::ONE], 0, 3, &mut rng(2)).is_err()
        );
        let mut four = view(&shares, &[1, 2, 3, 4]);
        four[2].1[0] += Fp::ONE;
        assert_eq!(open(&four, 3), Err(ShareError::Inconsistent { got: 4 }));
        four[2].1.push(Fp::ONE);
        assert!(matches!(open(&four, 3), Err(ShareError::Length { member: 3, .. })));
    }
}
