//! The store of genotypes and its canonical bytes.

use histone_genome::genotypes::{
    BLOCK_VARIANTS, Block, BlockReader, BlockWriter, Call, DOSAGE_MISSING, DOSAGE_ONE, GenotypeError,
    Genotypes, Limits, SampleSet, Source,
};
use proptest::prelude::*;

fn genotypes(samples: usize, variants: usize, seed: u64) -> Genotypes {
    let mut genotypes = Genotypes::new(samples);
    let mut state = seed | 1;
    for _ in 0..variants {
        let calls: Vec<Call> = (0..samples)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                Call::from_code(state >> 60)
            })
            .collect();
        genotypes.push_calls(&calls).unwrap();
    }
    genotypes
}

proptest! {
    #[test]
    fn encoding_is_read_back(samples in 0_usize..80, variants in 0_usize..140, seed: u64) {
        let before = genotypes(samples, variants, seed);
        let bytes = before.encode();
        let after = Genotypes::decode(&bytes, &Limits::default()).unwrap();
        prop_assert_eq!(after.variants(), variants);
        prop_assert_eq!(&after.encode(), &bytes);
        prop_assert_eq!(after, before);
        // No byte can be left out, and none can follow.
        prop_assert!(Genotypes::decode(&bytes[..bytes.len() - 1], &Limits::default()).is_err());
        prop_assert!(Genotypes::decode(&[bytes, vec![0]].concat(), &Limits::default()).is_err());
    }

    #[test]
    fn accepted_bytes_are_canonical(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut whole = b"HGEN\x01\x00\x03\x00\x00\x00".to_vec();
        whole.extend(bytes);
        if let Ok(genotypes) = Genotypes::decode(&whole, &Limits::default()) {
            prop_assert_eq!(genotypes.encode(), whole);
        }
    }
}

#[test]
fn the_layout_is_fixed() {
    let mut genotypes = Genotypes::new(3);
    genotypes.push_calls(&[Call::Het, Call::HomAlt, Call::Missing]).unwrap();
    assert_eq!(
        genotypes.encode(),
        b"HGEN\x01\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0\x39\0\0\0\0\0\0\0\0".as_slice()
    );
}

#[test]
fn dosages_are_kept() {
    let mut block = Block::new(2);
    block.push_calls(&[Call::HomRef, Call::Missing]).unwrap();
    block.push_calls(&[Call::HomRef, Call::Missing]).unwrap();
    block.set_dosages(1, &[DOSAGE_ONE / 4, DOSAGE_MISSING]).unwrap();
    let mut writer = BlockWriter::new(Vec::new(), 2).unwrap();
    writer.write(&block).unwrap();
    let bytes = writer.finish().unwrap();
    let mut reader = BlockReader::new(bytes.as_slice(), &Limits::default()).unwrap();
    assert_eq!(reader.next_block().unwrap(), Some(&block));
    assert!(reader.next_block().unwrap().is_none());
    assert!(reader.next_block().unwrap().is_none());
}

#[test]
fn bytes_that_nothing_writes_are_refused() {
    let good = genotypes(3, 1, 7).encode();
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        match Genotypes::decode(&bytes, &Limits { samples: 1_000, variants: 100 }) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("accepted"),
        }
    };
    for (change, part) in [
        (&|b: &mut Vec<u8>| b[0] = b'X' as _, "do not start with HGEN"),
        (&|b: &mut Vec<u8>| b[4] = 2, "version 2 is unknown"),
        (&|b: &mut Vec<u8>| b[8] = 1, "more than 1000 samples"),
        (&|b: &mut Vec<u8>| b[10] = 65, "longer than 64 variants"),
        (&|b: &mut Vec<u8>| b[10] = 2, "end inside calls"),
        (&|b: &mut Vec<u8>| b[11] = 2, "not there has dosages"),
        (&|b: &mut Vec<u8>| b[11] = 1, "end inside dosages"),
        (&|b: &mut Vec<u8>| b[19] |= 0x40, "behind its last sample"),
        (&|b: &mut Vec<u8>| b[27] = 1, "longer than 64 variants, or follows"),
        (&|b: &mut Vec<u8>| b.truncate(9), "end inside the number of samples"),
    ] as [(&dyn Fn(&mut Vec<u8>), &str); 10]
    {
        let error = refused(change);
        assert!(error.contains(part), "{error} has no {part}");
    }
    let many = genotypes(3, 101, 7).encode();
    let error = Genotypes::decode(&many, &Limits { samples: 3, variants: 100 });
    assert!(matches!(error, Err(GenotypeError::TooLarge { what: "variants", limit: 100 })));
}

#[test]
fn a_short_block_is_the_last() {
    let mut block = Block::new(1);
    block.push_calls(&[Call::Het]).unwrap();
    let mut writer = BlockWriter::new(Vec::new(), 1).unwrap();
    assert!(writer.write(&Block::new(1)).is_err());
    assert!(writer.write(&Block::new(2)).is_err());
    writer.write(&block).unwrap();
    assert!(writer.write(&block).is_err());
    assert_eq!(genotypes(5, BLOCK_VARIANTS + 1, 3).blocks()[1].variants(), 1);
}

#[test]
fn sets_of_samples() {
    let odd = SampleSet::of(70, |sample| sample % 2 == 1);
    assert_eq!((odd.count(), odd.contains(69), odd.contains(68), odd.contains(71)), (35, true, false, false));
    assert_eq!(SampleSet::all(70), SampleSet::of(70, |_| true));
    assert_eq!(SampleSet::all(64), SampleSet::of(64, |_| true));
}
