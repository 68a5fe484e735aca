//! pgsetup
fn main() {}
