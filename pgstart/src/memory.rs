//! Memory settings from the container's limit. Without a limit there are none: on a laptop a database must not take what is not its own.
//!
//! Shared memory that a statement needs beyond `shared_buffers` (a parallel hash join, a parallel build of an HNSW index, a parallel
//! VACUUM) is bounded by the size of /dev/shm, not by the container's memory, as long as it is POSIX shared memory. Engines make /dev/shm
//! 64 MB, which suits PostgreSQL's default of 4 MB for `work_mem` and little more. So where the derived settings may need more than
//! /dev/shm has, that memory becomes System V shared memory, which the kernel takes from the same place (both are tmpfs) without a size of its
//! own. Where the kernel's settings forbid that, the derived settings are lowered to what /dev/shm can hold.

use std::path::{Path, PathBuf};

const MB: u64 = 1024 * 1024;
/// At least this much of shared memory stands behind each byte of `work_mem`, as 64 MB do behind PostgreSQL's default of 4 MB.
const SHARED_PER_WORK_MEM: u64 = 16;
/// PostgreSQL's own default.
const DEFAULT_WORK_MEM: u64 = 4 * MB;
/// Below this PostgreSQL does not work well.
const MIN_LIMIT: u64 = 128 * MB;

/// Where the machine is looked at.
#[derive(Debug)]
pub struct Machine {
    /// `/sys/fs/cgroup`.
    pub cgroup: PathBuf,
    /// `/proc`.
    pub proc: PathBuf,
    /// `/dev/shm`.
    pub shm: PathBuf,
}

/// What the container may use, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All of its memory.
    pub memory: u64,
    /// /dev/shm.
    pub shm: u64,
    /// Whether System V shared memory can take what /dev/shm cannot.
    pub system_v: bool,
}

/// How large a part of shared memory a statement may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dynamic {
    /// /dev/shm has enough.
    Posix,
    /// More than /dev/shm has, as System V shared memory.
    SystemV,
    /// What /dev/shm has, so these settings are lower than the memory would allow: `work_mem` and `maintenance_work_mem`.
    Lowered(u64, u64),
}

/// What a person should know of the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// Something is wrong with them.
    Warning(String),
    /// Something could be better.
    Note(String),
}

/// The derived settings, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// `shared_buffers`.
    pub shared_buffers: u64,
    /// `effective_cache_size`.
    pub effective_cache_size: u64,
    /// `maintenance_work_mem`.
    pub maintenance_work_mem: u64,
    /// `work_mem`.
    pub work_mem: u64,
    /// What becomes of the shared memory of statements.
    pub dynamic: Dynamic,
}

impl Machine {
    /// The limits, or `None` where the container's memory has none.
    pub fn limits(&self) -> Option<Limits> {
        let total = self.number("meminfo", |text| {
            let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
            line.trim()
                .strip_suffix(" kB")?
                .parse::<u64>()
                .ok()?
                .checked_mul(1024)
        });
        let limit = self
            .cgroup_files()
            .iter()
            .filter_map(|file| limit_in(file))
            .min()?;
        let total = total.unwrap_or(u64::MAX);
        // Version 1 says "no limit" with a number near 2^63.
        (limit < 1 << 60).then_some(Limits {
            memory: limit.min(total),
            shm: rustix::fs::statvfs(&self.shm).map_or(0, |shm| shm.f_blocks * shm.f_frsize),
            system_v: self.has_system_v(),
        })
    }

    /// The files that may limit this process: of its control group and those above it, in version 2 and version 1. A container sees its own
    /// group as the root, or not, depending on namespaces and mounts.
    fn cgroup_files(&self) -> Vec<PathBuf> {
        let groups = std::fs::read_to_string(self.proc.join("self/cgroup")).unwrap_or_default();
        let mut files = Vec::new();
        for line in groups.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, group) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let (root, names): (_, &[&str]) = if controllers.is_empty() {
                (self.cgroup.clone(), &["memory.max", "memory.high"])
            } else if controllers.split(',').any(|name| name == "memory") {
                (self.cgroup.join("memory"), &["memory.limit_in_bytes"])
            } else {
                continue;
            };
            let group = Path::new(group.trim_start_matches('/'));
            let inside = group
                .components()
                .all(|part| matches!(part, std::path::Component::Normal(_)));
            let above = group.ancestors().filter(|_| inside).map(|group| root.join(group));
            let directories: Vec<PathBuf> = above.chain([root.clone()]).collect();
            files.extend(
                directories
                    .iter()
                    .flat_map(|directory| names.iter().map(|name| directory.join(name))),
            );
        }
        files
    }

    /// Whether the kernel's bounds on System V shared memory are out of the way, and it keeps what no process is attached to at the moment.
    fn has_system_v(&self) -> bool {
        let bound = |name: &str| self.number(&format!("sys/kernel/{name}"), |text| text.trim().parse().ok());
        let pages = bound("shmall").unwrap_or(0);
        bound("shmmax").is_some_and(|bytes| bytes >= 1 << 40)
            && pages.saturating_mul(4096) >= 1 << 40
            && bound("shm_rmid_forced") == Some(0)
    }

    fn number(&self, file: &str, parse: impl Fn(&str) -> Option<u64>) -> Option<u64> {
        parse(&std::fs::read_to_string(self.proc.join(file)).ok()?)
    }
}

/// What a file of a control group gives as limit; version 2 says "no limit" with a word.
fn limit_in(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

impl Settings {
    /// The shares are the manual's advice ("a reasonable starting value for `shared_buffers` is 25%"); `work_mem` is for the default of 100
    /// connections, a quarter of which sort at one time.
    pub fn derive(limits: Limits) -> Self {
        let memory = limits.memory / MB * MB;
        let mut settings = Self {
            shared_buffers: (memory / 4).clamp(16 * MB, 16_384 * MB),
            effective_cache_size: (memory / 4 * 3).clamp(64 * MB, 1_048_576 * MB),
            maintenance_work_mem: (memory / 16).clamp(16 * MB, 2047 * MB),
            work_mem: (memory / 100).clamp(2 * MB, 256 * MB),
            dynamic: Dynamic::Posix,
        };
        if settings.shared_need() <= limits.shm {
            return settings;
        }
        if limits.system_v {
            settings.dynamic = Dynamic::SystemV;
            return settings;
        }
        settings.dynamic = Dynamic::Lowered(settings.work_mem, settings.maintenance_work_mem);
        settings.work_mem = settings
            .work_mem
            .min((limits.shm / SHARED_PER_WORK_MEM).max(DEFAULT_WORK_MEM));
        settings.maintenance_work_mem = settings.maintenance_work_mem.min((limits.shm / 2).max(16 * MB));
        settings
    }

    /// What statements may need of shared memory at one time.
    fn shared_need(&self) -> u64 {
        // An index build has some structures of its own beside `maintenance_work_mem`.
        let build = self.maintenance_work_mem + self.maintenance_work_mem / 8;
        (self.work_mem * SHARED_PER_WORK_MEM).max(DEFAULT_WORK_MEM * SHARED_PER_WORK_MEM) + build
    }

    /// Lines of postgresql.conf.
    pub fn render(&self) -> String {
        let line = |name, bytes: u64| format!("{name} = {}MB\n", bytes / MB);
        [
            line("shared_buffers", self.shared_buffers),
            line("effective_cache_size", self.effective_cache_size),
            line("maintenance_work_mem", self.maintenance_work_mem),
            line("work_mem", self.work_mem),
        ]
        .concat()
    }

    /// The line of postgresql.conf that has to win over the user's file, because initdb writes PostgreSQL's default into it as if someone
    /// had chosen it. Anything but that default in the file, whose text this is, is a choice.
    pub fn render_dynamic(&self, file: &str) -> &'static str {
        match self.dynamic {
            Dynamic::SystemV if matches!(chosen_type(file).as_deref(), None | Some("posix")) => {
                "dynamic_shared_memory_type = sysv\n"
            }
            _ => "",
        }
    }

    /// What a person should know of these settings.
    pub fn advice(&self, limits: Limits) -> Option<Advice> {
        let shm = limits.shm / MB;
        match self.dynamic {
            Dynamic::Posix => None,
            Dynamic::SystemV => Some(Advice::Note(format!(
                "/dev/shm has {shm} MB, and parallel statements may need {need} MB with these settings: they get System V shared memory, \
                 which only the container's memory limits. A shm_size of {need}m would allow POSIX shared memory instead",
                need = self.shared_need() / MB
            ))),
            Dynamic::Lowered(work_mem, maintenance_work_mem) => {
                let full = Self {
                    maintenance_work_mem,
                    work_mem,
                    ..*self
                };
                Some(Advice::Note(format!(
                    "/dev/shm has {shm} MB, so work_mem is {} MB and maintenance_work_mem {} MB: a shm_size of {}m would allow {} MB and {} MB",
                    self.work_mem / MB,
                    self.maintenance_work_mem / MB,
                    full.shared_need() / MB,
                    work_mem / MB,
                    maintenance_work_mem / MB
                )))
            }
        }
    }
}

impl Limits {
    /// What a person should know of the limits, whatever is derived from them.
    pub fn advice(self) -> Option<Advice> {
        let memory = self.memory / MB;
        (self.memory < MIN_LIMIT).then(|| {
            Advice::Warning(format!(
                "the container may use {memory} MB of memory; PostgreSQL wants 128 MB or more"
            ))
        })
    }
}

/// The last `dynamic_shared_memory_type` in the text of a postgresql.conf.
fn chosen_type(text: &str) -> Option<String> {
    const NAME: &str = "dynamic_shared_memory_type";
    let mut values = text.lines().filter_map(|line| {
        let (name, rest) = line.trim_start().split_at_checked(NAME.len())?;
        let is_setting = name.eq_ignore_ascii_case(NAME) && rest.starts_with([' ', '\t', '=']);
        let value = rest
            .trim_start()
            .trim_start_matches('=')
            .trim_start()
            .trim_start_matches('\'');
        let end = value
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(value.len());
        is_setting.then(|| value[..end].to_ascii_lowercase())
    });
    values.next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine whose files are these, and whose /dev/shm is a directory of the file system.
    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Machine) {
        let root = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            std::fs::write(path, text).expect("a file");
        }
        let machine = Machine {
            cgroup: root.path().join("cgroup"),
            proc: root.path().join("proc"),
            shm: root.path().to_owned(),
        };
        (root, machine)
    }

    fn memory(files: &[(&str, &str)]) -> Option<u64> {
        let (_root, machine) = machine(files);
        machine.limits().map(|limits| limits.memory)
    }

    const TOTAL: (&str, &str) = ("proc/meminfo", "MemTotal:        8388608 kB\nMemFree: 1 kB\n");

    #[test]
    fn version_2_gives_the_limit_of_the_group_and_of_those_above_it() {
        let own = ("proc/self/cgroup", "0::/\n");
        assert_eq!(memory(&[TOTAL, own, ("cgroup/memory.max", "max\n")]), None);
        assert_eq!(memory(&[TOTAL, own]), None);
        assert_eq!(
            memory(&[TOTAL, own, ("cgroup/memory.max", "536870912\n")]),
            Some(512 * MB)
        );
        let below = ("proc/self/cgroup", "0::/pod/container\n");
        let files = [
            TOTAL,
            below,
            ("cgroup/pod/container/memory.max", "max\n"),
            ("cgroup/pod/container/memory.high", "1073741824\n"),
            ("cgroup/pod/memory.max", "536870912\n"),
        ];
        assert_eq!(memory(&files), Some(512 * MB));
        assert_eq!(memory(&files[..4]), Some(1024 * MB));
    }

    #[test]
    fn version_1_gives_the_limit_of_the_memory_controller() {
        let groups = (
            "proc/self/cgroup",
            "9:name=systemd:/docker/1\n4:cpu,memory:/docker/1\n0::/\n",
        );
        let unlimited = ("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(memory(&[TOTAL, groups, unlimited]), None);
        let limited = ("cgroup/memory/memory.limit_in_bytes", "2147483648\n");
        assert_eq!(memory(&[TOTAL, groups, limited]), Some(2048 * MB));
        let below = ("cgroup/memory/docker/1/memory.limit_in_bytes", "1073741824\n");
        assert_eq!(memory(&[TOTAL, groups, limited, below]), Some(1024 * MB));
    }

    #[test]
    fn a_group_outside_of_what_is_mounted_is_not_looked_for() {
        let outside = ("proc/self/cgroup", "0::/../other\n");
        assert_eq!(memory(&[TOTAL, outside, ("other/memory.max", "1048576\n")]), None);
        assert_eq!(
            memory(&[TOTAL, outside, ("cgroup/memory.max", "536870912\n")]),
            Some(512 * MB)
        );
    }

    #[test]
    fn a_limit_above_the_machines_memory_is_the_machines_memory() {
        let own = ("proc/self/cgroup", "0::/\n");
        assert_eq!(
            memory(&[TOTAL, own, ("cgroup/memory.max", "68719476736\n")]),
            Some(8192 * MB)
        );
    }

    #[test]
    fn system_v_is_usable_where_the_kernel_bounds_nothing() {
        let bounds = |max: &str, all: &str, forced: &str| {
            let files = [
                ("proc/sys/kernel/shmmax", max),
                ("proc/sys/kernel/shmall", all),
                ("proc/sys/kernel/shm_rmid_forced", forced),
            ];
            let (_root, machine) = machine(&files);
            machine.has_system_v()
        };
        assert!(bounds("18446744073692774399\n", "18446744073692774399\n", "0\n"));
        assert!(!bounds("33554432\n", "18446744073692774399\n", "0\n"));
        assert!(!bounds("18446744073692774399\n", "2097152\n", "0\n"));
        assert!(!bounds("18446744073692774399\n", "18446744073692774399\n", "1\n"));
        assert!(!machine(&[]).1.has_system_v());
    }

    fn limits(memory: u64, shm: u64, system_v: bool) -> Limits {
        Limits {
            memory: memory * MB,
            shm: shm * MB,
            system_v,
        }
    }

    #[test]
    fn settings_are_shares_of_the_limit() {
        let settings = Settings::derive(limits(2048, 4096, true));
        assert_eq!(
            settings.render(),
            "shared_buffers = 512MB\neffective_cache_size = 1536MB\nmaintenance_work_mem = 128MB\nwork_mem = 20MB\n"
        );
        assert_eq!(settings.dynamic, Dynamic::Posix);
        assert_eq!(settings.render_dynamic("dynamic_shared_memory_type = posix"), "");
        assert_eq!(settings.advice(limits(2048, 4096, true)), None);
    }

    #[test]
    fn a_small_shm_is_replaced_and_lowers_nothing() {
        for memory in [512, 1024, 2048, 8192] {
            let small = limits(memory, 64, true);
            let settings = Settings::derive(small);
            let ample = Settings::derive(limits(memory, 1 << 20, true));
            assert_eq!(settings.render(), ample.render());
            for file in [
                "",
                "dynamic_shared_memory_type = posix\t# the default",
                "#dynamic_shared_memory_type = mmap\n",
                "dynamic_shared_memory_type = mmap\nDynamic_Shared_Memory_Type 'posix'\n",
            ] {
                assert_eq!(
                    settings.render_dynamic(file),
                    "dynamic_shared_memory_type = sysv\n",
                    "{file}"
                );
            }
            for file in [
                "dynamic_shared_memory_type = mmap\n",
                "  dynamic_shared_memory_type='mmap'",
            ] {
                assert_eq!(settings.render_dynamic(file), "", "the user's choice: {file}");
            }
            let Some(Advice::Note(note)) = settings.advice(small) else {
                panic!("nothing is said")
            };
            assert!(note.contains("shm_size"), "{note}");
        }
    }

    #[test]
    fn without_system_v_settings_fit_into_shm() {
        for memory in [512, 1024, 2048, 8192] {
            let small = limits(memory, 64, false);
            let settings = Settings::derive(small);
            assert!(settings.work_mem <= DEFAULT_WORK_MEM.max(small.shm / SHARED_PER_WORK_MEM));
            assert!(settings.maintenance_work_mem <= small.shm / 2);
            assert_eq!(settings.render_dynamic(""), "");
            assert!(
                matches!(settings.advice(small), Some(Advice::Note(note)) if note.contains("would allow"))
            );
        }
    }

    #[test]
    fn too_little_memory_is_told() {
        let little = limits(64, 1024, true);
        let warning = "the container may use 64 MB of memory; PostgreSQL wants 128 MB or more";
        assert_eq!(little.advice(), Some(Advice::Warning(warning.to_owned())));
        assert_eq!(limits(128, 64, true).advice(), None);
    }
}
