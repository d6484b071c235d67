//! The query parameters of the verbs, as stock servers publish them (names and types) in words of our own.

/// One parameter; `kind` is its JSON type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) description: &'static str,
}

const fn text(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, kind: "string", description }
}

const fn flag(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, kind: "boolean", description }
}

const fn number(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, kind: "integer", description }
}

pub(super) const NAME: Parameter = text("name", "name of the object");
pub(super) const NAMESPACE: Parameter = text("namespace", "namespace of the object");
pub(super) const PRETTY: Parameter = text("pretty", "If 'true', the answer is indented.");

const ALLOW_WATCH_BOOKMARKS: Parameter = flag(
    "allowWatchBookmarks",
    "Whether a watch may send BOOKMARK events, which carry only a resourceVersion.",
);
const CONTINUE: Parameter = text("continue", "Token of the previous page of a list.");
const FIELD_SELECTOR: Parameter = text("fieldSelector", "Returns only objects whose fields match.");
const LABEL_SELECTOR: Parameter = text("labelSelector", "Returns only objects whose labels match.");
const LIMIT: Parameter =
    number("limit", "The most objects in one page of a list; the rest follows with 'continue'.");
const RESOURCE_VERSION: Parameter =
    text("resourceVersion", "Which state may be served; unset means the most recent one.");
const RESOURCE_VERSION_MATCH: Parameter =
    text("resourceVersionMatch", "How resourceVersion is applied to a list: Exact or NotOlderThan.");
const SEND_INITIAL_EVENTS: Parameter =
    flag("sendInitialEvents", "Whether a watch starts with the present objects, followed by a bookmark.");
const TIMEOUT_SECONDS: Parameter = number("timeoutSeconds", "Ends a list or watch after this time.");
const WATCH: Parameter = flag("watch", "Streams changes as they happen instead of returning a list.");

const DRY_RUN: Parameter = text("dryRun", "'All' goes through every step but stores nothing.");
const FIELD_MANAGER: Parameter =
    text("fieldManager", "Name of the writer, to whom the changed fields belong.");
const FIELD_VALIDATION: Parameter = text(
    "fieldValidation",
    "What to do about unknown and repeated fields: Ignore, Warn (the default) or Strict.",
);
const FORCE: Parameter = flag("force", "Takes fields over from other managers; only for apply patches.");

const GRACE_PERIOD_SECONDS: Parameter = number("gracePeriodSeconds", "Time for the object to end by itself.");
const IGNORE_STORE_READ_ERROR: Parameter = flag(
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "Deletes an object that cannot be read from the store; dangerous.",
);
const ORPHAN_DEPENDENTS: Parameter = flag("orphanDependents", "Deprecated: use propagationPolicy.");
const PROPAGATION_POLICY: Parameter =
    text("propagationPolicy", "What happens to dependents: Orphan, Background or Foreground.");

pub(super) const LIST: &[Parameter] = &[
    ALLOW_WATCH_BOOKMARKS,
    CONTINUE,
    FIELD_SELECTOR,
    LABEL_SELECTOR,
    LIMIT,
    RESOURCE_VERSION,
    RESOURCE_VERSION_MATCH,
    SEND_INITIAL_EVENTS,
    TIMEOUT_SECONDS,
    WATCH,
];
pub(super) const WRITE: &[Parameter] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];
pub(super) const PATCH: &[Parameter] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE];
pub(super) const DELETE: &[Parameter] =
    &[DRY_RUN, GRACE_PERIOD_SECONDS, IGNORE_STORE_READ_ERROR, ORPHAN_DEPENDENTS, PROPAGATION_POLICY];
pub(super) const DELETE_COLLECTION: &[Parameter] = &[
    CONTINUE,
    DRY_RUN,
    FIELD_SELECTOR,
    GRACE_PERIOD_SECONDS,
    IGNORE_STORE_READ_ERROR,
    LABEL_SELECTOR,
    LIMIT,
    ORPHAN_DEPENDENTS,
    PROPAGATION_POLICY,
    RESOURCE_VERSION,
    RESOURCE_VERSION_MATCH,
    SEND_INITIAL_EVENTS,
    TIMEOUT_SECONDS,
];

pub(super) const LOG: &[Parameter] = &[
    text("container", "Container whose log is read; may be left out if there is only one."),
    flag("follow", "Streams the log until the container ends."),
    flag("insecureSkipTLSVerifyBackend", "Does not check the certificate of the node."),
    number("limitBytes", "Ends the log after this many bytes."),
    flag("previous", "The log of the previous, terminated container."),
    number("sinceSeconds", "Only lines younger than this."),
    text("stream", "All, Stdout or Stderr."),
    number("tailLines", "Only the last lines."),
    flag("timestamps", "Puts the time before each line."),
];
pub(super) const EXEC: &[Parameter] = &[
    text("command", "Command to run, not in a shell; repeat it for arguments."),
    text("container", "Container to run in; may be left out if there is only one."),
    flag("stderr", "Redirects the standard error stream."),
    flag("stdin", "Redirects the standard input stream."),
    flag("stdout", "Redirects the standard output stream."),
    flag("tty", "Allocates a terminal."),
];
pub(super) const PORTS: &[Parameter] = &[number("ports", "Port to forward; needed for WebSockets.")];
pub(super) const PROXY: &[Parameter] = &[text("path", "Path to call at the backend.")];
