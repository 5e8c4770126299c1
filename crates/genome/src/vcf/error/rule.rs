//! The rules, with stable names.

macro_rules! rules {
    ($($name:ident $id:literal $sentence:literal)*) => {
        /// What a file can break. The names ([`Rule::id`]) are stable: other programs may count them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $(#[doc = $sentence] $name,)*
        }

        impl Rule {
            /// Every rule, in the order of the parts of a file.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable name, such as `pos-not-a-number`.
            pub fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// What the rule says, and what to do.
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)* }
            }
        }
    };
}

rules! {
    // The text.
    FileEmpty "file-empty" "the file has no lines; a VCF file has at least ##fileformat and #CHROM"
    FileformatMissing "fileformat-missing" "the first line must be ##fileformat="
    FileformatUnknown "fileformat-unknown" "the version must be written VCFv4.1, VCFv4.2, VCFv4.3, VCFv4.4 or VCFv4.5"
    FileformatRepeated "fileformat-repeated" "##fileformat must stand once, on the first line"
    NotUtf8 "not-utf8" "the text is not UTF-8; save the file as UTF-8"
    ControlCharacter "control-character" "control characters other than tab and line end are not allowed; remove them"
    CarriageReturn "carriage-return" "a carriage return may stand before the line feed only, and only from version 4.3 on; end lines with LF"
    BlankLine "blank-line" "blank lines are not allowed; remove it"
    LastLineUnterminated "last-line-unterminated" "the last line must end with a line end; add it, or fetch the file again if it was cut"
    // Meta lines.
    LineBeforeHeader "line-before-header" "every line before the #CHROM line must begin with ##"
    MetaAfterHeader "meta-after-header" "lines that begin with # must stand before the records"
    MetaNotKeyValue "meta-not-key-value" "a ## line must be key=value, neither of them empty"
    MetaUnclosed "meta-unclosed" "a value that begins with `<` must end with `>`, the last byte of the line"
    MetaQuoteUnclosed "meta-quote-unclosed" "a quote is opened and never closed; close it"
    MetaTextAfterQuote "meta-text-after-quote" "a closing quote must be followed by a comma or the closing `>`; write quotes inside a text as \\\""
    MetaFieldNotKeyValue "meta-field-not-key-value" "the fields between `<` and `>` must be key=value, separated by commas; quote values that hold a comma"
    MetaFieldRepeated "meta-field-repeated" "a field stands twice in the same line"
    MetaFieldMissing "meta-field-missing" "a required field is missing: INFO and FORMAT need ID, Number, Type and Description, FILTER and ALT need ID and Description, others ID (SAMPLE before version 4.3: ID, Genomes, Mixture and Description)"
    MetaFieldOrder "meta-field-order" "the required fields must come first and in their order: ID, Number, Type, Description"
    MetaIdRepeated "meta-id-repeated" "another line of the same kind has the same ID; IDs must be unique"
    MetaIdMalformed "meta-id-malformed" "the ID holds a character that is not allowed there"
    MetaNumber "meta-number" "Number must be a whole number, A, G or a dot; R from version 4.2 on; P in FORMAT from 4.4 on, LA, LR, LG and M from 4.5 on"
    MetaType "meta-type" "Type must be Integer, Float, Character or String; in INFO also Flag"
    MetaFlagNumber "meta-flag-number" "a Flag has no value, so its Number must be 0"
    MetaDescriptionUnquoted "meta-description-unquoted" "Description must be in double quotes"
    MetaQuotedValue "meta-quoted-value" "before version 4.3 only Description of a SAMPLE line is quoted"
    MetaReservedType "meta-reserved-type" "the specification reserves this key with another Type"
    MetaReservedNumber "meta-reserved-number" "the specification reserves this key with another Number"
    MetaUrl "meta-url" "the value must be a URL with a host name or address"
    MetaValues "meta-values" "Values must be a list in square brackets"
    MetaContigLength "meta-contig-length" "length must be a whole number"
    MetaAltType "meta-alt-type" "the first part of the ID must be DEL, INS, DUP, INV or CNV"
    MetaPedigree "meta-pedigree" "the name of a genome must have no blanks and no colons"
    // The header line.
    HeaderMissing "header-missing" "the file has no #CHROM line"
    HeaderColumns "header-columns" "the header line must begin with #CHROM, POS, ID, REF, ALT, QUAL, FILTER and INFO, separated by tabs, then FORMAT if there are samples"
    HeaderFormatWithoutSamples "header-format-without-samples" "FORMAT stands in the header line and no sample follows; remove it from the header line and the records"
    HeaderEmptyName "header-empty-name" "a sample has an empty name, or a tab ends the line"
    HeaderSampleRepeated "header-sample-repeated" "another sample has the same name; rename one"
    // Records.
    ColumnCount "column-count" "the record must have as many columns as the header line"
    TooManyEntries "too-many-entries" "more than 65536 entries stand in one field, which no data need; nothing further was checked in it"
    EmptyColumn "empty-column" "a column is empty; write a dot for a missing value"
    ChromMalformed "chrom-malformed" "the chromosome must be a name without blanks, commas and angle brackets, or such a name in angle brackets"
    ChromReservedCharacter "chrom-reserved-character" "before version 4.4 the name of a chromosome has no colon, and in 4.3 no asterisk; from 4.4 on it does not begin with an asterisk or equals sign"
    ChromNotContiguous "chrom-not-contiguous" "records of this chromosome stand further up as well, with others between; sort the file"
    ChromUndeclared "chrom-undeclared" "no ##contig line declares this chromosome though others are declared"
    PosNotANumber "pos-not-a-number" "POS must be a whole number from 0 to 2147483647"
    PosUnsorted "pos-unsorted" "POS is smaller than in the record before; sort the file"
    PosBeyondContig "pos-beyond-contig" "POS is beyond the length that ##contig declares; is this another genome build?"
    IdMalformed "id-malformed" "ID must be a dot or names separated by semicolons, without blanks and empty names"
    IdRepeated "id-repeated" "the same identifier stands twice"
    RefMalformed "ref-malformed" "REF must be made of A, C, G, T and N"
    AltMalformed "alt-malformed" "ALT must be a dot or alleles separated by commas: bases A, C, G, T, N, an asterisk, `<ID>`, or a breakend"
    AltRepeated "alt-repeated" "the same allele stands twice"
    AltUndeclared "alt-undeclared" "no ##ALT line declares this symbolic allele"
    QualNotANumber "qual-not-a-number" "QUAL must be a number or a dot"
    QualNegative "qual-negative" "QUAL is a phred-scaled probability and cannot be negative"
    FilterMalformed "filter-malformed" "FILTER must be a dot, PASS, or names separated by semicolons, without blanks, empty names and further dots"
    FilterReserved "filter-reserved" "the filter name 0 is reserved"
    FilterRepeated "filter-repeated" "the same filter stands twice"
    FilterPassAndMore "filter-pass-and-more" "PASS says that no filter failed, and other filters are named"
    FilterUndeclared "filter-undeclared" "no ##FILTER line declares this filter"
    VariantRepeated "variant-repeated" "the same variant stands in an earlier record; join the two records"
    // INFO.
    InfoMalformed "info-malformed" "INFO must be a dot or entries separated by semicolons; an entry is empty"
    InfoKey "info-key" "a key of INFO must begin with a letter or underscore and go on with letters, digits, underscores and dots; before version 4.3 it only has no blanks"
    InfoBlank "info-blank" "before version 4.3 INFO must not hold blanks"
    InfoEquals "info-equals" "a value holds an equals sign; write it as %3D"
    InfoQuoted "info-quoted" "a text in quotes holds a comma, which separates values also there; write it as %2C"
    InfoRepeated "info-repeated" "the same key stands twice"
    InfoUndeclared "info-undeclared" "no ##INFO line declares this key"
    InfoFlagValue "info-flag-value" "the key is a flag and must have no value"
    InfoFlagBit "info-flag-bit" "the key is a flag; write it without a value, or leave it out"
    InfoNoValue "info-no-value" "the key needs a value"
    InfoEmptyValue "info-empty-value" "a value is empty; write a dot for a missing value"
    InfoCount "info-count" "the key must have as many values as its Number says"
    InfoType "info-type" "a value is not of the declared or reserved Type"
    InfoRange "info-range" "the value is outside the range that it can have: counts and positions are not negative, frequencies lie between 0 and 1"
    InfoEndBeforePos "info-end-before-pos" "END is smaller than POS"
    InfoCigar "info-cigar" "a CIGAR must be numbers each followed by one of M, I, D, N, S, H, P, X, ="
    // FORMAT and samples.
    FormatMalformed "format-malformed" "FORMAT must be keys separated by colons; a key must not be empty, and begins with a letter or underscore (before version 4.3: letters and digits only)"
    FormatRepeated "format-repeated" "the same key stands twice"
    FormatGtNotFirst "format-gt-not-first" "GT must be the first key"
    FormatUndeclared "format-undeclared" "no ##FORMAT line declares this key"
    SampleFieldCount "sample-field-count" "the sample has more values than FORMAT has keys"
    SampleEmptyValue "sample-empty-value" "a value is empty; write a dot for a missing value"
    SampleGtMissing "sample-gt-missing" "FORMAT has GT and the sample has none; write ./."
    SampleCount "sample-count" "the value must have as many numbers as the Number of its key says, for the alleles of this record and the ploidy of this sample"
    SampleType "sample-type" "a value is not of the declared or reserved Type"
    GtMalformed "gt-malformed" "GT must be allele numbers or dots, separated by / or |"
    GtAllele "gt-allele" "GT names an allele that the record does not have"
    FormatGtMissing "format-gt-missing" "FORMAT has no GT, so the record has no calls"
    FormatDosageMissing "format-dosage-missing" "FORMAT has neither DS nor, with one alternative allele, GP, so the record has no dosages"
    DosageMalformed "dosage-malformed" "DS must be numbers from 0 to 2, one for each alternative allele; GP must be probabilities that add up to 1, two or three of them"
    GtPloidy "gt-ploidy" "this reader counts alleles of haploid and diploid calls only; the call has more alleles"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Rule;

    #[test]
    fn names_are_unique_and_lower_case() {
        let names: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.id()).collect();
        assert_eq!(names.len(), Rule::ALL.len());
        assert!(names.iter().all(|name| {
            name.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'0'..=b'9'))
        }));
    }
}
