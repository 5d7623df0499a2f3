extension GatewayConfiguration {
    /// The whole configuration with its defaults as YAML, which reads back to the same values but for the secrets,
    /// which are redacted. Keys that are not set stand as comments.
    package var yaml: String {
        var text = ""
        for key in Self.keys {
            key.render(self).write(key.name, indentation: "", to: &text)
        }
        return text
    }
}

extension ConfigurationRendering {
    /// On one line.
    var inline: String {
        switch self {
        case .unset: "unset"
        case .scalar(let text): Self.quotedWhereNeeded(text)
        case .list(let values): "[" + values.map(\.inline).joined(separator: ", ") + "]"
        case .mapping(let entries):
            "{"
                + entries.filter { $0.value != .unset }.map { "\($0.name): \($0.value.inline)" }
                .joined(separator: ", ") + "}"
        }
    }

    fileprivate func write(_ name: String, indentation: String, to text: inout String) {
        switch self {
        case .unset, .list([]):
            text += "\(indentation)# \(name): not set\n"
        case .scalar, .list:
            if case .list(let values) = self, values.contains(where: \.isMapping) {
                text += "\(indentation)\(name):\n"
                for value in values {
                    text += "\(indentation)  - \(value.inlineWithoutEmptyLists)\n"
                }
            } else {
                text += "\(indentation)\(name): \(self.inline)\n"
            }
        case .mapping(let entries):
            text += "\(indentation)\(name):\n"
            for entry in entries {
                entry.value.write(Self.quotedWhereNeeded(entry.name), indentation: indentation + "  ", to: &text)
            }
        }
    }

    private var isMapping: Bool {
        if case .mapping = self { true } else { false }
    }

    private var inlineWithoutEmptyLists: String {
        guard case .mapping(let entries) = self else { return self.inline }
        return ConfigurationRendering.mapping(entries.filter { $0.value != .list([]) }).inline
    }

    /// Plain where a text cannot be taken for anything else, else in double quotes.
    private static func quotedWhereNeeded(_ text: String) -> String {
        let isPlain =
            text.utf8.first.map { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "_"):
                    true
                default:
                    false
                }
            } ?? false
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "_"),
                    UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: ":"):
                    true
                default:
                    false
                }
            } && !text.hasSuffix(":") && !["null", "Null", "NULL"].contains(text)
        guard !isPlain else { return text }
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\":
                quoted += "\\"
                quoted.unicodeScalars.append(scalar)
            case _
            where scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) || scalar.value == 0x2028
                || scalar.value == 0x2029 || scalar.value == 0xfeff:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
            default:
                quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
