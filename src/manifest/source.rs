//! How a manifest names an archive: where it is, and the digest that makes every place as good as another.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An archive to download, verify and unpack.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Where upstream publishes it; https, or http with `insecure`. `${version}`, `${pg_major}` and `${arch}` are replaced.
    pub url: String,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
    /// SHA-512 of the same file, 128 hexadecimal digits. It has to be right as well.
    pub sha512: Option<String>,
    /// SHA-256 of the decompressed tar, for places that sometimes compress the same tar again. A file whose tar
    /// has this digest is accepted, whatever its own digest is.
    pub tar_sha256: Option<String>,
    /// Other digests that upstream has published for the same version, each with its reason.
    #[serde(default)]
    pub accepted: Vec<Accepted>,
    /// Other places of the same bytes, tried in order when `url` fails.
    #[serde(default)]
    pub mirrors: Vec<Mirror>,
    /// Why plain http is good enough for `url` and `mirrors`, which are https otherwise. The digest still decides.
    #[schemars(length(min = 1))]
    pub insecure: Option<String>,
    /// Bytes that the file may have at most; 1 GiB where it is not given.
    pub max_bytes: Option<u64>,
    /// Leading path components to leave off when unpacking; 1 where it is not given.
    #[serde(default = "one")]
    pub strip: u8,
    /// Directory below the source tree that a further archive is unpacked into: that of a submodule, which upstream's
    /// archive leaves empty. The tree itself where none is given.
    pub into: Option<String>,
}

fn one() -> u8 {
    1
}

/// A further digest that is as good as the first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
    /// SHA-512 of the same file, 128 hexadecimal digits. It has to be right as well.
    pub sha512: Option<String>,
    /// Why there is a second digest, for example "the tag was moved on 2024-01-17".
    pub reason: String,
}

/// Another place of an archive. Exactly one of the keys.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct Mirror {
    /// An https address; plain http where the source says `insecure`.
    pub url: Option<String>,
    /// A path below the Debian archive that apt is configured to use, for example `pool/main/p/…/x.orig.tar.gz`.
    pub debian: Option<String>,
}

/// Debian packages that something needs.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Packages {
    /// Needed to compile it, removed at the end.
    #[serde(default)]
    pub build: Vec<String>,
    /// Needed at run time and not found by following shared libraries: programs, and what is opened with `dlopen`.
    #[serde(default)]
    pub runtime: Vec<String>,
    /// Libraries it opens with `dlopen`: `libcurl.so.4`, or a path, absolute or below a library directory
    /// (`sasl2/libgssapiv2.so.2`). The package that has one stays, and an installation without it fails.
    #[serde(default)]
    pub dlopen: Vec<String>,
    /// Libraries it opens with `dlopen` where they are there, and does without where they are not.
    #[serde(default)]
    pub dlopen_optional: Vec<String>,
    /// Programs it calls. The package that has one stays, and an installation without it fails.
    #[serde(default)]
    pub programs: Vec<String>,
}

impl Packages {
    /// These packages, and those of another list.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.build.extend(others.build);
        self.runtime.extend(others.runtime);
        self.dlopen.extend(others.dlopen);
        self.dlopen_optional.extend(others.dlopen_optional);
        self.programs.extend(others.programs);
        self
    }
}
