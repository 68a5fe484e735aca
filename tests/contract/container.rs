//! Containers of the image under test, driven by the engine's own command line.
//!
//! There are no mocks: a test sees what `docker run` gives a user. Files reach a container by `docker cp` and data lives in volumes,
//! so the engine may be on another machine. A container, volume or network is removed when its value is dropped, also when the test
//! fails.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::wait_for;

/// Where the image keeps its health check, as CONTRACT's layout table says.
pub const HEALTH_CHECK: &str = "/opt/container/entrypoint.d/scripts/runtime/healthcheck.sh";
/// The data directory.
pub const DATA: &str = "/var/lib/postgresql/data";
/// The directory of initialisation scripts.
pub const SCRIPTS: &str = "/docker-entrypoint-initdb.d";
/// Counts the sessions of [`Container::open_session`].
pub const SESSIONS: &str = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'";
/// A password for tests that are not about passwords.
pub const PASSWORD: &str = "POSTGRES_PASSWORD=secret";

/// The outcome of a command.
#[derive(Debug)]
pub struct Ran {
    /// Exit status; -1 when a signal ended it.
    pub status: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// Standard output, then standard error.
    pub fn text(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// Standard output of a command that must succeed, without trailing line feeds.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status == 0, "the command failed: {self:?}");
        self.out.trim_end_matches('\n').to_owned()
    }
}

/// Runs the engine's client. A hang becomes a failure after two minutes, which is far more than anything here takes.
pub fn docker<'a>(args: impl IntoIterator<Item = &'a str>) -> Ran {
    let output = Command::new("timeout")
        .args(["--kill-after=5", "120", "docker"])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("timeout(1) starts");
    Ran {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The image under test, or why there is none.
pub fn image() -> Result<&'static str, String> {
    static IMAGE: OnceLock<Result<String, String>> = OnceLock::new();
    IMAGE
        .get_or_init(|| {
            let name =
                std::env::var("PGSETUP_TEST_IMAGE").unwrap_or_else(|_| "pgsetup/postgresql:18".to_owned());
            match docker(["image", "inspect", "--format", "{{.Id}}", &name]) {
                found if found.status == 0 => Ok(name),
                absent => Err(format!("no image {name}: {}", absent.err.trim())),
            }
        })
        .as_deref()
        .map_err(Clone::clone)
}

/// Whether the image under test starts as root, as `make image START=root` builds it.
pub fn starts_as_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| {
        let name = image().expect("a test with a container has an image");
        docker(["image", "inspect", "--format", "{{.Config.User}}", name]).ok() == "root"
    })
}

/// Builds an image for a test. The error says why that failed.
pub fn build_image(name: &str, recipe: &str) -> Result<(), String> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(directory.path().join("Dockerfile"), recipe).expect("the recipe is written");
    let built = Command::new("timeout")
        .args(["240", "docker", "build", "--network=host", "--tag", name])
        .arg(directory.path())
        .stdin(Stdio::null())
        .output()
        .expect("timeout(1) starts");
    if built.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&built.stderr);
    Err(format!(
        "could not build the image {name}: {}",
        said.trim().lines().last().unwrap_or_default()
    ))
}

/// A unique name.
fn fresh_name(kind: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("pgsetup-test-{}-{kind}-{count}", std::process::id())
}

/// A volume, removed when it is dropped.
pub struct Volume(pub String);

impl Volume {
    /// An empty volume.
    pub fn new() -> Self {
        let name = fresh_name("volume");
        docker(["volume", "create", &name]).ok();
        Self(name)
    }

    /// The option that mounts it as the data directory.
    pub fn as_data(&self) -> String {
        format!("--volume={}:{DATA}", self.0)
    }

    /// Runs a shell command as root with the volume as data directory, without the entrypoint.
    #[track_caller]
    pub fn shell(&self, script: &str) -> String {
        let image = image().expect("a test with a volume has an image");
        let mount = format!("{}:nocopy", self.as_data());
        docker([
            "run",
            "--rm",
            "--user=root",
            &mount,
            "--entrypoint=bash",
            image,
            "-c",
            script,
        ])
        .ok()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        docker(["volume", "rm", "--force", &self.0]);
    }
}

/// A network, removed when it is dropped.
pub struct Network(pub String);

impl Network {
    /// A new bridge.
    pub fn new() -> Self {
        let name = fresh_name("network");
        docker(["network", "create", &name]).ok();
        Self(name)
    }

    /// A new bridge with the subnet `PREFIX::/64` of IPv6 as well, or why the engine makes none.
    pub fn with_ipv6(prefix: &str) -> Result<Self, String> {
        let name = fresh_name("network");
        let subnet = format!("--subnet={prefix}::/64");
        match docker(["network", "create", "--ipv6", &subnet, &name]) {
            made if made.status == 0 => Ok(Self(name)),
            refused => Err(format!("no network with IPv6: {}", refused.err.trim())),
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        docker(["network", "rm", &self.0]);
    }
}

/// A container, removed with its anonymous volumes when it is dropped.
pub struct Container {
    /// Its name, which is also its host name in a network.
    pub name: String,
    /// The option of `docker exec` for commands inside: on an image that starts as root, what serves is postgres all the same.
    user: Option<&'static str>,
}

impl Container {
    /// Creates a container of the image under test without starting it.
    #[track_caller]
    pub fn create(options: &[&str], command: &[&str]) -> Self {
        let image = image().expect("a test with a container has an image");
        let mut container = Self::create_from(image, options, command);
        if starts_as_root() && !options.iter().any(|option| option.starts_with("--user")) {
            container.user = Some("--user=postgres");
        }
        container
    }

    /// Creates a container of any image without starting it.
    #[track_caller]
    pub fn create_from(image: &str, options: &[&str], command: &[&str]) -> Self {
        let name = fresh_name("container");
        let fixed = ["create", "--name", &name];
        docker([&fixed, options, &[image], command].concat()).ok();
        Self { name, user: None }
    }

    /// Starts a container, and waits until its server accepts TCP connections.
    #[track_caller]
    pub fn serving(options: &[&str], command: &[&str]) -> Self {
        let container = Self::create(options, command);
        container.start();
        container.wait_until_serving();
        container
    }

    /// Runs a container to its end; gives its exit status and its log.
    #[track_caller]
    pub fn to_the_end(options: &[&str], command: &[&str]) -> Ran {
        Self::create(options, command).run()
    }

    /// Runs it to its end.
    pub fn run(&self) -> Ran {
        docker(["start", "--attach", &self.name])
    }

    /// Copies a file into it, owned by root.
    #[track_caller]
    pub fn copy(&self, path: &str, mode: u32, text: impl AsRef<[u8]>) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("file");
        std::fs::write(&file, text).expect("the file to copy is written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("its mode is set");
        let source = file.to_str().expect("a UTF-8 path");
        docker(["cp", source, &format!("{}:{path}", self.name)]).ok();
    }

    /// Copies a script into the directory of initialisation scripts.
    #[track_caller]
    pub fn copy_script(&self, name: &str, mode: u32, text: impl AsRef<[u8]>) {
        self.copy(&format!("{SCRIPTS}/{name}"), mode, text);
    }

    /// Starts it.
    #[track_caller]
    pub fn start(&self) {
        docker(["start", &self.name]).ok();
    }

    /// Waits until the server accepts TCP connections; fails with the log if it ends instead.
    #[track_caller]
    pub fn wait_until_serving(&self) {
        self.wait_for("pg_isready --quiet --host=127.0.0.1 --username=postgres");
    }

    /// Waits until the log has a text.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        wait_for(&format!("the log of {} has '{text}'", self.name), || {
            self.log().contains(text)
        });
    }

    /// Fails unless the container runs and has no such path.
    #[track_caller]
    pub fn lacks(&self, path: &str) {
        self.shell(&format!("[[ ! -e {path} ]]")).ok();
    }

    /// Opens a session that sleeps, and waits until the server has it.
    #[track_caller]
    pub fn open_session(&self) {
        let session =
            "psql --username=postgres --command='SELECT pg_sleep(600)' </dev/null >/dev/null 2>&1 & disown";
        self.shell(session).ok();
        self.wait_for(&format!("[[ $(psql -U postgres -Atc \"{SESSIONS}\") == 1 ]]"));
    }

    /// Waits inside the container until a shell condition holds, for a minute at most.
    #[track_caller]
    pub fn wait_for(&self, condition: &str) {
        let waiting = self.shell(&format!(
            "deadline=$((SECONDS + 60)); until {condition} >/dev/null 2>&1; do ((SECONDS < deadline)) || exit 9; sleep 0.05; done"
        ));
        assert!(
            waiting.status == 0,
            "this condition never held: {condition} ({waiting:?}); the log:\n{}",
            self.log()
        );
    }

    /// Runs a shell command inside.
    pub fn shell(&self, script: &str) -> Ran {
        let user = self.user.into_iter();
        docker(
            ["exec"]
                .into_iter()
                .chain(user)
                .chain([self.name.as_str(), "bash", "-c", script]),
        )
    }

    /// Runs SQL as the superuser postgres and gives the unaligned result.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        let psql = [
            "exec",
            &self.name,
            "psql",
            "--username=postgres",
            "--no-psqlrc",
            "-Atqc",
            sql,
        ];
        docker(psql).ok()
    }

    /// Runs the health check as the engine does.
    pub fn health(&self) -> Ran {
        docker(["exec", &self.name, HEALTH_CHECK])
    }

    /// Both outputs of the container since it was created.
    #[track_caller]
    pub fn log(&self) -> String {
        let ran = docker(["logs", &self.name]);
        assert!(ran.status == 0, "no log: {ran:?}");
        ran.text()
    }

    /// Sends a signal to process 1 and waits for the end of the container; gives the exit status.
    #[track_caller]
    pub fn end_by(&self, signal: &str) -> i32 {
        docker(["kill", "--signal", signal, &self.name]).ok();
        self.wait()
    }

    /// Waits for its end and gives the exit status.
    #[track_caller]
    pub fn wait(&self) -> i32 {
        docker(["wait", &self.name])
            .ok()
            .parse()
            .expect("docker wait prints a status")
    }

    /// One value of `docker inspect`.
    #[track_caller]
    pub fn inspect(&self, format: &str) -> String {
        docker(["inspect", "--format", format, &self.name]).ok()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = docker(["logs", &self.name]).text();
            let text = format!("the log of {}:\n{log}", self.name);
            if crate::harness::report(&text).is_err() {
                eprintln!("{text}");
            }
        }
        docker(["rm", "--force", "--volumes", &self.name]);
    }
}
