//! The `#[test]` of `tests/suite`: it registers a function with the harness there, which can ignore a test while it runs.
//!
//! `#[test(line_25)]` also names the lines of `tests/contract/README.md` that the test proves; the runner prints them
//! before the test's name. Nothing is decided here: what a test is and how it is run is in `tests/suite/harness.rs`.

use proc_macro::{TokenStream, TokenTree};

/// Registers the function under its path. The arguments are lines of the contract, separated by commas.
#[proc_macro_attribute]
pub fn test(lines: TokenStream, function: TokenStream) -> TokenStream {
    let mut words = function.clone().into_iter();
    words.find(|word| matches!(word, TokenTree::Ident(ident) if ident.to_string() == "fn"));
    let Some(TokenTree::Ident(name)) = words.next() else {
        return r##"compile_error!("`#[test]` stands before a function");"##
            .parse()
            .expect("Rust");
    };
    let lines: Vec<String> = lines
        .into_iter()
        .filter(|token| !matches!(token, TokenTree::Punct(mark) if mark.as_char() == ','))
        .map(|token| format!("\"{token}\""))
        .collect();
    let registered: TokenStream = format!(
        "::inventory::submit! {{ crate::harness::Registered {{ \
           path: concat!(module_path!(), \"::{name}\"), lines: &[{}], run: {name} }} }}",
        lines.join(", ")
    )
    .parse()
    .expect("Rust");
    TokenStream::from_iter([registered, function])
}
