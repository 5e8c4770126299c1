//! Records that pass filters, as lines of text, of all samples or of some.
//!
//! A record of which no column changes goes out **byte for byte**; only a carriage return at its end is not kept. With
//! samples chosen, the cells of the others are left out and AC and AN of INFO are counted anew where the record has calls,
//! and added where they are missing, as `bcftools view` does; other values of INFO stay, and may no longer fit.
//!
//! ```
//! use histone_genome::vcf::{Limits, Reader, view::{Filter, View}};
//!
//! let text = "##fileformat=VCFv4.3\n\
//!     #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\tc\n\
//!     22\t7\t.\tA\tG\t.\tPASS\t.\tGT\t0|1\t1|1\t./.\n\
//!     22\t9\t.\tC\tT\t.\tlow\t.\tGT\t0|0\t0|1\t0|0\n";
//! let reader = Reader::new("a.vcf", text.as_bytes(), &Limits::default())?;
//! let mut view = View::new(reader, Filter { pass: true, ..Filter::default() }).with_samples(&["c", "a"])?;
//! assert!(view.header().ends_with("FORMAT\tc\ta\n"));
//! assert_eq!(view.read()?, Some(&b"22\t7\t.\tA\tG\t.\tPASS\tAC=1;AN=2\tGT\t./.\t0|1"[..]));
//! assert_eq!(view.read()?, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, Read, Seek};
use std::ops::RangeInclusive;

use super::alleles::AlleleCounts;
use super::error::VcfError;
use super::index::{Index, Parts};
use super::meta::split;
use super::{Reader, Record, Regions};
use chosen::Chosen;

mod chosen;

/// Which records. What is not asked for keeps all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Those that overlap a stretch, from POS to [`Record::last_position`].
    pub regions: Option<Regions>,
    /// Those with a QUAL of so much or more.
    pub least_quality: Option<f32>,
    /// Those whose FILTER is PASS.
    pub pass: bool,
    /// Those with one ALT allele.
    pub biallelic: bool,
    /// Those with a frequency of **all alleles that are not the reference, together**, within this range: copies over known
    /// alleles, from the calls of the samples that are kept, or where there are no calls from AC and AN of INFO. A record
    /// of which nothing is known is in no range.
    pub frequency: Option<RangeInclusive<f64>>,
}

/// Why samples cannot be chosen so. Carries the place in the wish and no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// A name that the header does not have.
    #[error("sample {0} of those that were asked for is not in the file")]
    Unknown(usize),
    /// A name that is asked for twice.
    #[error("sample {0} of those that were asked for stands there twice")]
    Repeated(usize),
}

/// Gives the lines of a file that pass a filter.
pub struct View<R> {
    reader: Reader<R>,
    filter: Filter,
    chosen: Option<Chosen>,
    seen: BTreeSet<String>,
    records: u64,
    kept: u64,
    counts: AlleleCounts,
    line: Vec<u8>,
}

impl<R: BufRead> View<R> {
    /// Begins before the first record.
    pub fn new(reader: Reader<R>, filter: Filter) -> Self {
        Self {
            reader,
            filter,
            chosen: None,
            seen: BTreeSet::new(),
            records: 0,
            kept: 0,
            counts: AlleleCounts::default(),
            line: vec![],
        }
    }

    /// Keeps these samples only, in this order.
    ///
    /// # Errors
    /// [`SampleError`].
    pub fn with_samples(mut self, names: &[impl AsRef<str>]) -> Result<Self, SampleError> {
        let there: BTreeMap<&str, usize> =
            self.reader.header().samples().iter().map(String::as_str).zip(0..).collect();
        let mut seen = BTreeSet::new();
        let mut columns = vec![];
        for (index, name) in names.iter().map(AsRef::as_ref).enumerate() {
            let column = *there.get(name).ok_or(SampleError::Unknown(index + 1))?;
            if !seen.insert(column) {
                return Err(SampleError::Repeated(index + 1));
            }
            columns.push(column);
        }
        self.chosen = Some(Chosen::new(columns));
        Ok(self)
    }

    /// The lines above the records. With samples chosen, AC and AN are declared where they were not.
    pub fn header(&self) -> String {
        let header = self.reader.header();
        let mut text = format!("##fileformat={}\n", header.version());
        header.meta().iter().for_each(|line| text.extend([line.as_str(), "\n"]));
        if self.chosen.is_some() {
            text.push_str(&self.undeclared());
        }
        text.push_str("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO");
        let names = header.samples();
        let kept: Vec<&String> = match &self.chosen {
            Some(chosen) => chosen.columns().iter().filter_map(|column| names.get(*column)).collect(),
            None => names.iter().collect(),
        };
        text.push_str(if kept.is_empty() { "" } else { "\tFORMAT" });
        kept.iter().for_each(|name| text.extend(["\t", name.as_str()]));
        text.push('\n');
        text
    }

    fn undeclared(&self) -> String {
        const LINES: [(&str, &str); 2] = [
            (
                "AC",
                "##INFO=<ID=AC,Number=A,Type=Integer,Description=\"Allele count in genotypes, for each ALT allele\">\n",
            ),
            (
                "AN",
                "##INFO=<ID=AN,Number=1,Type=Integer,Description=\"Number of alleles in called genotypes\">\n",
            ),
        ];
        let ids: BTreeSet<&str> =
            self.reader.header().meta().iter().filter_map(|line| info_id(line)).collect();
        LINES.iter().filter(|(id, _)| !ids.contains(id)).map(|(_, line)| *line).collect()
    }

    /// Records that were read, and those of them that passed.
    pub fn records(&self) -> (u64, u64) {
        (self.records, self.kept)
    }

    /// Chromosomes that regions name and of which no record was read, in the order of the alphabet.
    pub fn absent(&self) -> impl Iterator<Item = &str> {
        let named = self.filter.regions.iter().flat_map(Regions::iter).map(|(name, _)| name);
        named.filter(|name| !self.seen.contains(*name))
    }

    /// The next line that passes, without its end; `None` after the last one.
    ///
    /// # Errors
    /// [`VcfError`] of a record that cannot be read. Calls are looked at only where they are asked for.
    pub fn read(&mut self) -> Result<Option<&[u8]>, VcfError> {
        while let Some(record) = self.reader.read()? {
            self.records += 1;
            let Filter { regions, least_quality, pass, biallelic, frequency } = &self.filter;
            if let Some(regions) = regions {
                if regions.has(record.chromosome()) && !self.seen.contains(record.chromosome()) {
                    self.seen.insert(record.chromosome().to_owned());
                }
                if !regions.overlap(record.chromosome(), record.position(), record.last_position()) {
                    continue;
                }
            }
            let is_below =
                |least: &f32| record.quality().is_none_or(|quality| quality.is_nan() || quality < *least);
            if *pass && record.filter() != "PASS"
                || least_quality.as_ref().is_some_and(is_below)
                || *biallelic && record.alternatives().take(2).count() != 1
            {
                continue;
            }
            let has_calls = record.format().split(':').any(|key| key == "GT");
            if let Some(chosen) = &mut self.chosen {
                chosen.take(&record)?;
            }
            let cells = self.chosen.as_ref().map(Chosen::cells);
            let is_counted = has_calls && (cells.is_some() || frequency.is_some());
            if is_counted {
                record.count_alleles(cells, &mut self.counts)?;
            }
            if let Some(range) = frequency {
                let counted = match has_calls {
                    true => Some((self.counts.alternatives(), self.counts.all())),
                    false => stated(&record),
                };
                let frequency = counted
                    .filter(|(_, all)| *all > 0)
                    .map(|(alternatives, all)| alternatives as f64 / all as f64);
                if !frequency.is_some_and(|frequency| range.contains(&frequency)) {
                    continue;
                }
            }
            self.kept += 1;
            if let Some(chosen) = &self.chosen {
                chosen.write(&record, is_counted.then_some(&self.counts), &mut self.line);
                return Ok(Some(&self.line));
            }
            // Split once more, because a borrow that is returned cannot be in a loop.
            return self.reader.again().map(|record| Some(record.text()));
        }
        Ok(None)
    }
}

impl<R: Read + Seek> View<Parts<R>> {
    /// Reads with the help of an index only what the regions may need. Without regions it reads everything. Lines are
    /// counted as if there were no others.
    #[must_use]
    pub fn with_index(mut self, index: &Index) -> Self {
        let Some(regions) = &self.filter.regions else { return self };
        let mut chunks = vec![];
        for (name, stretches) in regions.iter() {
            if index.names().iter().any(|other| other == name) {
                self.seen.insert(name.to_owned());
            }
            for (from, to) in stretches {
                chunks.extend(index.chunks(name, *from, *to));
            }
        }
        self.reader.source_mut().only(chunks);
        self
    }
}

/// The ID of an INFO line.
fn info_id(line: &str) -> Option<&str> {
    let inner = line.strip_prefix("##INFO=<")?.strip_suffix('>')?;
    let fields = split(inner.as_bytes()).ok()?;
    let id = fields.iter().find(|field| field.key == b"ID")?;
    std::str::from_utf8(id.value).ok()
}

/// What INFO says of AC, all alleles together, and AN.
fn stated(record: &Record<'_>) -> Option<(u64, u64)> {
    let all = record.info_value("AN")?.parse().ok()?;
    let copies = record.info_value("AC")?.split(',').map(str::parse::<u64>);
    // More than a file can say is nothing that it says.
    let copies = copies.map(Result::ok).try_fold(0_u64, |sum, of| sum.checked_add(of?))?;
    Some((copies, all))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::Limits;
    use super::*;

    /// What `bcftools view` 1.16 was asked about, too: its answers are the expected texts.
    const TEXT: &str = "##fileformat=VCFv4.3\n##INFO=<ID=AN,Number=1,Type=Integer,Description=\"x\">\n\
        #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\tc\n\
        1\t5\tr1\tA\tC\t30\tPASS\tAC=9;DP=5;AN=10\tGT\t0/1\t./1\t1\n\
        1\t6\tr2\tA\tC,G\t29.9\t.\tDP=5\tGT:DP\t0/1:3\t./1:.\t1:5\n\
        1\t7\tr3\tA\t.\t.\tq\t.\tGT\t0/0\t./.\t0/0\r\n\
        1\t8\tr4\tA\tC\t50\tq\t.\tDP\t4\t5\t6\n\
        1\t9\tr5\tA\tC\t50\tPASS\tAN=3\tGT\t./.\t./.\t.\n\
        1\t10\tr6\tAAAA\tC\t50\tPASS\tEND=20;DP=3\tGT\t0/0\t0/1\t0/0\n";

    fn view(filter: Filter) -> View<&'static [u8]> {
        View::new(Reader::new("a.vcf", TEXT.as_bytes(), &Limits::default()).unwrap(), filter)
    }

    fn lines(mut view: View<&[u8]>) -> Vec<String> {
        let mut lines = vec![];
        while let Some(line) = view.read().unwrap() {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
        }
        assert_eq!(view.records(), (6, lines.len() as u64));
        lines
    }

    fn names(filter: Filter) -> String {
        let name = |line: String| line.split('\t').nth(2).map(str::to_owned);
        lines(view(filter)).into_iter().filter_map(name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn filters() {
        let regions = |texts: &[&str]| {
            let mut regions = Regions::default();
            texts.iter().for_each(|text| regions.add(text).unwrap());
            Some(regions)
        };
        let frequency = |range| Filter { frequency: Some(range), ..Filter::default() };
        assert_eq!(names(Filter::default()), "r1 r2 r3 r4 r5 r6");
        assert_eq!(names(Filter { pass: true, ..Filter::default() }), "r1 r5 r6");
        assert_eq!(names(Filter { biallelic: true, ..Filter::default() }), "r1 r4 r5 r6");
        assert_eq!(names(Filter { least_quality: Some(29.9), ..Filter::default() }), "r1 r2 r4 r5 r6");
        assert_eq!(names(Filter { least_quality: Some(30.0), ..Filter::default() }), "r1 r4 r5 r6");
        assert_eq!(names(frequency(0.4..=1.0)), "r1 r2");
        assert_eq!(names(frequency(0.0..=0.75)), "r1 r2 r3 r6");
        assert_eq!(names(Filter { regions: regions(&["1:12-13"]), ..Filter::default() }), "r6");
        assert_eq!(names(Filter { regions: regions(&["1:5", "1:7-9"]), ..Filter::default() }), "r1 r3 r4 r5");
        let mut view = view(Filter { regions: regions(&["1:5", "chr1"]), ..Filter::default() });
        while view.read().unwrap().is_some() {}
        assert_eq!(view.absent().collect::<Vec<_>>(), ["chr1"]);
    }

    #[test]
    fn samples_are_chosen_and_their_alleles_counted() {
        let chosen = view(Filter::default()).with_samples(&["b", "a"]).unwrap();
        assert!(chosen.header().contains("INFO=<ID=AC,") && chosen.header().ends_with("\tFORMAT\tb\ta\n"));
        assert_eq!(chosen.header().matches("INFO=<ID=AN,").count(), 1);
        assert_eq!(
            lines(chosen),
            [
                "1\t5\tr1\tA\tC\t30\tPASS\tAC=2;DP=5;AN=3\tGT\t./1\t0/1",
                "1\t6\tr2\tA\tC,G\t29.9\t.\tDP=5;AC=2,0;AN=3\tGT:DP\t./1:.\t0/1:3",
                "1\t7\tr3\tA\t.\t.\tq\tAN=2\tGT\t./.\t0/0",
                "1\t8\tr4\tA\tC\t50\tq\t.\tDP\t5\t4",
                "1\t9\tr5\tA\tC\t50\tPASS\tAN=0;AC=0\tGT\t./.\t./.",
                "1\t10\tr6\tAAAA\tC\t50\tPASS\tEND=20;DP=3;AC=1;AN=4\tGT\t0/1\t0/0",
            ]
        );
        let filter = Filter { frequency: Some(0.5..=1.0), ..Filter::default() };
        assert_eq!(lines(view(filter.clone()).with_samples(&["b", "a"]).unwrap()).len(), 2);
        assert_eq!(lines(view(filter).with_samples(&["c"]).unwrap()).len(), 2);
        let refuse = |names: &[&str]| view(Filter::default()).with_samples(names).err();
        assert_eq!(refuse(&["a", "x"]), Some(SampleError::Unknown(2)));
        assert_eq!(refuse(&["a", "c", "a"]), Some(SampleError::Repeated(3)));
    }

    #[test]
    fn without_calls_info_says_the_frequency() {
        let text = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n\
            1\t5\ta\tA\tC,G\t.\t.\tAC=1,2;AN=10\n1\t6\tb\tA\tC\t.\t.\tAC=4;AN=10\n1\t7\tc\tA\tC\t.\t.\t.\n";
        let reader = Reader::new("a.vcf", text.as_bytes(), &Limits::default()).unwrap();
        let mut view = View::new(reader, Filter { frequency: Some(0.0..=0.3), ..Filter::default() });
        assert!(view.read().unwrap().unwrap().starts_with(b"1\t5"));
        assert_eq!(view.read().unwrap(), None);
        // Counts that add up to more than a number holds say no frequency.
        let most = text.replace("AC=1,2", &format!("AC={0},{0}", u64::MAX));
        let reader = Reader::new("a.vcf", most.as_bytes(), &Limits::default()).unwrap();
        let mut view = View::new(reader, Filter { frequency: Some(0.0..=1.0), ..Filter::default() });
        assert!(view.read().unwrap().unwrap().starts_with(b"1\t6"));
    }

    #[test]
    fn records_of_another_length_are_refused_where_calls_are_needed() {
        let short = TEXT.replace("0/0\t0/1\t0/0\n", "0/0\t0/1\n");
        let open = || Reader::new("a.vcf", short.as_bytes(), &Limits::default()).unwrap();
        let last = |mut view: View<&[u8]>| loop {
            match view.read() {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => return Some(error.to_string()),
            }
        };
        assert_eq!(last(View::new(open(), Filter::default())), None);
        let frequency = Filter { frequency: Some(0.0..=1.0), ..Filter::default() };
        for view in
            [View::new(open(), frequency), View::new(open(), Filter::default()).with_samples(&["a"]).unwrap()]
        {
            let error = last(view).unwrap();
            assert!(
                error.starts_with("a.vcf, line 9, column") && error.ends_with("[column-count]"),
                "{error}"
            );
        }
    }
}
