//! The plan as a graph for Graphviz: `pgsetup plan --format dot … | dot -Tsvg`.

use std::fmt::Write;

use super::{Lane, Plan};

/// Renders the graph. Each lane has a colour.
pub fn render(plan: &Plan) -> String {
    let mut page = String::from("digraph plan {\n  rankdir=LR;\n  node [shape=box, style=filled];\n");
    for (id, step) in plan.steps.iter().enumerate() {
        let colour = match step.lane {
            Lane::Dpkg => "lightyellow",
            Lane::Net => "lightblue",
            Lane::Cpu => "lightpink",
            Lane::Files => "white",
        };
        let label = step.name.replace('\\', "\\\\").replace('"', "\\\"");
        writeln!(page, "  {id} [label=\"{label}\", fillcolor={colour}];").expect("a string takes all text");
        for need in &step.needs {
            writeln!(page, "  {need} -> {id};").expect("a string takes all text");
        }
    }
    page.push_str("}\n");
    page
}
