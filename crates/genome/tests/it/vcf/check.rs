//! Where each complaint points, and what it says.

use histone_genome::vcf::{Limits, Severity, VcfError, check};
use proptest::prelude::*;

/// A small file of a version: the header, one line that can be replaced, and records.
pub const SMALL: &str = "##fileformat=VCFv4.3\n\
    ##contig=<ID=1,length=1000>\n\
    ##INFO=<ID=AC,Number=A,Type=Integer,Description=\"Allele count\">\n\
    ##FORMAT=<ID=GT,Number=1,Type=String,Description=\"Genotype\">\n\
    ##FORMAT=<ID=GL,Number=G,Type=Float,Description=\"Likelihoods\">\n\
    #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts1\ts2\n\
    1\t10\trs1\tA\tG\t.\tPASS\tAC=1\tGT:GL\t0|1:-0.1,-1,-2\t./.\n\
    1\t12\trs2\tAT\tA,ATT\t50\t.\tAC=1,2\tGT\t1/2\t0\n";

/// The findings of [`SMALL`] with `from` replaced by `to`, one a line.
#[track_caller]
fn expect(from: &str, to: &str, expected: &[&str]) {
    assert!(SMALL.contains(from), "{from}");
    let report = check("a.vcf", SMALL.replacen(from, to, 1).as_bytes(), &Limits::default()).unwrap();
    let found: Vec<String> = [Severity::Error, Severity::Warning]
        .into_iter()
        .flat_map(|severity| report.findings(severity))
        .map(|finding| format!("{}:{} {} {}", finding.line, finding.column, finding.field, finding.rule.id()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn findings_have_line_column_field_and_rule() {
    expect("rs1", "rs1", &[]);
    expect("4.3", "4.6", &["1:14 ##fileformat fileformat-unknown"]);
    expect("##fileformat", "fileformat", &["1:1 file fileformat-missing"]);
    expect("length=1000", "length=10", &["8:3 POS pos-beyond-contig"]);
    expect("length=1000", "length=ten", &["2:16 ##contig meta-contig-length"]);
    expect(
        "Type=Integer,",
        "",
        &["3:8 ##INFO meta-field-missing", "3:8 ##INFO meta-field-order", "7:21 INFO/AC info-undeclared"],
    );
    expect("\ts1\ts2", "\ts1\ts1", &["6:50 #CHROM line header-sample-repeated"]);
    expect("\ts2", "", &["7:50 record column-count", "8:39 record column-count"]);
    expect("1\t10", "2\t10", &["7:1 CHROM chrom-undeclared"]);
    expect("1\t12", "1\t9", &["8:3 POS pos-unsorted"]);
    expect("\t10\t", "\tten\t", &["7:3 POS pos-not-a-number"]);
    expect("rs1", "rs1;;rs3", &["7:10 ID id-malformed"]);
    expect("A,ATT", "A,R", &["8:15 ALT alt-malformed"]);
    expect("A,ATT", "A,A", &["8:15 ALT alt-repeated"]);
    expect("A\tG", "A\t<X>", &["7:12 ALT alt-undeclared"]);
    expect("PASS", "q10", &["7:16 FILTER filter-undeclared"]);
    expect("AC=1\t", "AC=1;DB=7\t", &["7:29 INFO/DB info-flag-value", "7:26 INFO/DB info-undeclared"]);
    expect("AC=1,2", "AC=1", &["8:27 INFO/AC info-count"]);
    expect("AC=1,2", "AC=1,x", &["8:29 INFO/AC info-type"]);
    expect(
        "GT:GL",
        "GL:GT",
        &[
            "7:29 FORMAT/GT format-gt-not-first",
            "7:32 sample 1, GL sample-type",
            "7:32 sample 1, GL sample-count",
            "7:36 sample 1, GT gt-malformed",
            "7:47 sample 2, GL sample-type",
            "7:47 sample 2, GL sample-count",
        ],
    );
    expect("-0.1,-1,-2", "-0.1,-1", &["7:36 sample 1, GL sample-count"]);
    expect("1/2", "1/3", &["8:36 sample 1, GT gt-allele"]);
    expect("./.", "./", &["7:49 sample 2, GT gt-malformed"]);
    expect("./.", "", &["7:47 sample 2, GT sample-gt-missing"]);
    expect("./.\n", "./.\n\n", &["8:1 file blank-line"]);
    expect("1\t12\trs2\tAT\tA,", "1\t10\trs2\tAC\tGC,", &["8:1 record variant-repeated"]);
}

#[test]
fn fields_of_absurd_length_are_not_taken_apart() {
    let many = "q;".repeat(70_000);
    expect("PASS", &many, &["7:16 FILTER too-many-entries"]);
    expect(
        "A,ATT",
        &"A,".repeat(70_000),
        &["8:13 ALT too-many-entries", "8:140022 INFO/AC info-count", "8:140029 sample 1, GT gt-allele"],
    );
    expect(
        "##contig=<ID=1",
        &format!("##contig=<ID=1{}", ",a=b".repeat(2000)),
        &["2:4012 ##contig too-many-entries"],
    );
}

#[test]
fn a_report_is_a_list_of_sentences_and_a_count() {
    let text = SMALL.replace("0|1", "A/B").replace("0\n", "x\n");
    let limits = Limits { findings: 1, ..Limits::default() };
    let report = check("a.vcf", text.as_bytes(), &limits).unwrap();
    assert_eq!(
        report.to_string(),
        "a.vcf, line 7, column 32 (sample 1, GT): GT must be allele numbers or dots, separated by / or | [gt-malformed] (error)\n\
         a.vcf: and 1 more of severity error\n"
    );
    assert_eq!((report.samples(), report.records(), report.count(Severity::Error)), (2, 2, 2));
}

#[test]
fn limits_hold() {
    let limits = Limits { line_bytes: 60, ..Limits::default() };
    let error = check("a.vcf", SMALL.as_bytes(), &limits).unwrap_err();
    assert!(matches!(error, VcfError::LineTooLong { line: 3, limit: 60, .. }), "{error}");
    let limits = Limits { header_bytes: 100, ..Limits::default() };
    let error = check("a.vcf", SMALL.as_bytes(), &limits).unwrap_err();
    assert!(matches!(error, VcfError::HeaderTooLong { line: 4, limit: 100, .. }), "{error}");
    let limits = Limits { samples: 1, ..Limits::default() };
    let error = check("a.vcf", SMALL.as_bytes(), &limits).unwrap_err();
    assert!(matches!(error, VcfError::TooManySamples { line: 6, limit: 1, .. }), "{error}");
    let error = histone_genome::vcf::Reader::new("a.vcf", SMALL.as_bytes(), &limits).err().unwrap();
    assert!(matches!(error, VcfError::TooManySamples { line: 6, limit: 1, .. }), "{error}");
}

#[test]
fn a_finding_never_carries_what_a_sample_has() {
    // One column short: what a person has stands where keys are expected.
    let text = SMALL.replace("PASS\tAC=1\t", "PASS\t").replace("0|1:", "secret;more:");
    let report = check("a.vcf", text.as_bytes(), &Limits::default()).unwrap();
    assert!(!report.is_valid());
    assert!(!format!("{report} {report:?}").contains("secret"));
}

proptest! {
    /// Any damage gives a report, never a panic.
    #[test]
    fn damage_never_panics(changes in prop::collection::vec((0_usize..500, any::<u8>()), 1..8), version in 1_u8..6) {
        let mut bytes = SMALL.replace("4.3", &format!("4.{version}")).into_bytes();
        let length = bytes.len();
        for (at, byte) in changes {
            bytes[at % length] = byte;
        }
        prop_assert!(check("a.vcf", bytes.as_slice(), &Limits::default()).is_ok());
    }

    /// The same with the signs that mean something, put in and left out.
    #[test]
    fn signs_never_panic(changes in prop::collection::vec((0_usize..500, prop::option::of(prop::sample::select(b"\t\n,;:=<>[]\"./|*#1\\".to_vec()))), 1..8), version in 1_u8..6) {
        let mut bytes = SMALL.replace("4.3", &format!("4.{version}")).into_bytes();
        for (at, sign) in changes {
            let at = at % bytes.len();
            match sign {
                Some(sign) => bytes.insert(at, sign),
                None => { bytes.remove(at); }
            }
        }
        prop_assert!(check("a.vcf", bytes.as_slice(), &Limits::default()).is_ok());
    }
}
