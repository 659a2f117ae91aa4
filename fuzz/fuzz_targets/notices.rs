#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| onrush_fuzz_targets::notices::run(bytes));
