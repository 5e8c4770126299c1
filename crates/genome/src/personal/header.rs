//! Which columns a file has, and who wrote it.

use std::fmt;

/// The company or program that wrote a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Company {
    /// 23andMe.
    TwentyThreeAndMe,
    /// 23Mofang.
    TwentyThreeMofang,
    /// AncestryDNA.
    Ancestry,
    /// CircleDNA.
    Circle,
    /// Código 46.
    Codigo46,
    /// DNA.Land.
    DnaLand,
    /// FamilyTreeDNA, also FamFinder.
    FamilyTree,
    /// Genes for Good.
    GenesForGood,
    /// Living DNA.
    LivingDna,
    /// Mapmygenome.
    Mapmygenome,
    /// MyHeritage.
    MyHeritage,
    /// Sano Genetics.
    Sano,
    /// SelfDecode.
    SelfDecode,
    /// tellmeGen.
    TellmeGen,
    /// Nothing in the file says.
    Unknown,
}

impl fmt::Display for Company {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TwentyThreeAndMe => "23andMe",
            Self::TwentyThreeMofang => "23Mofang",
            Self::Ancestry => "AncestryDNA",
            Self::Circle => "CircleDNA",
            Self::Codigo46 => "Código 46",
            Self::DnaLand => "DNA.Land",
            Self::FamilyTree => "FamilyTreeDNA",
            Self::GenesForGood => "Genes for Good",
            Self::LivingDna => "Living DNA",
            Self::Mapmygenome => "Mapmygenome",
            Self::MyHeritage => "MyHeritage",
            Self::Sano => "Sano Genetics",
            Self::SelfDecode => "SelfDecode",
            Self::TellmeGen => "tellmeGen",
            Self::Unknown => "unknown company",
        })
    }
}

/// How companies name themselves in comments, in lower case.
const NAMES: [(&str, Company); 15] = [
    ("23andme", Company::TwentyThreeAndMe),
    ("23mofang", Company::TwentyThreeMofang),
    ("ancestrydna", Company::Ancestry),
    ("circle", Company::Circle),
    ("codigo46", Company::Codigo46),
    ("dna.land", Company::DnaLand),
    ("familytreedna", Company::FamilyTree),
    ("famfinder", Company::FamilyTree),
    ("genes for good", Company::GenesForGood),
    ("living dna", Company::LivingDna),
    ("mapmygenome", Company::Mapmygenome),
    ("myheritage", Company::MyHeritage),
    ("sano", Company::Sano),
    ("selfdecode", Company::SelfDecode),
    ("derived from the corresponding vcf file to provide genetic", Company::Sano),
];

impl Company {
    /// From comments in lower case, where the name that comes first counts, else from the spelling of the header.
    pub(super) fn find(comments: &str, header: &str) -> Self {
        let named = NAMES.iter().filter_map(|(name, company)| {
            let alone = |(at, _): &(usize, &str)| {
                let letter = |c: Option<char>| c.is_some_and(char::is_alphabetic);
                !letter(comments.get(..*at).and_then(|text| text.chars().next_back()))
                    && !letter(comments.get(at + name.len()..).and_then(|text| text.chars().next()))
            };
            comments.match_indices(name).find(alone).map(|(at, _)| (at, *company))
        });
        if let Some((_, company)) = named.min_by_key(|(at, _)| *at) {
            return company;
        }
        let header: Vec<&str> = header.split(['\t', ',']).map(str::trim).collect();
        match header.as_slice() {
            ["RSID", "CHROMOSOME", "POSITION", "RESULT"] => Self::FamilyTree,
            ["rsid", "Chromosome", "position", "genotype"] => Self::TellmeGen,
            ["rsid", "chromosome", "position", "allele_1", "allele_2"] => Self::Sano,
            ["SNP Name" | "SNP.Name", .., "CNV.Confidence"] => Self::Mapmygenome,
            _ => Self::Unknown,
        }
    }
}

/// How cells are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Separator {
    Comma,
    /// Tabs; where these do not give the cells of the header, any blanks.
    Blanks,
}

/// Where a genotype stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GenotypeColumns {
    One(usize),
    Two(usize, usize),
}

/// What the columns mean; numbers count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) separator: Separator,
    pub(super) columns: usize,
    pub(super) name: usize,
    /// Chromosome and position; where there are none, names such as `1:101` tell them.
    pub(super) place: Option<(usize, usize)>,
    pub(super) genotype: GenotypeColumns,
    pub(super) sample: Option<usize>,
}

/// Two columns that mean the same, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Double(pub(super) usize, pub(super) usize);

impl Layout {
    /// `None` when the line does not name the columns.
    pub(super) fn parse(line: &str) -> Option<Result<Self, Double>> {
        let line = line.trim_start_matches('#').trim();
        let separator =
            if line.contains(',') && !line.contains('\t') { Separator::Comma } else { Separator::Blanks };
        let cells: Vec<String> = match separator {
            Separator::Comma => line.split(',').map(simplify).collect(),
            Separator::Blanks if line.contains('\t') => line.split('\t').map(simplify).collect(),
            Separator::Blanks => line.split_ascii_whitespace().map(simplify).collect(),
        };
        let mut double = None;
        let mut find = |names: &[&str]| {
            // The first name that is there counts, wherever it stands.
            names.iter().find_map(|name| {
                let mut at = cells.iter().enumerate().filter(|(_, cell)| cell == name).map(|(at, _)| at);
                let first = at.next()?;
                if let Some(second) = at.next() {
                    double.get_or_insert(Double(first, second));
                }
                Some(first)
            })
        };
        let name = find(&["rsid", "irsid", "markername", "snpname", "snpid", "name"])?;
        let place = find(&["chromosome", "chrom", "chr"]).zip(find(&["position", "pos"]));
        let genotype = match find(&["genotype", "result", "gt"]) {
            Some(one) => GenotypeColumns::One(one),
            None => {
                [("allele1plus", "allele2plus"), ("allele1forward", "allele2forward"), ("allele1", "allele2")]
                    .iter()
                    .find_map(|(a, b)| Some(GenotypeColumns::Two(find(&[*a])?, find(&[*b])?)))?
            }
        };
        let sample = find(&["samplename", "sampleid"]);
        // Without places, only the layout with a sample in front is known; everything else lacks its columns.
        if place.is_none() && sample.is_none() {
            return None;
        }
        let layout = Self { separator, columns: cells.len(), name, place, genotype, sample };
        Some(double.map_or(Ok(layout), Err))
    }
}

/// Small letters and digits only: `Allele1 - Plus`, `Allele1...Plus` and `allele_1` are written in many ways.
fn simplify(cell: &str) -> String {
    cell.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}
