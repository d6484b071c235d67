//! Protocol buffers on the wire, without types: keys, numbers and lengths.

use bytes::Bytes;

/// One field as it stands on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Varint(u64),
    Bytes(Bytes),
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the message is cut off or of another form")]
pub struct Malformed;

const VARINT: u64 = 0;
const LENGTH_DELIMITED: u64 = 2;

/// The next field of `message`, which shrinks by it; `None` at the end.
pub fn next_field(message: &mut Bytes) -> Result<Option<(u32, Value)>, Malformed> {
    if message.is_empty() {
        return Ok(None);
    }
    let key = take_varint(message)?;
    let number = u32::try_from(key >> 3).map_err(|_| Malformed)?;
    let value = match key & 7 {
        VARINT => Value::Varint(take_varint(message)?),
        LENGTH_DELIMITED => {
            let length = usize::try_from(take_varint(message)?).map_err(|_| Malformed)?;
            if length > message.len() {
                return Err(Malformed);
            }
            Value::Bytes(message.split_to(length))
        }
        _ => return Err(Malformed),
    };
    Ok(Some((number, value)))
}

/// Seven bits a byte, the lowest first.
pub fn take_varint(bytes: &mut Bytes) -> Result<u64, Malformed> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        if bytes.is_empty() {
            return Err(Malformed);
        }
        let byte = bytes.split_to(1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

pub fn put_varint_field(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3 | VARINT);
    put_varint(out, value);
}

pub fn put_bytes_field(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    put_varint(out, u64::from(number) << 3 | LENGTH_DELIMITED);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_as_they_went() {
        let mut out = Vec::new();
        put_varint_field(&mut out, 1, u64::MAX);
        put_bytes_field(&mut out, 200, b"value");
        put_varint_field(&mut out, 3, 0);
        let mut message = Bytes::from(out);
        let next = |message: &mut Bytes| next_field(message).expect("well-formed");
        assert_eq!(next(&mut message), Some((1, Value::Varint(u64::MAX))));
        assert_eq!(next(&mut message), Some((200, Value::Bytes("value".into()))));
        assert_eq!(next(&mut message), Some((3, Value::Varint(0))));
        assert_eq!(next(&mut message), None);
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        for broken in [
            &b"\x08"[..],
            b"\x08\xff",
            b"\x0a\x05abc",
            b"\x0d\0\0\0\0",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(next_field(&mut Bytes::copy_from_slice(broken)), Err(Malformed), "{broken:?}");
        }
    }
}
