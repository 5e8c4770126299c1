//! Plots of a scan, as SVG.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use histone_genome::variant::Site;

/// Below this, a p-value is one of a genome-wide study.
pub const SIGNIFICANT: f64 = 5e-8;

/// A p-value and where it is.
pub struct Point {
    /// Rs number, or place and alleles.
    pub name: String,
    /// The p-value.
    pub p: f64,
    chromosome: String,
    position: u64,
}

impl Point {
    /// The p-value of a variant.
    pub fn new(site: &Site, p: f64) -> Self {
        let Site { chromosome, position, ids, reference, alternative, .. } = site;
        let place = format!("{chromosome}:{position} {reference}>{alternative}");
        let name = if ids == "." { place } else { format!("{ids} ({place})") };
        Self { name, p, chromosome: chromosome.clone(), position: *position }
    }
}

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 48.0;
const TOP: f64 = 32.0;
const BOTTOM: f64 = 40.0;
/// Points with a larger p-value are drawn as one in ten: they fill the ground and say nothing.
const FAINT: f64 = 0.05;
/// Colors of chromosomes, one after the other, and of what is significant.
const COLORS: [&str; 2] = ["#1f4e79", "#7aa6c2"];
const HIT: &str = "#b3261e";

fn strength(p: f64) -> f64 {
    -p.max(1e-300).log10()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn open(title: &str, width: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n<title>{0}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{0}</text>\n",
        escaped(title)
    )
}

/// People by two numbers each.
pub fn scatter(title: &str, across: &[f64], up: &[f64]) -> String {
    let mut svg = open(title, HEIGHT + 60.0);
    let ends = |values: &[f64]| {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if high > low { (low, high) } else { (low - 1.0, low + 1.0) }
    };
    let ((left, right), (low, high)) = (ends(across), ends(up));
    let size = HEIGHT - TOP - BOTTOM;
    for (x, y) in across.iter().zip(up) {
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\" fill=\"{}\" fill-opacity=\"0.6\"/>",
            LEFT + (x - left) / (right - left) * size,
            HEIGHT - BOTTOM - (y - low) / (high - low) * size,
            COLORS[0]
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{0}\" y=\"{1}\" text-anchor=\"middle\">PC1</text><text transform=\"translate(20 {2}) rotate(-90)\" text-anchor=\"middle\">PC2</text></svg>",
        LEFT + size / 2.0,
        HEIGHT - 12.0,
        TOP + size / 2.0
    );
    svg
}

/// A scale with marks at whole numbers; gives the height of a value.
fn axis(svg: &mut String, most: f64, width: f64) -> impl Fn(f64) -> f64 + use<> {
    let top = most.ceil().max(8.0);
    let at = move |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
    let step = (top / 8.0).ceil();
    let mut mark = 0.0;
    while mark <= top {
        let y = at(mark);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#e0e0e0\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{mark}</text>",
            width - 12.0,
            LEFT - 6.0,
            y + 4.0
        );
        mark += step;
    }
    let _ = writeln!(
        svg,
        "<text transform=\"translate(14 {}) rotate(-90)\" text-anchor=\"middle\">-log10 p</text>",
        HEIGHT / 2.0
    );
    at
}

/// P-values along the genome.
pub fn manhattan(title: &str, points: &[Point]) -> String {
    let mut svg = open(title, WIDTH);
    let most = points.iter().map(|point| strength(point.p)).fold(0.0, f64::max);
    let at = axis(&mut svg, most, WIDTH);
    // Chromosomes in the order of the file, each as long as what is known of it.
    let mut order: Vec<&str> = Vec::new();
    let mut reach: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for point in points {
        let chromosome = point.chromosome.as_str();
        let span = reach.entry(chromosome).or_insert_with(|| {
            order.push(chromosome);
            (point.position, point.position)
        });
        *span = (span.0.min(point.position), span.1.max(point.position));
    }
    let length = |name: &str| reach.get(name).map_or(0, |(first, last)| last - first + 1) as f64;
    let all: f64 = order.iter().map(|name| length(name)).sum::<f64>().max(1.0);
    let mut begins = BTreeMap::new();
    let mut x = LEFT;
    let scale = (WIDTH - LEFT - 12.0) / all;
    for (index, name) in order.iter().enumerate() {
        begins.insert(*name, (x, COLORS[index % COLORS.len()]));
        let wide = length(name) * scale;
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x + wide / 2.0,
            HEIGHT - 20.0,
            escaped(name)
        );
        x += wide;
    }
    let line = at(strength(SIGNIFICANT));
    let _ = writeln!(
        svg,
        "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{line:.1}\" y2=\"{line:.1}\" stroke=\"{HIT}\" stroke-dasharray=\"4 4\"/>",
        WIDTH - 12.0
    );
    for (index, point) in points.iter().enumerate() {
        if point.p > FAINT && index % 10 != 0 {
            continue;
        }
        let Some((begin, color)) = begins.get(point.chromosome.as_str()) else { continue };
        let first = reach.get(point.chromosome.as_str()).map_or(0, |span| span.0);
        let x = begin + (point.position - first) as f64 * scale;
        let (color, name) = match point.p < SIGNIFICANT {
            true => (HIT, format!("<title>{}</title>", escaped(&point.name))),
            false => (*color, String::new()),
        };
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"2\" fill=\"{color}\">{name}</circle>",
            at(strength(point.p))
        );
    }
    svg + "</svg>\n"
}

/// P-values against those that chance gives.
pub fn qq(title: &str, points: &[Point]) -> String {
    let width = HEIGHT + 60.0;
    let mut svg = open(title, width);
    let mut found: Vec<f64> = points.iter().map(|point| strength(point.p)).collect();
    found.sort_by(|a, b| b.total_cmp(a));
    let count = found.len() as f64;
    let expected = |rank: usize| -((rank as f64 + 0.5) / count).log10();
    let at = axis(&mut svg, found.first().copied().unwrap_or_default(), width);
    let most = if found.is_empty() { 1.0 } else { expected(0).max(1.0) };
    let across = |value: f64| LEFT + value / most * (width - LEFT - 12.0);
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#888\"/>",
        across(0.0),
        at(0.0),
        across(most),
        at(most)
    );
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">-log10 p by chance (lambda {})</text>",
        width / 2.0,
        HEIGHT - 8.0,
        inflation(points).map_or_else(|| "NA".into(), |lambda| format!("{lambda:.3}"))
    );
    for (rank, value) in found.iter().enumerate() {
        if rank > 1_000 && rank % 20 != 0 {
            continue;
        }
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\" fill=\"{}\"/>",
            across(expected(rank)),
            at(*value),
            COLORS[0]
        );
    }
    svg + "</svg>\n"
}

/// Genomic inflation of the points.
pub fn inflation(points: &[Point]) -> Option<f64> {
    histone_genome::association::inflation(points.iter().map(|point| point.p))
}

/// Writes a plot.
pub fn write(file: &Path, svg: &str) -> Result<()> {
    super::file::is_written(file)?;
    Ok(histone_network::write_whole(file, svg.as_bytes())?)
}
