//! Whether a password is the one that a role has, from the secret that PostgreSQL stores for it (`pg_authid.rolpassword`).
//!
//! The formats are those of `src/common/scram-common.c` and `src/common/md5_common.c`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use pbkdf2::hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const SCRAM: &str = "SCRAM-SHA-256$";

/// Whether the secret is that of the role's password. A role without a password has an empty secret, which matches none.
///
/// # Errors
/// The secret is neither one of SCRAM-SHA-256 nor one of md5.
pub fn matches(secret: &str, role: &str, password: &[u8]) -> Result<bool, String> {
    if secret.is_empty() {
        Ok(false)
    } else if let Some(fields) = secret.strip_prefix(SCRAM) {
        scram_matches(fields, &normalised(password))
            .ok_or_else(|| "the stored secret begins like one of SCRAM-SHA-256 and is not one".to_owned())
    } else if let Some(digest) = secret.strip_prefix("md5") {
        let found = Md5::new().chain_update(password).chain_update(role).finalize();
        let found: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(found == digest)
    } else {
        Err("the stored secret is of a kind that is not known: expected SCRAM-SHA-256 or md5".to_owned())
    }
}

/// Of `ITERATIONS:SALT$STORED_KEY:SERVER_KEY` (RFC 5803). None if it is not of this form.
fn scram_matches(fields: &str, password: &[u8]) -> Option<bool> {
    let (parameters, keys) = fields.split_once('$')?;
    let (iterations, salt) = parameters.split_once(':')?;
    let (stored_key, _) = keys.split_once(':')?;
    let iterations = iterations.parse().ok().filter(|&count: &u32| count > 0)?;
    let salt = STANDARD.decode(salt).ok()?;
    let stored_key = STANDARD.decode(stored_key).ok()?;
    let salted: [u8; 32] = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, &salt, iterations);
    let mut client_key = Hmac::<Sha256>::new_from_slice(&salted).ok()?;
    client_key.update(b"Client Key");
    Some(Sha256::digest(client_key.finalize().into_bytes()).as_slice() == stored_key)
}

/// `SASLprep` (RFC 4013), as `pg_saslprep` does it: what is ASCII, not UTF-8 or prohibited stays as it is.
fn normalised(password: &[u8]) -> Vec<u8> {
    std::str::from_utf8(password)
        .ok()
        .filter(|text| !text.is_ascii())
        .and_then(|text| stringprep::saslprep(text).ok())
        .filter(|text| !text.is_empty())
        .map_or_else(|| password.to_vec(), |text| text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, whose password is `pencil`.
    const PENCIL: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    #[test]
    fn a_scram_secret_matches_its_password_only() {
        assert_eq!(matches(PENCIL, "user", b"pencil"), Ok(true));
        assert_eq!(matches(PENCIL, "user", b"pencil "), Ok(false));
        assert_eq!(matches(PENCIL, "user", b""), Ok(false));
    }

    #[test]
    fn an_md5_secret_depends_on_the_role() {
        // SELECT 'md5' || md5('pencil' || 'user')
        let secret = "md520c46e3762c864548e296b33c3406aa9";
        assert_eq!(matches(secret, "user", b"pencil"), Ok(true));
        assert_eq!(matches(secret, "other", b"pencil"), Ok(false));
    }

    #[test]
    fn a_role_without_a_password_has_none_of_them() {
        assert_eq!(matches("", "user", b"pencil"), Ok(false));
        assert_eq!(matches("", "user", b""), Ok(false));
    }

    #[test]
    fn another_secret_is_an_error_and_not_a_difference() {
        for secret in [
            "pencil",
            "SCRAM-SHA-256$4096:W22Z",
            "SCRAM-SHA-256$0:AA==$AA==:AA==",
            "SCRAM-SHA-512$4096:AA==$AA==:AA==",
        ] {
            assert!(matches(secret, "user", b"pencil").is_err(), "{secret}");
        }
    }

    #[test]
    fn a_password_is_normalised_as_the_server_does() {
        // A no-break space is a space, a soft hyphen is nothing, and a decomposed letter is composed.
        assert_eq!(
            normalised("a\u{a0}b\u{ad}e\u{301}".as_bytes()),
            "a b\u{e9}".as_bytes()
        );
        // A control character beside it is prohibited, and then nothing is changed.
        assert_eq!(normalised("\u{a0}\u{7}".as_bytes()), "\u{a0}\u{7}".as_bytes());
        assert_eq!(normalised(b"\xff\xa0"), b"\xff\xa0");
    }
}
