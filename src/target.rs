//! What a plan knows about its target machine.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A distribution and an architecture, written `debian:bookworm/arm64`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// The distribution and its release, for example `debian:bookworm`.
    pub distribution: String,
    /// The Debian name of the architecture.
    pub architecture: Architecture,
}

/// A processor architecture that PostgreSQL images are built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// x86-64.
    Amd64,
    /// `AArch64`.
    Arm64,
}

/// Options of compilers for x86 that allow more than x86-64 has, without `-m`, AVX and AMX.
const AMD64_EXTENSIONS: [&str; 50] = [
    "3dnow",
    "3dnowa",
    "abm",
    "adx",
    "aes",
    "bmi",
    "bmi2",
    "clflushopt",
    "clwb",
    "crc32",
    "cx16",
    "f16c",
    "fma",
    "fma4",
    "fsgsbase",
    "gfni",
    "hle",
    "kl",
    "lwp",
    "lzcnt",
    "movbe",
    "movdir64b",
    "movdiri",
    "pclmul",
    "pku",
    "popcnt",
    "prfchw",
    "rdpid",
    "rdrnd",
    "rdseed",
    "rtm",
    "sahf",
    "serialize",
    "sha",
    "sha512",
    "sm3",
    "sm4",
    "sse3",
    "sse4",
    "sse4.1",
    "sse4.2",
    "sse4a",
    "ssse3",
    "tbm",
    "vaes",
    "vpclmulqdq",
    "waitpkg",
    "xop",
    "xsave",
    "xsavec",
];

/// Features of rustc that are not about processors ("Targets" in the book of rustc), and those that both baselines have.
const NO_PROCESSOR_FEATURES: [&str; 6] = ["+crt-static", "+fxsr", "+sse", "+sse2", "+neon", "+fp"];

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// The architecture this program was compiled for, which is the machine's.
    pub fn of_this_program() -> Self {
        if cfg!(target_arch = "aarch64") {
            Self::Arm64
        } else {
            Self::Amd64
        }
    }

    /// The instruction set that every processor of the architecture has, as compilers name it (Debian's wiki,
    /// "`ArchitectureSpecificsMemo`").
    pub fn baseline(self) -> &'static str {
        match self {
            Self::Amd64 => "x86-64",
            Self::Arm64 => "armv8-a",
        }
    }

    /// Whether a word of a compiler's command line asks for instructions that not every processor of the architecture has,
    /// or names the processor of the building machine ("Machine-Dependent Options" in GCC's manual).
    pub fn is_beyond_baseline(self, word: &str) -> bool {
        if let Some((_, processor)) = word.split_once("target-cpu=") {
            return processor != "generic" && processor != self.baseline();
        }
        // The features of rustc are those of LLVM; what it takes away is not beyond anything.
        if let Some((_, features)) = word.split_once("target-feature=") {
            let is_more =
                |feature: &str| feature.starts_with('+') && !NO_PROCESSOR_FEATURES.contains(&feature);
            return features.split(',').any(is_more);
        }
        let Some(option) = word.strip_prefix("-m") else {
            return false;
        };
        match (self, option.split_once('=')) {
            (_, Some(("tune", processor))) | (Self::Amd64, Some(("cpu", processor))) => processor == "native",
            (Self::Arm64, Some(("cpu", processor))) => !processor.starts_with("generic"),
            (_, Some(("arch", set))) => {
                let mut parts = set.split('+');
                // Floating point and Advanced SIMD are in the baseline of arm64.
                let is_more = |part: &str| !matches!(part, "fp" | "simd") && !part.starts_with("no");
                parts.next() != Some(self.baseline()) || parts.any(is_more)
            }
            (Self::Amd64, None) => {
                AMD64_EXTENSIONS.contains(&option) || option.starts_with("avx") || option.starts_with("amx-")
            }
            _ => false,
        }
    }

    /// Debian's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Architecture {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL
            .into_iter()
            .find(|architecture| architecture.name() == text);
        found.ok_or_else(|| format!("`{text}` is not an architecture that pgsetup knows: amd64, arm64"))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.distribution, self.architecture)
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (distribution, architecture) = match text.split_once('/') {
            Some((distribution, architecture)) => (distribution, architecture.parse()?),
            None => (text, Architecture::of_this_program()),
        };
        Ok(Self {
            distribution: parse_distribution(distribution)?,
            architecture,
        })
    }
}

/// Checks that `text` is `name:release`.
///
/// # Errors
/// The text has another form.
pub fn parse_distribution(text: &str) -> Result<String, String> {
    let word = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
    };
    match text.split_once(':') {
        Some((name, release)) if word(name) && word(release) => Ok(text.to_owned()),
        _ => Err(format!(
            "`{text}` is not a distribution: write it as `debian:bookworm`"
        )),
    }
}

/// The distribution that `/etc/os-release` describes, in the form of [`Target::distribution`].
pub fn distribution_of(os_release: &str) -> Option<String> {
    let (id, release) = (value(os_release, "ID")?, value(os_release, "VERSION_CODENAME")?);
    Some(format!("{id}:{release}"))
}

/// The number of the release in `/etc/os-release`. `None` if it is not released yet.
pub fn version_of(os_release: &str) -> Option<String> {
    value(os_release, "VERSION_ID").map(str::to_owned)
}

/// A value of os-release(5).
fn value<'t>(os_release: &'t str, key: &str) -> Option<&'t str> {
    let mut lines = os_release.lines();
    let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    Some(value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_beyond_the_baseline_are_told_from_others() {
        for (architecture, beyond, within) in [
            (
                Architecture::Amd64,
                "-march=native -mtune=native -mcpu=native -march=x86-64-v2 -march=haswell -march=x86-64+avx2 -msse3 -mssse3 \
                 -msse4.1 -msse4.2 -mavx -mavx2 -mavx512vpopcntdq -mbmi2 -mfma -mpopcnt -mxsave -maes -mpclmul -mcrc32 \
                 -mamx-tile target-cpu=native -Ctarget-cpu=x86-64-v3 target-feature=+avx2,+fma -Ctarget-feature=+sse4.2",
                "-march=x86-64 -mtune=generic -msse2 -msse -mmmx -m64 -mno-avx -mno-avx512f -mfpmath=sse -O2 -MD -c \
                 -moutline-atomics native target-cpu=x86-64 target-feature=+crt-static target-feature=-avx2,+sse2",
            ),
            (
                Architecture::Arm64,
                "-march=native -mcpu=native -mcpu=neoverse-n1 -march=armv8.1-a -march=armv8-a+crc -march=armv8-a+crc+simd \
                 -march=armv8-a+sve -march=armv9-a -mtune=native",
                "-march=armv8-a -march=armv8-a+simd -march=armv8-a+nocrypto -mcpu=generic -mtune=neoverse-n1 \
                 -moutline-atomics -mbranch-protection=standard",
            ),
        ] {
            for (flags, expected) in [(beyond, true), (within, false)] {
                for flag in flags.split_whitespace() {
                    let found = architecture.is_beyond_baseline(flag);
                    assert_eq!(found, expected, "{flag} on {architecture}");
                }
            }
        }
    }

    #[test]
    fn a_target_reads_and_prints_the_same() {
        let target: Target = "debian:bookworm/arm64".parse().unwrap();
        assert_eq!(target.to_string(), "debian:bookworm/arm64");
        assert!(
            "debian/arm64"
                .parse::<Target>()
                .unwrap_err()
                .contains("debian:bookworm")
        );
        assert!(
            "debian:bookworm/x86"
                .parse::<Target>()
                .unwrap_err()
                .contains("amd64, arm64")
        );
    }

    #[test]
    fn os_release_names_the_distribution() {
        let text = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(distribution_of(text).unwrap(), "debian:bookworm");
        assert_eq!(version_of(text).unwrap(), "12");
        assert_eq!(distribution_of("ID=x\n"), None);
        assert_eq!(version_of("ID=x\n"), None);
    }
}
