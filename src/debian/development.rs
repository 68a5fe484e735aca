//! The Debian packages that database extensions build with. `development.tsv` has them; its first lines say where the table
//! comes from.

const TABLE: &str = include_str!("development.tsv");

/// The package of a header, `-llibrary`, `pc:module` or `run:program`, and the directory to name to the compiler, or `-`.
pub fn package_of(name: &str) -> Option<(&'static str, &'static str)> {
    rows().find_map(|row| {
        let mut columns = row.split('\t');
        let (package, below, names) = (columns.next()?, columns.next()?, columns.next()?);
        let is_it = |known: &str| known == name || known.ends_with('/') && name.starts_with(known);
        names.split(' ').any(is_it).then_some((package, below))
    })
}

fn rows() -> impl Iterator<Item = &'static str> {
    TABLE.lines().filter(|line| !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_columns() {
        for row in rows() {
            let columns: Vec<&str> = row.split('\t').collect();
            assert_eq!(columns.len(), 3, "{row}");
            assert!(columns.iter().all(|column| !column.is_empty()), "{row}");
        }
    }
}
