/// How one kind of value is written: read from a node, shown as text, described in the reference.
struct ConfigurationForm<Value: Sendable>: Sendable {
    /// The word in the reference's column, as `duration`.
    var name: String
    /// What is allowed, as `1ms to 2s`; empty where everything is.
    var range = ""
    /// Says what is wrong to the reader and returns `nil`, or returns the value.
    var read: @Sendable (ConfigurationNode, inout ConfigurationReader) -> Value?
    var render: @Sendable (Value) -> ConfigurationRendering
}

extension ConfigurationForm {
    /// A form on top of the text of a single value.
    static func scalar(
        _ name: String,
        range: String = "",
        render: @escaping @Sendable (Value) -> String,
        read: @escaping @Sendable (_ text: String, _ isQuoted: Bool) throws(ConfigurationValueProblem) -> Value
    ) -> ConfigurationForm {
        ConfigurationForm(
            name: name,
            range: range,
            read: { node, reader in
                guard case .scalar(let text, let isQuoted) = node.content else {
                    reader.error("expected \(name.withArticle), found \(node.kind)", at: node.origin)
                    return nil
                }
                do throws(ConfigurationValueProblem) {
                    return try read(text, isQuoted)
                } catch {
                    reader.error(error.message, at: node.origin)
                    return nil
                }
            },
            render: { .scalar(render($0)) }
        )
    }

    /// The same for a value that may be absent; absent is written by leaving the key out.
    var optional: ConfigurationForm<Value?> {
        ConfigurationForm<Value?>(
            name: self.name,
            range: self.range,
            read: { self.read($0, &$1).map(Optional.some) },
            render: { $0.map(self.render) ?? .unset }
        )
    }

    /// One value, or a list of at least one.
    func list(named name: String, atMost limit: Int = 1_024) -> ConfigurationForm<[Value]> {
        ConfigurationForm<[Value]>(
            name: name,
            range: self.range,
            read: { node, reader in
                switch node.content {
                case .list(let nodes):
                    guard !nodes.isEmpty, nodes.count <= limit else {
                        reader.error(
                            nodes.isEmpty ? "the list is empty" : "more than \(limit) entries",
                            at: node.origin
                        )
                        return nil
                    }
                    let values = nodes.enumerated().compactMap { index, node in
                        reader.element(index, at: node.origin) { self.read(node, &$0) }
                    }
                    return values.count == nodes.count ? values : nil
                case .empty, .scalar, .mapping:
                    return reader.element(0, at: node.origin) { self.read(node, &$0) }.map { [$0] }
                }
            },
            render: { .list($0.map(self.render)) }
        )
    }
}

/// What is wrong with the text of a value. Not shown for secrets, as it may repeat the text.
struct ConfigurationValueProblem: Error {
    var message: String

    init(_ message: String) {
        self.message = message
    }
}

/// A value as it is shown: enough of YAML to be read again.
indirect enum ConfigurationRendering: Sendable, Equatable {
    case unset
    case scalar(String)
    case list([ConfigurationRendering])
    case mapping([(name: String, value: ConfigurationRendering)])

    static func == (left: Self, right: Self) -> Bool {
        switch (left, right) {
        case (.unset, .unset): true
        case (.scalar(let left), .scalar(let right)): left == right
        case (.list(let left), .list(let right)): left == right
        case (.mapping(let left), .mapping(let right)):
            left.elementsEqual(right) { $0.name == $1.name && $0.value == $1.value }
        default: false
        }
    }
}

extension String {
    var withArticle: String {
        guard let first = self.first else { return self }
        return ("aeiou".contains(first) ? "an " : "a ") + self
    }

    /// For error texts: in quotes, without control characters, cut.
    var quoted: String {
        let characters = self.unicodeScalars.prefix(60).map { $0.value < 0x20 || $0.value == 0x7f ? "?" : String($0) }
        return "\"" + characters.joined() + (self.unicodeScalars.count > 60 ? "…" : "") + "\""
    }
}
