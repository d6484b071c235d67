//! Tokens that are made, read, and refused.

use std::process::Command;

use super::*;

/// Keys that `openssl` makes, as operators do; a private key and its public half.
struct Keys {
    dir: tempfile::TempDir,
}

impl Keys {
    fn new() -> Self {
        Keys { dir: tempfile::tempdir().expect("a temporary folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn pair(&self, name: &str, algorithm: &[&str]) -> (PathBuf, PathBuf) {
        let (private, public) = (self.path(name), self.path(&format!("{name}.pub")));
        openssl(&[&["genpkey", "-out", text(&private)], algorithm].concat());
        openssl(&["pkey", "-in", text(&private), "-pubout", "-out", text(&public)]);
        (private, public)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn openssl(args: &[&str]) {
    let output = Command::new("openssl").args(args).output().expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn open(
    method: Algorithm,
    private: Option<&Path>,
    public: Option<&Path>,
    ttl: Duration,
) -> Result<JwtTokens, JwtError> {
    let (private_key, public_key) = (private.map(Path::to_owned), public.map(Path::to_owned));
    JwtTokens::open(&JwtOptions { method, public_key, private_key, ttl })
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn what_the_private_key_signs_the_public_key_verifies() {
    let keys = Keys::new();
    let ec = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let rows: &[(Algorithm, &str, &[&str])] = &[
        (Algorithm::RS256, "rsa", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
        (Algorithm::PS384, "rsa2", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
        (Algorithm::ES256, "ec", &ec),
        (Algorithm::EdDSA, "ed", &["-algorithm", "ED25519"]),
    ];
    for (method, name, algorithm) in rows {
        let (private, public) = keys.pair(name, algorithm);
        let both = open(*method, Some(&private), Some(&public), MINUTE).expect("a pair");
        let signs = open(*method, Some(&private), None, MINUTE).expect("a private key");
        let verifies = open(*method, None, Some(&public), MINUTE).expect("a public key");
        let token = signs.sign("alice", 12).expect("it can sign");
        let alice = Some(Caller::User { name: "alice".into(), auth_revision: 12 });
        for member in [&both, &signs, &verifies] {
            assert_eq!(member.verify(&token), alice, "{method:?}");
        }
        assert!(matches!(verifies.sign("alice", 12), Err(SignError::VerifyOnly)));
    }
}

#[test]
fn a_shared_secret_signs_and_verifies() {
    let keys = Keys::new();
    let secret = keys.path("secret");
    std::fs::write(&secret, "a secret of many words").expect("writable");
    let tokens = open(Algorithm::HS256, Some(&secret), None, MINUTE).expect("a secret");
    let token = tokens.sign("alice", 3).expect("it can sign");
    assert_eq!(tokens.verify(&token), Some(Caller::User { name: "alice".into(), auth_revision: 3 }));
    assert!(matches!(open(Algorithm::HS256, None, Some(&secret), MINUTE), Err(JwtError::SharedSecret(_))));
}

#[test]
fn what_is_refused() {
    let keys = Keys::new();
    let secret = |name: &str| {
        let path = keys.path(name);
        std::fs::write(&path, name).expect("writable");
        path
    };
    let (one, other) = (secret("one"), secret("other"));
    let open = |method, ttl, path: &PathBuf| open(method, Some(path), None, ttl).expect("a secret");
    let tokens = open(Algorithm::HS256, MINUTE, &one);
    let rows = [
        ("another key", open(Algorithm::HS256, MINUTE, &other)),
        ("another method", open(Algorithm::HS512, MINUTE, &one)),
        ("its time is over", open(Algorithm::HS256, Duration::ZERO, &one)),
    ];
    for (what, signer) in rows {
        let token = signer.sign("root", 1).expect("it can sign");
        // A token of no duration ends within the second in which it was made.
        let patience = std::time::Instant::now() + Duration::from_secs(5);
        while tokens.verify(&token).is_some() && std::time::Instant::now() < patience {
            std::thread::yield_now();
        }
        assert_eq!(tokens.verify(&token), None, "{what}");
    }
    assert_eq!(tokens.verify("not.a.token"), None);
}

#[test]
fn keys_that_do_not_fit_are_refused_at_the_start() {
    let keys = Keys::new();
    let ed = ["-algorithm", "ED25519"];
    let ((private, _), (_, other)) = (keys.pair("a", &ed), keys.pair("b", &ed));
    assert!(matches!(open(Algorithm::EdDSA, Some(&private), Some(&other), MINUTE), Err(JwtError::Mismatch)));
    assert!(matches!(open(Algorithm::RS256, Some(&private), None, MINUTE), Err(JwtError::Key { .. })));
    let missing = keys.path("missing");
    assert!(matches!(open(Algorithm::RS256, Some(&missing), None, MINUTE), Err(JwtError::Read { .. })));
}
