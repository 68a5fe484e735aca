//! Checks the paths that an image removes. Without some files an image does not work or cannot be verified.

use super::{Checks, MAJORS};
use crate::layout;
use crate::manifest::Located;
use crate::manifest::image::Image;
use crate::manifest::pattern::PathPattern;
use crate::manifest::python::Patroni;
use crate::resolve::value;

/// Where what goes by path may be.
const PLACES: [&str; 4] = ["/usr", "/opt", "/var", "/etc"];
/// Programs by which a cluster is made, started and asked.
const PROGRAMS: [&str; 5] = ["initdb", "pg_controldata", "pg_ctl", "postgres", "psql"];
/// Files that must stay, and what they are.
const FILES: [(&str, &str); 7] = [
    ("/etc/group", ACCOUNTS),
    ("/etc/gshadow", ACCOUNTS),
    ("/etc/ld.so.cache", "is where programs find their libraries"),
    ("/etc/passwd", ACCOUNTS),
    ("/etc/shadow", ACCOUNTS),
    (layout::DPKG_CONFIGURATION, "tells dpkg of `prune.package_paths`"),
    (
        layout::PROGRAM,
        "is pgsetup itself, which `prune.keep_pgsetup` keeps or leaves out",
    ),
];
const ACCOUNTS: &str = "has the accounts of the image";
/// Files and directories of which nothing may go, and what they are.
const WHOLE: [(&str, &str); 4] = [
    ("/etc/alternatives", "leads to programs of packages"),
    ("/var/lib/dpkg", "is dpkg's record of what is installed"),
    (layout::RECORDS, "has the receipt and the bills of materials"),
    (
        layout::UNFINISHED,
        "is pgsetup's record of an installation that runs",
    ),
];

impl Checks<'_, Image> {
    /// Every path of `prune.paths`.
    pub fn pruned(&mut self, patronis: &[Located<Patroni>]) {
        let image = &self.manifest.value;
        let needed = needed(image, patronis);
        for (position, text) in image.prune.paths.iter().enumerate() {
            let result = PathPattern::new(text)
                .and_then(|pattern| spares(text, &pattern, &needed))
                .and_then(|()| value::absolute_path(text, &PLACES));
            self.at(&format!("prune.paths[{position}]"), result);
        }
    }
}

/// What this image needs of what is in no Debian package, and what it is.
fn needed(image: &Image, patronis: &[Located<Patroni>]) -> Vec<(String, String)> {
    let mut needed = Vec::new();
    for major in MAJORS.into_iter().rev() {
        let programs = PROGRAMS.map(|program| format!("bin/{program}"));
        for part in programs.iter().map(String::as_str).chain(["lib"]) {
            let path = format!("/usr/lib/postgresql/{major}/{part}");
            needed.push((path, "is needed by every server".to_owned()));
        }
        let share = ["postgres.bki", "timezone", "timezonesets"];
        for part in share {
            let path = format!("/usr/share/postgresql/{major}/{part}");
            needed.push((path, "is needed to create a cluster".to_owned()));
        }
        let plpgsql = format!("/usr/lib/postgresql/{major}/lib/plpgsql.so");
        needed.push((plpgsql, "is in every cluster".to_owned()));
    }
    needed.extend(FILES.map(|(path, what)| (path.to_owned(), what.to_owned())));
    if image.patroni {
        let programs = ["bin/patroni", "bin/python", "lib"];
        for patroni in patronis {
            let part = |part| format!("{}/{part}", patroni.value.directory);
            needed.extend(programs.map(|it| (part(it), "is Patroni's".to_owned())));
        }
    }
    needed.push((
        image.user.home.clone(),
        format!("is the home of {}", image.user.name),
    ));
    needed.push((
        image.configuration.clone(),
        "is the `configuration` of the image".to_owned(),
    ));
    let directories = image.directories.iter().map(|directory| directory.path.clone());
    needed.extend(directories.map(|path| (path, "is one of the `directories` of the image".to_owned())));
    needed
}

/// Rejects a pattern that matches something that is needed.
fn spares(text: &str, pattern: &PathPattern, needed: &[(String, String)]) -> Result<(), String> {
    let mut needed = needed.iter().map(|(path, what)| (path.as_str(), what.as_str()));
    let taken = needed.find(|(path, _)| pattern.takes(path));
    let reached = || WHOLE.into_iter().find(|(path, _)| pattern.reaches(path));
    match taken.or_else(reached) {
        None => Ok(()),
        Some((path, what)) => {
            let it = if path == text { "it" } else { path };
            Err(format!("`{text}` must not be removed: {it} {what}"))
        }
    }
}
