//! `cargo xtask package`: the program as one static binary for Linux, and `cargo xtask platforms`: whether everything compiles elsewhere.
//!
//! Two dependencies bring C (SQLite) and assembler (ring). Zig compiles both for every target from one Python package, so that no cross
//! toolchain of the system is needed; Rust's own linker and musl do the rest. Zig is installed into `target/zig`, in a pinned version.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

const ZIG: &str = "ziglang==0.17.1";

/// Targets of [`package`].
const STATIC: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];

/// Targets of [`platforms`]: their code is compiled and not linked, since that needs the systems' own libraries.
const FOREIGN: [&str; 2] = ["x86_64-pc-windows-gnu", "aarch64-apple-darwin"];

/// What to build.
#[derive(clap::Args)]
pub struct PackageArgs {
    /// For which targets; both by default.
    #[arg(long = "target", value_name = "TRIPLE")]
    targets: Vec<String>,
    /// Optimize less: minutes instead of a quarter of an hour for each target.
    #[arg(long)]
    fast: bool,
}

/// Builds static binaries into `target/package`.
pub fn package(args: &PackageArgs) -> anyhow::Result<()> {
    let zig = Zig::installed()?;
    let known = STATIC.map(str::to_owned);
    let targets = if args.targets.is_empty() { &known[..] } else { &args.targets };
    let out = zig.target.join("package");
    fs::create_dir_all(&out).with_context(|| format!("could not make {}", out.display()))?;
    let profile = if args.fast { "release" } else { "dist" };
    for target in targets {
        ensure!(
            STATIC.contains(&target.as_str()),
            "`{target}` is no target of this command: {}",
            STATIC.join(", ")
        );
        let mut build = zig.cargo("build", target)?;
        let name = target.to_uppercase().replace('-', "_");
        build.env(format!("CARGO_TARGET_{name}_LINKER"), "rust-lld");
        build.args(["--profile", profile, "--package", "histone-cli"]);
        step(&mut build)?;
        let built = zig.target.join(target).join(profile).join("histone");
        let named = out.join(format!("histone-{target}"));
        fs::copy(&built, &named).with_context(|| format!("could not copy {}", built.display()))?;
        let bytes = fs::read(&named)?;
        ensure!(
            !contains(&bytes, b"/ld-linux") && !contains(&bytes, b"/ld-musl"),
            "{} is not static",
            named.display()
        );
        println!("{}: {:.1} MB, static", named.display(), bytes.len() as f64 / 1e6);
    }
    Ok(())
}

/// Type-checks the product for Windows and macOS.
pub fn platforms() -> anyhow::Result<()> {
    let zig = Zig::installed()?;
    for target in FOREIGN {
        step(zig.cargo("check", target)?.args(["--package", "histone-cli"]))?;
        println!("{target}: everything compiles; nothing was linked or run");
    }
    Ok(())
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A C compiler for all targets.
struct Zig {
    target: PathBuf,
    python: PathBuf,
}

impl Zig {
    fn installed() -> anyhow::Result<Self> {
        ensure!(cfg!(unix), "this command runs on Linux and macOS");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let target = std::path::absolute(target)?;
        let venv = target.join("zig");
        let python = venv.join("bin").join("python");
        // Written last, so that a half-finished installation is done again.
        let stamp = venv.join(".installed");
        if fs::read_to_string(&stamp).ok().as_deref() != Some(ZIG) {
            step(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
            step(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--no-deps", ZIG]))?;
            fs::write(&stamp, ZIG)?;
        }
        Ok(Self { target, python })
    }

    /// A run of cargo for a target, whose C is compiled by Zig.
    fn cargo(&self, what: &str, target: &str) -> anyhow::Result<Command> {
        step(Command::new("rustup").args(["target", "add", target]))?;
        let of_zig = match target {
            "x86_64-unknown-linux-musl" => "x86_64-linux-musl",
            "aarch64-unknown-linux-musl" => "aarch64-linux-musl",
            "x86_64-pc-windows-gnu" => "x86_64-windows-gnu",
            "aarch64-apple-darwin" => "aarch64-macos",
            _ => bail!("no name of Zig's for `{target}`"),
        };
        // Cargo's name of the target means nothing to Zig, and checks of undefined behavior need a library that is not linked.
        let compile = "for arg; do shift; case \"$arg\" in --target=*|-arch|arm64|-mmacosx-version-min=*) ;; *) set -- \"$@\" \"$arg\" ;; esac; done";
        let cc = self.script(
            &format!("cc-{target}"),
            &format!(
                "{compile}\nexec \"{}\" -m ziglang cc -target {of_zig} -fno-sanitize=undefined \"$@\"",
                self.python.display()
            ),
        )?;
        let ar = self.script("ar", &format!("exec \"{}\" -m ziglang ar \"$@\"", self.python.display()))?;
        let mut cargo = crate::cargo::cargo();
        let name = target.replace('-', "_");
        cargo
            .args([what, "--locked", "--target", target])
            .env(format!("CC_{name}"), cc)
            .env(format!("AR_{name}"), ar);
        Ok(cargo)
    }

    fn script(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.target.join("zig").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n"))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(path)
    }
}

fn step(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("could not start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed ({status}); its output above says why");
    }
    Ok(())
}
