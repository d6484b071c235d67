//! The keys of service account tokens: one signs, all verify. EC P-256 (ES256), P-384 (ES384) or RSA (RS256).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use rcgen::KeyPair;
use sha2::{Digest, Sha256};
use x509_parser::pem::parse_x509_pem;

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the service account signing key is not a readable private key (PKCS#8 or RSA, PEM)")]
    Signing,
    #[error("a service account key file holds no readable public key (PEM)")]
    Verifying,
}

pub struct TokenKeys {
    pub(super) signing: SigningKey,
    pub(super) verifying: Vec<VerifyingKey>,
}

pub(super) struct SigningKey {
    pub key: EncodingKey,
    pub algorithm: Algorithm,
    pub key_id: String,
}

pub(super) struct VerifyingKey {
    pub key: DecodingKey,
    pub algorithm: Algorithm,
    pub key_id: String,
    pub jwk: Jwk,
}

impl TokenKeys {
    /// `public_pems` are further keys that verify (keys in rotation); the signing key always does.
    pub fn from_pem(signing_pem: &str, public_pems: &[String]) -> Result<Self, KeyError> {
        let public_pem = KeyPair::from_pem(signing_pem).map_err(|_| KeyError::Signing)?.public_key_pem();
        let own = verifying_key(&public_pem).ok_or(KeyError::Signing)?;
        let key = EncodingKey::from_ec_pem(signing_pem.as_bytes())
            .or_else(|_| EncodingKey::from_rsa_pem(signing_pem.as_bytes()))
            .map_err(|_| KeyError::Signing)?;
        let signing = SigningKey { key, algorithm: own.algorithm, key_id: own.key_id.clone() };
        let mut verifying = vec![own];
        for pem in public_pems {
            // A private key file is accepted for its public half, as stock does.
            let public =
                KeyPair::from_pem(pem).map(|pair| pair.public_key_pem()).unwrap_or_else(|_| pem.clone());
            let key = verifying_key(&public).ok_or(KeyError::Verifying)?;
            if !verifying.iter().any(|known| known.key_id == key.key_id) {
                verifying.push(key);
            }
        }
        Ok(Self { signing, verifying })
    }

    /// The keys to try for a token: the named one, or all if it names none.
    pub(super) fn candidates(&self, key_id: Option<&str>) -> impl Iterator<Item = &VerifyingKey> {
        self.verifying.iter().filter(move |key| key_id.is_none_or(|wanted| wanted == key.key_id))
    }
}

fn verifying_key(public_pem: &str) -> Option<VerifyingKey> {
    let (_, pem) = parse_x509_pem(public_pem.as_bytes()).ok()?;
    let key_id = URL_SAFE_NO_PAD.encode(Sha256::digest(&pem.contents));
    let key = DecodingKey::from_ec_pem(public_pem.as_bytes())
        .or_else(|_| DecodingKey::from_rsa_pem(public_pem.as_bytes()))
        .ok()?;
    let algorithm = algorithm_of(&Jwk::from_decoding_key(&key, None).ok()?)?;
    let mut jwk = Jwk::from_decoding_key(&key, Some(algorithm)).ok()?;
    jwk.common.key_id = Some(key_id.clone());
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    Some(VerifyingKey { key, algorithm, key_id, jwk })
}

fn algorithm_of(jwk: &Jwk) -> Option<Algorithm> {
    match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Some(Algorithm::RS256),
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => Some(Algorithm::ES256),
            EllipticCurve::P384 => Some(Algorithm::ES384),
            _ => None,
        },
        _ => None,
    }
}
