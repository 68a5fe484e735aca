//! Builds the plan of an installation.

use super::builder::{Builder, Id, brings};
use super::{Action, Lane, Phase, Plan, WantedPackage, cluster};
use crate::layout;
use crate::resolve::{Declared, Previous, Resolved, Setting};

/// The plan that installs `resolved`.
pub fn build(resolved: &Resolved) -> Plan {
    let mut plan = Builder::new(resolved);
    plan.build();
    plan.plan(leaves(resolved))
}

impl Builder<'_> {
    fn build(&mut self) {
        let resolved = self.resolved;
        let user = &resolved.user;
        let base = self.base();
        let tools = &base.tools;
        // This runs after the packages, because scripts of Debian's servers change the mode of /var/log/postgresql.
        let directories = Action::CreateDirectories {
            directories: resolved.directories.clone(),
            user: user.clone(),
        };
        let directories = self.step("create directories", Lane::Files, 1, &[tools.all], directories);
        let mut installed: Vec<Id> = vec![directories];
        for (postgresql, extensions) in resolved.servers() {
            let server = self.server(postgresql, &base);
            installed.push(server.all);
            for one in extensions {
                installed.push(self.extension(one, &base, &server));
            }
            let own = resolved.patroni.iter();
            for patroni in own.filter(|_| postgresql.component.older_major.is_none()) {
                installed.push(self.patroni(patroni, &base, &server));
            }
        }
        installed.extend(self.locale(&base));
        let text = configuration(&resolved.settings, &resolved.required_preload);
        let configuration = self.file(&resolved.configuration, text, directories);
        for setting in &resolved.settings {
            self.reason(
                configuration,
                format!("{} = {}: {}", setting.name, setting.value, setting.wanted_by),
            );
        }
        installed.push(configuration);
        self.finish(&installed);
    }

    /// The steps after everything is installed.
    fn finish(&mut self, installed: &[Id]) {
        let resolved = self.resolved;
        let policy = &resolved.prune;
        let mut installed = installed.to_vec();
        if policy.keep_pgsetup {
            let keep = self.step("keep pgsetup", Lane::Files, 1, &installed, Action::KeepProgram);
            self.reason(
                keep,
                format!("the image's policy: it stays in {}", layout::PROGRAM),
            );
            installed = vec![keep];
        }
        // Files go before packages, so that no package is kept for a file that is removed.
        let prune = self.step(
            "prune files",
            Lane::Files,
            1,
            &installed,
            Action::Prune(policy.clone()),
        );
        let kinds: Vec<&str> = policy.remove.iter().map(|removal| removal.name()).collect();
        self.reason(prune, format!("the image's policy: {}", kinds.join(", ")));
        let mut last = prune;
        if !resolved.keep_build_packages {
            let keep: Vec<WantedPackage> = self
                .packages
                .iter()
                .filter(|package| package.phase == Phase::Runtime)
                .cloned()
                .collect();
            let remove = Action::RemoveBuildPackages {
                keep,
                declared: resolved.declared(),
            };
            last = self.step("remove build packages", Lane::Dpkg, 10, &[last], remove);
            self.reason(
                last,
                "besides the run-time packages, those stay that hold a shared library in use",
            );
        }
        let leftovers = Action::RemoveLeftovers(policy.clone());
        last = self.step("remove leftovers", Lane::Files, 1, &[last], leftovers);
        last = self.check_libraries(last);
        let stock = Action::TakeStock(Box::new(resolved.clone()));
        let stock = self.step("take stock of the image", Lane::Files, 3, &[last], stock);
        self.reason(
            stock,
            "files are hashed while extensions are tested; the receipt is compared with the machine after that",
        );
        for (postgresql, extensions) in resolved.servers() {
            let of = match postgresql.component.older_major {
                None => String::new(),
                Some(major) => format!(" of PostgreSQL {major}"),
            };
            let name = format!("try every extension{of} in a throw-away cluster");
            let try_out = Action::TryOut(Box::new(cluster::try_out(resolved, postgresql, extensions)));
            last = self.step(name, Lane::Cpu, 10, &[last], try_out);
            for extension in extensions {
                self.excuses(last, extension);
            }
        }
        self.step(
            "remove the throw-away cluster",
            Lane::Cpu,
            1,
            &[last],
            Action::RemoveCluster,
        );
        self.step(
            format!("write {}/receipt.json", layout::RECORDS),
            Lane::Files,
            1,
            &[stock, last],
            Action::WriteReceipt(Box::new(resolved.clone())),
        );
    }

    fn check_libraries(&mut self, after: Id) -> Id {
        let resolved = self.resolved;
        let check = self.step(
            "check shared libraries",
            Lane::Files,
            1,
            &[after],
            Action::CheckLibraries {
                declared: resolved.declared(),
            },
        );
        self.reason(check, "nothing that was removed may be missed");
        let Declared {
            libraries, programs, ..
        } = resolved.declared();
        for (library, by) in libraries {
            self.reason(check, format!("{library} is opened by {}", by.join(", ")));
        }
        for (program, by) in programs {
            self.reason(check, format!("{program} is called by {}", by.join(", ")));
        }
        check
    }
}

/// The text of the image's settings file. Values are quoted as in postgresql.conf. The entrypoint reads the libraries
/// that data may need from the comment that names them.
pub fn configuration(settings: &[Setting], required_preload: &[String]) -> String {
    let mut text =
        "# Settings of this image, written by pgsetup from its manifests. The server's own configuration\n\
                    # file, ALTER SYSTEM and the command line override them.\n"
            .to_owned();
    if !required_preload.is_empty() {
        let libraries = required_preload.join(" ");
        text.push_str(&format!("# preload.required: {libraries}\n"));
    }
    for setting in settings {
        text.push_str(&format!(
            "{} = '{}'\n",
            setting.name,
            setting.value.replace('\'', "''")
        ));
    }
    text
}

fn leaves_of_previous(previous: &Previous) -> impl Iterator<Item = String> {
    let (server, major) = (&previous.postgresql, previous.postgresql.major);
    let extensions: Vec<&str> = previous
        .extensions
        .iter()
        .map(|one| one.component.name.as_str())
        .collect();
    let first = format!(
        "PostgreSQL {} in {}, to upgrade data from, with {}",
        server.component.version,
        server.prefix(),
        if extensions.is_empty() {
            "no extension".to_owned()
        } else {
            extensions.join(", ")
        }
    );
    let left_out = previous
        .left_out
        .iter()
        .map(move |(name, reason)| format!("no {name} for PostgreSQL {major}: {reason}"));
    std::iter::once(first).chain(left_out)
}

/// What the finished image contains, one line each.
pub fn leaves(resolved: &Resolved) -> Vec<String> {
    let postgresql = &resolved.postgresql;
    let mut leaves = vec![format!(
        "{} in {}",
        postgresql.component.title(),
        postgresql.prefix()
    )];
    for extension in &resolved.extensions {
        leaves.push(format!("{} ({})", extension.component.title(), brings(extension)));
    }
    if let Some(patroni) = &resolved.patroni {
        leaves.push(format!("{} in {}", patroni.component.title(), patroni.directory));
    }
    for one in &resolved.previous {
        leaves.extend(leaves_of_previous(one));
    }
    leaves.push(format!("settings in {}", resolved.configuration));
    leaves.push(format!(
        "user {} ({}:{})",
        resolved.user.name, resolved.user.uid, resolved.user.gid
    ));
    if resolved.prune.keep_pgsetup {
        leaves.push(format!("pgsetup in {}", layout::PROGRAM));
    }
    for (name, reason) in &resolved.left_out {
        leaves.push(if reason.starts_with("it requires ") {
            format!("not {name}: {reason}")
        } else {
            format!("not {name}, whose source could not be fetched: {reason}")
        });
    }
    leaves.push(format!(
        "the record of it all in {}/receipt.json",
        layout::RECORDS
    ));
    leaves
}
