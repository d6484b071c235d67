//! Where log lines go: JSON on stderr for parts that run alone, plain text for people at `balsa up`.
//!
//! The JSON has etcd's field names (`level`, `ts`, `msg`), since tools wait for lines of it.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use anyhow::Context;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::writer::{BoxMakeWriter, MakeWriterExt};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The same to where etcd's `--log-outputs` says: `stderr`, `stdout`, or files that are appended to.
pub fn init_json_to(level: &str, outputs: &[String]) -> anyhow::Result<()> {
    let mut writer = BoxMakeWriter::new(std::io::sink);
    for output in outputs {
        writer = match output.as_str() {
            "default" | "stderr" => BoxMakeWriter::new(writer.and(std::io::stderr)),
            "stdout" => BoxMakeWriter::new(writer.and(std::io::stdout)),
            path => BoxMakeWriter::new(writer.and(open_log(path)?)),
        };
    }
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter(level))
        .with_writer(writer)
        .event_format(EtcdJson)
        .finish();
    install(subscriber);
    Ok(())
}

/// Names of keys may stand in it.
fn open_log(path: &str) -> anyhow::Result<Arc<File>> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    Ok(Arc::new(file.with_context(|| format!("--log-outputs: {path} cannot be written"))?))
}

/// One JSON object a line. `RUST_LOG` wins over `level`.
pub fn init_json(level: &str) {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter(level))
        .with_writer(std::io::stderr)
        .event_format(EtcdJson)
        .finish();
    install(subscriber);
}

/// Plain lines. `RUST_LOG` wins over `level`.
pub fn init_for_people(level: &str) {
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter(level)).with_writer(std::io::stderr).finish();
    install(subscriber);
}

/// The consensus library tells its whole state at every step and warns at every retry to a member that is away; the
/// store itself logs what an operator needs of that.
fn filter(level: &str) -> EnvFilter {
    // etcd has levels above `error` that end the process; what does that here is logged as an error.
    let level = if matches!(level, "panic" | "fatal") { "error" } else { level };
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("{level},openraft=error")))
}

fn install(subscriber: impl Subscriber + Send + Sync) {
    // A second subscriber is refused; the first one of the process stands.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

struct EtcdJson;

impl<S, N> FormatEvent<S, N> for EtcdJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut fields = Fields(Map::new());
        fields.0.insert("level".to_owned(), event.metadata().level().as_str().to_lowercase().into());
        fields.0.insert("ts".to_owned(), time.into());
        fields.0.insert("caller".to_owned(), event.metadata().target().into());
        event.record(&mut fields);
        writeln!(out, "{}", Value::Object(fields.0))
    }
}

/// Fields of an event; the message is called `msg`.
struct Fields(Map<String, Value>);

impl Fields {
    fn insert(&mut self, field: &Field, value: Value) {
        let name = if field.name() == "message" { "msg" } else { field.name() };
        self.0.insert(name.to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = write!(text, "{value:?}");
        self.insert(field, text.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value.into());
    }
}
