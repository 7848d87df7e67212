//! What the matrix's server and client with tonic share: the code of matrix.proto, and limits.

pub mod proto {
    tonic::include_proto!("plugind.matrix.v1");
}

pub const MESSAGE_LIMIT: usize = 16 << 20;
pub const METADATA_LIMIT: u32 = 64 << 10;
