//! A remote cache that wants all the time there is, against a server of a few lines.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use super::*;

/// Fails where something that has a time limit goes on for as long as no machine is slow.
#[track_caller]
fn assert_in_time(began: Instant) {
    assert!(began.elapsed() < Duration::from_secs(120), "it goes on for ever");
}

fn options(url: &str) -> Options {
    Options {
        url: url.to_owned(),
        secret: None,
        read_only: true,
        budget: Duration::from_secs(5),
        ca_bundle: None,
    }
}

#[test]
fn an_address_with_a_password_is_refused_and_the_password_not_repeated() {
    for url in [
        "https://me:secret@cache.example/x",
        "ftp://cache.example",
        "cache",
        "http://cache.example/?q=1",
    ] {
        let error = Remote::new(&options(url)).map(drop).unwrap_err();
        assert!(!format!("{error:#}").contains("secret@"), "{error:#}");
    }
    let remote = Remote::new(&options("https://cache.example/some/where/")).unwrap();
    assert_eq!(remote.server.base, "https://cache.example/some/where");
}

#[test]
fn a_secret_is_a_token_or_a_user_with_a_password_and_is_never_shown() {
    let token = authorization(" abc.def-ghi~+/==\n").unwrap();
    assert_eq!(token, "Bearer abc.def-ghi~+/==");
    let basic = authorization("Aladdin:open sesame\n").unwrap();
    assert_eq!(basic, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert!(!format!("{token:?} {basic:?}").contains("abc"), "{token:?}");
    for wrong in [
        "",
        " \n",
        "a\nb",
        "user:pass\nmore",
        "user:pass\rmore",
        "user:pa\tss",
    ] {
        let error = authorization(wrong).unwrap_err();
        assert!(error.to_string().contains("secret file"), "{error}");
    }
}

/// A server that answers every request with what `answer` writes. Returns its address.
fn server(answer: impl Fn(&str, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut lines = reader.by_ref().lines().map(Result::unwrap);
                let request = lines.next().unwrap();
                let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let length = headers.iter().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    let is_length = name.eq_ignore_ascii_case("content-length");
                    is_length.then(|| value.parse().unwrap())
                });
                reader.read_exact(&mut vec![0; length.unwrap_or(0)]).unwrap();
                // The other side may go away at any moment.
                let _ = answer(request.split(' ').nth(1).unwrap(), &mut stream);
            });
        }
    });
    url
}

fn whole(stream: &mut TcpStream, body: &[u8]) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)
}

/// An entry of a file, with what a server has of it.
fn entry(file: &[u8]) -> ArtifactEntry {
    let key = Key(Sha256::of(b"inputs"));
    let libraries = std::collections::BTreeSet::new();
    ArtifactEntry::new(key, "citus 1", Sha256::of(file), file.len() as u64, libraries)
}

const CONTENT: Validators<'static> = Validators {
    entry: &|_| Ok(()),
    packed: &|_, _| Ok(()),
};

fn quick(url: &str) -> Remote {
    let budget = Duration::from_millis(500);
    Remote::new(&Options {
        budget,
        ..options(url)
    })
    .unwrap()
}

/// Fetches, and holds that it comes to an end; by the notes, the end of the budget is why.
fn fetched(
    remote: &Remote,
    key: Key,
    cache: &Cache,
    validators: &Validators<'_>,
) -> (Option<ArtifactEntry>, String) {
    let began = Instant::now();
    let found = remote.fetch(key, cache, validators);
    assert_in_time(began);
    (found, remote.take_notes().concat())
}

#[test]
fn a_fast_stream_without_an_end_costs_the_budget_and_no_more() {
    let url = server(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
        loop {
            stream.write_all(&[0; 8192])?;
        }
    });
    let remote = quick(&url);
    let began = Instant::now();
    let until = began + Duration::from_millis(500);
    // The reader is slower than the server, so there is always another piece.
    let taken = remote.server.get("cas/x", until, |_| {
        assert_in_time(began);
        std::thread::sleep(Duration::from_millis(1));
        Ok(())
    });
    assert!(matches!(taken, Err(Trouble::Down(why)) if why.contains("is used up")));
}

#[test]
fn a_download_that_another_process_does_not_end_costs_the_budget_and_no_more() {
    let written = entry(b"packed");
    let (result, document) = reapi::encode(&written);
    let url = server(move |path, stream| match path.split('/').nth(1) {
        Some("ac") => whole(stream, &result),
        _ => whole(stream, document.as_bytes()),
    });
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path()).unwrap();
    let _other = cache.partial(&written.sha256, false, || ()).unwrap();
    let (found, notes) = fetched(&quick(&url), written.key, &cache, &CONTENT);
    assert_eq!(found, None);
    assert!(notes.contains("its time of 0.5 s is used up"), "{notes}");
}

#[test]
fn what_is_judged_to_be_wrong_is_not_kept() {
    let written = entry(b"packed");
    let (result, document) = reapi::encode(&written);
    let served = Sha256::of(b"packed").to_string();
    let url = server(move |path, stream| match path {
        path if path.starts_with("/ac/") => whole(stream, &result),
        path if path.ends_with(&served) => whole(stream, b"packed"),
        _ => whole(stream, document.as_bytes()),
    });
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path()).unwrap();
    let validators = [
        Validators {
            entry: &|_| Err("a lie".to_owned()),
            ..CONTENT
        },
        Validators {
            packed: &|_, _| Err("a lie".to_owned()),
            ..CONTENT
        },
    ];
    for validators in validators {
        let (found, notes) = fetched(&quick(&url), written.key, &cache, &validators);
        assert_eq!(found, None);
        assert!(notes.ends_with(&format!("is not used: a lie ({url})")), "{notes}");
        assert!(cache.find(&written.sha256).is_none(), "no file of it is kept");
        assert!(matches!(
            cache.artifact(written.key),
            crate::store::artifacts::CachedArtifact::Nothing
        ));
    }
    // A validator that does not end uses up the budget as well.
    let slow = Validators {
        packed: &|_, until| {
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            Err("reading it takes too long".to_owned())
        },
        ..CONTENT
    };
    let (_, notes) = fetched(&quick(&url), written.key, &cache, &slow);
    assert!(notes.contains("is used up"), "{notes}");
    let (found, notes) = fetched(&quick(&url), written.key, &cache, &CONTENT);
    let fetched = ArtifactEntry {
        fetched: true,
        ..written
    };
    assert_eq!((found, notes), (Some(fetched), String::new()));
}

#[test]
fn an_upload_may_take_longer_than_the_budget_as_long_as_nobody_waits_for_it() {
    let put = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&put);
    let url = server(move |path, stream| {
        std::thread::sleep(Duration::from_millis(1700));
        noted.lock().unwrap().push(path[..4].to_owned());
        stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("packed");
    std::fs::write(&path, b"packed").unwrap();
    let budget = Duration::from_millis(500);
    let remote = Remote::new(&Options {
        budget,
        read_only: false,
        ..options(&url)
    });
    let remote = remote.unwrap();
    remote.upload(&entry(b"packed"), path);
    let began = Instant::now();
    while put.lock().unwrap().len() < 3 {
        assert_in_time(began);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(*put.lock().unwrap(), ["/cas", "/cas", "/ac/"]);
    remote.finish();
    assert_eq!(remote.take_notes(), Vec::<String>::new());
}
