#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lime_fuzz::timestamp::run(data));
