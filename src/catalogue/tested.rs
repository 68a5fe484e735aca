//! What was tested of the embedded manifests, from the table that `make catalogue` writes for readers.

use std::collections::BTreeMap;

/// A release that passed its tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    /// The release.
    pub version: String,
    /// The server's version: `18.6`.
    pub postgresql: String,
    /// The day, `2026-11-25`.
    pub date: String,
}

/// Reads the table: for each extension and major, the release that was tested.
pub fn read(page: &str) -> BTreeMap<(String, u16), Tested> {
    let mut majors: Vec<u16> = Vec::new();
    let mut tested = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if cells[0] == "extension" {
            let heads = cells[1..]
                .iter()
                .filter_map(|head| head.strip_prefix("PostgreSQL "));
            majors = heads.filter_map(|major| major.parse().ok()).collect();
            continue;
        }
        let name = cells[0].trim_start_matches('[');
        let name = name.split(']').next().unwrap_or(name);
        for (major, cell) in majors.iter().zip(&cells[1..]) {
            if let Some(one) = cell.strip_prefix("**tested** ").and_then(cell_of) {
                tested.insert((name.to_owned(), *major), one);
            }
        }
    }
    tested
}

/// ``14.0.1 `cb97770a` on 18.6, 2026-11-25``, or `18.6, 2026-11-25` of a module, which has the server's version.
fn cell_of(cell: &str) -> Option<Tested> {
    let (what, date) = cell.rsplit_once(", ")?;
    let (what, postgresql) = what.rsplit_once(" on ").unwrap_or((what, what));
    Some(Tested {
        version: what.split(' ').next().unwrap_or_default().to_owned(),
        postgresql: postgresql.to_owned(),
        date: date.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_says_what_was_tested_where_and_when() {
        let page = "| extension | PostgreSQL 17 | PostgreSQL 18 |\n|---|---|---|\n| [citus](https://x) | *declared* 14.0.1 | \
                    **tested** 14.0.1 `cb97770a` on 18.6, 2026-11-25 |\n| [amcheck](https://y) | no: a | b |\n";
        let all = read(page);
        let expected = Tested {
            version: "14.0.1".to_owned(),
            postgresql: "18.6".to_owned(),
            date: "2026-11-25".to_owned(),
        };
        assert_eq!(all, BTreeMap::from([(("citus".to_owned(), 18), expected)]));
    }

    #[test]
    fn the_table_of_this_release_is_read_whole() {
        let page = crate::catalogue::tested_page();
        let count = page.matches("**tested** ").count();
        assert!(count > 100, "{count}");
        assert_eq!(read(page).len(), count);
    }
}
