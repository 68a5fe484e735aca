//! Makes the file times of an image independent of the day of its build (reproducible-builds.org, `SOURCE_DATE_EPOCH`).

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use crate::host::{self, Host};
use crate::record::inventory::Inventory;

/// Empty files that dpkg truncates when it is called directly, which only a repair does.
const LOCKS: [&str; 2] = ["/var/lib/dpkg/lock", "/var/lib/dpkg/lock-frontend"];

/// Sets the time of `SOURCE_DATE_EPOCH` on every path that was changed at `since` or later; does nothing if the variable
/// is not set. Files of Debian packages and archives have fixed times of their own. Files of components never get a later
/// time, although their artifacts may have been built before `since`. Returns the number of changed paths.
///
/// # Errors
/// `SOURCE_DATE_EPOCH` is not a number of seconds, or a time cannot be set.
pub fn settle(host: &Host, since: SystemTime, inventory: &Inventory) -> Result<usize> {
    let Some(time) = image_time()? else {
        return Ok(0);
    };
    settle_to(host, since, time, inventory)
}

/// Sets the time of `SOURCE_DATE_EPOCH` on one path if it was changed at `since` or later.
///
/// # Errors
/// `SOURCE_DATE_EPOCH` is not a number of seconds, or the time cannot be set.
pub fn settle_one(host: &Host, path: &str, since: SystemTime) -> Result<()> {
    if let Some(time) = image_time()?
        && host.exists(path)
    {
        host.set_time_back(path, since, time)?;
    }
    Ok(())
}

/// The time of `SOURCE_DATE_EPOCH`; `None` if it is not set.
///
/// # Errors
/// It is not a number of seconds since 1970.
pub fn image_time() -> Result<Option<SystemTime>> {
    let Some(text) = host::variable("SOURCE_DATE_EPOCH") else {
        return Ok(None);
    };
    let seconds = text.parse().ok().map(Duration::from_secs);
    let time = seconds.and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(seconds));
    let complaint = || {
        format!(
            "SOURCE_DATE_EPOCH is `{text}`, which is not a number of seconds since 1970, such as 1767225600"
        )
    };
    time.with_context(complaint).map(Some)
}

fn settle_to(host: &Host, since: SystemTime, time: SystemTime, inventory: &Inventory) -> Result<usize> {
    let mut count = 0;
    host.walk(&[], &mut |path, _| {
        let since = if LOCKS.contains(&path) {
            SystemTime::UNIX_EPOCH
        } else if inventory.find(path).is_some() {
            since.min(time)
        } else {
            since
        };
        count += usize::from(host.set_time_back(path, since, time)?);
        Ok(())
    })?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::inventory::{Content, InstalledFile};

    #[test]
    fn only_new_paths_and_those_of_components_get_the_time() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let day = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 * days);
        for (name, modified) in [("old", day(100)), ("artifact", day(100)), ("new", day(300))] {
            let file = std::fs::File::create(host.path(name)).unwrap();
            file.set_modified(modified).unwrap();
        }
        std::os::unix::fs::symlink("nowhere", host.path("link")).unwrap();
        let mut inventory = Inventory::default();
        inventory.insert(InstalledFile {
            path: "/artifact".to_owned(),
            component: "citus".to_owned(),
            content: Content::Directory,
            mode: 0o644,
            uid: 0,
            gid: 0,
        });
        assert_eq!(settle_to(&host, day(200), day(1), &inventory).unwrap(), 3);
        let time = |name: &str| host.path(name).symlink_metadata().unwrap().modified().unwrap();
        assert_eq!(
            (time("old"), time("artifact"), time("new"), time("link")),
            (day(100), day(1), day(1), day(1))
        );
    }

    #[test]
    fn locks_of_dpkg_get_the_time_whether_they_are_new_or_old() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let day = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 * days);
        std::fs::create_dir_all(host.path("/var/lib/dpkg")).unwrap();
        for (name, modified) in [
            ("lock", day(100)),
            ("lock-frontend", day(300)),
            ("status", day(100)),
        ] {
            let file = std::fs::File::create(host.path("/var/lib/dpkg").join(name)).unwrap();
            file.set_modified(modified).unwrap();
        }
        settle_to(&host, day(200), day(1), &Inventory::default()).unwrap();
        let time = |name: &str| {
            host.path("/var/lib/dpkg")
                .join(name)
                .metadata()
                .unwrap()
                .modified()
                .unwrap()
        };
        assert_eq!(
            (time("lock"), time("lock-frontend"), time("status")),
            (day(1), day(1), day(100))
        );
    }
}
