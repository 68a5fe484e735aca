//! The form in which caches of Bazel's kind keep an entry: an `ActionResult` of the remote execution API, which names files
//! of the content-addressed storage. Servers that validate it (bazel-remote) answer with an entry only as long as they
//! have those files. Bytes in, bytes out; nothing here does IO.
//!
//! Field numbers are those of `build/bazel/remote/execution/v2/remote_execution.proto` (REAPI 2).

use prost::Message;

use crate::artifact::{ArtifactEntry, Key};
use crate::digest::Sha256;

/// The packed stage, as a path of the action's outputs.
const ARTIFACT: &str = "artifact";
/// The entry's own document.
const ENTRY: &str = "entry.json";
/// The largest document that is taken for an entry, and the largest result.
pub const MAX_BYTES: u64 = 1024 * 1024;
/// The largest packed stage that is taken; PostgreSQL's has some ten megabytes.
pub const MAX_ARTIFACT_BYTES: u64 = 2 * 1024 * 1024 * 1024;

#[derive(Clone, PartialEq, Message)]
struct ActionResult {
    #[prost(message, repeated, tag = "2")]
    output_files: Vec<OutputFile>,
    #[prost(int32, tag = "4")]
    exit_code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct OutputFile {
    #[prost(string, tag = "1")]
    path: String,
    #[prost(message, optional, tag = "2")]
    digest: Option<Digest>,
}

#[derive(Clone, PartialEq, Message)]
struct Digest {
    #[prost(string, tag = "1")]
    hash: String,
    #[prost(int64, tag = "2")]
    size_bytes: i64,
}

/// What a result names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outputs {
    /// The packed stage.
    pub artifact: Blob,
    /// The entry's document.
    pub entry: Blob,
}

/// A file of the content-addressed storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Its digest, by which it is called.
    pub sha256: Sha256,
    /// Its size.
    pub bytes: u64,
}

/// The result of an entry, and the document that it names.
pub fn encode(entry: &ArtifactEntry) -> (Vec<u8>, String) {
    // The reader of the cache marks it as fetched.
    let entry = ArtifactEntry {
        fetched: false,
        ..entry.clone()
    };
    let document = entry.to_json();
    let file = |path: &str, sha256: Sha256, bytes: u64| OutputFile {
        path: path.to_owned(),
        digest: Some(Digest {
            hash: sha256.to_string(),
            size_bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
        }),
    };
    let result = ActionResult {
        output_files: vec![
            file(ARTIFACT, entry.sha256, entry.bytes),
            file(ENTRY, Sha256::of(document.as_bytes()), document.len() as u64),
        ],
        exit_code: 0,
    };
    (result.encode_to_vec(), document)
}

/// Reads a result.
///
/// # Errors
/// The bytes are not a result, or not one of pgsetup.
pub fn decode(bytes: &[u8]) -> Result<Outputs, String> {
    let result =
        ActionResult::decode(bytes).map_err(|error| format!("it is not the result of an action: {error}"))?;
    let blob = |path: &str| {
        let file = result.output_files.iter().find(|file| file.path == path);
        let digest = file.and_then(|file| file.digest.as_ref());
        let digest = digest.ok_or_else(|| format!("it names no {path}"))?;
        let sha256 = digest.hash.parse();
        let bytes = u64::try_from(digest.size_bytes);
        match (sha256, bytes) {
            (Ok(sha256), Ok(bytes)) => Ok(Blob { sha256, bytes }),
            _ => Err(format!("its {path} has no digest")),
        }
    };
    let most = |blob: Blob, path: &str, most: u64| {
        let complaint = || format!("its {path} has {} bytes, and {most} are allowed", blob.bytes);
        (blob.bytes <= most).then_some(blob).ok_or_else(complaint)
    };
    Ok(Outputs {
        artifact: most(blob(ARTIFACT)?, ARTIFACT, MAX_ARTIFACT_BYTES)?,
        entry: most(blob(ENTRY)?, ENTRY, MAX_BYTES)?,
    })
}

/// The entry of `key` in a document that a result named, as one that was made elsewhere.
///
/// # Errors
/// The document is not an entry, or belongs to another key or another file.
pub fn entry(key: Key, outputs: &Outputs, document: &[u8]) -> Result<ArtifactEntry, String> {
    let document = std::str::from_utf8(document).map_err(|_| "its entry is not text".to_owned())?;
    let entry =
        ArtifactEntry::parse(key, document).map_err(|why| format!("its entry is not usable: {why}"))?;
    let named = Blob {
        sha256: entry.sha256,
        bytes: entry.bytes,
    };
    if named == outputs.artifact {
        Ok(ArtifactEntry {
            fetched: true,
            ..entry
        })
    } else {
        Err("its entry belongs to another file than it names".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn example() -> ArtifactEntry {
        ArtifactEntry::new(
            Key(Sha256::of(b"inputs")),
            "citus 14.0.1",
            Sha256::of(b"packed"),
            6,
            BTreeSet::new(),
        )
    }

    #[test]
    fn a_result_reads_back_as_what_it_was_made_of() {
        let written = example();
        let (result, document) = encode(&written);
        let outputs = decode(&result).unwrap();
        assert_eq!(outputs.artifact.bytes, 6);
        let read = entry(written.key, &outputs, document.as_bytes()).unwrap();
        assert!(read.fetched);
        // Passed on, it says no more of where it was than it did at first.
        assert_eq!(encode(&read), encode(&written));
        assert_eq!(
            read,
            ArtifactEntry {
                fetched: true,
                ..written.clone()
            }
        );
        let other = Key(Sha256::of(b"others"));
        assert!(entry(other, &outputs, document.as_bytes()).is_err());
        let lie = Outputs {
            artifact: outputs.entry,
            ..outputs
        };
        assert!(entry(written.key, &lie, document.as_bytes()).is_err());
    }

    #[test]
    fn a_result_is_the_wire_format_of_the_remote_execution_api() {
        let (result, document) = encode(&example());
        // Field 2 of the result (0x12), in it field 1, a path (0x0a), and field 2, a digest (0x12) of 64 hexadecimal digits
        // as field 1 and a size as field 2 (0x10).
        let start = [&[0x12, 80, 0x0a, 8][..], b"artifact", &[0x12, 68, 0x0a, 64]].concat();
        assert!(result.starts_with(&start), "{result:x?}");
        let digest = Sha256::of(b"packed").to_string();
        assert_eq!(result[16..80], *digest.as_bytes());
        assert_eq!(result[80..82], [0x10, 6]);
        assert!(document.len() > 127, "the size of the document takes two bytes");
    }

    #[test]
    fn what_is_no_result_of_ours_is_refused() {
        assert!(decode(b"<html>").is_err());
        assert_eq!(decode(b"").unwrap_err(), "it names no artifact");
        let (mut result, _) = encode(&example());
        result[16] = b'z';
        assert_eq!(decode(&result).unwrap_err(), "its artifact has no digest");
        result.truncate(40);
        assert!(decode(&result).is_err());
        let large = ArtifactEntry {
            bytes: MAX_ARTIFACT_BYTES + 1,
            ..example()
        };
        let error = decode(&encode(&large).0).unwrap_err();
        assert_eq!(
            error,
            "its artifact has 2147483649 bytes, and 2147483648 are allowed"
        );
    }
}
