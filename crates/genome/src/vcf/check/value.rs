//! Single values of INFO and of samples.

use super::super::Version;
use super::definition::{Definition, Number, Type};

/// Whether one value (no commas, not a dot) is of a type (4.3 section 1.3).
pub(super) fn is_of_type(value: &[u8], kind: Type, version: Version) -> bool {
    match kind {
        Type::Integer => is_integer(value, version),
        Type::Float => is_float(value, version),
        Type::Character => std::str::from_utf8(value).is_ok_and(|text| text.chars().count() == 1),
        Type::String | Type::Flag => true,
    }
}

fn is_integer(value: &[u8], version: Version) -> bool {
    let digits = match value {
        [b'-' | b'+', digits @ ..] | digits => digits,
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    // The eight smallest numbers of 32 bits mean "missing" and the like in BCF; written down from 4.3 on. The size of 32
    // bits is written down from 4.2 on.
    let smallest = if version >= Version::V43 { i32::MIN + 8 } else { i32::MIN };
    version < Version::V42
        || std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse::<i32>().ok())
            .is_some_and(|number| number >= smallest)
}

/// `[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?`, infinity or not a number; before 4.3, which brought the expression, digits may
/// end with a point.
pub(super) fn is_float(value: &[u8], version: Version) -> bool {
    let unsigned = match value {
        [b'-' | b'+', rest @ ..] | rest => rest,
    };
    if [&b"inf"[..], b"infinity", b"nan"].iter().any(|name| name.eq_ignore_ascii_case(unsigned)) {
        return true;
    }
    let skip_digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = skip_digits(unsigned);
    let rest = unsigned.get(whole..).unwrap_or_default();
    let rest = match rest {
        [b'.', rest @ ..] => {
            let fraction = skip_digits(rest);
            if fraction == 0 && (whole == 0 || version >= Version::V43) {
                return false;
            }
            rest.get(fraction..).unwrap_or_default()
        }
        _ if whole == 0 => return false,
        rest => rest,
    };
    match rest {
        [] => true,
        [b'e' | b'E', b'-' | b'+', digits @ ..] | [b'e' | b'E', digits @ ..] => {
            !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    }
}

/// The alleles of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alleles {
    /// Entries of ALT; 1 for the dot, see `is_missing`.
    pub(super) alternatives: usize,
    /// ALT is a dot. Values and calls may then be for no alternative allele, or for one: the corpus accepts both.
    pub(super) is_missing: bool,
}

/// What is known of a sample when its values are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Alleles of GT; `None` when it is missing.
    pub(super) ploidy: Option<usize>,
    /// Entries of LAA.
    pub(super) local_alternatives: usize,
}

/// Whether `count` values are right for a key.
pub(super) fn is_count_right(
    definition: Definition,
    count: usize,
    alleles: Alleles,
    call: Option<Call>,
) -> bool {
    let n = alleles.alternatives;
    let or_less = |expected: fn(usize) -> usize| {
        count == expected(n) || (alleles.is_missing && count == expected(n.saturating_sub(1)))
    };
    match (definition.number, call) {
        (Number::Count(expected), _) => count as u64 == u64::from(expected),
        (Number::Alternatives, _) => or_less(|n| n),
        (Number::Alleles, _) => or_less(|n| n + 1),
        (Number::Genotypes, Some(Call { ploidy: Some(ploidy), .. })) => {
            is_genotype_count(count, n + 1, ploidy)
                || (alleles.is_missing && is_genotype_count(count, n, ploidy))
        }
        (Number::Ploidy, Some(Call { ploidy: Some(ploidy), .. })) => count == ploidy,
        (Number::LocalAlternatives, Some(call)) => count == call.local_alternatives,
        (Number::LocalAlleles, Some(call)) => count == call.local_alternatives + 1,
        (Number::LocalGenotypes, Some(Call { ploidy: Some(ploidy), local_alternatives })) => {
            is_genotype_count(count, local_alternatives + 1, ploidy)
        }
        // INFO with G: the ploidy is not that of one sample. M needs the bases of the alleles.
        _ => true,
    }
}

/// Whether `count` is the number of multisets of `ploidy` alleles out of `alleles`.
fn is_genotype_count(count: usize, alleles: usize, ploidy: usize) -> bool {
    // C(alleles + ploidy - 1, ploidy), multiplied up until it is clear that it is more than `count`.
    let mut product = 1_u128;
    for step in 1..=ploidy {
        product = product * (alleles + step - 1) as u128 / step as u128;
        if product > count as u128 {
            return false;
        }
        if alleles <= 1 {
            break;
        }
    }
    product == count as u128
}

#[cfg(test)]
mod tests {
    use super::super::super::Version;
    use super::super::definition::Type;
    use super::{is_float, is_genotype_count, is_of_type};

    #[test]
    fn floats() {
        for good in ["0", "-1", "+1.5", ".5", "1e5", "1.1e-123", "2E+1", "NaN", "Inf", "-inf", "+Inf"] {
            assert!(is_float(good.as_bytes(), Version::V43), "{good}");
        }
        for bad in ["", ".", "-", "1.", "1e", "e5", "1,5", "0x1", "1 ", "inff", "1.2.3", "--1"] {
            assert!(!is_float(bad.as_bytes(), Version::V43), "{bad}");
        }
        assert!(is_float(b"1.", Version::V41));
    }

    #[test]
    fn integers_and_characters() {
        let check = |text: &str, version, expected| {
            assert_eq!(is_of_type(text.as_bytes(), Type::Integer, version), expected, "{text}");
        };
        check("-2147483640", Version::V43, true);
        check("-2147483641", Version::V43, false);
        check("-2147483641", Version::V42, true);
        check("2147483648", Version::V42, false);
        check("2147483648", Version::V41, true);
        check("1.0", Version::V41, false);
        check("-", Version::V41, false);
        check("+7", Version::V43, true);
        assert!(is_of_type("é".as_bytes(), Type::Character, Version::V43));
        assert!(!is_of_type(b"ab", Type::Character, Version::V43));
    }

    #[test]
    fn genotype_counts() {
        for (alleles, ploidy, count) in
            [(2, 1, 2), (2, 2, 3), (3, 2, 6), (4, 2, 10), (3, 3, 10), (1, 2, 1), (2, 8, 9)]
        {
            assert!(is_genotype_count(count, alleles, ploidy));
            assert!(!is_genotype_count(count + 1, alleles, ploidy));
            assert!(!is_genotype_count(count - 1, alleles, ploidy));
        }
        assert!(!is_genotype_count(usize::MAX, usize::MAX / 2, 3));
        assert!(!is_genotype_count(7, usize::MAX / 2, usize::MAX));
    }
}
