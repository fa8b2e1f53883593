//! Symbols of Node are left to be found when the module is loaded, on every platform.

fn main() {
    napi_build::setup();
}
