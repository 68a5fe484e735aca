//! Checks of single values: what a path, a package name, a mode, an address may look like.
//!
//! Each takes the text as written and returns the fault as half a sentence, without its position.

use crate::manifest::build::NINJA;

/// The result of a check that says on demand what is wrong.
fn accept(is_right: bool, wrong: impl FnOnce() -> String) -> Result<(), String> {
    is_right.then_some(()).ok_or_else(wrong)
}

/// Checks an absolute path without `.` and `..`, below one of `tops` if there are any.
///
/// # Errors
/// Says why the text is not such a path.
pub fn absolute_path(text: &str, tops: &[&str]) -> Result<(), String> {
    if !text.starts_with('/') {
        return Err(format!("`{text}` must be an absolute path"));
    }
    let clean = text[1..].split('/').all(|part| !matches!(part, "" | "." | ".."));
    if !clean || text.contains('\0') {
        return Err(format!(
            "`{text}` must be a plain path, without `.`, `..` or an empty part"
        ));
    }
    let below = |top: &&str| text.strip_prefix(*top).is_some_and(|rest| rest.starts_with('/'));
    if !tops.is_empty() && !tops.iter().any(below) {
        return Err(format!("`{text}` must be below {}", tops.join(" or ")));
    }
    Ok(())
}

/// Checks a path below a source tree.
///
/// # Errors
/// Says why the text is not such a path.
pub fn relative_path(text: &str) -> Result<(), String> {
    let clean = text.split('/').all(|part| !matches!(part, "" | "." | ".."));
    accept(clean, || {
        format!("`{text}` must be a path inside the source tree, without `..`")
    })
}

/// Checks a name of a Debian package (Debian policy 5.6.1).
///
/// # Errors
/// Says why the text is not such a name.
pub fn package_name(text: &str) -> Result<(), String> {
    let first = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let rest = text
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c));
    accept(text.len() >= 2 && first && rest, || {
        format!("`{text}` cannot be a Debian package: lower case letters, digits, `+`, `-` and `.`")
    })
}

/// Checks a library as `dlopen` takes it, or a path below a library directory.
///
/// # Errors
/// Says why the text is not a library.
pub fn library(text: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_+-./".contains(c);
    let is_inside = !text.split('/').any(|part| part == "..");
    accept(
        text.contains(".so") && text.chars().all(fits) && is_inside && !text.ends_with('/'),
        || format!("`{text}` cannot be a shared library: `libNAME.so.1`, or a path that ends so"),
    )
}

/// Checks a program that is looked up on PATH.
///
/// # Errors
/// Says why the text is not a program.
pub fn program(text: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_+-.[".contains(c);
    accept(!text.is_empty() && text.chars().all(fits), || {
        format!("`{text}` cannot be a program: its name, without a directory")
    })
}

/// Checks a manifest's own name.
///
/// # Errors
/// Says why the text is not such a name.
pub fn name(text: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.".contains(c);
    accept(
        !text.is_empty() && text.len() <= 63 && text.chars().all(fits),
        || format!("`{text}` cannot be a name: lower case letters, digits, `_`, `-` and `.`"),
    )
}

/// Checks a user name that Debian's useradd accepts.
///
/// # Errors
/// Says why the text is not such a name.
pub fn user_name(text: &str) -> Result<(), String> {
    let first = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let rest = text
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c));
    accept(first && rest && text.len() <= 32, || {
        format!("`{text}` cannot be a user name")
    })
}

/// Checks a version. It becomes a part of file names.
///
/// # Errors
/// Says why the text is not a version.
pub fn version(text: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._+~-".contains(c);
    accept(
        !text.is_empty() && text.chars().all(fits) && !text.starts_with(['.', '-']),
        || format!("`{text}` cannot be a version: letters, digits, `.`, `_`, `+`, `~` and `-`"),
    )
}

/// Parses permissions in octal.
///
/// # Errors
/// Says why the text is not a mode.
pub fn mode(text: &str) -> Result<u32, String> {
    let octal = text.len() >= 3 && text.len() <= 4;
    let mode = u32::from_str_radix(text, 8).ok().filter(|_| octal);
    mode.ok_or_else(|| format!("`{text}` must be permissions in octal, such as \"0700\""))
}

/// Checks the name of a setting of PostgreSQL or of an extension.
///
/// # Errors
/// Says why the text is not such a name.
pub fn setting_name(text: &str) -> Result<(), String> {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && part
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    accept(text.split('.').count() <= 2 && text.split('.').all(part), || {
        format!("`{text}` cannot be a PostgreSQL setting")
    })
}

/// Checks the value of a PostgreSQL setting, which is one line.
///
/// # Errors
/// Says why the text is not such a value.
pub fn setting_value(text: &str) -> Result<(), String> {
    let is_one_line = !text.contains(['\n', '\r', '\0']);
    accept(is_one_line, || "a setting's value must be one line".to_owned())
}

/// The words of a script for a shell.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || ";|&()\"'`".contains(c))
}

/// Checks an argument of a program that runs another one. ninja is told its jobs only if it is the program itself.
///
/// # Errors
/// Says why the argument is not allowed.
pub fn script(text: &str) -> Result<(), String> {
    let is_ninja = |word: &&str| NINJA.contains(&word.rsplit('/').next().unwrap_or(word));
    match words(text).find(is_ninja) {
        None => Ok(()),
        Some(word) => Err(format!(
            "`{word}` in a script gets no number of jobs and runs one for each processor"
        )),
    }
}

/// Whether a word or a value names cmake's generator for ninja: `-G Ninja`, `-GNinja`, `CMAKE_GENERATOR=Ninja`.
pub fn is_for_ninja(text: &str) -> bool {
    words(text).any(|word| {
        let word = word.strip_prefix("-G").unwrap_or(word);
        word.rsplit('=').next() == Some("Ninja")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(function: impl Fn(&str) -> Result<(), String>, right: &[&str], wrong: &[&str]) {
        for text in right {
            assert_eq!(function(text), Ok(()), "{text:?}");
        }
        for text in wrong {
            assert!(function(text).is_err(), "{text:?} must be refused");
        }
    }

    #[test]
    fn values_are_told_from_what_only_looks_like_them() {
        check(
            |t| absolute_path(t, &[]),
            &["/a/b", "/a"],
            &["a", "/", "/a//b", "/a/../b", "/a/", "/./a", ""],
        );
        check(
            |t| absolute_path(t, &["/etc/x"]),
            &["/etc/x/y"],
            &["/etc/x", "/etc/xy", "/y"],
        );
        check(relative_path, &["a", "a/b.c"], &["/a", "../a", "a/..", ""]);
        check(
            package_name,
            &["libc6-dev", "g++", "0ad"],
            &["Libc6", "a", "-x", "a b", "a=1"],
        );
        check(name, &["pg_cron", "15-apt"], &["", "Citus", "a/b"]);
        check(user_name, &["postgres", "_x"], &["0x", "a:b", ""]);
        check(version, &["14.0.1", "REL4_1_0"], &["", "1 0", "../1", ".1"]);
        check(
            setting_name,
            &["work_mem", "citus.node_conninfo"],
            &["a b", "A", "a.b.c", "1a"],
        );
        check(
            script,
            &["-GNinja", "cmake --build build", "ninja_files.sh", "make all"],
            &["ninja -C build", "cd x && /usr/bin/ninja", "(samu)"],
        );
        for text in [
            "Ninja",
            "-GNinja",
            "cmake -G Ninja .",
            "CMAKE_GENERATOR=Ninja",
            "Ninja Multi-Config",
        ] {
            assert!(is_for_ninja(text), "{text}");
        }
        assert!(!is_for_ninja("ninja") && !is_for_ninja("-GUnix Makefiles"));
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(mode("0700"), Ok(0o700));
        assert_eq!(mode("2775"), Ok(0o2775));
        assert!(mode("0800").is_err());
        assert!(mode("7").is_err());
    }
}
