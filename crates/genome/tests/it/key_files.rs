//! Keys of other tools are read, ours are read back, and what is no key says why.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use histone_genome::crypt4gh::{KeyFile, KeyFileError, PublicKey, SecretKey};
use proptest::prelude::*;

use crate::data::shared;

#[test]
fn keys_of_other_tools() {
    for (name, passphrase) in [("alice", "alice"), ("bob", "bob"), ("nordic_reader", "password")] {
        let Some(secret) = shared(&format!("conformance/crypt4gh/{name}.sec")) else { return };
        let public = shared(&format!("conformance/crypt4gh/{name}.pub")).unwrap();
        let file = KeyFile::parse(&secret).unwrap();
        assert!(file.needs_passphrase());
        assert_eq!(file.open(None).unwrap_err(), KeyFileError::PassphraseNeeded);
        let wrong = if name == "alice" { "" } else { "Alice" };
        assert_eq!(file.open(Some(wrong.as_bytes())).unwrap_err(), KeyFileError::Passphrase, "{name}");
        let key = file.open(Some(passphrase.as_bytes())).unwrap();
        assert_eq!(key.public(), PublicKey::from_key_file(&public).unwrap(), "{name}");
        assert_eq!(key.public().to_key_file().as_bytes(), public);
    }
}

#[test]
fn our_keys_are_read_back() {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let key = SecretKey::generate(&mut rng);
    let clear = key.to_key_file(None, &mut rng);
    let file = KeyFile::parse(clear.as_bytes()).unwrap();
    assert!(!file.needs_passphrase());
    assert_eq!(file.open(None).unwrap().as_bytes(), key.as_bytes());
    assert_eq!(*key.to_key_file(Some(b""), &mut rng), *clear);

    let locked = key.to_key_file(Some(b"genome"), &mut rng);
    assert_ne!(*locked, *key.to_key_file(Some(b"genome"), &mut rng));
    let file = KeyFile::parse(locked.as_bytes()).unwrap();
    assert_eq!(file.open(Some(b"genome")).unwrap().as_bytes(), key.as_bytes());
    assert_eq!(file.open(Some(b"genomes")).unwrap_err(), KeyFileError::Passphrase);
    let shown = format!("{file:?} {key:?}");
    assert_eq!(shown, "KeyFile(needs passphrase: true, secret not shown) SecretKey(secret not shown)");
    assert_eq!(
        PublicKey::from_key_file(key.public().to_key_file().replace('\n', "\r\n").as_bytes()),
        Ok(key.public())
    );
}

#[test]
fn what_is_no_key_says_why() {
    use base64ct::{Base64, Encoding};
    let check = |text: &str, expected: &str| {
        let error = KeyFile::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), expected, "{text}");
    };
    check("", "line 1: the file is empty");
    check("hello", "line 1: a key file begins with a line such as `-----BEGIN CRYPT4GH PUBLIC KEY-----`");
    let framed = |body: &str| format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    check(
        "\n-----BEGIN CRYPT4GH PUBLIC KEY-----\n-----END CRYPT4GH PUBLIC KEY-----\n",
        "line 2: this is another kind of key than the one asked for",
    );
    check(
        "-----BEGIN PRIVATE KEY-----\n-----END RSA PRIVATE KEY-----\n",
        "line 2: the last line names another kind of key than the first",
    );
    check("-----BEGIN PRIVATE KEY-----\nAAAA\n", "line 2: the file ends without a line `-----END ...-----`");
    check(&(framed("") + "x"), "line 4: something follows the last line of the key");
    let not_base64 = "the text between the first and last line is not base64; copy the file again";
    check(&framed("A?=="), not_base64);
    check(&framed("AAA"), not_base64);
    let content = |parts: &[&[u8]]| {
        let mut bytes = b"c4gh-v1".to_vec();
        for part in parts {
            bytes.extend((part.len() as u16).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        framed(&Base64::encode_string(&bytes))
    };
    check(&framed(""), "the content does not begin with `c4gh-v1`; this is no Crypt4GH key");
    check(
        &framed(&Base64::encode_string(b"openssh-key-v1\0")),
        "this is a key of OpenSSH; make a Crypt4GH key with a key generator for Crypt4GH",
    );
    check(&content(&[]), "byte 7 of the content: the content ends too soon; copy the file again");
    check(
        &content(&[b"argon2", b"x"]),
        "the key is protected by another derivation than `scrypt`, `bcrypt` or `none`; protect it anew with `scrypt`",
    );
    check(
        &content(&[b"bcrypt", &[255; 20]]),
        "the key file asks for 4294967295 rounds of derivation, between 1 and 10000 are run",
    );
    check(
        &content(&[b"bcrypt", &[0; 20]]),
        "the key file asks for 0 rounds of derivation, between 1 and 10000 are run",
    );
    check(&content(&[b"scrypt", &[0; 4]]), "byte 15 of the content: the derivation has no salt");
    let other_cipher = "the key is encrypted with another cipher than `chacha20_poly1305`; encrypt it anew";
    check(&content(&[b"none", b"chacha20_poly1305"]), other_cipher);
    check(&content(&[b"scrypt", &[0; 20], b"none", &[0; 32]]), other_cipher);
    let length = "byte 19 of the content: the key has another length than its cipher gives";
    check(&content(&[b"none", b"none", &[0; 31]]), length);
    check(&content(&[b"none", b"none", &[0; 33]]), length);
    check(
        &content(&[b"none", b"none", &[0; 32], b"comment", b""]),
        "byte 62 of the content: something follows the comment",
    );
    let public = "-----BEGIN CRYPT4GH PUBLIC KEY-----\nAAAA\n-----END CRYPT4GH PUBLIC KEY-----";
    assert_eq!(
        PublicKey::from_key_file(public.as_bytes()).unwrap_err().to_string(),
        "the public key has 3 bytes instead of 32; copy the file again"
    );
    assert!(KeyFile::parse(&vec![b'\n'; 1 << 20]).is_err());
}

proptest! {
    /// Any content between the lines gives a key or an error, never a panic.
    #[test]
    fn never_panics(content in prop::collection::vec(any::<u8>(), 0..80), cut in 0_usize..40) {
        use base64ct::{Base64, Encoding};
        let start = b"c4gh-v1\0\x04none\0\x04none\0\x20";
        let bytes = [&start[..start.len() - cut.min(start.len())], &content].concat();
        let text = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", Base64::encode_string(&bytes));
        if let Ok(file) = KeyFile::parse(text.as_bytes()) {
            prop_assert!(file.needs_passphrase() || file.open(None).is_ok());
        }
        let _ = KeyFile::parse(&content);
        let _ = PublicKey::from_key_file(&content);
    }
}
