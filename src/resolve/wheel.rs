//! Which wheels a Python can install, by the tags in their names (PEP 425, PEP 600).

use std::fmt;
use std::path::Path;

use crate::target::Architecture;

/// What decides whether a wheel fits.
#[derive(Debug, Clone)]
pub struct Interpreter {
    /// Major and minor version of `CPython`, if the manifest gives them.
    pub version: Option<(u16, u16)>,
    /// Major and minor version of the C library, if the manifest gives them.
    pub glibc: Option<(u16, u16)>,
    /// The machine's.
    pub architecture: Architecture,
}

/// Whether a file is a wheel, by its name.
pub fn is_wheel(file: &str) -> bool {
    Path::new(file)
        .extension()
        .is_some_and(|extension| extension == "whl")
}

/// The numbers of a version such as `3.13`.
pub fn numbers(version: &str) -> Option<(u16, u16)> {
    let (major, minor) = version.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(major) && digits(minor)).then_some((major.parse().ok()?, minor.parse().ok()?))
}

impl fmt::Display for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some((major, minor)) => write!(f, "Python {major}.{minor} on {}", self.architecture),
            None => write!(
                f,
                "{}, with a Python whose manifest has no `version`",
                self.architecture
            ),
        }
    }
}

impl Interpreter {
    /// Whether it can install a wheel. Each part of the tag may name several, separated by dots.
    pub fn takes(&self, wheel: &str) -> bool {
        let Some([python, abi, platform]) = tags(wheel) else {
            return false;
        };
        let any = |tags: &str, fits: &dyn Fn(&str) -> bool| tags.split('.').any(fits);
        any(platform, &|platform| self.runs_on(platform))
            && any(python, &|python| any(abi, &|abi| self.speaks(python, abi)))
    }

    /// The tags that a wheel can have, the most specific first.
    pub fn wanted(&self) -> String {
        let machine = machine(self.architecture);
        let platform = match self.glibc {
            Some((major, minor)) => format!("manylinux_{major}_{minor}_{machine} or older"),
            None => format!("linux_{machine}"),
        };
        match self.version {
            Some((major, minor)) => {
                let own = format!("cp{major}{minor}");
                format!("{own}-{own}-{platform}, {own}-abi3-{platform}, py{major}-none-any")
            }
            None => "py3-none-any".to_owned(),
        }
    }

    fn speaks(&self, python: &str, abi: &str) -> bool {
        let Some((implementation, (major, minor))) = language(python) else {
            return false;
        };
        let own = self.version;
        // `py3` is any 3; of a further digit it is that minor version, or a later one.
        let is_not_newer = |(own_major, own_minor): (u16, u16)| {
            major == own_major && minor.is_none_or(|minor| minor <= own_minor)
        };
        match (implementation, abi) {
            ("py", "none") => own.map_or(major == 3 && minor.is_none(), is_not_newer),
            ("cp", "none" | "abi3") => own.is_some_and(is_not_newer),
            ("cp", abi) => own.is_some_and(|own| (major, minor) == (own.0, Some(own.1)) && abi == python),
            _ => false,
        }
    }

    fn runs_on(&self, platform: &str) -> bool {
        let machine = machine(self.architecture);
        let Some(system) = platform
            .strip_suffix(machine)
            .map(|system| system.trim_end_matches('_'))
        else {
            return platform == "any";
        };
        // The older names of PEP 513, 571 and 599.
        let needed = match system {
            "linux" => return true,
            "manylinux1" => (2, 5),
            "manylinux2010" => (2, 12),
            "manylinux2014" => (2, 17),
            _ => {
                let version = system
                    .strip_prefix("manylinux_")
                    .map(|version| version.replace('_', "."));
                match version.as_deref().and_then(numbers) {
                    Some(version) => version,
                    None => return false,
                }
            }
        };
        self.glibc.is_none_or(|own| needed <= own)
    }
}

/// The three tags at the end of a wheel's name.
fn tags(wheel: &str) -> Option<[&str; 3]> {
    let mut parts = wheel.strip_suffix(".whl")?.rsplit('-');
    let (platform, abi, python) = (parts.next()?, parts.next()?, parts.next()?);
    // The name and the version.
    parts.next()?;
    parts.next()?;
    Some([python, abi, platform])
}

/// `cp313` as implementation, major and minor.
fn language(tag: &str) -> Option<(&str, (u16, Option<u16>))> {
    let at = tag.find(|c: char| c.is_ascii_digit())?;
    let (implementation, version) = tag.split_at(at);
    let (major, minor) = version.split_at(1);
    let minor = if minor.is_empty() {
        None
    } else {
        Some(minor.parse().ok()?)
    };
    Some((implementation, (major.parse().ok()?, minor)))
}

/// What Python calls the machine.
fn machine(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Amd64 => "x86_64",
        Architecture::Arm64 => "aarch64",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_is_taken_by_its_tags() {
        let trixie = |architecture| Interpreter {
            version: Some((3, 13)),
            glibc: Some((2, 41)),
            architecture,
        };
        let (amd64, arm64) = (trixie(Architecture::Amd64), trixie(Architecture::Arm64));
        let unknown = Interpreter {
            version: None,
            glibc: None,
            architecture: Architecture::Amd64,
        };
        for (tags, of_amd64, of_arm64, of_unknown) in [
            ("py3-none-any", true, true, true),
            ("py2.py3-none-any", true, true, true),
            ("py2-none-any", false, false, false),
            ("py313-none-any", true, true, false),
            ("py314-none-any", false, false, false),
            ("cp313-cp313-manylinux_2_17_x86_64", true, false, false),
            (
                "cp313-cp313-manylinux2014_x86_64.manylinux_2_17_x86_64",
                true,
                false,
                false,
            ),
            ("cp313-cp313-manylinux_2_41_aarch64", false, true, false),
            ("cp313-cp313-manylinux_2_42_x86_64", false, false, false),
            ("cp313-cp313t-manylinux_2_17_x86_64", false, false, false),
            ("cp311-cp311-manylinux_2_17_x86_64", false, false, false),
            (
                "cp36-abi3-manylinux2010_x86_64.manylinux_2_28_x86_64",
                true,
                false,
                false,
            ),
            ("cp314-abi3-manylinux2014_x86_64", false, false, false),
            ("cp313-cp313-musllinux_1_2_x86_64", false, false, false),
            ("cp313-cp313-linux_x86_64", true, false, false),
            ("cp313-cp313-win_amd64", false, false, false),
            ("cp313-cp313-macosx_11_0_x86_64", false, false, false),
            ("pp311-pypy311_pp73-manylinux_2_17_x86_64", false, false, false),
        ] {
            let wheel = format!("name-1.0-{tags}.whl");
            assert_eq!(amd64.takes(&wheel), of_amd64, "{tags}");
            assert_eq!(arm64.takes(&wheel), of_arm64, "{tags}");
            assert_eq!(unknown.takes(&wheel), of_unknown, "{tags}");
        }
        assert!(amd64.takes("name-1.0-1build-py3-none-any.whl"));
        assert!(!amd64.takes("py3-none-any.whl"));
        assert_eq!(
            arm64.wanted(),
            "cp313-cp313-manylinux_2_41_aarch64 or older, cp313-abi3-manylinux_2_41_aarch64 or older, py3-none-any"
        );
    }
}
