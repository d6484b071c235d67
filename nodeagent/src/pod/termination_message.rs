//! What a container said on its way out: the file at its terminationMessagePath, or the end of its log.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use balsa_proto::cri::ContainerStatus;

use crate::limits;
use crate::runtime::label;
use crate::serve::log_line;

/// The message of an ended container; the runtime's own words where the container left none.
pub fn read(status: &ContainerStatus) -> String {
    let path = status.annotations.get(label::TERMINATION_MESSAGE_PATH);
    let mount = status.mounts.iter().find(|mount| Some(&mount.container_path) == path);
    let written = mount.map(|mount| file(Path::new(&mount.host_path))).unwrap_or_default();
    if !written.is_empty() {
        return written;
    }
    let policy = status.annotations.get(label::TERMINATION_MESSAGE_POLICY).map(String::as_str);
    let wants_log = policy == Some("FallbackToLogsOnError") && status.exit_code != 0;
    if wants_log && !status.log_path.is_empty() {
        let tail = log_tail(Path::new(&status.log_path));
        if !tail.is_empty() {
            return tail;
        }
    }
    status.message.clone()
}

fn file(path: &Path) -> String {
    let Ok(file) = std::fs::File::open(path) else { return String::new() };
    let mut content = Vec::new();
    let read = file.take(limits::TERMINATION_MESSAGE_BYTES as u64).read_to_end(&mut content);
    read.map(|_| String::from_utf8_lossy(&content).into_owned()).unwrap_or_default()
}

/// The last lines of a log, without its framing.
fn log_tail(path: &Path) -> String {
    // Framing adds some 45 bytes to a line, so a window twice the limit holds what can be shown of ordinary lines.
    let window = (limits::TERMINATION_LOG_BYTES + limits::TERMINATION_LOG_LINES * 64) as u64;
    let Ok(mut file) = std::fs::File::open(path) else { return String::new() };
    let length = file.metadata().map(|meta| meta.len()).unwrap_or_default();
    let start = length.saturating_sub(window);
    let mut raw = Vec::new();
    if file.seek(SeekFrom::Start(start)).and_then(|_| file.read_to_end(&mut raw)).is_err() {
        return String::new();
    }
    let mut lines: Vec<&[u8]> = raw.split_inclusive(|byte| *byte == b'\n').collect();
    if start > 0 && !lines.is_empty() {
        lines.remove(0);
    }
    let from = lines.len().saturating_sub(limits::TERMINATION_LOG_LINES);
    let mut tail = Vec::new();
    for line in &lines[from..] {
        if let Some(parsed) = log_line::parse(line) {
            tail.extend_from_slice(parsed.content);
            if !parsed.is_partial {
                tail.push(b'\n');
            }
        }
    }
    let from = tail.len().saturating_sub(limits::TERMINATION_LOG_BYTES);
    String::from_utf8_lossy(&tail[from..]).into_owned()
}
