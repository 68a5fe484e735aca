//! Credentials in addresses: a manifest is not the place for them, because plans, receipts and bills of materials repeat it.

use std::borrow::Cow;
use std::ops::Range;

/// Parameters of an address that hold a secret, in lower case: of GitLab, of object stores, of proxies.
const PARAMETERS: [&str; 15] = [
    "access_token",
    "api_key",
    "apikey",
    "auth",
    "auth_token",
    "job_token",
    "passwd",
    "password",
    "private_token",
    "secret",
    "sig",
    "signature",
    "token",
    "x-amz-signature",
    "x-goog-signature",
];

/// The bytes of the first credentials in `text`: a user with or without a password before the host of an address, or the
/// value of a parameter.
pub fn find(text: &str) -> Option<Range<usize>> {
    let scheme = text.find("://")? + "://".len();
    let is_end = |c: char| c.is_whitespace() || "\"'`<>".contains(c);
    let end = text[scheme..].find(is_end).map_or(text.len(), |at| scheme + at);
    let address = &text[scheme..end];
    let authority = address.find(['/', '?', '#']).unwrap_or(address.len());
    if let Some(at) = address[..authority].rfind('@') {
        return Some(scheme..scheme + at);
    }
    let mut from = address.find('?').map_or(address.len(), |at| at + 1);
    for parameter in address[from..].split(['&', ';', '#']) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if !value.is_empty() && PARAMETERS.contains(&name.to_ascii_lowercase().as_str()) {
            let start = scheme + from + name.len() + 1;
            return Some(start..start + value.len());
        }
        from += parameter.len() + 1;
    }
    find(&text[end..]).map(|found| end + found.start..end + found.end)
}

/// The text with `*` for each byte of its credentials.
pub fn masked(text: &str) -> Cow<'_, str> {
    let mut masked = Cow::Borrowed(text);
    let mut from = 0;
    while let Some(found) = find(&masked[from..]) {
        let span = from + found.start..from + found.end;
        let stars = "*".repeat(span.len());
        if masked[span.clone()] == stars {
            from = span.end;
        } else {
            masked.to_mut().replace_range(span, &stars);
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_masked_wherever_an_address_holds_them() {
        for (text, expected) in [
            (
                "url: https://user:pw@h/x.tgz # y",
                "url: https://*******@h/x.tgz # y",
            ),
            ("https://tok@h/x", "https://***@h/x"),
            ("https://user:p@ss@h:8080/x", "https://*********@h:8080/x"),
            (
                "https://h/x?a=1&Private_Token=abc#f",
                "https://h/x?a=1&Private_Token=***#f",
            ),
            ("https://h/x?X-Amz-Signature=ab", "https://h/x?X-Amz-Signature=**"),
            ("https://a/x, https://u:p@b/y", "https://a/x, https://***@b/y"),
            ("https://h/@scope/x.tgz", "https://h/@scope/x.tgz"),
            ("https://h/x?tag=token", "https://h/x?tag=token"),
            ("no address: me@example.org", "no address: me@example.org"),
        ] {
            assert_eq!(masked(text), expected);
        }
    }
}
