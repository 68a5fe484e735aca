//! Reads the part of pip's configuration that says where files come from, as pip does, so that an index that works
//! for pip works here.
//!
//! The files and their order are those of pip's documentation ("Configuration"), the names of the variables as well,
//! and `~/.netrc` is read as Python's `netrc` module does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::http::Login;
use crate::host;

/// pip's default index.
const DEFAULT_INDEX: &str = "https://pypi.org/simple";
/// Sections of the files that apply, each before those it yields to. Files are downloaded, and then installed.
const SECTIONS: [&str; 4] = ["download", "install", "global", "DEFAULT"];

/// The configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Configuration {
    /// `index-url` and then `extra-index-url`; none with `no-index`. Credentials are still in them.
    pub indexes: Vec<String>,
    /// `find-links`: pages with links to files, and directories of files.
    pub find_links: Vec<String>,
    /// `trusted-host`: hosts, each with or without a port.
    pub trusted_hosts: Vec<String>,
    /// `cert`: certificates that are trusted as well, in PEM form.
    pub cert: Option<PathBuf>,
    /// `proxy`.
    pub proxy: Option<String>,
    /// The credentials of `~/.netrc` with the host each is for; `None` for every other host.
    pub netrc: Vec<(Option<String>, Login)>,
}

/// The value of an environment variable, unless it is empty.
type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;
/// The text of a file, if there is one.
type Text<'a> = &'a dyn Fn(&Path) -> Result<Option<String>>;

impl Configuration {
    /// The configuration of this machine, for the user who runs pgsetup.
    ///
    /// # Errors
    /// A file cannot be read or is malformed, or a setting has no value that pip takes.
    pub fn read() -> Result<Self> {
        let variable = |name: &str| {
            let is_roots_home = name == "HOME" && host::is_root();
            host::variable(name).or_else(|| is_roots_home.then(|| "/root".to_owned()))
        };
        let text = |path: &Path| path.is_file().then(|| host::local::read_text(path)).transpose();
        Self::of(&variable, &text)
    }

    fn of(variable: Variable<'_>, text: Text<'_>) -> Result<Self> {
        let mut settings = BTreeMap::new();
        for path in files(variable, text)? {
            let malformed = || format!("{} is not a configuration of pip", path.display());
            settings.extend(parse(&text(&path)?.unwrap_or_default()).with_context(malformed)?);
        }
        let setting = |name: &str| {
            let own = variable(&format!("PIP_{}", name.to_uppercase().replace('-', "_")));
            let written = |section: &&str| settings.get(&format!("{section}.{name}")).cloned();
            own.or_else(|| {
                let mut values = SECTIONS.iter().filter_map(written);
                values.find(|value| !value.is_empty())
            })
        };
        let words = |name: &str| -> Vec<String> {
            let value = setting(name).unwrap_or_default();
            value.split_whitespace().map(str::to_owned).collect()
        };
        let mut indexes = vec![setting("index-url").unwrap_or_else(|| DEFAULT_INDEX.to_owned())];
        indexes.extend(words("extra-index-url"));
        if setting("no-index").map(|value| is_true(&value)).transpose()? == Some(true) {
            indexes.clear();
        }
        let home = variable("HOME").unwrap_or_default();
        let netrc = variable("NETRC").map_or_else(|| Path::new(&home).join(".netrc"), PathBuf::from);
        Ok(Self {
            indexes,
            find_links: words("find-links"),
            trusted_hosts: words("trusted-host"),
            cert: setting("cert").map(PathBuf::from),
            proxy: setting("proxy"),
            netrc: text(&netrc)?.map_or_else(Vec::new, |text| logins(&text)),
        })
    }

    /// The credentials that `~/.netrc` has for a host.
    pub fn netrc_login(&self, host: &str) -> Option<&Login> {
        let find = |wanted: Option<&str>| {
            let mut entries = self.netrc.iter().rev();
            entries.find_map(|(host, login)| (host.as_deref() == wanted).then_some(login))
        };
        find(Some(host)).or_else(|| find(None))
    }
}

/// The files that pip reads. Later ones take precedence.
fn files(variable: Variable<'_>, text: Text<'_>) -> Result<Vec<PathBuf>> {
    let named = variable("PIP_CONFIG_FILE").map(PathBuf::from);
    if named.as_deref() == Some(Path::new("/dev/null")) {
        return Ok(Vec::new());
    }
    let system = variable("XDG_CONFIG_DIRS").unwrap_or_else(|| "/etc/xdg".to_owned());
    let mut files: Vec<PathBuf> = system
        .split(':')
        .map(|directory| Path::new(directory).join("pip/pip.conf"))
        .collect();
    files.push(PathBuf::from("/etc/pip.conf"));
    let replaces_users = named.as_deref().map(text).transpose()?.flatten().is_some();
    if let Some(home) = variable("HOME").filter(|_| !replaces_users) {
        let home = Path::new(&home);
        let users = variable("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
        files.extend([home.join(".pip/pip.conf"), users.join("pip/pip.conf")]);
    }
    files.extend(variable("VIRTUAL_ENV").map(|environment| Path::new(&environment).join("pip.conf")));
    files.extend(named);
    Ok(files)
}

/// The settings of a file, `section.name` and value, as Python's `RawConfigParser` and pip's own rules for names have it.
fn parse(text: &str) -> Result<BTreeMap<String, String>> {
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    let (mut section, mut last, mut indent) = (None, None, 0);
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let value = line.trim();
        if value.is_empty() || value.starts_with(['#', ';']) {
            continue;
        }
        let own_indent = line.len() - line.trim_start().len();
        if let Some(setting) = last.as_ref().and_then(|last| settings.get_mut(last))
            && own_indent > indent
        {
            setting.push('\n');
            setting.push_str(value);
            continue;
        }
        indent = own_indent;
        if let Some(name) = value.strip_prefix('[').and_then(|rest| rest.rsplit_once(']')) {
            (section, last) = (Some(name.0.to_owned()), None);
        } else if let (Some(section), Some((name, value))) = (&section, value.split_once(['=', ':'])) {
            let name = name.trim().to_lowercase().replace('_', "-");
            let key = format!("{section}.{}", name.trim_start_matches("--"));
            settings.insert(key.clone(), value.trim().to_owned());
            last = Some(key);
        } else {
            let line = number + 1;
            bail!("line {line}, `{value}`: expected `[section]`, and `name = value` below one");
        }
    }
    Ok(settings)
}

/// A truth value as pip takes it.
fn is_true(value: &str) -> Result<bool> {
    match value.to_lowercase().as_str() {
        "y" | "yes" | "t" | "true" | "on" | "1" => Ok(true),
        "n" | "no" | "f" | "false" | "off" | "0" => Ok(false),
        _ => bail!("`no-index` is `{value}`; pip takes `true` and `false`"),
    }
}

/// The entries of a `.netrc`. Macros and accounts are ignored.
fn logins(text: &str) -> Vec<(Option<String>, Login)> {
    let mut entries: Vec<(Option<String>, Login)> = Vec::new();
    let (mut key, mut is_macro) = (String::new(), false);
    for line in text.lines() {
        is_macro = is_macro && !line.trim().is_empty();
        for word in words(line) {
            if is_macro {
                break;
            }
            let login = entries.last_mut().map(|(_, login)| login);
            match (std::mem::take(&mut key).as_str(), login) {
                ("machine", _) => entries.push((Some(word), Login::default())),
                ("login" | "user", Some(login)) => login.user = word,
                ("password", Some(login)) => login.password = word,
                ("", _) if word == "default" => entries.push((None, Login::default())),
                ("", _) if word == "macdef" => is_macro = true,
                ("", _) if word.starts_with('#') => break,
                ("", _) => key = word,
                _ => {}
            }
        }
    }
    entries
}

/// Words between white space; quotes keep it together, and a backslash takes the next character as it is.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut chars) = (Vec::new(), line.trim_start().chars().peekable());
    while let Some(first) = chars.peek().copied() {
        let (is_quoted, mut word) = (first == '"', String::new());
        let _ = chars.next_if(|_| is_quoted);
        while let Some(c) = chars.next() {
            match c {
                '\\' => word.extend(chars.next()),
                '"' if is_quoted => break,
                c if c.is_whitespace() && !is_quoted => break,
                c => word.push(c),
            }
        }
        words.push(word);
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The configuration that these variables and files make.
    fn configuration(variables: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Configuration> {
        let find = |list: &[(&str, &str)], name: &str| {
            let found = list.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Configuration::of(&|name| find(variables, name), &|path| {
            Ok(find(files, path.to_str().unwrap()))
        })
    }

    fn indexes(variables: &[(&str, &str)], files: &[(&str, &str)]) -> Vec<String> {
        configuration(variables, files).unwrap().indexes
    }

    #[test]
    fn files_overrule_each_other_in_pips_order() {
        let file = |name: &str| format!("[global]\nindex-url = https://{name}/simple\n");
        let places = [
            "/etc/xdg/pip/pip.conf",
            "/etc/pip.conf",
            "/home/me/.pip/pip.conf",
            "/home/me/.config/pip/pip.conf",
            "/venv/pip.conf",
            "/named.conf",
        ];
        let texts: Vec<String> = ["xdg", "etc", "legacy", "user", "venv", "named"].map(file).into();
        let files: Vec<(&str, &str)> = places.into_iter().zip(texts.iter().map(String::as_str)).collect();
        let environment = [
            ("HOME", "/home/me"),
            ("VIRTUAL_ENV", "/venv"),
            ("PIP_CONFIG_FILE", "/named.conf"),
        ];
        for (variables, count, expected) in [
            (2, 1, "xdg"),
            (2, 2, "etc"),
            (2, 3, "legacy"),
            (2, 4, "user"),
            (2, 5, "venv"),
            (3, 6, "named"),
        ] {
            let found = indexes(&environment[..variables], &files[..count]);
            assert_eq!(found, [format!("https://{expected}/simple")]);
        }
        // A file that is named takes the place of the user's, and the null device of all.
        let without_site = [environment[0], environment[2]];
        let named_lacks_it = [&files[..4], &[("/named.conf", "[global]\n")]].concat();
        assert_eq!(indexes(&without_site, &named_lacks_it), ["https://etc/simple"]);
        assert_eq!(
            indexes(&[("PIP_CONFIG_FILE", "/dev/null")], &files),
            [DEFAULT_INDEX]
        );
    }

    #[test]
    fn a_section_overrules_another_and_a_variable_overrules_both() {
        let text = "# a comment\n[global]\nindex_url: https://a/simple\nExtra-Index-Url =\n    https://b/simple\n  \
                    ; another\n    https://c/simple\nno-index =\n[download]\nindex-url = https://d/simple\n\
                    [install]\nindex-url = https://e/simple\ntrusted-host = b c:8080\n";
        let file = [("/etc/pip.conf", text)];
        assert_eq!(
            indexes(&[], &file),
            ["https://d/simple", "https://b/simple", "https://c/simple"]
        );
        let variables = [
            ("PIP_INDEX_URL", "https://f/simple"),
            ("PIP_EXTRA_INDEX_URL", "https://g/simple https://h/simple"),
        ];
        assert_eq!(
            indexes(&variables, &file),
            ["https://f/simple", "https://g/simple", "https://h/simple"]
        );
        assert_eq!(configuration(&[], &file).unwrap().trusted_hosts, ["b", "c:8080"]);
        assert!(indexes(&[("PIP_NO_INDEX", "1")], &file).is_empty());
        assert!(configuration(&[("PIP_NO_INDEX", "maybe")], &file).is_err());
    }

    #[test]
    fn a_malformed_file_is_named_with_its_line() {
        for (text, line) in [("index-url = x\n", "line 1"), ("[global]\nnothing\n", "line 2")] {
            let error = configuration(&[], &[("/etc/pip.conf", text)]).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains("/etc/pip.conf") && error.contains(line), "{error}");
        }
    }

    #[test]
    fn netrc_is_read_as_python_reads_it() {
        let text = "# comment machine x\nmachine a login me password \"two words\" account z\n\
                    machine b # no comment here\n  login you\n  password #1\\ \\\"2\n\
                    macdef init\nmachine c login evil\n\ndefault login any password one\nmachine a login later password p\n";
        let configuration = configuration(&[("NETRC", "/n")], &[("/n", text)]).unwrap();
        let login = |host: &str| {
            let login = configuration.netrc_login(host).unwrap();
            (login.user.as_str(), login.password.as_str())
        };
        assert_eq!(login("a"), ("later", "p"));
        assert_eq!(login("b"), ("you", "#1 \"2"));
        assert_eq!(login("c"), ("any", "one"));
    }
}
