//! Splits one response into several that each stay below a size, for watchers that asked for it.

use balsa_proto::etcd::etcdserverpb::WatchResponse;
use prost::Message;

/// All but the last carry `fragment`. A single event is never split, however large.
pub fn split(mut whole: WatchResponse, max_bytes: usize) -> Vec<WatchResponse> {
    if whole.encoded_len() < max_bytes || whole.events.len() < 2 {
        return vec![whole];
    }
    let events = std::mem::take(&mut whole.events);
    let empty_bytes = whole.encoded_len();
    let mut parts: Vec<WatchResponse> = Vec::new();
    let mut part = whole.clone();
    let mut bytes = empty_bytes;
    for event in events {
        let event_bytes = framed_len(event.encoded_len());
        if !part.events.is_empty() && bytes + event_bytes >= max_bytes {
            parts.push(std::mem::replace(&mut part, whole.clone()));
            bytes = empty_bytes;
        }
        bytes += event_bytes;
        part.events.push(event);
    }
    parts.iter_mut().for_each(|part| part.fragment = true);
    parts.push(part);
    parts
}

/// With its tag and its length.
fn framed_len(event_bytes: usize) -> usize {
    1 + prost::length_delimiter_len(event_bytes) + event_bytes
}

#[cfg(test)]
mod tests {
    use balsa_proto::etcd::mvccpb::{Event, KeyValue};

    use super::*;

    fn response(values: &[usize]) -> WatchResponse {
        let event = |len: &usize| Event {
            kv: Some(KeyValue { value: vec![b'v'; *len].into(), ..KeyValue::default() }),
            ..Event::default()
        };
        WatchResponse { watch_id: 3, events: values.iter().map(event).collect(), ..WatchResponse::default() }
    }

    #[test]
    fn parts_stay_below_the_bound_and_only_the_last_is_not_a_fragment() {
        let parts = split(response(&[100, 100, 100, 100, 100]), 300);
        assert_eq!(parts.iter().map(|part| part.events.len()).collect::<Vec<_>>(), [2, 2, 1]);
        assert_eq!(parts.iter().map(|part| part.fragment).collect::<Vec<_>>(), [true, true, false]);
        assert!(parts.iter().all(|part| part.encoded_len() < 300 && part.watch_id == 3));
    }

    #[test]
    fn a_large_event_goes_alone_and_a_small_response_whole() {
        assert_eq!(split(response(&[500]), 300).len(), 1);
        assert_eq!(split(response(&[10, 10]), 300).len(), 1);
        assert_eq!(split(response(&[10, 500, 10]), 300).len(), 3);
    }
}
