//! The digest parser: what it reads it writes back, and what it refuses it can explain.

#![no_main]

#[path = "../../src/digest.rs"]
mod digest;

use digest::{Sha256, Sha512};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match text.parse::<Sha256>() {
        Ok(digest) => {
            assert!(digest.to_string().eq_ignore_ascii_case(text));
            assert_eq!(digest.to_string().parse(), Ok(digest));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    match text.parse::<Sha512>() {
        Ok(digest) => assert!(digest.to_string().eq_ignore_ascii_case(text)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
