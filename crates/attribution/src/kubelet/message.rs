//! A protobuf message that is read field by field, so that no memory is needed for all fields at once.
//!
//! Decoded as a whole, a reply takes many times its size: an entry of two bytes becomes one of 32.

use bytes::{Buf, BufMut, Bytes};
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType};

/// A message as it came.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Message(pub(crate) Bytes);

/// The bytes are no message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it is cut off, or no protobuf message")]
pub(crate) struct MalformedMessage;

impl Message {
    /// The texts, bytes and messages with this number, in order. Other fields are skipped.
    pub(crate) fn fields(
        &self,
        number: usize,
    ) -> impl Iterator<Item = Result<Bytes, MalformedMessage>> + use<> {
        let fields = Fields(self.0.clone());
        fields.filter_map(move |field| match field {
            Ok((found, bytes)) => (found == number).then_some(Ok(bytes)),
            Err(error) => Some(Err(error)),
        })
    }

    /// The messages with this number, in order.
    pub(crate) fn messages(
        &self,
        number: usize,
    ) -> impl Iterator<Item = Result<Self, MalformedMessage>> + use<> {
        self.fields(number).map(|field| field.map(Self))
    }

    /// The last field with this number; empty if there is none, as protobuf has it.
    pub(crate) fn field(&self, number: usize) -> Result<Bytes, MalformedMessage> {
        self.fields(number).try_fold(Bytes::new(), |_, field| field)
    }
}

/// Each field that has a length: its number and its bytes, which share the memory of the message.
struct Fields(Bytes);

impl Iterator for Fields {
    type Item = Result<(usize, Bytes), MalformedMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.0.has_remaining() {
            match self.read() {
                Ok(None) => {}
                Ok(Some(field)) => return Some(Ok(field)),
                Err(error) => {
                    self.0.clear();
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl Fields {
    /// Reads a field; `None` if it is a number.
    fn read(&mut self) -> Result<Option<(usize, Bytes)>, MalformedMessage> {
        let key = self.number()?;
        let length = match key & 7 {
            0 => {
                self.number()?;
                return Ok(None);
            }
            1 => 8,
            2 => self.number()?,
            5 => 4,
            // Groups, which this interface does not have.
            _ => return Err(MalformedMessage),
        };
        if length > self.0.len() {
            return Err(MalformedMessage);
        }
        let bytes = self.0.split_to(length);
        Ok((key & 7 == 2).then_some((key >> 3, bytes)))
    }

    fn number(&mut self) -> Result<usize, MalformedMessage> {
        prost::decode_length_delimiter(&mut self.0).map_err(|_| MalformedMessage)
    }
}

/// Takes the reply as it is, where other messages are decoded.
impl prost::Message for Message {
    fn merge(&mut self, mut buffer: impl Buf) -> Result<(), DecodeError> {
        self.0 = buffer.copy_to_bytes(buffer.remaining());
        Ok(())
    }

    fn merge_field(
        &mut self,
        number: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        prost::encoding::skip_field(wire_type, number, buffer, context)
    }

    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put(self.0.clone());
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_found_between_others() {
        // 1: "a"; 2: varint 300; 1: "bc"; 3: fixed64; 4: fixed32; 5: "".
        let bytes = b"\x0a\x01a\x10\xac\x02\x0a\x02bc\x1912345678\x251234\x2a\x00";
        let message = Message(Bytes::from_static(bytes));
        let ones: Vec<_> = message.fields(1).map(Result::unwrap).collect();
        assert_eq!(ones, ["a", "bc"]);
        assert_eq!(message.field(1).unwrap(), "bc");
        assert_eq!(message.fields(2).count(), 0, "a number is no text");
        assert_eq!(message.fields(5).map(Result::unwrap).collect::<Vec<_>>(), [""]);
        assert_eq!(message.field(9).unwrap(), "");
    }

    #[test]
    fn what_is_cut_off_is_malformed() {
        for bytes in [&b"\x0a"[..], b"\x0a\x05abc", b"\x10", b"\x19123", b"\x0b", b"\x0a\xff\xff"] {
            let message = Message(Bytes::copy_from_slice(bytes));
            assert_eq!(message.field(1), Err(MalformedMessage), "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(bytes: Vec<u8>) {
            let message = Message(bytes.into());
            let _ = message.fields(1).count();
        }
    }
}
