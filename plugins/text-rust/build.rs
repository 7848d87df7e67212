//! Generates the code of text.v1.Text and the descriptors that reflection answers with.
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed=../proto/text.proto");
    tonic_build::configure()
        .file_descriptor_set_path(out.join("text.bin"))
        .compile_protos(&["../proto/text.proto"], &["../proto"])?;
    Ok(())
}
