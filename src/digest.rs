//! Digests as parsed types: what a manifest says a file must be, and what a file is.
//!
//! Pure but for the reader it is handed. Nothing compares digests as text: two spellings of one digest are one
//! value here, and other text never becomes a value. If you paste the wrong kind of digest, the error says which
//! kind it is, because "invalid checksum" sends people to the wrong page.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

/// A digest of `N` bytes. Ordered and displayed as its lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest<const N: usize>([u8; N]);

/// SHA-256.
pub type Sha256 = Digest<32>;
/// SHA-512.
pub type Sha512 = Digest<64>;

impl Sha256 {
    /// Digest of everything that `reader` gives.
    ///
    /// # Errors
    /// What `reader` fails with.
    pub fn of_reader(reader: impl Read) -> io::Result<Self> {
        Ok(Hashes::of_reader(reader, false)?.sha256())
    }

    /// Digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl Sha512 {
    /// Digest of `bytes`.
    #[cfg(test)]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha512::digest(bytes).into())
    }
}

/// The digests of a stream while it flows: always SHA-256, and SHA-512 if the caller asks for it.
#[derive(Debug, Clone)]
pub struct Hashes {
    sha256: sha2::Sha256,
    sha512: Option<sha2::Sha512>,
}

impl Hashes {
    /// Hashes of nothing yet.
    pub fn new(with_sha512: bool) -> Self {
        Self {
            sha256: sha2::Sha256::new(),
            sha512: with_sha512.then(sha2::Sha512::new),
        }
    }

    /// Hashes of everything that `reader` gives.
    ///
    /// # Errors
    /// What `reader` fails with.
    pub fn of_reader(reader: impl Read, with_sha512: bool) -> io::Result<Self> {
        let mut hashes = Self::new(with_sha512);
        each_piece(reader, |piece| hashes.update(piece))?;
        Ok(hashes)
    }

    /// Takes in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(bytes);
        }
    }

    /// SHA-256 of what has been taken in so far.
    pub fn sha256(&self) -> Sha256 {
        Digest(self.sha256.clone().finalize().into())
    }

    /// SHA-512 of what has been taken in so far, if it was asked for.
    pub fn sha512(&self) -> Option<Sha512> {
        Some(Digest(self.sha512.clone()?.finalize().into()))
    }
}

impl<const N: usize> fmt::Display for Digest<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hexadecimal(&self.0))
    }
}

impl<const N: usize> fmt::Debug for Digest<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha{}:{self}", N * 8)
    }
}

impl<const N: usize> Serialize for Digest<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Digest<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl<const N: usize> FromStr for Digest<N> {
    type Err = NotADigest;

    /// Reads `2 * N` hexadecimal digits; upper case is as good as lower case.
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        hexadecimal(text)
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| NotADigest {
                bits: N * 8,
                seen: recognise(text),
            })
    }
}

/// Why a text is not the digest that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotADigest {
    /// The wanted size: 256 or 512.
    bits: usize,
    /// What the text is instead.
    pub seen: Seen,
}

/// What a text that should be a digest looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Nothing at all.
    Empty,
    /// Hexadecimal digits of another algorithm: its name, and how many digits.
    Hex(&'static str, usize),
    /// Hexadecimal digits of no algorithm's length.
    HexOfLength(usize),
    /// A digest with a prefix such as `sha256:`, and what remains without it.
    Prefixed(String, String),
    /// Subresource integrity, `sha256-…=`: the algorithm, and the digest as hexadecimal digits.
    Sri(String, String),
    /// Base64: the algorithm that has this many bytes, and the digest as hexadecimal digits.
    Base64(&'static str, String),
    /// The base32 alphabet of nix.
    Nix,
    /// White space around or within what may be a digest.
    Space,
    /// A character that is not a hexadecimal digit, and its position, counted from 1.
    Character(char, usize),
}

impl fmt::Display for NotADigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bits, digits) = (self.bits, self.bits / 4);
        let wanted = format!("sha{bits}");
        match &self.seen {
            Seen::Empty => write!(f, "it is empty; a {wanted} has {digits} hexadecimal digits"),
            Seen::Hex("sha1", _) => write!(
                f,
                "it looks like a sha1, or a git commit (40 hexadecimal digits); a {wanted} has {digits}"
            ),
            Seen::Hex(name, n) => {
                write!(
                    f,
                    "it looks like {} {name} ({n} hexadecimal digits); a {wanted} has {digits}",
                    article(name)
                )
            }
            Seen::HexOfLength(n) => write!(f, "it has {n} hexadecimal digits; a {wanted} has {digits}"),
            Seen::Prefixed(prefix, rest) => write!(f, "write it without `{prefix}`: {rest}"),
            Seen::Sri(name, hex) if *name == wanted => write!(
                f,
                "it is in the SRI form (`{name}-` and base64); as hexadecimal digits it is {hex}. If it comes from \
                 nix, it is of the unpacked tree and not of the file"
            ),
            Seen::Sri(name, _) => write!(
                f,
                "it is {} {name} in the SRI form; expected a {wanted}",
                article(name)
            ),
            Seen::Base64(name, hex) if *name == wanted => {
                write!(
                    f,
                    "it looks like a {name} in base64; as hexadecimal digits it is {hex}"
                )
            }
            Seen::Base64(name, _) => write!(
                f,
                "it looks like {} {name} in base64; expected a {wanted}",
                article(name)
            ),
            Seen::Nix => write!(
                f,
                "it looks like a nix hash (base32), which usually is of the unpacked tree and not of the file; a \
                 {wanted} of the file has {digits} hexadecimal digits"
            ),
            Seen::Space => write!(
                f,
                "it has white space in it; a {wanted} is {digits} hexadecimal digits and nothing else"
            ),
            Seen::Character(c, at) => {
                write!(
                    f,
                    "character {at} is {c:?}, which is not a hexadecimal digit; a {wanted} has {digits} of them"
                )
            }
        }
    }
}

/// Reads to the end and hands every piece to `take`.
///
/// # Errors
/// What `reader` fails with.
pub fn each_piece(mut reader: impl Read, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => take(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl std::error::Error for NotADigest {}

fn article(name: &str) -> &'static str {
    if name.starts_with('m') { "an" } else { "a" }
}

/// The algorithm whose digests have `bytes` bytes.
fn algorithm(bytes: usize) -> Option<&'static str> {
    Some(match bytes {
        16 => "md5",
        20 => "sha1",
        28 => "sha224",
        32 => "sha256",
        48 => "sha384",
        64 => "sha512",
        _ => return None,
    })
}

fn recognise(text: &str) -> Seen {
    if text.is_empty() {
        return Seen::Empty;
    }
    if text.contains(char::is_whitespace) {
        return Seen::Space;
    }
    if text.bytes().all(|b| b.is_ascii_hexdigit()) {
        let known = text
            .len()
            .is_multiple_of(2)
            .then(|| algorithm(text.len() / 2))
            .flatten();
        return known.map_or(Seen::HexOfLength(text.len()), |name| Seen::Hex(name, text.len()));
    }
    let lower = text.to_ascii_lowercase();
    for name in ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"] {
        let Some(separator) = lower.strip_prefix(name).and_then(|rest| rest.chars().next()) else {
            continue;
        };
        let rest = &text[name.len() + separator.len_utf8()..];
        match separator {
            '-' if base64(rest).is_some_and(|bytes| algorithm(bytes.len()) == Some(name)) => {
                return Seen::Sri(
                    name.to_owned(),
                    base64(rest).as_deref().map(to_hexadecimal).unwrap_or_default(),
                );
            }
            ':' | '=' | '-' if is_nix_base32(rest) => return Seen::Nix,
            ':' | '=' | '-' if hexadecimal(rest).is_some() => {
                return Seen::Prefixed(text[..=name.len()].to_owned(), rest.to_owned());
            }
            _ => {}
        }
    }
    if is_nix_base32(text) {
        return Seen::Nix;
    }
    // Text without a capital or a sign is rather a hexadecimal digest with a slip in it.
    if text.contains(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit())
        && let Some(bytes) = base64(text)
        && let Some(name) = algorithm(bytes.len())
    {
        return Seen::Base64(name, to_hexadecimal(&bytes));
    }
    text.chars()
        .zip(1..)
        .find(|(c, _)| !c.is_ascii_hexdigit())
        .map_or(Seen::HexOfLength(text.len()), |(c, at)| Seen::Character(c, at))
}

/// 52 characters of the alphabet that nix writes a sha256 in: no e, o, t, u.
fn is_nix_base32(text: &str) -> bool {
    text.len() == 52
        && text
            .bytes()
            .all(|b| b"0123456789abcdfghijklmnpqrsvwxyz".contains(&b))
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    (rest.is_empty() && !pairs.is_empty())
        .then(|| {
            pairs
                .iter()
                .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
                .collect()
        })
        .flatten()
}

/// Lower-case hexadecimal digits.
pub fn to_hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of a base64 text (RFC 4648, section 4), unless it is empty.
fn base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok().filter(|bytes| !bytes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn error(text: &str) -> String {
        text.parse::<Sha256>().expect_err(text).to_string()
    }

    #[test]
    fn a_digest_is_read_in_either_case_and_written_in_lower_case() {
        let digest: Sha256 = EMPTY.to_uppercase().parse().unwrap();
        assert_eq!(digest.to_string(), EMPTY);
        assert_eq!(digest, Sha256::of(b""));
        assert_eq!(digest, Sha256::of_reader(io::empty()).unwrap());
    }

    #[test]
    fn sha512_is_taken_only_when_it_is_asked_for() {
        let hashes = Hashes::of_reader(&b"abc"[..], true).unwrap();
        assert_eq!(hashes.sha512(), Some(Sha512::of(b"abc")));
        assert!(
            hashes
                .sha512()
                .unwrap()
                .to_string()
                .starts_with("ddaf35a193617aba")
        );
        assert_eq!(Hashes::of_reader(&b"abc"[..], false).unwrap().sha512(), None);
    }

    #[test]
    fn the_wrong_kind_of_digest_is_named() {
        for (text, expected) in [
            ("", "it is empty"),
            (
                &"a".repeat(40),
                "looks like a sha1, or a git commit (40 hexadecimal digits)",
            ),
            (
                &"a".repeat(32),
                "looks like an md5 (32 hexadecimal digits); a sha256 has 64",
            ),
            (&"a".repeat(56), "looks like a sha224"),
            (&"a".repeat(96), "looks like a sha384"),
            (&"a".repeat(128), "looks like a sha512 (128 hexadecimal digits)"),
            (&"a".repeat(63), "it has 63 hexadecimal digits"),
            (&format!("sha256:{EMPTY}"), "write it without `sha256:`"),
            (&format!(" {EMPTY}"), "white space"),
            ("sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", EMPTY),
            (
                "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
                "looks like a sha256 in base64",
            ),
            ("2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "looks like a sha1 in base64"),
            (
                "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
                "it is a sha1 in the SRI form",
            ),
            ("1B2M2Y8AsgTpgAmY7PhCfg==", "looks like an md5 in base64"),
            (
                "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73",
                "looks like a nix hash",
            ),
            (
                "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73",
                "looks like a nix hash",
            ),
            (&format!("{}g", "a".repeat(63)), "character 64 is 'g'"),
            ("ä", "character 1 is 'ä'"),
        ] {
            let message = error(text);
            assert!(message.contains(expected), "{text:?}: {message}");
        }
        let message = EMPTY.parse::<Sha512>().unwrap_err().to_string();
        assert!(
            message.contains("looks like a sha256 (64 hexadecimal digits); a sha512 has 128"),
            "{message}"
        );
    }
}
