//! Files of genotypes, with a bar that shows how far they are read, and tables that are there whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context as _, Result, bail};
use histone_genome::bgen::{self, ReferenceAllele};
use histone_genome::cohort::Cohort;
use histone_genome::plink::{self, People, Variants};
use histone_genome::plink2;
use histone_genome::vcf::{self, bgzf};
use indicatif::{ProgressBar, ProgressStyle};

/// A kind of file, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// VCF, as text or compressed.
    Vcf,
    /// BCF.
    Bcf,
    /// BED, BIM and FAM beside each other.
    Plink,
    /// PGEN, PVAR (or BIM) and PSAM (or FAM) beside each other.
    Plink2,
    /// BGEN, and a `.sample` file beside it where it names nobody.
    Bgen,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vcf => "VCF",
            Self::Bcf => "BCF",
            Self::Plink => "PLINK 1",
            Self::Plink2 => "PLINK 2",
            Self::Bgen => "BGEN",
        }
    }

    /// The kind of a file that is called so.
    pub fn of(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if [".vcf", ".vcf.gz", ".vcf.bgz"].iter().any(|end| name.ends_with(end)) {
            return Ok(Self::Vcf);
        }
        if [".bed", ".bim", ".fam"].iter().any(|end| name.ends_with(end)) {
            return Ok(Self::Plink);
        }
        for (kind, end) in [(Self::Bcf, ".bcf"), (Self::Plink2, ".pgen"), (Self::Bgen, ".bgen")] {
            if name.ends_with(end) {
                return Ok(kind);
            }
        }
        bail!(
            "`{}` is of no kind that is read here; these are: VCF (.vcf, .vcf.gz), BCF, filesets of PLINK 1 (name one of .bed, .bim, .fam) and 2 (.pgen), and BGEN",
            path.display()
        )
    }
}

/// The other file of a PLINK fileset.
pub fn beside(path: &Path, extension: &str) -> PathBuf {
    path.with_extension(extension)
}

/// Bytes that are counted on a bar.
pub struct Counted<R> {
    inner: R,
    bar: ProgressBar,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bar.inc(read as u64);
        Ok(read)
    }
}

impl<R: Seek> Seek for Counted<R> {
    /// The bar shows what is read, wherever that is.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

impl<R> Drop for Counted<R> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// What this process reads and writes, by the paths that links lead to: nothing may be written over what is read, or twice.
static NAMED: Mutex<Named> = Mutex::new(Named { read: Vec::new(), written: Vec::new() });

struct Named {
    read: Vec<PathBuf>,
    written: Vec<PathBuf>,
}

/// Where a file is, also one that is not there yet.
fn place(path: &Path) -> Option<PathBuf> {
    let folder = || match path.parent() {
        Some(folder) if folder != Path::new("") => folder.canonicalize().ok(),
        _ => Path::new(".").canonicalize().ok(),
    };
    path.canonicalize().ok().or_else(|| Some(folder()?.join(path.file_name()?)))
}

/// Notes that a file is read; `open` does.
pub fn is_read(path: &Path) {
    if let (Some(place), Ok(mut named)) = (place(path), NAMED.lock()) {
        named.read.push(place);
    }
}

fn refuse_read(path: &Path) -> Result<()> {
    let is_read = |place| NAMED.lock().is_ok_and(|named| named.read.contains(&place));
    // A device is read and written as one likes.
    if path.is_file() && place(path).is_some_and(is_read) {
        bail!("`{}` is a file that is read; name another one to write into", path.display());
    }
    Ok(())
}

/// Refuses to write over what this command reads, or has written.
pub fn is_written(path: &Path) -> Result<()> {
    refuse_read(path)?;
    if path.exists() && !path.is_file() {
        return Ok(());
    }
    if let (Some(place), Ok(mut named)) = (place(path), NAMED.lock()) {
        if named.written.contains(&place) {
            bail!("`{}` is named for two results; name another one", path.display());
        }
        named.written.push(place);
    }
    Ok(())
}

/// Opens a file; on a terminal a bar shows how much of it is read.
pub fn open(path: &Path) -> Result<Counted<File>> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot read `{shown}`"))?;
    is_read(path);
    let bytes = file.metadata().map(|data| data.len()).unwrap_or_default();
    let bar = if io::stderr().is_terminal() { ProgressBar::new(bytes) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {bytes} of {total_bytes} {elapsed}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
    Ok(Counted { inner: file, bar })
}

/// The text of a file, decompressed where it is compressed.
pub fn text(path: &Path) -> Result<Box<dyn BufRead>> {
    Ok(Box::new(bgzf::Reader::new(open(path)?, bgzf::Limits::default())))
}

/// People and calls of a file.
pub fn cohort(path: &Path) -> Result<Cohort<Box<dyn BufRead>>> {
    let name = path.display().to_string();
    Ok(match Kind::of(path)? {
        Kind::Vcf => Cohort::vcf(&name, text(path)?, &vcf::Limits::default())?,
        Kind::Plink => {
            let bed = beside(path, "bed");
            let (people, variants) = (people(path)?, variants(path)?);
            Cohort::plink(&bed.display().to_string(), buffered(&bed)?, people, variants)?
        }
        Kind::Bcf => Cohort::bcf(&name, text(path)?, &vcf::Limits::default())?,
        Kind::Plink2 => {
            let limits = plink2::Limits::default();
            let [pvar, psam] = [&["pvar", "pvar.zst", "bim"][..], &["psam", "fam"]].map(|ends| {
                let all = ends.iter().map(|end| beside(path, end));
                all.clone().find(|file| file.is_file()).or_else(|| all.clone().next()).unwrap_or_default()
            });
            let people = plink2::read_people(&psam.display().to_string(), open(&psam)?, &limits)?;
            let variants = plink2::Variants::read(&pvar.display().to_string(), open(&pvar)?, &limits)?;
            Cohort::plink2(&name, buffered(path)?, people, variants, &limits)?
        }
        Kind::Bgen => {
            let limits = bgen::Limits::default();
            let sample = beside(path, "sample");
            let people = match sample.is_file() {
                true => Some(bgen::read_people(&sample.display().to_string(), open(&sample)?, &limits)?),
                false => None,
            };
            Cohort::bgen(&name, buffered(path)?, people, ReferenceAllele::First, &limits)?
        }
    })
}

fn buffered(path: &Path) -> Result<Box<dyn BufRead>> {
    Ok(Box::new(BufReader::with_capacity(1 << 20, open(path)?)))
}

/// The people of a PLINK fileset.
pub fn people(path: &Path) -> Result<People> {
    let fam = beside(path, "fam");
    Ok(People::read(&fam.display().to_string(), open(&fam)?, &plink::Limits::default())?)
}

/// The variants of a PLINK fileset.
pub fn variants(path: &Path) -> Result<Variants> {
    let bim = beside(path, "bim");
    Ok(Variants::read(&bim.display().to_string(), open(&bim)?, &plink::Limits::default())?)
}

/// A file that has its name when it is whole.
pub struct Whole {
    to: PathBuf,
    part: PathBuf,
    file: Option<BufWriter<File>>,
}

impl Whole {
    /// Begins it, beside where it is to be.
    pub fn new(to: &Path) -> Result<Self> {
        is_written(to)?;
        let mut part = to.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        refuse_read(&part)?;
        let file = File::create(&part).with_context(|| format!("cannot write `{}`", part.display()))?;
        Ok(Self { to: to.to_owned(), part, file: Some(BufWriter::new(file)) })
    }

    /// Gives it its name.
    pub fn finish(mut self) -> Result<()> {
        let shown = self.to.display().to_string();
        // What was opened later is read as well.
        refuse_read(&self.to)?;
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.flush().with_context(|| format!("cannot write `{shown}`"))?;
        fs::rename(&self.part, &self.to).with_context(|| format!("cannot write `{shown}`"))
    }
}

impl Write for Whole {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(bytes),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// Where a table goes: into a file, or to standard output.
pub fn table<'a>(file: Option<&Path>, out: &'a mut dyn Write) -> Result<Table<'a>> {
    Ok(match file {
        Some(file) => Table::File(Whole::new(file)?),
        None => Table::Out(out),
    })
}

/// A table that is being written.
pub enum Table<'a> {
    File(Whole),
    Out(&'a mut dyn Write),
}

impl Table<'_> {
    /// Ends it.
    pub fn finish(self) -> Result<()> {
        match self {
            Self::File(whole) => whole.finish(),
            Self::Out(out) => out.flush().context(crate::progress::STDOUT),
        }
    }
}

impl Write for Table<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(whole) => whole.write(bytes),
            Self::Out(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(whole) => whole.flush(),
            Self::Out(out) => out.flush(),
        }
    }
}

/// A number as tables have it: seven significant digits, and `NA` for none.
pub fn number(value: Option<f64>) -> String {
    match value {
        Some(0.0) => "0".into(),
        Some(value) if value.is_finite() => {
            let plain = (1e-4..1e7).contains(&value.abs());
            let digits = (6 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
            if plain { format!("{value:.digits$}") } else { format!("{value:.6e}") }
        }
        _ => "NA".into(),
    }
}
