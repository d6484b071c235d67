//! Who is refused, and how: Status bodies with stock codes and texts, and nothing changes.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use balsa_chaos_tests::lab::Cluster;
use serde_json::Value;

/// Client certificate arguments of curl.
enum Identity {
    None,
    Admin,
    /// A certificate of the right form from a CA that the apiserver does not know.
    Foreign,
    /// Known by the CA, with no role.
    Nobody,
}

pub fn refused_clients(cluster: &mut Cluster) -> Result<()> {
    foreign_identity(cluster)?;
    let create =
        ["-X", "POST", "-H", "content-type: application/json", "-d", r#"{"metadata":{"name":"intruder"}}"#];
    let path = "/api/v1/namespaces/default/configmaps";
    let (code, body) = ask(cluster, &Identity::None, path, &create)?;
    ensure!(
        code == 401 && body["reason"] == "Unauthorized" && body["message"] == "Unauthorized",
        "no certificate: {code} {body}"
    );
    let (code, body) = ask(cluster, &Identity::Foreign, path, &create)?;
    ensure!(code == 401 && body["kind"] == "Status", "foreign certificate: {code} {body}");
    let (code, body) = ask(cluster, &Identity::Nobody, path, &create)?;
    let text = "configmaps is forbidden: User \"system:serviceaccount:default:default\" cannot create resource \"configmaps\" in API group \"\" in the namespace \"default\"";
    ensure!(
        code == 403 && body["message"] == text && body["details"]["kind"] == "configmaps",
        "no role: {code} {body}"
    );
    let refused = cluster.kubectl_fails(&["get", "configmap", "intruder"])?;
    ensure!(refused.contains("configmaps \"intruder\" not found"), "{refused}");
    for open in ["/livez", "/readyz", "/version"] {
        let output = curl(cluster, &Identity::None, open, &["-f"])?.output().context("run curl")?;
        ensure!(output.status.success(), "{open} is open to everyone");
    }
    let (code, body) = ask(cluster, &Identity::None, "/metrics", &[])?;
    ensure!(code == 401, "/metrics without a certificate: {code} {body}");
    Ok(())
}

/// Name, curl arguments, path, code, reason, text in the message.
struct Refusal(&'static [&'static str], &'static str, u16, &'static str, &'static str);

const JSON: &str = "content-type: application/json";
const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";

const REFUSALS: &[Refusal] = &[
    Refusal(
        &["-X", "POST", "-H", JSON, "-d", "{\"metadata\":"],
        CONFIGMAPS,
        400,
        "BadRequest",
        "unexpected end of JSON input",
    ),
    Refusal(
        &[],
        "/api/v1/namespaces/default/nosuchkinds",
        404,
        "NotFound",
        "the server could not find the requested resource",
    ),
    Refusal(
        &[],
        "/apis/nosuch.group/v1/things",
        404,
        "NotFound",
        "the server could not find the requested resource",
    ),
    Refusal(
        &[],
        "/api/v1/namespaces/default/configmaps/absent",
        404,
        "NotFound",
        "configmaps \"absent\" not found",
    ),
    Refusal(
        &[
            "-X",
            "POST",
            "-H",
            JSON,
            "-d",
            r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x"}}"#,
        ],
        CONFIGMAPS,
        400,
        "BadRequest",
        "cannot be handled as a ConfigMap",
    ),
    Refusal(
        &["-X", "POST", "-H", JSON, "-d", r#"{"metadata":{"name":"x"},"data":{"a":1}}"#],
        CONFIGMAPS,
        400,
        "BadRequest",
        "cannot unmarshal number into Go struct field ConfigMap.data of type string",
    ),
    Refusal(
        &["-X", "POST", "-H", JSON, "-d", r#"{"metadata":{"name":"x"},"extra":1}"#],
        "/api/v1/namespaces/default/configmaps?fieldValidation=Strict",
        400,
        "BadRequest",
        "strict decoding error: unknown field \"extra\"",
    ),
    Refusal(
        &["-X", "POST", "-H", JSON, "-d", r#"{"metadata":{"name":"Not_Valid"}}"#],
        CONFIGMAPS,
        422,
        "Invalid",
        "ConfigMap \"Not_Valid\" is invalid: metadata.name: Invalid value: \"Not_Valid\": a lowercase RFC 1123 subdomain must consist of",
    ),
    Refusal(
        &["-X", "POST", "-H", JSON, "-d", r#"{"metadata":{"name":"kube-root-ca.crt"}}"#],
        CONFIGMAPS,
        409,
        "AlreadyExists",
        "configmaps \"kube-root-ca.crt\" already exists",
    ),
    Refusal(
        &["-X", "POST", "-H", "content-type: text/plain", "-d", "x"],
        CONFIGMAPS,
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format",
    ),
    Refusal(
        &["-H", "accept: image/png"],
        CONFIGMAPS,
        406,
        "NotAcceptable",
        "only the following media types are accepted",
    ),
    Refusal(
        &["-X", "PUT", "-H", JSON, "-d", "{}"],
        CONFIGMAPS,
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
    ),
    Refusal(
        &["-X", "POST", "-H", JSON, "-d", r#"{"metadata":{"name":"x"}}"#],
        "/api/v1/namespaces/absent/configmaps",
        404,
        "NotFound",
        "namespaces \"absent\" not found",
    ),
    Refusal(
        &[],
        "/api/v1/configmaps?labelSelector=a=b%2C%2C",
        400,
        "BadRequest",
        "unable to parse requirement",
    ),
    Refusal(
        &[],
        "/api/v1/pods?fieldSelector=spec.nothing=x",
        400,
        "BadRequest",
        "field label not supported: spec.nothing",
    ),
];

pub fn malformed_requests(cluster: &mut Cluster) -> Result<()> {
    for Refusal(arguments, path, code, reason, text) in REFUSALS {
        let (got, body) = ask(cluster, &Identity::Admin, path, arguments)?;
        let message = body["message"].as_str().unwrap_or_default();
        ensure!(
            got == *code && body["reason"] == *reason && message.contains(text),
            "{path} {arguments:?}\nexpected {code} {reason} {text:?}\ngot {got} {body}"
        );
        ensure!(
            body["kind"] == "Status" && body["status"] == "Failure" && body["code"] == *code,
            "a whole Status: {body}"
        );
    }
    oversized(cluster)
}

fn oversized(cluster: &Cluster) -> Result<()> {
    let path = cluster.scratch().join("large.json");
    let body = format!(r#"{{"metadata":{{"name":"large"}},"data":{{"a":"{}"}}}}"#, "x".repeat(4 << 20));
    std::fs::write(&path, body).context("write a large body")?;
    let data = format!("@{}", path.display());
    let (code, body) = ask(
        cluster,
        &Identity::Admin,
        CONFIGMAPS,
        &["-X", "POST", "-H", JSON, "-H", "expect:", "--data-binary", &data],
    )?;
    ensure!(code == 413 && body["reason"] == "RequestEntityTooLarge", "4 MiB body: {code} {body}");
    Ok(())
}

fn curl(cluster: &Cluster, identity: &Identity, path: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = cluster.host().command("curl");
    let pki = cluster.data_dir().join("pki");
    command.args(["-sS", "--max-time", "15", "--cacert"]).arg(pki.join("ca.crt")).args(arguments);
    match identity {
        Identity::None => {}
        Identity::Admin => {
            command.arg("--cert").arg(pki.join("admin.crt")).arg("--key").arg(pki.join("admin.key"));
        }
        Identity::Foreign => {
            let dir = cluster.scratch();
            command.arg("--cert").arg(dir.join("foreign.crt")).arg("--key").arg(dir.join("foreign.key"));
        }
        Identity::Nobody => {
            let token = cluster.kubectl_ok(&["create", "token", "default"])?;
            command.args(["-H", &format!("authorization: Bearer {}", token.trim())]);
        }
    }
    command.arg(format!("https://127.0.0.1:6443{path}"));
    Ok(command)
}

fn ask(cluster: &Cluster, identity: &Identity, path: &str, arguments: &[&str]) -> Result<(u16, Value)> {
    let output = curl(cluster, identity, path, arguments)?
        .args(["-w", "\n%{http_code}"])
        .output()
        .context("run curl")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, code) = text
        .rsplit_once('\n')
        .with_context(|| format!("curl: {}", String::from_utf8_lossy(&output.stderr)))?;
    let code = code.parse().context("curl printed a code")?;
    ensure!(output.status.success(), "{path}: curl: {}", String::from_utf8_lossy(&output.stderr));
    Ok((code, serde_json::from_str(body).with_context(|| format!("{path}: {code}: not JSON: {body}"))?))
}

/// A self-made CA's admin, from openssl, which every Debian has.
fn foreign_identity(cluster: &Cluster) -> Result<()> {
    let dir = cluster.scratch();
    let status = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/O=system:masters/CN=kubernetes-admin",
            "-keyout",
        ])
        .arg(dir.join("foreign.key"))
        .arg("-out")
        .arg(dir.join("foreign.crt"))
        .stderr(std::process::Stdio::null())
        .status()
        .context("run openssl")?;
    ensure!(status.success(), "openssl req: {status}");
    Ok(())
}
