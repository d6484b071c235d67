//! `/containerLogs/{namespace}/{pod}/{container}`: a container's log as text, filtered, optionally followed.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tracing::debug;

use super::Context;
use super::log_file::LogFile;
use super::log_line;
use crate::limits;

/// The options of `kubectl logs`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    pub follow: bool,
    pub previous: bool,
    pub timestamps: bool,
    pub tail_lines: Option<usize>,
    pub since: Option<Timestamp>,
    pub limit_bytes: Option<usize>,
    /// `stdout`, `stderr` or both.
    pub stream: Option<String>,
}

impl Options {
    /// `Err`: the sentence of a 400.
    pub fn parse(query: &[(String, String)], now: Timestamp) -> Result<Self, String> {
        let mut options = Self::default();
        for (name, value) in query {
            let bad = || format!("invalid value {value:?} of {name}");
            let flag = || matches!(value.as_str(), "true" | "1" | "");
            match name.as_str() {
                "follow" => options.follow = flag(),
                "previous" => options.previous = flag(),
                "timestamps" => options.timestamps = flag(),
                "tailLines" => options.tail_lines = Some(value.parse().map_err(|_| bad())?),
                "limitBytes" => options.limit_bytes = Some(value.parse().map_err(|_| bad())?),
                "sinceSeconds" => {
                    let seconds: i64 = value.parse().map_err(|_| bad())?;
                    options.since = now.checked_sub(SignedDuration::from_secs(seconds)).ok();
                }
                "sinceTime" => options.since = Some(value.parse().map_err(|_| bad())?),
                "stream" if value != "All" => options.stream = Some(value.to_lowercase()),
                _ => {}
            }
        }
        Ok(options)
    }
}

/// Which container's log is read.
pub struct Source {
    pub path: PathBuf,
    pub container_id: String,
}

/// Sends the text in chunks; ends when the reader goes, or at the end of the log.
pub async fn copy(context: Arc<Context>, source: Source, options: Options, out: mpsc::Sender<Bytes>) {
    let ended = out.clone();
    tokio::select! {
        result = read(&context, &source, &options, &out) => {
            if let Err(error) = result {
                debug!(path = %source.path.display(), %error, "log not read to its end");
            }
        }
        () = ended.closed() => {}
    }
}

async fn read(
    context: &Context,
    source: &Source,
    options: &Options,
    out: &mpsc::Sender<Bytes>,
) -> std::io::Result<()> {
    let mut generation = context.generation.clone();
    generation.mark_unchanged();
    let mut log = LogFile::open(&source.path, options.tail_lines, options.follow).await?;
    let mut filter = Filter::new(options);
    let mut runs = options.follow && runs(context, source).await;
    loop {
        let mut chunk = Vec::new();
        let is_final = !runs;
        while let Some(line) = log.next_line(is_final).await? {
            let goes_on = filter.take(&line, &mut chunk);
            if chunk.len() > 16 << 10 || !goes_on {
                let full = std::mem::take(&mut chunk);
                if out.send(Bytes::from(full)).await.is_err() || !goes_on {
                    return Ok(());
                }
            }
        }
        if !chunk.is_empty() && out.send(Bytes::from(chunk)).await.is_err() {
            return Ok(());
        }
        if is_final {
            return Ok(());
        }
        tokio::select! {
            () = log.changed() => {}
            Ok(()) = generation.changed() => runs = self::runs(context, source).await,
        }
    }
}

async fn runs(context: &Context, source: &Source) -> bool {
    let status = context.runtime.container_status(&source.container_id).await;
    status.is_ok_and(|status| status.state() == balsa_proto::cri::ContainerState::ContainerRunning)
}

/// From raw lines to what is shown.
struct Filter<'a> {
    options: &'a Options,
    left_bytes: usize,
    /// The last shown line was a part, so that the next one continues it.
    in_line: bool,
}

impl<'a> Filter<'a> {
    fn new(options: &'a Options) -> Self {
        Self { options, left_bytes: options.limit_bytes.unwrap_or(usize::MAX), in_line: false }
    }

    /// False when the limit of bytes is reached.
    fn take(&mut self, raw: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(line) = log_line::parse(raw) else { return true };
        if self.options.stream.as_ref().is_some_and(|stream| stream != line.stream) {
            return true;
        }
        let is_old = |since: Timestamp| line.timestamp.parse::<Timestamp>().is_ok_and(|at| at < since);
        if self.options.since.is_some_and(is_old) {
            return true;
        }
        let before = out.len();
        if self.options.timestamps && !self.in_line {
            out.extend_from_slice(line.timestamp.as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(line.content);
        if !line.is_partial {
            out.push(b'\n');
        }
        self.in_line = line.is_partial;
        let wrote = out.len() - before;
        if wrote >= self.left_bytes {
            out.truncate(before + self.left_bytes);
            return false;
        }
        self.left_bytes -= wrote;
        true
    }
}

/// Buffer between reader and client.
pub fn channel() -> (mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>) {
    mpsc::channel(limits::LOG_CHUNKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(query: &[(&str, &str)]) -> String {
        let query: Vec<_> = query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let options = Options::parse(&query, now).unwrap();
        let mut filter = Filter::new(&options);
        let mut out = Vec::new();
        let lines = [
            "2026-01-01T00:00:00Z stdout F old\n",
            "2026-01-01T00:00:50Z stdout P long \n",
            "2026-01-01T00:00:51Z stdout F line\n",
            "2026-01-01T00:00:52Z stderr F bad\n",
        ];
        for line in lines {
            if !filter.take(line.as_bytes(), &mut out) {
                break;
            }
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn options_filter_lines() {
        let cases = [
            (&[][..], "old\nlong line\nbad\n"),
            (&[("sinceSeconds", "30")], "long line\nbad\n"),
            (&[("sinceTime", "2026-01-01T00:00:52Z")], "bad\n"),
            (&[("limitBytes", "6")], "old\nlo"),
            (&[("stream", "Stderr")], "bad\n"),
        ];
        for (query, expected) in cases {
            assert_eq!(shown(query), expected, "{query:?}");
        }
        let stamped = shown(&[("timestamps", "true"), ("sinceSeconds", "30")]);
        assert_eq!(stamped, "2026-01-01T00:00:50Z long line\n2026-01-01T00:00:52Z bad\n");
    }
}
