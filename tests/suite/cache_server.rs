//! A cache of artifacts on the loopback interface, by the protocol of Bazel's remote cache, that misbehaves on request.
//!
//! It uses sockets directly, because an HTTP library would correct what has to go wrong here.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::machine::digest;

/// How long a request that hangs is held. A client that takes less has not waited for it.
const HELD: Duration = Duration::from_secs(600);

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trick {
    /// Answers with this status.
    Status(u16),
    /// Redirects every client.
    Redirect,
    /// Reads the request and sends nothing.
    Mute,
    /// Sends the headers and then single bytes, slowly.
    Drip,
    /// Announces the file and sends half of it.
    Cut,
    /// Sends the file with one bit flipped.
    FlippedBit,
    /// Sends an answer that is not HTTP.
    Garbage,
    /// Sends a page with status 200, as proxies that ask for a password do.
    Page,
    /// Sends without an end.
    Endless,
    /// Reads a part of the request, and then nothing.
    StopsReading,
}

/// A request: method, path, and the header `Authorization`.
pub type Seen = (String, String, String);

#[derive(Debug, Default)]
struct Shared {
    files: BTreeMap<String, Vec<u8>>,
    /// Methods and beginnings of paths, with what happens to such requests.
    tricks: Vec<(&'static str, &'static str, Trick)>,
    seen: Vec<Seen>,
}

/// A running cache.
#[derive(Debug)]
pub struct CacheServer {
    /// Its address, with a path that clients must keep.
    pub url: String,
    shared: Arc<Mutex<Shared>>,
}

impl CacheServer {
    /// Starts an empty cache on a free port. It serves until the test ends.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on the loopback interface");
        let port = listener.local_addr().expect("the port").port();
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                thread::spawn(move || {
                    // The client may go away at any moment; that is tested.
                    let _ = answer(stream, &server);
                });
            }
        });
        Self {
            url: format!("http://127.0.0.1:{port}/some/where"),
            shared,
        }
    }

    /// Makes requests of `method` for paths that begin with `path` go wrong.
    pub fn trick(&self, method: &'static str, path: &'static str, trick: Trick) {
        self.shared.lock().unwrap().tricks.push((method, path, trick));
    }

    /// Ends all tricks.
    pub fn behave(&self) {
        self.shared.lock().unwrap().tricks.clear();
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.lock().unwrap().seen.clone()
    }

    /// The paths of its files, in order.
    pub fn paths(&self) -> Vec<String> {
        self.shared.lock().unwrap().files.keys().cloned().collect()
    }

    /// Changes its files.
    pub fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) {
        change(&mut self.shared.lock().unwrap().files);
    }

    /// Changes the packed tree and the entry of every artifact by `lie`, and all digests with them.
    pub fn lie(&self, lie: impl Fn(&mut Vec<u8>, &mut Value)) {
        self.change(|files| {
            let results: Vec<String> = files
                .keys()
                .filter(|path| path.starts_with("/ac/"))
                .cloned()
                .collect();
            for path in results {
                let [artifact, entry] =
                    named(&files[&path]).map(|sha256| files[&format!("/cas/{sha256}")].clone());
                let (mut artifact, mut entry) = (artifact, serde_json::from_slice(&entry).unwrap());
                lie(&mut artifact, &mut entry);
                entry["sha256"] = digest(&artifact).into();
                entry["bytes"] = artifact.len().into();
                let entry = entry.to_string().into_bytes();
                let result = [("artifact", &artifact), ("entry.json", &entry)]
                    .map(|(name, bytes)| output_file(name, bytes))
                    .concat();
                files.insert(path, result);
                for bytes in [artifact, entry] {
                    files.insert(format!("/cas/{}", digest(&bytes)), bytes);
                }
            }
        });
    }
}

/// The digests in a result, the artifact's and the entry's: texts of 64 hexadecimal digits.
fn named(result: &[u8]) -> [String; 2] {
    let is_digest = |bytes: &&[u8]| bytes.iter().all(u8::is_ascii_hexdigit);
    let mut digests = Vec::new();
    let mut at = 0;
    while let Some(bytes) = result.get(at..at + 64) {
        if is_digest(&bytes) {
            digests.push(String::from_utf8(bytes.to_owned()).unwrap());
            at += 64;
        } else {
            at += 1;
        }
    }
    digests.try_into().expect("a result names two files")
}

/// An output file of a result on the wire: field 2 of `ActionResult`, with a path and a digest.
fn output_file(name: &str, bytes: &[u8]) -> Vec<u8> {
    let text = |field: u8, text: &[u8]| [&[field << 3 | 2], varint(text.len()).as_slice(), text].concat();
    let size = [&[2 << 3], varint(bytes.len()).as_slice()].concat();
    let sha256 = [text(1, digest(bytes).as_bytes()), size].concat();
    text(2, &[text(1, name.as_bytes()), text(2, &sha256)].concat())
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

fn answer(stream: TcpStream, server: &Mutex<Shared>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let path = path
            .strip_prefix("/some/where")
            .unwrap_or("/prefix-was-lost")
            .to_owned();
        let method = method.to_owned();
        let (mut length, mut authorization) = (0, String::new());
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim_end().split_once(": ") else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap_or(0),
                "authorization" => value.clone_into(&mut authorization),
                _ => {}
            }
        }
        let trick = {
            let mut server = server.lock().unwrap();
            server.seen.push((method.clone(), path.clone(), authorization));
            let is_it = |(m, p, _): &&(&str, &str, Trick)| *m == method && path.starts_with(p);
            server.tricks.iter().find(is_it).map(|(_, _, trick)| *trick)
        };
        if trick == Some(Trick::StopsReading) {
            thread::sleep(HELD);
            return Ok(());
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let content = server.lock().unwrap().files.get(&path).cloned();
        if let Some(trick) = trick {
            return misbehave(&mut writer, trick, content.unwrap_or_default());
        }
        match (method.as_str(), content) {
            ("PUT", _) => {
                server.lock().unwrap().files.insert(path, body);
                writer.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")?;
            }
            ("GET", Some(content)) => {
                write!(
                    writer,
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                    content.len()
                )?;
                writer.write_all(&content)?;
            }
            _ => writer.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?,
        }
    }
}

/// Answers one request wrongly and closes the connection.
fn misbehave(writer: &mut TcpStream, trick: Trick, mut content: Vec<u8>) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        content.len()
    );
    match trick {
        Trick::Status(status) => write!(
            writer,
            "HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ),
        Trick::Redirect => writer.write_all(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
        Trick::Mute | Trick::StopsReading => {
            thread::sleep(HELD);
            Ok(())
        }
        Trick::Drip => {
            writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?;
            loop {
                writer.write_all(b"x")?;
                thread::sleep(Duration::from_millis(50));
            }
        }
        Trick::Cut => {
            writer.write_all(head.as_bytes())?;
            writer.write_all(&content[..content.len() / 2])
        }
        Trick::FlippedBit => {
            *content.last_mut().expect("a file") ^= 1;
            writer.write_all(head.as_bytes())?;
            writer.write_all(&content)
        }
        Trick::Garbage => writer.write_all(b"\x00\x01\x02\r\n\r\n"),
        Trick::Page => {
            writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\n<html>Log in!</html>")
        }
        Trick::Endless => {
            writer.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            loop {
                writer.write_all(&[0; 8192])?;
            }
        }
    }
}
