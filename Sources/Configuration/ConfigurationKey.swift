/// A group of keys that has defaults.
protocol ConfigurationSection: Sendable {
    init()
    /// In the order in which they are shown.
    static var keys: [ConfigurationKey<Self>] { get }
}

/// One key: the only place that knows its name, type, default, range and meaning.
struct ConfigurationKey<Section: ConfigurationSection>: Sendable {
    let name: String
    /// For the reference.
    let type: String
    let range: String
    /// What holds where the key is absent, as text.
    let fallback: String
    /// One or two sentences for the reference.
    let sentence: String
    let isRequired: Bool
    /// Its value may also be written without a key, as the only thing in the section's place.
    let isShorthand: Bool
    /// A reload leaves it as it was at the start.
    let isReadOnce: Bool
    let read: @Sendable (ConfigurationNode, inout Section, inout ConfigurationReader) -> Void
    let render: @Sendable (Section) -> ConfigurationRendering

    /// - Parameter fallback: the default in words, where the value of `Section()` does not say it.
    init<Value: Sendable>(
        _ name: String,
        _ path: any WritableKeyPath<Section, Value> & Sendable,
        _ form: ConfigurationForm<Value>,
        fallback: String? = nil,
        isRequired: Bool = false,
        isShorthand: Bool = false,
        isReadOnce: Bool = false,
        _ sentence: String
    ) {
        self.name = name
        self.type = form.name
        self.range = form.range
        self.isRequired = isRequired
        self.isShorthand = isShorthand
        self.fallback = fallback ?? (isRequired ? "required" : form.render(Section()[keyPath: path]).inline)
        self.sentence = isReadOnce ? sentence + " Read at the start only." : sentence
        self.isReadOnce = isReadOnce
        self.read = { node, section, reader in
            if case .empty = node.content {
                reader.error("has no value; leave the key out to get the default", at: node.origin)
            } else if let value = form.read(node, &reader) {
                section[keyPath: path] = value
            }
        }
        self.render = { form.render($0[keyPath: path]) }
    }
}

extension ConfigurationReader {
    /// Reads a mapping by a section's keys. What cannot be read keeps its default.
    ///
    /// - Parameter ignoredKeys: keys that somebody else reads.
    mutating func read<Section: ConfigurationSection>(
        _ node: ConfigurationNode,
        into section: inout Section,
        ignoredKeys: Set<String> = []
    ) {
        guard case .mapping(let entries) = node.content else {
            if let shorthand = Section.keys.first(where: \.isShorthand), case .scalar = node.content {
                self.within(shorthand.name, at: node.origin) { shorthand.read(node, &section, &$0) }
            } else {
                self.error("expected a mapping, found \(node.kind)", at: node.origin)
            }
            return
        }
        let keys = Section.keys
        for entry in entries where !ignoredKeys.contains(entry.key) {
            guard let key = keys.first(where: { $0.name == entry.key }) else {
                self.unknownKey(entry, known: keys.map(\.name))
                continue
            }
            let origin = entry.value.content == .empty ? entry.keyOrigin : entry.value.origin
            let value = ConfigurationNode(entry.value.content, at: origin)
            self.within(key.name, at: origin) { key.read(value, &section, &$0) }
        }
        for key in keys where key.isRequired && node.entry(key.name) == nil {
            self.error("the key \(key.name.quoted) is missing", at: node.origin)
        }
    }

    private mutating func unknownKey(_ entry: ConfigurationNode.Entry, known: [String]) {
        var message = "unknown key \(entry.key.quoted)"
        if self.isFull {
            // Not worth looking for a hint that nobody will see.
        } else if let nearest = EditDistance.nearest(to: entry.key, among: known) {
            message += ", did you mean \(nearest.quoted)?"
        } else if let section = ConfigurationKeys.section(having: entry.key) {
            message += "; it belongs to \(section)"
        } else {
            message += "; known are \(known.joined(separator: ", "))"
        }
        self.plainError(message, at: entry.keyOrigin)
    }
}

extension ConfigurationForm where Value: ConfigurationSection {
    /// A mapping with the section's keys.
    static func section(_ name: String = "mapping") -> Self {
        ConfigurationForm(
            name: name,
            read: { node, reader in
                var section = Value()
                reader.read(node, into: &section)
                return section
            },
            render: { section in
                .mapping(Value.keys.map { ($0.name, $0.render(section)) })
            }
        )
    }
}
