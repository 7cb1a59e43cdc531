//! `components`: what this binary contains, as YAML in upstream's shape.

use std::fmt::Write;

use pipeline::ComponentKind;

use crate::components::REGISTRY;

/// The whole list.
pub(crate) fn text() -> String {
    let mut text = format!(
        "buildinfo:\n    command: muster\n    description: Prometheus-centric collector for Kubernetes\n    version: {}\n",
        REGISTRY.version
    );
    for kind in ComponentKind::ALL {
        let entries: Vec<_> = REGISTRY.entries.iter().filter(|entry| entry.kind == kind).collect();
        // Writing to a string cannot fail.
        let _infallible =
            writeln!(text, "{}:{}", kind.section(), if entries.is_empty() { " []" } else { "" });
        for entry in entries {
            let _infallible = writeln!(text, "    - name: {}", entry.component_type);
            if !entry.aliases.is_empty() {
                let _infallible = writeln!(text, "      aliases: [{}]", entry.aliases.join(", "));
            }
            if let Some(instead) = entry.deprecated {
                let _infallible = writeln!(text, "      deprecated: {instead}");
            }
            let stability = if entry.deprecated.is_some() { "Deprecated" } else { "Development" };
            if kind == ComponentKind::Extension {
                let _infallible = writeln!(text, "      stability:\n        extension: {stability}");
                continue;
            }
            let _infallible = writeln!(text, "      stability:");
            for signal in entry.signals.iter() {
                let _infallible = writeln!(text, "        {signal}: {stability}");
            }
        }
    }
    text.push_str("providers:\n    - scheme: file\n    - scheme: env\n    - scheme: yaml\n");
    text
}
