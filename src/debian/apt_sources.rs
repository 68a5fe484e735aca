//! Finds the Debian archive that apt is configured to use.
//!
//! A `debian:` mirror is a path in that archive, so it works behind a company's own mirror. The configuration is read from
//! `/etc/apt`, in both formats of sources.list(5): one-line and deb822. Third-party repositories and addresses that are
//! not http are ignored.

use std::collections::BTreeMap;

use super::deb822::paragraphs;
use crate::host::Host;

/// The directory of apt's configuration.
const APT: &str = "/etc/apt";

/// The Debian archive of a system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DebianArchive {
    /// Addresses that a `pool/…` path is appended to, without a trailing slash, in the order they are tried.
    pub bases: Vec<String>,
    /// The proxy that apt uses for them.
    pub proxy: Option<String>,
}

impl DebianArchive {
    /// The archive of the host. It is empty if nothing is configured or readable, which matters only if every other
    /// place fails.
    pub fn read(host: &Host) -> Self {
        let mut found = Vec::new();
        for (file, deb822) in source_files(host) {
            let text = text(host, &file);
            found.extend(if deb822 {
                parse_deb822(&text)
            } else {
                parse_lines(&text)
            });
        }
        let codename = codename(host);
        let mut bases = Vec::new();
        // The security archive has few packages and is asked last.
        for security in [false, true] {
            for entry in found
                .iter()
                .filter(|entry| entry.is_debian(&codename) && entry.is_security() == security)
            {
                for base in entry.addresses(host) {
                    if !bases.contains(&base) {
                        bases.push(base);
                    }
                }
            }
        }
        let proxy = proxy(host);
        Self { bases, proxy }
    }
}

/// One line or stanza of sources.list(5).
#[derive(Debug, Clone, PartialEq, Eq)]
struct AptSource {
    uri: String,
    suites: Vec<String>,
    components: Vec<String>,
}

impl AptSource {
    /// Whether this is Debian itself: one of its suites, with its `main`.
    fn is_debian(&self, codename: &str) -> bool {
        self.components.iter().any(|component| component == "main")
            && self.suites.iter().any(|suite| {
                let suite = suite.split('/').next().unwrap_or_default();
                let (name, rest) = suite.split_once('-').unwrap_or((suite, ""));
                let own = matches!(
                    rest,
                    "" | "updates" | "security" | "backports" | "backports-sloppy" | "proposed-updates"
                );
                let name = name.trim_start_matches("old");
                own && (name == codename || name == "experimental" || NAMES.contains(&name))
            })
    }

    fn is_security(&self) -> bool {
        self.uri.contains("security")
    }

    fn addresses(&self, host: &Host) -> Vec<String> {
        let direct = |uri: &str| {
            let uri = uri.strip_prefix("mirror+").unwrap_or(uri).trim_end_matches('/');
            (uri.starts_with("http://") || uri.starts_with("https://")).then(|| uri.to_owned())
        };
        // Debian's cloud images name a file that lists one mirror per line.
        if let Some(list) = self.uri.strip_prefix("mirror+file:") {
            return text(host, list)
                .lines()
                .filter_map(|line| direct(line.split_whitespace().next()?))
                .collect();
        }
        direct(&self.uri).into_iter().collect()
    }
}

/// Debian's suites and its releases by name, for sources of another release than the running one.
const NAMES: [&str; 10] = [
    "stable", "testing", "unstable", "sid", "buster", "bullseye", "bookworm", "trixie", "forky", "duke",
];

/// The files of sources.list(5) that exist, in apt's order, with true for those in deb822.
fn source_files(host: &Host) -> Vec<(String, bool)> {
    let mut files = vec![(format!("{APT}/sources.list"), false)];
    let directory = format!("{APT}/sources.list.d");
    for name in host.names(&directory).unwrap_or_default() {
        let path = format!("{directory}/{name}");
        match name.rsplit_once('.') {
            Some((_, "list")) => files.push((path, false)),
            Some((_, "sources")) => files.push((path, true)),
            _ => {}
        }
    }
    files
}

/// The text of a file. Empty if it is missing or unreadable.
fn text(host: &Host, inside: &str) -> String {
    host.read(inside).ok().flatten().unwrap_or_default()
}

/// `deb [options] uri suite component…`, one a line.
fn parse_lines(text: &str) -> Vec<AptSource> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<AptSource> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let (kind, rest) = line.split_once(char::is_whitespace)?;
    if !matches!(kind, "deb" | "deb-src") {
        return None;
    }
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(AptSource {
        uri: words.next()?,
        suites: vec![words.next()?],
        components: words.collect(),
    })
}

/// The entries of a file in deb822.
fn parse_deb822(text: &str) -> Vec<AptSource> {
    paragraphs(text)
        .flat_map(|stanza| stanza_entries(&stanza))
        .collect()
}

fn stanza_entries(stanza: &BTreeMap<String, String>) -> Vec<AptSource> {
    let words = |name: &str| -> Vec<String> {
        let fields = stanza
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name));
        fields
            .flat_map(|(_, value)| value.split_whitespace().map(str::to_owned))
            .collect()
    };
    let off = ["no", "false", "without", "off", "disable"];
    if words("enabled")
        .first()
        .is_some_and(|word| off.contains(&word.to_ascii_lowercase().as_str()))
    {
        return Vec::new();
    }
    if !words("types")
        .iter()
        .any(|kind| kind == "deb" || kind == "deb-src")
    {
        return Vec::new();
    }
    words("uris")
        .into_iter()
        .map(|uri| AptSource {
            uri,
            suites: words("suites"),
            components: words("components"),
        })
        .collect()
}

/// `VERSION_CODENAME` of os-release(5).
fn codename(host: &Host) -> String {
    let places = ["/etc/os-release", "/usr/lib/os-release"].map(|place| text(host, place));
    let text = places.into_iter().find(|text| !text.is_empty());
    text.unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .unwrap_or_default()
}

/// `Acquire::http::Proxy` of apt.conf(5).
fn proxy(host: &Host) -> Option<String> {
    let directory = format!("{APT}/apt.conf.d");
    let names = host.names(&directory).unwrap_or_default();
    let is_read = |name: &&String| name.rsplit_once('.').is_none_or(|(_, suffix)| suffix == "conf");
    let mut parts: Vec<String> = names
        .iter()
        .filter(is_read)
        .map(|name| format!("{directory}/{name}"))
        .collect();
    parts.push(format!("{APT}/apt.conf"));
    // As for apt, the last one wins.
    let values = parts
        .iter()
        .flat_map(|path| parse_settings(&text(host, path)))
        .filter(|(name, _)| name.eq_ignore_ascii_case("acquire::http::proxy"))
        .map(|(_, value)| value);
    values
        .reduce(|_, later| later)
        .filter(|value| !value.is_empty() && !value.eq_ignore_ascii_case("direct"))
}

/// Names and values of an apt.conf(5), whether written `A::B "c";` or `A { B "c"; };`.
fn parse_settings(text: &str) -> Vec<(String, String)> {
    let (mut settings, mut scopes, mut words) = (Vec::new(), Vec::<String>::new(), Vec::<String>::new());
    for token in setting_tokens(text) {
        match token.as_str() {
            "{" => scopes.push(words.drain(..).next().unwrap_or_default()),
            "}" => {
                scopes.pop();
                words.clear();
            }
            ";" => {
                if let [name, value] = words.as_slice() {
                    let mut path = scopes.clone();
                    path.push(name.clone());
                    settings.push((path.join("::"), value.clone()));
                }
                words.clear();
            }
            _ => words.push(token),
        }
    }
    settings
}

/// Words, quoted texts and the marks `{`, `}`, `;`. Comments are `//`, `/* */` and `#`.
fn setting_tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else {
            return tokens;
        };
        if rest.starts_with("//") || first == '#' {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if rest.starts_with("/*") {
            rest = rest.split_once("*/").map_or("", |(_, rest)| rest);
        } else if first == '"' {
            let (value, after) = rest[1..].split_once('"').unwrap_or((&rest[1..], ""));
            tokens.push(value.to_owned());
            rest = after;
        } else if matches!(first, '{' | '}' | ';') {
            tokens.push(first.to_string());
            rest = &rest[1..];
        } else {
            let end = rest
                .find(|c: char| c.is_whitespace() || matches!(c, '{' | '}' | ';' | '"'))
                .unwrap_or(rest.len());
            tokens.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &str)]) -> DebianArchive {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        DebianArchive::read(&Host::new(root.path()))
    }

    fn bases(files: &[(&str, &str)]) -> Vec<String> {
        archive(files).bases
    }

    #[test]
    fn one_line_entries_are_read_with_options_comments_and_third_parties() {
        let list = "# deb http://commented.example/debian bookworm main\n\
                    deb [ arch=amd64 signed-by=/usr/share/keyrings/x.gpg ] http://mirror.example/debian/ bookworm main contrib # ours\n\
                    deb cdrom:[Debian GNU/Linux 12]/ bookworm main\n\
                    deb http://apt.example/pgdg bookworm-pgdg main\n\
                    deb http://docker.example/linux/debian bookworm stable\n\
                    deb-src http://source.example/debian bookworm main\n";
        assert_eq!(
            bases(&[("etc/apt/sources.list", list)]),
            ["http://mirror.example/debian", "http://source.example/debian"]
        );
    }

    #[test]
    fn deb822_stanzas_are_read_with_continued_lines_and_the_security_archive_last() {
        let sources = "Types: deb\nURIs: http://security.example/debian-security\nSuites: bookworm-security\nComponents: main\n\n\
                       # a comment\nTypes: deb deb-src\nURIs: http://one.example/debian\n  https://two.example/debian/\n\
                       # within a stanza\nSuites: bookworm bookworm-updates\nComponents: main\n\n\
                       Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n\n\
                       Types: deb\nURIs: https://node.example/node\nSuites: nodistro\nComponents: main\n";
        assert_eq!(
            bases(&[("etc/apt/sources.list.d/debian.sources", sources)]),
            [
                "http://one.example/debian",
                "https://two.example/debian",
                "http://security.example/debian-security"
            ]
        );
    }

    #[test]
    fn a_file_of_mirrors_is_followed_below_the_root() {
        let sources = "Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: bookworm\nComponents: main\n";
        assert_eq!(
            bases(&[
                ("etc/apt/sources.list.d/debian.sources", sources),
                (
                    "etc/apt/mirrors/debian.list",
                    "https://deb.example/debian\tpriority:1\n"
                ),
            ]),
            ["https://deb.example/debian"]
        );
    }

    #[test]
    fn a_release_that_is_not_listed_is_known_by_its_own_name() {
        assert_eq!(
            bases(&[
                ("etc/os-release", "ID=debian\nVERSION_CODENAME=zurg\n"),
                (
                    "etc/apt/sources.list",
                    "deb http://mirror.example/debian zurg main\n"
                ),
            ]),
            ["http://mirror.example/debian"]
        );
    }

    #[test]
    fn the_proxy_is_read_in_both_ways_of_writing_it() {
        let line = r#"Acquire::http::Proxy "http://one.example:3142"; // why"#;
        let block = "Acquire {\n  Retries \"3\";\n  HTTP { Proxy \"http://two.example:3142/\"; };\n};\n";
        let proxy = |files: &[(&str, &str)]| archive(files).proxy;
        assert_eq!(
            proxy(&[("etc/apt/apt.conf.d/01proxy", line)]).unwrap(),
            "http://one.example:3142"
        );
        assert_eq!(
            proxy(&[
                ("etc/apt/apt.conf.d/01proxy", line),
                ("etc/apt/apt.conf.d/02proxy", block)
            ])
            .unwrap(),
            "http://two.example:3142/"
        );
        assert_eq!(
            proxy(&[("etc/apt/apt.conf", "Acquire::http::Proxy \"DIRECT\";")]),
            None
        );
        assert_eq!(proxy(&[]), None);
    }
}
