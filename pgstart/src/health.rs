//! The health check: is this container doing its work?
//!
//! Four answers are told apart:
//!
//! | answer | when | `health` | `health --wait` |
//! |---|---|---|---|
//! | well | the server accepts connections (a primary, and a standby that serves reads); Patroni's `/liveness` says so; the container runs another command | 0 | 0 |
//! | not yet | initialising, running initialisation scripts, recovering, upgrading | 1 | waits until it is one of the others |
//! | nothing there | no server, and nothing under way that this check knows of | 1 | waits 8 seconds, then 1 |
//! | broken | the server does not answer within 5 seconds (it hangs), or is stopping | 1 | 1 |
//!
//! An engine knows two answers, healthy and unhealthy, so "not yet" must not be an answer: with `--wait`, the check ends only when there is
//! something to say. Until then the container's state stays what it was, `starting` or `healthy`, no matter how long a dump is loaded or
//! how many retries the user has set.
//!
//! The file `.health` in the directory of sockets names the kind of start: the host's name, then `server`, `upgrade`, or `patroni` with
//! scheme, host and port of its REST interface once they are known. Without this file, another command runs.
//!
//! The check is one process. Over HTTPS, Patroni is asked by its own Python, which this process turns into.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use crate::backup::{self, Behind};
use crate::lock_file::LockFile;
use crate::processes::is_postgres;

/// What a server that works needs at most for an answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a server may be absent between two things that are.
const ABSENCE: Duration = Duration::from_secs(8);
/// The directory at which the official image of PostgreSQL 18 and later has its volume.
const VOLUME: &str = "/var/lib/postgresql";
/// Between two looks at files.
const PAUSE: Duration = Duration::from_millis(250);
/// Between two connections to a server that is recovering: each makes a line in its log.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// What the container is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its work.
    Well(String),
    /// Something that comes before its work.
    NotYet(String),
    /// Nothing that is known.
    Absent(String),
    /// It does not do its work.
    Broken(String),
}

/// Answers with a line and whether the container is well.
pub fn answer(wait: bool) -> (String, bool) {
    let absent_until = Instant::now() + ABSENCE;
    let mut pause = PAUSE;
    loop {
        let (state, status) = look();
        match state {
            State::Well(text) => return (text, true),
            State::Broken(text) => return (text, false),
            State::NotYet(text) | State::Absent(text) if !wait => return (text, false),
            State::Absent(text) if Instant::now() >= absent_until => return (text, false),
            State::Absent(_) => std::thread::sleep(PAUSE),
            State::NotYet(_) => {
                // Until the server itself says that something has changed.
                let until = Instant::now() + pause;
                while Instant::now() < until && (status.is_empty() || server_status() == status) {
                    std::thread::sleep(PAUSE);
                }
                pause = if status.is_empty() {
                    PAUSE
                } else {
                    (pause * 2).min(MAX_PAUSE)
                };
            }
        }
    }
}

/// What the container is doing now, and the status that a server's lock file gives where a server was asked.
fn look() -> (State, String) {
    match kind() {
        Some(kind) if kind == "upgrade" => (
            State::NotYet("the database is being upgraded".to_owned()),
            String::new(),
        ),
        Some(kind) if kind.starts_with("patroni") => (
            patroni(&kind.split_whitespace().skip(1).collect::<Vec<_>>()),
            String::new(),
        ),
        Some(_) => server(),
        // The command `bash -c "… && exec postgres"` becomes a server as well.
        None => match lock_file() {
            Some(lock_file) if lock_file.pid.is_some_and(is_postgres) => server(),
            _ => (
                State::Well("another command than a server is run".to_owned()),
                String::new(),
            ),
        },
    }
}

/// The kind of this container's start.
fn kind() -> Option<String> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let temporary = std::env::var("TMPDIR").unwrap_or_else(|_| "/tmp".to_owned());
    ["/var/run/postgresql", &temporary]
        .into_iter()
        .filter_map(|directory| std::fs::read_to_string(Path::new(directory).join(".health")).ok())
        .find_map(|text| {
            let (owner, kind) = text.trim().split_once(' ')?;
            // A directory of sockets may be shared with other containers.
            (owner == host).then(|| kind.to_owned())
        })
}

/// Where the entrypoint's `place_data_directory` has found or made the data: in PGDATA, in a directory below it for an arbitrary user, or in the
/// official image's place in a volume that is mounted above the image's own data directory.
pub fn data_directory() -> PathBuf {
    let data = PathBuf::from(std::env::var_os("PGDATA").unwrap_or_default());
    let major = std::env::var("PG_MAJOR").unwrap_or_default();
    let docker = PathBuf::from(format!("{VOLUME}/{major}/docker"));
    let is_cluster = |place: &Path| {
        ["PG_VERSION", ".initialising"]
            .iter()
            .any(|name| place.join(name).exists())
    };
    let below = data.join("pgdata");
    if is_cluster(&data) {
        data
    } else if is_cluster(&below) {
        below
    } else if data == Path::new(VOLUME).join("data") && is_cluster(&docker) {
        docker
    } else {
        data
    }
}

fn lock_file() -> Option<LockFile> {
    LockFile::read(&data_directory().join("postmaster.pid"))
        .ok()
        .flatten()
}

fn server_status() -> String {
    lock_file().map_or(String::new(), |file| file.status)
}

fn server() -> (State, String) {
    if data_directory().join(".initialising").exists() {
        return (
            State::NotYet("the database is being initialised".to_owned()),
            String::new(),
        );
    }
    let running = lock_file().filter(|file| file.pid.is_some_and(is_postgres));
    let Some(lock_file) = running else {
        return (
            State::Absent("PostgreSQL is not running".to_owned()),
            String::new(),
        );
    };
    let status = lock_file.status.clone();
    if status == "stopping" {
        return (State::Broken("PostgreSQL is stopping".to_owned()), status);
    }
    let state = in_time(
        move || ask_server(&lock_file),
        || {
            State::Broken(format!(
                "PostgreSQL does not answer within {} s",
                DEADLINE.as_secs()
            ))
        },
    );
    (state, status)
}

/// The outcome of `work`, or another one where it takes too long. The work is left behind: this process ends soon.
fn in_time(work: impl FnOnce() -> State + Send + 'static, late: impl FnOnce() -> State) -> State {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(DEADLINE).unwrap_or_else(|_| late())
}

/// A connection, of which only both directions matter.
trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Asks as far as the first answer to the startup packet, as libpq's `PQping` does: anything but "not now" is the answer of a server that
/// serves.
fn ask_server(lock_file: &LockFile) -> State {
    let port = lock_file.port.unwrap_or(5432);
    let host = lock_file.address.as_str();
    let connected: std::io::Result<Box<dyn Stream>> = if host.is_empty() {
        let socket = Path::new(&lock_file.socket_directory).join(format!(".s.PGSQL.{port}"));
        UnixStream::connect(socket).map(|stream| Box::new(stream) as Box<dyn Stream>)
    } else {
        TcpStream::connect((address_of(host), port)).map(|stream| Box::new(stream) as Box<dyn Stream>)
    };
    let place = if host.is_empty() {
        "its socket".to_owned()
    } else {
        format!("{host} port {port}")
    };
    let mut stream = match connected {
        Ok(stream) => stream,
        Err(error) if lock_file.status == "starting" => {
            return State::NotYet(format!("PostgreSQL is starting: {place}: {error}"));
        }
        Err(error) => {
            return State::Absent(format!(
                "PostgreSQL does not accept connections on {place}: {error}"
            ));
        }
    };
    let mut answer = Vec::new();
    let asked = stream
        .write_all(&startup_packet(&superuser()))
        .and_then(|()| read_message(&mut stream, &mut answer));
    match asked {
        Ok(()) => state_of(&answer, &place),
        Err(error) => State::Absent(format!("PostgreSQL closed the connection on {place}: {error}")),
    }
}

/// Where an address that is listened on is reached from inside. The names of a container are in /etc/hosts; asking a resolver would need
/// libraries that a static program does not have.
fn address_of(host: &str) -> IpAddr {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    match host {
        "*" | "" | "localhost" => return local,
        _ => {}
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return match address {
            IpAddr::V4(address) if address.is_unspecified() => local,
            IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            address => address,
        };
    }
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let line = hosts
        .lines()
        .find(|line| line.split_whitespace().skip(1).any(|name| name == host));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(local)
}

pub fn superuser() -> String {
    std::env::var("POSTGRES_USER")
        .ok()
        .filter(|user| !user.is_empty())
        .unwrap_or_else(|| "postgres".to_owned())
}

/// The first packet of a client (the manual, "Message Formats", `StartupMessage`).
fn startup_packet(user: &str) -> Vec<u8> {
    let mut body = 0x0003_0000_u32.to_be_bytes().to_vec();
    for (name, value) in [("user", user), ("database", "postgres")] {
        for text in [name, value] {
            body.extend(text.as_bytes());
            body.push(0);
        }
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &body].concat()
}

/// Reads one message: its letter, its length, and what it says.
fn read_message(stream: &mut dyn Stream, into: &mut Vec<u8>) -> std::io::Result<()> {
    const MAX_BYTES: u32 = 30_000;
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    into.push(head[0]);
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let rest = u64::from(length.clamp(4, MAX_BYTES) - 4);
    stream.take(rest).read_to_end(into)?;
    Ok(())
}

/// What there is to say of archiving. A server whose archive is behind works all the same.
fn archiving() -> String {
    let behind = Behind::look(&data_directory(), SystemTime::now()).filter(|_| backup::are_configured());
    behind.map_or(String::new(), |behind| format!("; {}", behind.describe()))
}

/// What a server's first message says of it.
fn state_of(message: &[u8], place: &str) -> State {
    let accepted = || {
        State::Well(format!(
            "PostgreSQL accepts connections on {place}{}",
            archiving()
        ))
    };
    match message.split_first() {
        Some((b'R', _)) => accepted(),
        Some((b'E', fields)) => {
            let field = |letter: u8| {
                let mut fields = fields.split(|&byte| byte == 0);
                let found = fields.find(|field| field.first() == Some(&letter));
                found.map_or(String::new(), |field| {
                    String::from_utf8_lossy(&field[1..]).into_owned()
                })
            };
            // cannot_connect_now
            if field(b'C') != "57P03" {
                return accepted();
            }
            let text = field(b'M');
            if text.contains("shutting down") {
                State::Broken("PostgreSQL is stopping".to_owned())
            } else {
                State::NotYet(format!("PostgreSQL answers: {text}"))
            }
        }
        _ => State::Broken(format!("what answers on {place} is not PostgreSQL")),
    }
}

/// Asks Patroni whether its loop is alive. A replica that is being copied and a paused cluster are healthy: to end such a container would do
/// harm. Whether to send queries there is the orchestrator's question, to `/readiness` or `/primary`.
fn patroni(target: &[&str]) -> State {
    let &[scheme, host, port] = target else {
        return State::NotYet("Patroni is being prepared".to_owned());
    };
    let place = format!("{scheme}://{host}:{port}/liveness");
    if scheme == "https" {
        // TLS is Python's. Its certificate names the node, and is not verified on the loopback.
        let error = Command::new("/opt/patroni/bin/python3")
            .args([
                "-I",
                "-S",
                "-B",
                "-c",
                include_str!("liveness.py"),
                scheme,
                host,
                port,
            ])
            .exec();
        return State::Broken(format!("cannot run Patroni's Python: {error}"));
    }
    let (host, port) = (address_of(host), port.parse().unwrap_or(8008));
    let late = State::Broken(format!(
        "Patroni does not answer at {place} within {} s",
        DEADLINE.as_secs()
    ));
    in_time(move || ask_patroni((host, port), &place), || late)
}

fn ask_patroni(address: (IpAddr, u16), place: &str) -> State {
    let mut answer = String::new();
    let asked = TcpStream::connect(address).and_then(|mut stream| {
        stream.write_all(b"GET /liveness HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        stream.read_to_string(&mut answer)
    });
    match (asked, answer.split_whitespace().nth(1)) {
        (Ok(_), Some("200")) => State::Well(format!("Patroni answers 200 at {place}{}", archiving())),
        (Ok(_), status) => State::Broken(format!(
            "Patroni answers {} at {place}",
            status.unwrap_or("nothing")
        )),
        (Err(error), _) => State::Absent(format!("Patroni does not answer at {place}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A server on a port of its own that answers the first connection with these bytes.
    fn answering(bytes: &'static [u8]) -> LockFile {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut packet = [0; 4];
            stream.read_exact(&mut packet).expect("a packet");
            let length = u32::from_be_bytes(packet) as usize;
            let mut body = vec![0; length - 4];
            stream.read_exact(&mut body).expect("its body");
            assert_eq!(&body[..9], b"\0\x03\0\0user\0");
            stream.write_all(bytes).expect("an answer");
        });
        LockFile {
            port: Some(port),
            address: "*".to_owned(),
            status: "ready".to_owned(),
            ..LockFile::default()
        }
    }

    #[test]
    fn any_answer_but_not_now_is_that_of_a_server_that_serves() {
        let password = b"R\0\0\0\x08\0\0\0\x03";
        assert!(matches!(ask_server(&answering(password)), State::Well(_)));
        let too_many = b"E\0\0\0\x1eC53300\0Msorry, too many\0\0";
        assert!(matches!(ask_server(&answering(too_many)), State::Well(_)));
        let recovering = b"E\0\0\0\x30C57P03\0Mthe database system is starting up\0\0";
        assert!(
            matches!(ask_server(&answering(recovering)), State::NotYet(text) if text.contains("starting up"))
        );
        let stopping = b"E\0\0\0\x33C57P03\0Mthe database system is shutting down\0\0";
        assert!(matches!(ask_server(&answering(stopping)), State::Broken(_)));
        assert!(matches!(
            ask_server(&answering(b"HTTP/1.1 400\r\n")),
            State::Broken(_)
        ));
        assert!(matches!(ask_server(&answering(b"")), State::Absent(_)));
    }

    #[test]
    fn nobody_on_the_port_is_absence_or_a_start() {
        let free = TcpListener::bind("127.0.0.1:0")
            .expect("a port")
            .local_addr()
            .expect("an address");
        let mut lock_file = LockFile {
            port: Some(free.port()),
            address: "127.0.0.1".to_owned(),
            status: "ready".to_owned(),
            ..LockFile::default()
        };
        assert!(matches!(ask_server(&lock_file), State::Absent(_)));
        lock_file.status = "starting".to_owned();
        assert!(matches!(ask_server(&lock_file), State::NotYet(_)));
    }

    #[test]
    fn a_server_that_does_not_answer_hangs() {
        let state = in_time(
            || {
                std::thread::sleep(DEADLINE * 2);
                State::Well(String::new())
            },
            || State::Broken("late".to_owned()),
        );
        assert_eq!(state, State::Broken("late".to_owned()));
    }

    #[test]
    fn addresses_are_those_that_are_reached_from_inside() {
        for (listened_on, reached) in [
            ("*", "127.0.0.1"),
            ("0.0.0.0", "127.0.0.1"),
            ("localhost", "127.0.0.1"),
            ("::", "::1"),
            ("10.1.2.3", "10.1.2.3"),
            ("fd00::2", "fd00::2"),
            ("a-name-that-no-file-has", "127.0.0.1"),
        ] {
            assert_eq!(address_of(listened_on).to_string(), reached, "{listened_on}");
        }
    }

    #[test]
    fn a_startup_packet_counts_itself() {
        let packet = startup_packet("postgres");
        assert_eq!(
            u32::from_be_bytes(packet[..4].try_into().expect("four bytes")) as usize,
            packet.len()
        );
        assert_eq!(&packet[8..], b"user\0postgres\0database\0postgres\0\0");
    }
}
