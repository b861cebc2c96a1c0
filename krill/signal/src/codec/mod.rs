//! Codecs of stored signals: bytes in, samples out. Every length is checked, since a damaged file must
//! end in an error. Called by the readers of BLOW5 and POD5.

pub mod ex_zd;
pub mod svb16;
pub mod svb_zd;

mod stream_vbyte;

use crate::Error;

fn damaged(codec: &'static str, problem: String) -> Error {
    Error::Argument { name: codec, problem }
}

/// The number that a zigzag code stands for: 0, -1, 1, -2, ...
fn unzigzag(code: u32) -> i32 {
    (code >> 1) as i32 ^ -((code & 1) as i32)
}

/// The same in 16 bits, where differences wrap.
fn unzigzag_16(code: u16) -> i16 {
    (code >> 1) as i16 ^ -((code & 1) as i16)
}
