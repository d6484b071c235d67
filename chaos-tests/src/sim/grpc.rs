//! Messages inside of the data of a gRPC stream: a flag, a length of four bytes, the message.
//!
//! Each frame on the simulated network holds whole messages, since nothing between the two codecs cuts them up.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

const HEADER_BYTES: usize = 5;

/// The messages of a frame, as far as they are of this type.
pub fn messages<M: Message + Default>(data: &Bytes) -> impl Iterator<Item = M> {
    raw(data.clone()).filter_map(|message| M::decode(message).ok())
}

/// The frame with each message made into any number of others.
pub fn rewrite<M: Message + Default>(data: &Bytes, mut change: impl FnMut(M) -> Vec<M>) -> Bytes {
    let mut out = BytesMut::new();
    for message in messages::<M>(data) {
        for message in change(message) {
            out.put_u8(0);
            out.put_u32(u32::try_from(message.encoded_len()).expect("messages are small"));
            message.encode(&mut out).expect("a growing buffer takes it");
        }
    }
    out.freeze()
}

fn raw(mut data: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        if data.len() < HEADER_BYTES {
            return None;
        }
        data.advance(1);
        let bytes = data.get_u32() as usize;
        (bytes <= data.len()).then(|| data.split_to(bytes))
    })
}
