/// The reference of all keys as Markdown; `docs/configuration.md` is this text.
package enum ConfigurationReference {
    package static var markdown: String {
        var text = """
            # Configuration

            This page is made from the program's table of keys (`session-gateway check --reference`); do not edit it.

            The configuration is one YAML file of at most 1 MiB. `session-gateway check --config gateway.yaml` shows it
            with all defaults, or everything that is wrong with it, with line and column. Anchors, aliases, tags and
            block texts are not supported. SIGHUP reads the file anew; one with errors is refused and the old
            configuration stays.

            Durations are written `250ms`, `10s`, `30m`, `24h`, `7d`; a bare number is seconds. Sizes are bytes, or
            `64k`, `1m` with 1k = 1,024.


            """
        for section in ConfigurationKeys.sections {
            text += "## \(section.title)\n\n"
            if !section.sentence.isEmpty {
                text += section.sentence + "\n\n"
            }
            text += "| key | type | values | default | meaning |\n|---|---|---|---|---|\n"
            for key in section.keys {
                let cells = [
                    "`\(key.name)`", key.type, key.range, self.fallback(key), key.sentence,
                ]
                text += "| " + cells.map { $0.replacingBars }.joined(separator: " | ") + " |\n"
            }
            text += "\n"
        }
        text.removeLast()
        return text
    }

    /// Defaults in words stay as they are, values become code.
    private static func fallback(_ key: ConfigurationKeys.Description) -> String {
        key.fallback.contains(" ") || key.fallback.contains("`")
            || ["required", "nothing", "none"].contains(key.fallback)
            ? key.fallback : "`\(key.fallback)`"
    }
}

extension String {
    fileprivate var replacingBars: String {
        self.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
    }
}
