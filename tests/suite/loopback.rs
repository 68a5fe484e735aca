//! A web server on the loopback interface that misbehaves on request.
//!
//! It uses sockets directly, because an HTTP library would correct what has to go wrong here.

// Two test binaries take in this file, and neither asks for every act. The long function is a list of them.
#![allow(
    dead_code,
    clippy::assigning_clones,
    clippy::cast_possible_truncation,
    clippy::too_many_lines
)]

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the server does with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Serves the file, with ranges.
    Serve,
    /// Announces the right length and closes after so many quarters of what it should send.
    CutAfterQuarters(u32),
    /// As `CutAfterQuarters`, in chunks.
    CutInChunks(u32),
    /// Closes before it has read the request, which resets the connection.
    Reset,
    /// Sends an answer that is not HTTP.
    Garbage,
    /// Serves the file slowly.
    Slow,
    /// Sends half and then nothing until the other side gives up.
    Stall,
    /// Sends no header until the other side gives up.
    Mute,
    /// Announces more than there is.
    LengthTooLong,
    /// Announces less than there is.
    LengthTooShort,
    /// Answers with a status, and `Retry-After` where it is not empty.
    Status(u16, &'static str),
    /// Redirects to itself.
    RedirectToSelf,
    /// Redirects from one address to the next without end.
    RedirectOnAndOn,
    /// Redirects once, to where the same request is served properly.
    RedirectOnce,
    /// A page instead of the file, with status 200.
    Page,
    /// The file with one bit flipped.
    FlippedBit,
    /// The whole file under another `ETag` from now on.
    NewEtag,
    /// The whole file whatever part is asked for.
    IgnoreRange,
    /// A part that does not begin where it should, with an honest header.
    WrongPart,
    /// The right header over other bytes: what `If-Range` should prevent.
    StalePart,
    /// The file without `ETag` or date.
    NoValidator,
    /// The file, said to be encoded with gzip, which must not be undone.
    SaidToBeGzip,
    /// The file in chunks, without a length.
    Chunks,
    /// The file without a length; its end is the end of the connection.
    UntilClose,
    /// As `UntilClose`, but only half of it.
    HalfUntilClose,
}

/// A file on the server.
#[derive(Debug)]
pub struct Resource {
    content: Vec<u8>,
    /// What to do with the next requests. The last one is repeated.
    acts: Mutex<VecDeque<Act>>,
    etag: Mutex<u32>,
    /// The `Range` headers that came, in order; empty texts for requests without one.
    ranges: Mutex<Vec<String>>,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    port: u16,
    resources: Arc<Mutex<HashMap<String, Arc<Resource>>>>,
}

impl Server {
    /// Starts a server on a free port. It serves until the test ends.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on the loopback interface");
        let port = listener.local_addr().expect("the port").port();
        let resources: Arc<Mutex<HashMap<String, Arc<Resource>>>> = Arc::default();
        let shared = Arc::clone(&resources);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let resources = Arc::clone(&shared);
                thread::spawn(move || {
                    // The client may go away at any moment; that is tested.
                    let _ = answer(stream, &resources);
                });
            }
        });
        Self { port, resources }
    }

    /// Publishes a file; gives its address. The last of `acts` is repeated.
    pub fn put(&self, path: &str, content: &[u8], acts: &[Act]) -> String {
        let resource = Resource {
            content: content.to_owned(),
            acts: Mutex::new(acts.iter().copied().collect()),
            etag: Mutex::new(1),
            ranges: Mutex::default(),
        };
        self.resources
            .lock()
            .unwrap()
            .insert(path.to_owned(), Arc::new(resource));
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The `Range` headers of the requests for a path so far.
    pub fn ranges(&self, path: &str) -> Vec<String> {
        let resource = Arc::clone(&self.resources.lock().unwrap()[path]);
        let ranges = resource.ranges.lock().unwrap();
        ranges.clone()
    }
}

impl Resource {
    fn next_act(&self) -> Act {
        let mut acts = self.acts.lock().unwrap();
        match acts.len() {
            0 => Act::Serve,
            1 => acts[0],
            _ => acts.pop_front().unwrap(),
        }
    }
}

/// What is looked at in a request.
#[derive(Debug, Default)]
struct Asked {
    path: String,
    range: Option<u64>,
    if_range: Option<String>,
}

fn read_request(stream: &TcpStream) -> Option<(Asked, String)> {
    let mut asked = Asked::default();
    let mut range_text = String::new();
    let mut lines = BufReader::new(stream).lines();
    asked.path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                range_text = value.trim().to_owned();
                asked.range = range_text
                    .strip_prefix("bytes=")?
                    .trim_end_matches('-')
                    .parse()
                    .ok();
            }
            "if-range" => asked.if_range = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    Some((asked, range_text))
}

fn answer(mut stream: TcpStream, resources: &Mutex<HashMap<String, Arc<Resource>>>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    // The path decides what happens, and a reset has to leave bytes unread; so the head is only looked at first.
    let mut head = [0; 512];
    let n = stream.peek(&mut head).ok()?;
    let text = String::from_utf8_lossy(&head[..n]).into_owned();
    let path = text.split(' ').nth(1)?.split('?').next()?.to_owned();
    let hop: u32 = text
        .split(' ')
        .nth(1)?
        .split("?hop=")
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    let resource = resources.lock().unwrap().get(&path).cloned();
    let Some(resource) = resource else {
        read_request(&stream)?;
        return send(&mut stream, "404 Not Found", "Content-Length: 0\r\n", b"");
    };
    let endless = resource.acts.lock().unwrap().front() == Some(&Act::RedirectOnAndOn);
    let act = match hop {
        0 => resource.next_act(),
        _ if endless => Act::RedirectOnAndOn,
        _ => Act::Serve,
    };
    if act == Act::Reset {
        return Some(());
    }
    let (asked, range_text) = read_request(&stream)?;
    resource.ranges.lock().unwrap().push(range_text);
    act_on(&mut stream, &resource, &asked, act, &path, hop);
    let _ = stream.shutdown(Shutdown::Write);
    // Until the other side has read everything; closing at once would reset the connection.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let _ = stream.read(&mut [0; 16]);
    Some(())
}

fn act_on(
    stream: &mut TcpStream,
    resource: &Resource,
    asked: &Asked,
    act: Act,
    path: &str,
    hop: u32,
) -> Option<()> {
    if act == Act::NewEtag {
        *resource.etag.lock().unwrap() += 1;
    }
    let etag = format!("\"v{}\"", *resource.etag.lock().unwrap());
    let whole = &resource.content;
    let fits = asked
        .if_range
        .as_deref()
        .is_none_or(|validator| validator == etag);
    let from = asked
        .range
        .filter(|_| fits && act != Act::IgnoreRange && act != Act::NewEtag)
        .map(|from| from as usize);
    let validator = format!("ETag: {etag}\r\nAccept-Ranges: bytes\r\nContent-Type: application/gzip\r\n");
    let (status, part, mut headers) = match from {
        Some(from) if from >= whole.len() => {
            let headers = format!("Content-Range: bytes */{}\r\nContent-Length: 0\r\n", whole.len());
            return send(stream, "416 Range Not Satisfiable", &headers, b"");
        }
        Some(from) => {
            let range = format!(
                "Content-Range: bytes {from}-{}/{}\r\n",
                whole.len() - 1,
                whole.len()
            );
            ("206 Partial Content", &whole[from..], validator + &range)
        }
        None => ("200 OK", &whole[..], validator),
    };
    let length = |n: usize| format!("Content-Length: {n}\r\n");
    match act {
        Act::Serve | Act::NewEtag | Act::IgnoreRange => {
            send(stream, status, &(headers + &length(part.len())), part)
        }
        Act::CutAfterQuarters(quarters) => {
            let cut = part.len() * quarters as usize / 4;
            send(stream, status, &(headers + &length(part.len())), &part[..cut])
        }
        Act::CutInChunks(quarters) => {
            headers.push_str("Transfer-Encoding: chunked\r\n");
            let cut = part.len() * quarters as usize / 4;
            send(stream, status, &headers, b"")?;
            chunks(stream, &part[..cut])
        }
        Act::Chunks => {
            headers.push_str("Transfer-Encoding: chunked\r\n");
            send(stream, status, &headers, b"")?;
            chunks(stream, part)?;
            stream.write_all(b"0\r\n\r\n").ok()
        }
        Act::Slow => {
            send(stream, status, &(headers + &length(part.len())), b"")?;
            for piece in part.chunks(part.len().div_ceil(8).max(1)) {
                thread::sleep(Duration::from_millis(10));
                stream.write_all(piece).ok()?;
            }
            Some(())
        }
        Act::Stall => {
            send(
                stream,
                status,
                &(headers + &length(part.len())),
                &part[..part.len() / 2],
            )?;
            wait_for_the_end(stream)
        }
        Act::Mute => wait_for_the_end(stream),
        Act::LengthTooLong => send(stream, status, &(headers + &length(part.len() + 100)), part),
        Act::LengthTooShort => send(stream, status, &(headers + &length(part.len() / 2)), part),
        Act::Status(code, retry_after) => {
            let retry = match retry_after {
                "" => String::new(),
                when => format!("Retry-After: {when}\r\n"),
            };
            send(
                stream,
                &format!("{code} No"),
                &(retry + "Content-Length: 5\r\n"),
                b"sorry",
            )
        }
        Act::RedirectToSelf => send(
            stream,
            "302 Found",
            &format!("Location: {path}\r\nContent-Length: 0\r\n"),
            b"",
        ),
        Act::RedirectOnAndOn | Act::RedirectOnce => {
            let to = format!("Location: {path}?hop={}\r\nContent-Length: 0\r\n", hop + 1);
            send(stream, "302 Found", &to, b"")
        }
        Act::Page => {
            let page = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Welcome to the guest network</body></html>";
            let headers = format!("Content-Type: text/html; charset=utf-8\r\n{}", length(page.len()));
            send(stream, "200 OK", &headers, page)
        }
        Act::FlippedBit => {
            let mut wrong = part.to_owned();
            if let Some(byte) = wrong.last_mut() {
                *byte ^= 1;
            }
            send(stream, status, &(headers + &length(part.len())), &wrong)
        }
        Act::StalePart => {
            let wrong: Vec<u8> = part
                .iter()
                .map(|byte| if from.is_some() { !byte } else { *byte })
                .collect();
            send(stream, status, &(headers + &length(part.len())), &wrong)
        }
        Act::WrongPart => match from {
            Some(_) => {
                let headers = format!("Content-Range: bytes 0-{}/{}\r\n", whole.len() - 1, whole.len());
                send(
                    stream,
                    "206 Partial Content",
                    &(headers + &length(whole.len())),
                    whole,
                )
            }
            None => send(stream, status, &(headers + &length(part.len())), part),
        },
        Act::NoValidator => send(stream, "200 OK", &length(whole.len()), whole),
        Act::SaidToBeGzip => {
            headers.push_str("Content-Encoding: gzip\r\n");
            send(stream, status, &(headers + &length(part.len())), part)
        }
        Act::UntilClose => send(stream, "200 OK", "", whole),
        Act::HalfUntilClose => send(stream, "200 OK", "", &whole[..whole.len() / 2]),
        Act::Garbage => stream.write_all(b"220 mail.example ESMTP\r\n").ok(),
        Act::Reset => Some(()),
    }
}

fn wait_for_the_end(stream: &mut TcpStream) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let _ = stream.read(&mut [0; 1]);
    None
}

fn send(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> Option<()> {
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()
}

fn chunks(stream: &mut TcpStream, body: &[u8]) -> Option<()> {
    for chunk in body.chunks(5000) {
        stream
            .write_all(format!("{:x}\r\n", chunk.len()).as_bytes())
            .ok()?;
        stream.write_all(chunk).ok()?;
        stream.write_all(b"\r\n").ok()?;
    }
    Some(())
}
