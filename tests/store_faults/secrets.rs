//! What must not be read by whoever may read a log or a page.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};

use crate::alone::Place;
use crate::load;

const PASSWORD: &str = "tr0ub4dor-and-3";
const PAGES: [&str; 6] =
    ["/metrics", "/debug/vars", "/debug/requests", "/debug/events", "/debug/pprof/", "/health"];

/// CVE-2021-28235: passwords could be read on a page for debugging.
#[test]
fn cve_2021_28235_passwords_and_tokens_are_told_to_nobody() {
    tell().expect("nothing is told");
}

fn tell() -> Result<()> {
    let place = Place::new()?;
    let mut process = place.start_serving(place.command().args(place.flags()))?;
    for name in ["root", "alice"] {
        let user = format!(r#"{{"name":"{name}","password":"{PASSWORD}-{name}"}}"#);
        post(&place, "/v3/auth/user/add", &user)?;
    }
    post(&place, "/v3/auth/user/grant", r#"{"user":"root","role":"root"}"#)?;
    post(&place, "/v3/auth/enable", "{}")?;
    let login = format!(r#"{{"name":"root","password":"{PASSWORD}-root"}}"#);
    let answer = ask(&place, &request("POST", "/v3/auth/authenticate", &login))?;
    let (_, token) = answer.split_once(r#""token":""#).context("a token")?;
    let (token, _) = token.split_once('"').context("a token ends")?;
    let by_grpc = load::authenticate(&place.endpoint(), "alice", &format!("{PASSWORD}-alice"))?;
    ensure!(load::authenticate(&place.endpoint(), "root", "wrong").is_err(), "a wrong password is refused");
    let secrets = [PASSWORD.to_owned(), token.to_owned(), by_grpc];
    for page in PAGES {
        let body = ask(&place, &request("GET", page, ""))?;
        ensure!(!secrets.iter().any(|secret| body.contains(secret)), "{page} tells a secret: {body}");
    }
    process.stop()?;
    let log = process.log();
    ensure!(log.contains(r#""level":"debug""#), "the log is as talkative as it gets");
    ensure!(!secrets.iter().any(|secret| log.contains(secret)), "the log tells a secret");
    Ok(())
}

fn post(place: &Place, path: &str, json: &str) -> Result<()> {
    let answer = ask(place, &request("POST", path, json))?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    Ok(())
}

fn request(method: &str, path: &str, body: &str) -> String {
    let bytes = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {bytes}\r\n\r\n{body}"
    )
}

fn ask(place: &Place, request: &str) -> Result<String> {
    let mut stream = TcpStream::connect(place.address()).context("connect")?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
