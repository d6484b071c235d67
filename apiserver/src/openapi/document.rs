//! A finished document: compressed bytes and the hash of what they say.

use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha512};

pub struct Document {
    gzip: Bytes,
    hash: String,
}

impl Document {
    pub(super) fn new(plain: &[u8]) -> Document {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).expect("writing to memory");
        let gzip = encoder.finish().expect("writing to memory");
        let digest = Sha512::digest(plain);
        Document { gzip: gzip.into(), hash: digest.iter().map(|byte| format!("{byte:02X}")).collect() }
    }

    /// SHA-512 of the plain document, in upper-case hexadecimal.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The hash in quotes, as an ETag.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.hash)
    }

    pub fn gzip(&self) -> Bytes {
        self.gzip.clone()
    }

    pub fn plain(&self) -> Bytes {
        let mut plain = Vec::new();
        GzDecoder::new(&self.gzip[..]).read_to_end(&mut plain).expect("we compressed it ourselves");
        plain.into()
    }
}
