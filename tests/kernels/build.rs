//! Has the kernels linked as `link.ld` says, or, with 32 bits, `link32.ld`.

fn main() {
    let said = |name: &str| std::env::var(name).unwrap_or_default();
    let folder = said("CARGO_MANIFEST_DIR");
    println!("cargo:rerun-if-changed=link.ld");
    println!("cargo:rerun-if-changed=link32.ld");
    let is_narrow = said("CARGO_CFG_TARGET_POINTER_WIDTH") == "32";
    if said("CARGO_CFG_TARGET_OS") == "none" || is_narrow {
        let script = if is_narrow { "link32.ld" } else { "link.ld" };
        println!("cargo:rustc-link-arg-bins=-T{folder}/{script}");
        println!("cargo:rustc-link-arg-bins=--no-pie");
    }
}
