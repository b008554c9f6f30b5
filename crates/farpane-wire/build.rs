//! Generates the message types from `proto/farpane.proto`, without a protoc on the machine.

fn main() {
    println!("cargo::rerun-if-changed=proto/farpane.proto");
    let files = protox::compile(["proto/farpane.proto"], ["proto"]).expect("the schema is valid");
    prost_build::Config::new().compile_fds(files).expect("OUT_DIR is writable");
}
