//! Generates the code of matrix.proto.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=../matrix.proto");
    tonic_build::configure().compile_protos(&["../matrix.proto"], &[".."])?;
    Ok(())
}
