//! The environment of pgsetup itself. One table lists what pgsetup and its commands read. It generates the
//! reference. Variables of options are declared by clap's `env` in `src/cli.rs`.

/// An environment variable that does not belong to an option.
#[derive(Debug)]
pub struct Variable {
    /// Its names: some are used in upper and in lower case.
    pub names: &'static [&'static str],
    /// What it does.
    #[cfg_attr(not(test), expect(dead_code, reason = "only the reference shows it"))]
    pub meaning: &'static str,
    /// True if commands that pgsetup starts see it.
    pub is_passed_on: bool,
}

const fn own(names: &'static [&'static str], meaning: &'static str) -> Variable {
    Variable {
        names,
        meaning,
        is_passed_on: false,
    }
}

const fn passed_on_too(names: &'static [&'static str], meaning: &'static str) -> Variable {
    Variable {
        names,
        meaning,
        is_passed_on: true,
    }
}

/// Every variable that pgsetup or one of its libraries reads.
pub const VARIABLES: [Variable; 20] = [
    passed_on_too(&["PATH"], "Where programs are looked up."),
    passed_on_too(&["TMPDIR"], "The directory of temporary files, instead of /tmp."),
    passed_on_too(
        &["SOURCE_DATE_EPOCH"],
        "Seconds since 1970: the time of every file that the installation writes, and of the receipt.",
    ),
    passed_on_too(&["HTTPS_PROXY", "https_proxy"], "The proxy for https."),
    passed_on_too(&["HTTP_PROXY", "http_proxy"], "The proxy for http."),
    own(&["ALL_PROXY", "all_proxy"], "The proxy for both."),
    passed_on_too(
        &["NO_PROXY", "no_proxy"],
        "Hosts that are reached without a proxy, separated by commas.",
    ),
    own(
        &["PIP_INDEX_URL"],
        "The package index, instead of pip's configuration.",
    ),
    own(
        &["PIP_EXTRA_INDEX_URL"],
        "Further package indexes, separated by spaces.",
    ),
    own(&["PIP_NO_INDEX"], "`1`: no package index is asked."),
    own(
        &["PIP_FIND_LINKS"],
        "Pages and directories with files, separated by spaces.",
    ),
    own(
        &["PIP_TRUSTED_HOST"],
        "Hosts of package indexes whose certificates are not verified, separated by spaces.",
    ),
    own(&["PIP_CERT"], "A file of CA certificates for package indexes."),
    own(&["PIP_PROXY"], "The proxy for package indexes."),
    own(
        &["PIP_CONFIG_FILE"],
        "A configuration file of pip, instead of the user's.",
    ),
    own(
        &["XDG_CONFIG_DIRS", "XDG_CONFIG_HOME", "VIRTUAL_ENV"],
        "Directories with configuration files of pip.",
    ),
    own(
        &["HOME"],
        "The directory of the user's configuration of pip, and of `.netrc`.",
    ),
    own(
        &["NETRC"],
        "A file of credentials for package indexes, instead of `~/.netrc`.",
    ),
    own(
        &["TERM"],
        "The terminal: `dumb` turns colours off. `pgsetup shell` passes it on.",
    ),
    own(&["NO_COLOR"], "Any value turns colours off."),
];

/// The value of a variable of the table; `None` when it is unset or empty.
pub fn variable(name: &str) -> Option<String> {
    debug_assert!(
        VARIABLES.iter().any(|variable| variable.names.contains(&name)),
        "{name} is not in the table of variables"
    );
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Every variable that commands see, with its value.
pub fn passed_on() -> impl Iterator<Item = (String, String)> {
    let variables = VARIABLES.iter().filter(|variable| variable.is_passed_on);
    let names = variables.flat_map(|variable| variable.names);
    names.filter_map(|name| Some(((*name).to_owned(), variable(name)?)))
}

/// Whether a variable of an option is set, but empty.
pub fn is_empty(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| value.is_empty())
}
