//! Passwords as bcrypt hashes. Slow on purpose: only ever on a thread that may be blocked.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bcrypt::Version;

use super::state::PasswordHash;

/// What bcrypt looks at; more would be ignored silently.
pub const MAX_PASSWORD_BYTES: usize = 72;

#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Stock etcd says it in these words.
    #[error("bcrypt: password length exceeds 72 bytes")]
    TooLong,
    #[error("the password cannot be hashed: {0}")]
    Bcrypt(bcrypt::BcryptError),
}

/// A new hash, in the base64 that commands carry.
pub fn hash(password: &str, cost: u32) -> Result<String, HashError> {
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(HashError::TooLong);
    }
    let parts = bcrypt::hash_with_result(password, cost).map_err(HashError::Bcrypt)?;
    // The version that etcd itself writes.
    Ok(STANDARD.encode(parts.format_for_version(Version::TwoA)))
}

/// Fits no password if the hash is not one of bcrypt's.
pub fn verify(password: &str, hash: &PasswordHash) -> bool {
    let Ok(hash) = std::str::from_utf8(&hash.0) else { return false };
    bcrypt::verify(password, hash).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOWEST_COST: u32 = 4;

    fn hashed(password: &str) -> PasswordHash {
        let text = hash(password, LOWEST_COST).expect("a short password");
        PasswordHash(STANDARD.decode(text).expect("base64").into())
    }

    #[test]
    fn a_hash_fits_its_password_alone() {
        let hash = hashed("secret");
        assert!(hash.0.starts_with(b"$2a$04$"), "{:?}", hash.0);
        assert!(verify("secret", &hash) && !verify("Secret", &hash) && !verify("", &hash));
        assert!(!verify("", &PasswordHash(Default::default())));
    }

    /// By the Go library that etcd hashes with.
    #[test]
    fn a_hash_made_in_go_is_understood() {
        let made = PasswordHash("$2a$04$ZeK4zmMlDiUcAGAjVSIfHeghtnXlZ5YubYY62ZEP9IRJqiG0NnizS".into());
        assert!(verify("secret", &made));
        assert!(!verify("another password", &made));
    }

    #[test]
    fn a_password_longer_than_bcrypt_looks_at_is_refused() {
        assert!(hash(&"x".repeat(72), LOWEST_COST).is_ok());
        assert!(matches!(hash(&"x".repeat(73), LOWEST_COST), Err(HashError::TooLong)));
    }
}
