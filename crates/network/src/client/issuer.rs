//! Who has issued a certificate, as far as a person wants to know.

/// Nesting of the values that are read.
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// The common name: 2.5.4.3; and the organization: 2.5.4.10.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];

/// The common name of a certificate's issuer, or its organization. Bytes that are no certificate have none.
pub(super) fn issuer(certificate: &[u8]) -> Option<String> {
    let (_, certificate, _) = value(certificate)?;
    let (_, mut signed, _) = value(certificate)?;
    // The version is there or not; it alone has the tag of an optional first part.
    if signed.first() == Some(&0xa0) {
        (_, _, signed) = value(signed)?;
    }
    // Serial number, algorithm.
    for _ in 0..2 {
        (_, _, signed) = value(signed)?;
    }
    let (tag, mut names, _) = value(signed)?;
    if tag != SEQUENCE {
        return None;
    }
    let mut found = None;
    while let Some((SET, attributes, rest)) = value(names) {
        names = rest;
        let (_, attribute, _) = value(attributes)?;
        let (_, kind, text) = value(attribute)?;
        let (_, text, _) = value(text)?;
        let text = String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).take(80).collect();
        if kind == COMMON_NAME {
            return Some(text);
        }
        if kind == ORGANIZATION {
            found = Some(text);
        }
    }
    found
}

/// Tag and content of the value at the beginning (DER), and what is behind it.
fn value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x0f))?;
            (digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rcgen::{CertificateParams, DnType, Issuer, KeyPair};

    use super::*;

    fn issued_by(name: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, text) in name {
            params.distinguished_name.push(kind.clone(), *text);
        }
        let authority = Issuer::new(params, KeyPair::generate().unwrap());
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["hub.example.org".into()]).unwrap();
        leaf.signed_by(&key, &authority).unwrap().der().to_vec()
    }

    #[test]
    fn names_the_issuer() {
        let named = issued_by(&[(DnType::OrganizationName, "Hospital"), (DnType::CommonName, "Proxy CA")]);
        assert_eq!(issuer(&named).unwrap(), "Proxy CA");
        let unnamed = issued_by(&[(DnType::CountryName, "CH"), (DnType::OrganizationName, "Hospital")]);
        assert_eq!(issuer(&unnamed).unwrap(), "Hospital");
        assert_eq!(issuer(&issued_by(&[])), None);
        // Whatever bytes come, there is no panic.
        for end in 0..named.len() {
            let _ = issuer(&named[..end]);
        }
        for at in 0..named.len() {
            for byte in [0, 0x30, 0x7f, 0x80, 0x84, 0xff] {
                let mut altered = named.clone();
                altered[at] = byte;
                let _ = issuer(&altered);
            }
        }
    }
}
