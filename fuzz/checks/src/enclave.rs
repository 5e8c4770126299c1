//! What lies beside the wasm engine: manifests of methods, and the sketches that validation enclaves hand to each other.

use histone_enclave::manifest::Manifest;
use histone_enclave::sketch::index::{Candidate, Index, Register};
use histone_enclave::sketch::{Sketch, SketchKey};
use histone_genome::table::{Column, Table};
use histone_protocol::{Address, B256};

/// A manifest that is read is read again from what it is written as.
pub fn manifest(bytes: &[u8]) -> bool {
    let Ok(manifest) = Manifest::read(bytes) else { return false };
    let _ = (manifest.report_bits(), manifest.fact_bits(true), manifest.fact_bits(false));
    let written = serde_json::to_vec(&manifest).expect("a manifest is plain data");
    // Longer names of the same characters can take it beyond the size of a manifest.
    match Manifest::read(&written) {
        Ok(again) => assert_eq!(again, manifest),
        Err(error) => assert!(written.len() > bytes.len(), "{error}"),
    }
    true
}

/// Sketches have one encoding.
pub fn sketches(bytes: &[u8]) -> bool {
    let Ok(index) = Index::decode(bytes) else { return false };
    assert!(index.encode() == bytes, "the sketches of an enclave have two encodings");
    true
}

/// The manifests of the product.
pub fn manifests() -> Vec<(String, Vec<u8>)> {
    let linear = include_bytes!("../../../programs/linear/manifest.json");
    let logistic = include_bytes!("../../../programs/logistic/manifest.json");
    vec![("linear".into(), linear.to_vec()), ("logistic".into(), logistic.to_vec())]
}

/// Sketches of two owners with the same rows.
pub fn indexes() -> Vec<(String, Vec<u8>)> {
    vec![("two-owners".into(), two_owners().encode())]
}

fn two_owners() -> Index {
    let key = || SketchKey::from_bytes([7; 32]);
    let values = (0..40).map(|i| f64::from(i) + 0.5).collect();
    let table = Table::new(vec![Column::number("c")], values).expect("forty numbers are a table");
    let sketch = Sketch::of(&key(), &table);
    let mut index = Index::new(key());
    for owner in [1, 2] {
        let (owner, root) = (Address::repeat_byte(owner), B256::repeat_byte(owner));
        let candidate = Candidate { owner, root, replaces: None, sketch: &sketch };
        index.place(candidate, &Register::default()).expect("nothing is registered before them");
    }
    index
}
