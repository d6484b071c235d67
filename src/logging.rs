//! Where log lines go: JSON on stderr for parts that run alone, plain text for people at `balsa up`.
//!
//! The JSON has etcd's field names (`level`, `ts`, `msg`), since tools wait for lines of it.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use anyhow::Context;
use balsa_store::flags::{LogFormat, LogOutput, LogSettings};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::writer::{BoxMakeWriter, MakeWriterExt};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::log_file::{self, RotatingFile};

/// As etcd's flags say. `RUST_LOG` wins over `level`.
pub fn init(level: &str, settings: &LogSettings) -> anyhow::Result<()> {
    let mut writer = BoxMakeWriter::new(std::io::sink);
    for output in &settings.outputs {
        writer = match output {
            LogOutput::Stderr => BoxMakeWriter::new(writer.and(std::io::stderr)),
            LogOutput::Stdout => BoxMakeWriter::new(writer.and(std::io::stdout)),
            LogOutput::File(path) => {
                let failed = || format!("--log-outputs: {} cannot be written", path.display());
                match &settings.rotation {
                    None => {
                        let file = log_file::open(path).with_context(failed)?;
                        BoxMakeWriter::new(writer.and(Arc::new(file)))
                    }
                    Some(rotation) => {
                        let file = RotatingFile::open(path, rotation.clone()).with_context(failed)?;
                        BoxMakeWriter::new(writer.and(Mutex::new(file)))
                    }
                }
            }
        };
    }
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter(level)).with_writer(writer);
    match settings.format {
        LogFormat::Json => install(subscriber.event_format(EtcdJson).finish()),
        LogFormat::Console => install(subscriber.event_format(EtcdConsole).finish()),
    }
    Ok(())
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

/// etcd's time, level and place, which every line begins with.
struct Head {
    time: String,
    level: String,
    caller: &'static str,
}

impl Head {
    fn of(event: &Event<'_>) -> Result<Self, fmt::Error> {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let level = event.metadata().level().as_str().to_lowercase();
        Ok(Self { time, level, caller: event.metadata().target() })
    }
}

struct EtcdJson;

impl<S, N> FormatEvent<S, N> for EtcdJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Head { time, level, caller } = Head::of(event)?;
        let mut fields = Fields(Map::new());
        fields.0.insert("level".to_owned(), level.into());
        fields.0.insert("ts".to_owned(), time.into());
        fields.0.insert("caller".to_owned(), caller.into());
        event.record(&mut fields);
        writeln!(out, "{}", Value::Object(fields.0))
    }
}

/// `--log-format=console`: the same, between tabs, and only the fields as JSON.
struct EtcdConsole;

impl<S, N> FormatEvent<S, N> for EtcdConsole
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Head { time, level, caller } = Head::of(event)?;
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let message = fields.0.remove("msg").unwrap_or_default();
        write!(out, "{time}\t{level}\t{caller}\t{}", message.as_str().unwrap_or_default())?;
        let fields: Vec<String> =
            fields.0.into_iter().map(|(name, value)| format!("{}: {value}", Value::from(name))).collect();
        if !fields.is_empty() {
            write!(out, "\t{{{}}}", fields.join(", "))?;
        }
        writeln!(out)
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
