//! One HTTP/2 connection of the load generator, driven by hand: many calls, one task, one buffer each way.
//!
//! The members and the clients share the processors, so that what a client takes is missing where it is measured; a general
//! gRPC client takes about as much per call as the members do. This one writes the frames of a call, looks for the ends of
//! answers, and reads no header: an answer without a message is an error. Headers are sent as other clients send them, by
//! their place in the peer's table after the first call.
//! *Not* for anything but measuring: no flow control but that of the whole connection, and requests stay small.
//! Source: RFC 9113, RFC 7541, gRPC over HTTP/2.

use std::collections::{HashMap, VecDeque};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::socket::{self, Socket};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD_BYTES: usize = 9;
const MESSAGE_HEAD_BYTES: usize = 5;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

const ENABLE_PUSH: u16 = 2;
const INITIAL_WINDOW_SIZE: u16 = 4;
/// The largest window that there may be: no stream is ever held up by its own.
const STREAM_WINDOW_BYTES: u32 = i32::MAX as u32;
/// Of the connection; granted anew when half of it is used.
const WINDOW_BYTES: u32 = 1 << 30;
/// What a connection may hold before its peer has said anything.
const FIRST_WINDOW_BYTES: u32 = 65_535;

/// HPACK: entries of the static table, where the dynamic one begins, and how a literal that enters it is marked.
const METHOD_POST: u8 = 0x80 | 3;
const SCHEME_HTTP: u8 = 0x80 | 6;
const SCHEME_HTTPS: u8 = 0x80 | 7;
const NAME_AUTHORITY: u8 = 1;
const NAME_PATH: u8 = 4;
const NAME_CONTENT_TYPE: u8 = 31;
const FIRST_DYNAMIC: usize = 62;
const INDEXED: u8 = 0x80;
const LITERAL_ENTERS: u8 = 0x40;

/// What came.
#[derive(Debug)]
pub enum Event {
    Message(u32, BytesMut),
    /// The answer is over.
    End(u32),
}

pub struct Line {
    socket: Socket,
    /// Of the static table.
    scheme: u8,
    authority: String,
    input: BytesMut,
    output: Vec<u8>,
    next_stream: u32,
    /// Paths, and the two headers that all calls share, in the order in which they entered the peer's table.
    entered: Vec<&'static str>,
    may_send_bytes: i64,
    received_bytes: u32,
    /// Of calls whose next message has not wholly come.
    partial: HashMap<u32, BytesMut>,
    ready: VecDeque<Event>,
}

impl Line {
    /// `endpoint`: `http://host:port`, or `https://`.
    pub async fn open(endpoint: &str) -> Result<Line> {
        let (authority, secured) = socket::authority(endpoint)?;
        let mut line = Line {
            socket: Socket::connect(endpoint).await?,
            scheme: if secured { SCHEME_HTTPS } else { SCHEME_HTTP },
            authority: authority.to_owned(),
            input: BytesMut::with_capacity(1 << 16),
            output: PREFACE.to_vec(),
            next_stream: 1,
            entered: Vec::new(),
            may_send_bytes: i64::from(FIRST_WINDOW_BYTES),
            received_bytes: 0,
            partial: HashMap::new(),
            ready: VecDeque::new(),
        };
        let mut settings = Vec::new();
        for (setting, value) in [(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES)] {
            settings.extend_from_slice(&setting.to_be_bytes());
            settings.extend_from_slice(&u32::to_be_bytes(value));
        }
        line.frame(SETTINGS, 0, 0, &settings);
        line.frame(WINDOW_UPDATE, 0, 0, &(WINDOW_BYTES - FIRST_WINDOW_BYTES).to_be_bytes());
        line.flush().await?;
        Ok(line)
    }

    /// A call with its one message. Sent with the next [`Line::flush`].
    pub fn call(&mut self, path: &'static str, message: &[u8]) -> Result<u32> {
        let stream = self.begin(path);
        self.data(stream, END_STREAM, message)?;
        Ok(stream)
    }

    /// A call whose messages come one by one, by [`Line::say`].
    pub fn begin(&mut self, path: &'static str) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        let headers = self.headers(path);
        self.frame(HEADERS, END_HEADERS, stream, &headers);
        stream
    }

    pub fn say(&mut self, stream: u32, message: &[u8]) -> Result<()> {
        self.data(stream, 0, message)
    }

    pub async fn flush(&mut self) -> Result<()> {
        if !self.output.is_empty() {
            self.socket.write_all(&self.output).await.context("send")?;
            self.socket.flush().await.context("send")?;
            self.output.clear();
        }
        Ok(())
    }

    /// Waits for bytes; then [`Line::take_event`] may have something.
    pub async fn read(&mut self) -> Result<()> {
        self.input.reserve(1 << 16);
        let count = self.socket.read_buf(&mut self.input).await.context("receive")?;
        ensure!(count > 0, "the connection ended");
        Ok(())
    }

    /// The next of what has come; `None` if more must be read first.
    pub fn take_event(&mut self) -> Result<Option<Event>> {
        while self.ready.is_empty() {
            let Some(head) = self.input.first_chunk::<FRAME_HEAD_BYTES>() else { return Ok(None) };
            let bytes = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let (kind, flags) = (head[3], head[4]);
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & !(1 << 31);
            if self.input.len() < FRAME_HEAD_BYTES + bytes {
                return Ok(None);
            }
            self.input.advance(FRAME_HEAD_BYTES);
            let payload = self.input.split_to(bytes);
            self.take(kind, flags, stream, payload)?;
        }
        Ok(self.ready.pop_front())
    }

    fn take(&mut self, kind: u8, flags: u8, stream: u32, payload: BytesMut) -> Result<()> {
        match kind {
            DATA => {
                self.count_received(payload.len());
                self.take_messages(stream, payload);
            }
            HEADERS if flags & END_STREAM != 0 => self.ready.push_back(Event::End(stream)),
            RST_STREAM => bail!("the peer reset a call"),
            GOAWAY => bail!("the peer goes away"),
            SETTINGS if flags & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => self.frame(PING, ACK, 0, &payload),
            WINDOW_UPDATE if stream == 0 => {
                let granted = payload.first_chunk().context("a window update is too short")?;
                self.may_send_bytes += i64::from(u32::from_be_bytes(*granted));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whole messages are handed out as they lie; only what is cut by a frame is copied, once.
    fn take_messages(&mut self, stream: u32, payload: BytesMut) {
        let mut bytes = match self.partial.remove(&stream) {
            Some(mut begun) => {
                begun.extend_from_slice(&payload);
                begun
            }
            None => payload,
        };
        while let Some(head) = bytes.first_chunk::<MESSAGE_HEAD_BYTES>() {
            let end = MESSAGE_HEAD_BYTES + message_bytes(head);
            if bytes.len() < end {
                break;
            }
            let mut message = bytes.split_to(end);
            message.advance(MESSAGE_HEAD_BYTES);
            self.ready.push_back(Event::Message(stream, message));
        }
        if !bytes.is_empty() {
            if let Some(head) = bytes.first_chunk::<MESSAGE_HEAD_BYTES>() {
                let end = MESSAGE_HEAD_BYTES + message_bytes(head);
                bytes.reserve(end.saturating_sub(bytes.len()));
            }
            self.partial.insert(stream, bytes);
        }
    }

    fn count_received(&mut self, bytes: usize) {
        self.received_bytes += bytes as u32;
        if self.received_bytes > WINDOW_BYTES / 2 {
            self.frame(WINDOW_UPDATE, 0, 0, &self.received_bytes.to_be_bytes());
            self.received_bytes = 0;
        }
    }

    fn data(&mut self, stream: u32, flags: u8, message: &[u8]) -> Result<()> {
        let bytes = MESSAGE_HEAD_BYTES + message.len();
        self.may_send_bytes -= bytes as i64;
        ensure!(self.may_send_bytes >= 0, "the peer does not take so much at once");
        self.head(bytes, DATA, flags, stream);
        self.output.push(0);
        self.output.extend_from_slice(&(message.len() as u32).to_be_bytes());
        self.output.extend_from_slice(message);
        Ok(())
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.head(payload.len(), kind, flags, stream);
        self.output.extend_from_slice(payload);
    }

    fn head(&mut self, bytes: usize, kind: u8, flags: u8, stream: u32) {
        let [_, a, b, c] = (bytes as u32).to_be_bytes();
        self.output.extend_from_slice(&[a, b, c, kind, flags]);
        self.output.extend_from_slice(&stream.to_be_bytes());
    }

    fn headers(&mut self, path: &'static str) -> Vec<u8> {
        let mut block = vec![METHOD_POST, self.scheme];
        let authority = self.authority.clone();
        self.header(path, &[NAME_PATH], path, &mut block);
        self.header("authority", &[NAME_AUTHORITY], &authority, &mut block);
        self.header("content-type", &[NAME_CONTENT_TYPE], "application/grpc", &mut block);
        self.header("te", b"\0\x02te", "trailers", &mut block);
        block
    }

    /// `name`: of the static table, or a nought and the name itself with its length.
    fn header(&mut self, key: &'static str, name: &[u8], value: &str, block: &mut Vec<u8>) {
        if let Some(place) = self.entered.iter().position(|entered| *entered == key) {
            // The newest entry stands first.
            block.push(INDEXED | (FIRST_DYNAMIC + self.entered.len() - 1 - place) as u8);
            return;
        }
        self.entered.push(key);
        block.push(LITERAL_ENTERS | name[0]);
        block.extend_from_slice(&name[1..]);
        block.push(value.len() as u8);
        block.extend_from_slice(value.as_bytes());
    }
}

fn message_bytes(head: &[u8; MESSAGE_HEAD_BYTES]) -> usize {
    u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize
}
