//! Checks of `cpu_flags`.

use super::Checks;
use crate::manifest::build::CpuFlags;
use crate::target::Architecture;

impl<T> Checks<'_, T> {
    /// Each flag is beyond the baseline of a known architecture, and stands there once.
    pub(super) fn cpu_flags(&mut self, declared: &[CpuFlags]) {
        let mut seen = Vec::new();
        for (position, entry) in declared.iter().enumerate() {
            let path = format!("cpu_flags[{position}]");
            self.says_something(&format!("{path}.reason"), &entry.reason);
            let architecture = match entry.architecture.parse::<Architecture>() {
                Ok(architecture) => architecture,
                Err(unknown) => {
                    self.at(&format!("{path}.architecture"), Err(unknown));
                    continue;
                }
            };
            for (at, flag) in entry.flags.iter().enumerate() {
                let path = format!("{path}.flags[{at}]");
                if !architecture.is_beyond_baseline(flag) {
                    let message = format!(
                        "`{flag}` needs no declaration: it asks for nothing beyond {architecture}'s baseline, {}",
                        architecture.baseline()
                    );
                    self.at(&path, Err(message));
                }
                if seen.contains(&(architecture, flag)) {
                    self.at(
                        &path,
                        Err(format!("`{flag}` is declared twice for {architecture}")),
                    );
                }
                seen.push((architecture, flag));
            }
        }
    }
}
