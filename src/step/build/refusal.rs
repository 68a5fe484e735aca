//! What a build was refused: read from the output of its command, and explained with what to do instead.
//!
//! The kernel tells only the program that was refused. Programs print the reason, and mostly the path or address.

use std::fmt;

/// How many refusals are reported.
pub const MAX_SHOWN: usize = 3;
/// How many refusals are reported of a build that went on.
pub const MAX_NOTES: usize = 40;
/// What to do about a change outside.
pub const STAGE: &str = "a build changes only its source tree, its stage and its TMPDIR: install below DESTDIR, which is `${stage}`; what \
                         has to be on the machine is a package of `packages.build`";
/// Words of programs about a connection that was refused.
const CONNECTIONS: [&str; 12] = [
    "Could not resolve host",
    "Could not resolve proxy",
    "Couldn't connect to server",
    "EAI_AGAIN",
    "Failed to establish a new connection",
    "Name or service not known",
    "Network is unreachable",
    "Temporary failure in name resolution",
    "connect: Permission denied",
    "dial tcp",
    "unable to resolve host",
    "socket: Permission denied",
];
/// Words of the C library about something else (errno(3)).
const REFUSED: [&str; 4] = [
    "Permission denied",
    "Operation not permitted",
    "Read-only file system",
    "Maybe need administrative privileges",
];
/// Words of programs that set an owner.
const OWNERS: [&str; 3] = ["changing ownership", "cannot change owner", "chown"];
/// The beginnings of lines that `make` and shells print besides commands.
const NO_COMMANDS: [&str; 4] = ["make:", "make[", "+ ", "/bin/"];

/// What was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Write,
    Connection,
    Owner,
}

/// Something that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    kind: Kind,
    /// The path or address, if the line has it.
    what: Option<String>,
    /// The line of the output.
    line: String,
    /// The command line that was printed before.
    command: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.what.as_deref();
        match self.kind {
            Kind::Write => match what {
                Some(path) => write!(f, "refused to change {path}")?,
                None => write!(f, "refused an operation")?,
            },
            Kind::Connection => write!(f, "refused to connect to {}", what.unwrap_or("an address"))?,
            Kind::Owner => write!(f, "refused to set the owner of {}", what.unwrap_or("a file"))?,
        }
        if let Some(command) = &self.command {
            write!(f, "\n    by: {command}")?;
        }
        write!(f, "\n    it said: {}", self.line)
    }
}

impl Refusal {
    /// What to do instead.
    pub fn remedy(&self) -> &'static str {
        match self.kind {
            Kind::Write => STAGE,
            Kind::Connection => {
                "a build has no network: what it would download is a package of `packages.build`, or a second source of the \
                 release, with its digest"
            }
            Kind::Owner => {
                "a build has a user of its own, and root owns what is installed: take the owner out, or say in `root` why the \
                 build has to run as root"
            }
        }
    }
}

/// The refusals in an output, each once, in order. A path below `own` was refused for another reason.
pub fn refusals(output: &str, own: &[String]) -> Vec<Refusal> {
    let lines: Vec<&str> = output.lines().collect();
    let mut found: Vec<Refusal> = Vec::new();
    for (position, line) in lines.iter().enumerate() {
        let Some((kind, what)) = refused(line, own) else {
            continue;
        };
        let command = command_before(&lines[..position], what.as_deref());
        let refusal = Refusal {
            kind,
            what,
            line: line.trim().to_owned(),
            command,
        };
        // A program that tries again says the same in other words.
        let is_same = |other: &Refusal| {
            other.kind == refusal.kind
                && other.what == refusal.what
                && other.command == refusal.command
                && (refusal.what.is_some() || other.line == refusal.line)
        };
        if !found.iter().any(is_same) {
            found.push(refusal);
        }
    }
    found
}

/// What a line says was refused.
fn refused(line: &str, own: &[String]) -> Option<(Kind, Option<String>)> {
    let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
    let words = || {
        line.split(|c: char| c.is_whitespace() || "'\"`‘’“”()[]{}<>,;=".contains(c))
            .map(|word| word.trim_end_matches([':', '.']))
    };
    if has(&CONNECTIONS) || has(&REFUSED) && has(&["/dev/tcp/", "/dev/udp/", "connect", "socket"]) {
        let device = words().find_map(|word| {
            let address = word
                .strip_prefix("/dev/tcp/")
                .or_else(|| word.strip_prefix("/dev/udp/"))?;
            Some(address.replacen('/', ":", 1))
        });
        let url = || words().find(|word| word.contains("://")).map(str::to_owned);
        let host = || {
            let after = [
                "resolve host: ",
                "resolve host ",
                "resolve proxy: ",
                "connect to ",
            ];
            let rest = after.iter().find_map(|words| Some(line.split_once(words)?.1))?;
            let mut words = rest.split_whitespace();
            let host = words
                .next()?
                .trim_matches(['\'', '‘', '’', ',', '"'])
                .trim_end_matches(':');
            let port = words
                .next()
                .filter(|word| *word == "port")
                .and_then(|_| words.next());
            let port = port.map(|port| port.trim_end_matches([':', ',']));
            Some(port.map_or_else(|| host.to_owned(), |port| format!("{host} port {port}")))
        };
        // pip names what it looks for, and not where.
        let sought = || {
            let (_, path) = line
                .rsplit_once("': /")
                .filter(|_| line.contains("NewConnectionError"))?;
            Some(format!("the index of packages (/{})", path.trim_end()))
        };
        return Some((
            Kind::Connection,
            device.or_else(url).or_else(host).or_else(sought),
        ));
    }
    if !has(&REFUSED) {
        return None;
    }
    let paths: Vec<&str> = words()
        .filter(|word| word.starts_with('/') && word.len() > 1)
        .collect();
    let is_own = |path: &str| {
        own.iter()
            .any(|top| path.strip_prefix(top.as_str()).is_some_and(is_rest))
    };
    // The first word may be the program that speaks: `/bin/sh: 1: cannot create /usr/x`.
    let first = line.split_whitespace().next().unwrap_or_default();
    let speaks = first.starts_with('/') && first.ends_with(':');
    let others = &paths[usize::from(speaks && !paths.is_empty())..];
    let path = others
        .iter()
        .rev()
        .find(|path| !is_own(path))
        .map(|path| (*path).to_owned());
    if has(&OWNERS) {
        return Some((Kind::Owner, path));
    }
    // A path of its own has wrong rights by itself.
    let is_elsewhere = path.is_some() || others.is_empty();
    is_elsewhere.then_some((Kind::Write, path))
}

/// Whether the rest of a path after a directory is nothing or below it.
fn is_rest(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}

/// The last printed command before a line: the last that names what was refused, or else the last that is not a remark.
fn command_before(lines: &[&str], what: Option<&str>) -> Option<String> {
    // Programs begin a sentence with a capital letter. A command may begin with a variable.
    let is_sentence = |line: &str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        word.starts_with(|c: char| c.is_ascii_uppercase()) && !word.contains('=')
    };
    let is_remark = |line: &str| {
        NO_COMMANDS.iter().any(|start| line.starts_with(start)) || line.contains(": ") || is_sentence(line)
    };
    let commands = || {
        lines
            .iter()
            .rev()
            .filter(|line| !is_remark(line) && !line.trim().is_empty())
    };
    let names = |line: &&&str| {
        let directory = |path: &str| path.rsplit_once('/').map(|(directory, _)| directory.to_owned());
        what.is_some_and(|what| {
            line.contains(what)
                || directory(what).is_some_and(|above| above.len() > 1 && line.contains(&above))
        })
    };
    let found = commands().find(names).or_else(|| commands().next());
    found.map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_path_or_address_and_the_command() {
        for (output, expected) in [
            (
                "mkdir -p /usr/local/share/x\nmkdir: cannot create directory '/usr/local/share/x': Permission denied",
                "refused to change /usr/local/share/x|mkdir -p /usr/local/share/x",
            ),
            (
                "echo x >/usr/share/x/y\n/bin/sh: 1: cannot create /usr/share/x/y: Permission denied",
                "refused to change /usr/share/x/y|echo x >/usr/share/x/y",
            ),
            (
                "mv a /etc/passwd\nmv: cannot move '/own/stage/a' to '/etc/passwd': Permission denied",
                "refused to change /etc/passwd|mv a /etc/passwd",
            ),
            (
                "/usr/bin/python3 -m pip install .\nERROR: Could not install packages due to an OSError: [Errno 13] Permission \
                 denied: '/usr/local/lib/python3.11'",
                "refused to change /usr/local/lib/python3.11|/usr/bin/python3 -m pip install .",
            ),
            (
                "curl -O https://example.org/a.zip\ncurl: (6) Could not resolve host: example.org",
                "refused to connect to example.org|curl -O https://example.org/a.zip",
            ),
            (
                "git clone https://github.com/a/b\nfatal: unable to access 'https://github.com/a/b/': Could not resolve host: \
                 github.com",
                "refused to connect to https://github.com/a/b/|git clone https://github.com/a/b",
            ),
            (
                "exec 3<>/dev/tcp/127.0.0.1/80\nbash: line 1: /dev/tcp/127.0.0.1/80: Permission denied",
                "refused to connect to 127.0.0.1:80|exec 3<>/dev/tcp/127.0.0.1/80",
            ),
            (
                "nc ::1 4002\nconnect to ::1 port 4002: Permission denied",
                "refused to connect to ::1 port 4002|nc ::1 4002",
            ),
            (
                "pip3 install --upgrade 'pip>=23'\nDefaulting to user installation because normal site-packages is not writeable\n\
                 WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError('<x at 0x7f8d>: Failed to \
                 establish a new connection: [Errno 13] Permission denied')': /simple/pip/\n\
                 WARNING: Retrying (Retry(total=3)) after connection broken by 'NewConnectionError('<x at 0x7f8e>: Failed to \
                 establish a new connection: [Errno 13] Permission denied')': /simple/pip/",
                "refused to connect to the index of packages (/simple/pip/)|pip3 install --upgrade 'pip>=23'",
            ),
            (
                "kill -STOP 1\n/bin/sh: 1: kill: Operation not permitted",
                "refused an operation|kill -STOP 1",
            ),
            (
                "chown root a\nchown: changing ownership of 'a': Operation not permitted",
                "refused to set the owner of a file|chown root a",
            ),
        ] {
            let found = refusals(output, &["/own".to_owned()]);
            assert_eq!(found.len(), 1, "{output}: {found:?}");
            let text = found[0].to_string();
            let (first, command) = expected.split_once('|').unwrap();
            assert!(
                text.starts_with(&format!("{first}\n    by: {command}\n    it said: ")),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_refused_in_its_own_tree_is_not_the_sandbox() {
        for output in [
            "cp: cannot create regular file '/own/stage/a': Permission denied",
            "checking whether make sets $(MAKE)... yes",
            "/usr/bin/ld: cannot find -lssl: No such file or directory",
        ] {
            assert_eq!(refusals(output, &["/own".to_owned()]), [], "{output}");
        }
    }
}
