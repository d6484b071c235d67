//! Plays one script over the JSON gateway. Each script has a server of its own: users and roles are there for all.
//!
//! | command | does |
//! |---|---|
//! | `as USER PASSWORD`, `as nobody`, `as token TEXT` | in whose name the next commands go |
//! | `post PATH JSON` | one request below `/v3`, and its answer |
//! | `code PATH JSON` | the codes of the answer alone |
//! | `lines N PATH JSON` | the first N lines of a stream |
//! | `start NAME PATH JSON` | a request whose answer is waited for later; says nothing |
//! | `until TEXT PATH JSON` | asks until the answer has the text; says nothing |
//! | `waiting NAME`, `answer NAME` | it has no answer yet; its answer |
//! | `each PATH JSON` | what `nobody`, `alice` and `root` get to hear, if they are refused |
//!
//! In JSON, `b(text)` is the text as bytes. Ids of the cluster, terms and tokens are left out of answers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// How long an answer may take before the script fails: far beyond what a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(20);

pub async fn script(endpoint: &str, text: &str) -> String {
    let address = endpoint.strip_prefix("http://").expect("plain HTTP").to_owned();
    let mut player = Player { address, token: None, tokens: BTreeMap::new(), started: BTreeMap::new() };
    super::run::play_all(text, async |command| player.play(command).await).await
}

struct Player {
    address: String,
    token: Option<String>,
    /// By user, for `each`.
    tokens: BTreeMap<String, String>,
    started: BTreeMap<String, JoinHandle<Answer>>,
}

struct Answer {
    status: u16,
    body: String,
}

impl Player {
    async fn play(&mut self, command: &str) -> String {
        let (verb, rest) = command.split_once(' ').expect("a command has arguments");
        match verb {
            "as" => self.become_user(rest).await,
            "post" => said(&self.post(rest).await),
            "code" => {
                let answer = self.post(rest).await;
                let body: Value = serde_json::from_str(&answer.body).expect("an error is JSON");
                format!("{} {}\n", answer.status, body["code"])
            }
            "lines" => {
                let (count, rest) = rest.split_once(' ').expect("a number");
                let answer =
                    post(&self.address, self.token.as_deref(), rest, Some(count.parse().expect("a number")));
                said(&answer.await)
            }
            "start" => {
                let (name, rest) = rest.split_once(' ').expect("a name");
                let (address, token, rest) = (self.address.clone(), self.token.clone(), rest.to_owned());
                let answer = async move { post(&address, token.as_deref(), &rest, None).await };
                self.started.insert(name.to_owned(), tokio::spawn(answer));
                String::new()
            }
            "until" => {
                let (text, rest) = rest.split_once(' ').expect("a text");
                let started = Instant::now();
                while !self.post(rest).await.body.contains(text) {
                    assert!(started.elapsed() < PATIENCE, "no answer has {text:?}");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                String::new()
            }
            "waiting" => {
                format!("{}\n", if self.started[rest].is_finished() { "answered" } else { "waiting" })
            }
            "answer" => {
                let started = self.started.remove(rest).expect("it was started");
                said(&started.await.expect("does not panic"))
            }
            "each" => self.each(rest).await,
            other => panic!("no such command: {other}"),
        }
    }

    async fn become_user(&mut self, words: &str) -> String {
        match words.split_once(' ') {
            None => self.token = None,
            Some(("token", token)) => self.token = Some(token.to_owned()),
            Some((user, password)) => {
                // Stock 3.4 refuses to give out a token to whoever shows a bad one.
                self.token = None;
                let request = format!(r#"/auth/authenticate {{"name":"{user}","password":"{password}"}}"#);
                let answer = self.post(&request).await;
                let body: Value = serde_json::from_str(&answer.body).expect("JSON");
                let Some(token) = body["token"].as_str() else { return said(&answer) };
                self.token = Some(token.to_owned());
                self.tokens.insert(user.to_owned(), token.to_owned());
            }
        }
        String::new()
    }

    async fn each(&self, request: &str) -> String {
        let mut out = String::new();
        for user in ["nobody", "alice", "root"] {
            let token = self.tokens.get(user).map(String::as_str);
            // A stream goes on; its first line tells.
            let answer = post(&self.address, token, request, Some(1)).await;
            out.push_str(&format!("{user}: {}\n", refusal(&answer)));
        }
        out
    }

    async fn post(&self, request: &str) -> Answer {
        post(&self.address, self.token.as_deref(), request, None).await
    }
}

/// What access control says to it; all other answers are alike here.
fn refusal(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let texts = [&body["message"], &body["error"]["message"], &body["result"]["cancel_reason"]];
    let text = texts.iter().find_map(|text| text.as_str()).unwrap_or_default();
    let words = ["permission denied", "user name is empty", "user name not found", "auth"];
    if words.iter().any(|word| text.contains(word)) { text.to_owned() } else { "let through".to_owned() }
}

/// `lines`: no more of the body than that.
async fn post(address: &str, token: Option<&str>, request: &str, lines: Option<usize>) -> Answer {
    let (path, json) = request.split_once(' ').unwrap_or((request, ""));
    let stream = TcpStream::connect(address).await.expect("the server listens");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    // It ends when the sender is dropped, or with the server.
    let connection = tokio::spawn(async move { drop(connection.await) });
    let mut request = http::Request::post(format!("/v3{path}")).header("host", address);
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    let request = request.body(Full::<Bytes>::from(with_bytes(json))).expect("a request");
    let read = async {
        let mut response = sender.send_request(request).await.expect("an answer");
        let status = response.status().as_u16();
        let mut body = String::new();
        while lines.is_none_or(|lines| body.lines().count() < lines || !body.ends_with('\n')) {
            let Some(frame) = response.body_mut().frame().await else { break };
            let data = frame.expect("a body").into_data().unwrap_or_default();
            body.push_str(std::str::from_utf8(&data).expect("text"));
        }
        Answer { status, body }
    };
    let answer = tokio::time::timeout(PATIENCE, read).await;
    let answer = answer.unwrap_or_else(|_| panic!("no answer in time from {path} to {json}"));
    connection.abort();
    answer
}

/// `b(text)` as base64, in quotes.
fn with_bytes(json: &str) -> String {
    let mut out = String::new();
    let mut rest = json;
    while let Some((before, after)) = rest.split_once("b(") {
        let (text, after) = after.split_once(')').expect("a closing bracket");
        out.push_str(before);
        out.push_str(&format!("\"{}\"", STANDARD.encode(text.replace("\\0", "\0"))));
        rest = after;
    }
    out + rest
}

fn said(answer: &Answer) -> String {
    let body: Vec<String> = answer.body.lines().map(without_ids).collect();
    format!("{} {}\n", answer.status, body.join("\n"))
}

/// What differs from server to server is cut out of the text; the order and the form of the rest stay as they are.
fn without_ids(line: &str) -> String {
    let mut line = line.to_owned();
    for name in ["cluster_id", "member_id", "raft_term", "token"] {
        let key = format!("\"{name}\":\"");
        while let Some(at) = line.find(&key) {
            let value = at + key.len();
            let end = value + line[value..].find('"').expect("a closing quote") + 1;
            // The comma goes with what it separates.
            let end = end + usize::from(line[end..].starts_with(','));
            line.replace_range(at..end, "");
        }
    }
    line.replace(",}", "}")
}
