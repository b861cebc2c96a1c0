//! Compile the kernels with the host's C++ compiler; nothing is contracted but what asks for it.

fn main() {
    for source in ["host.cpp", "../dtw.cu", "../batch.h", "../coordinate.h", "../summary.h", "../wide.h"] {
        println!("cargo:rerun-if-changed={source}");
    }
    cc::Build::new()
        .cpp(true)
        .file("host.cpp")
        .std("c++17")
        .flag_if_supported("-ffp-contract=off")
        .opt_level(2)
        .compile("krill_host_kernels");
}
