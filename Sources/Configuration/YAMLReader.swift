import Yams

/// Turns YAML into a `ConfigurationNode`, and collects what is wrong with it as YAML.
struct YAMLReader {
    /// Mappings within mappings; the configuration needs six.
    static let maximumDepth = 16
    /// How many duplicate keys are told in one run.
    static let maximumDuplicates = 50

    private(set) var problems: [(origin: ConfigurationOrigin, message: String)] = []

    /// Text put in front of a key so that reading can go on behind a duplicate.
    private struct Insertion {
        /// Where, counted from 1, in the text as it was before.
        var line: Int
        var column: Int
        var length: Int
    }

    private static let renamed = "duplicate-key-number-"
    private var insertions: [Insertion] = []

    /// - Returns: `nil` if the text is not YAML or is empty; there is a problem then.
    mutating func read(_ text: String) -> ConfigurationNode? {
        var lines = Self.lines(of: text)
        if let problem = YAMLScreen.problem(in: Self.joined(lines)) {
            self.problems.append(problem)
            return nil
        }
        while true {
            do {
                guard let root = try Parser(yaml: Self.joined(lines), encoding: .utf8).singleRoot() else {
                    self.problems.append((.unknown, "the file is empty"))
                    return nil
                }
                return self.node(root, depth: 0)
            } catch YamlError.duplicatedKeysInMapping(let keys, let context) {
                // The library stops at the first mapping that has a key twice. The key's first occurrence gets another
                // name here, so that everything that is wrong with the file can be told at once.
                guard let key = keys.first, self.rename(key, at: context.mark, in: &lines) else {
                    let names = keys.map { "\"\($0)\"" }.joined(separator: ", ")
                    self.problems.append((self.origin(context.mark), "given more than once: \(names)"))
                    return nil
                }
            } catch {
                self.problems.append(self.problem(error))
                return nil
            }
        }
    }

    private static func lines(of text: String) -> [[Unicode.Scalar]] {
        var lines: [[Unicode.Scalar]] = [[]]
        var previous: Unicode.Scalar = " "
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\u{feff}" where lines.count == 1 && lines[0].isEmpty:
                break
            case "\n" where previous == "\r":
                break
            case "\n", "\r":
                lines.append([])
            default:
                lines[lines.count - 1].append(scalar)
            }
            previous = scalar
        }
        return lines
    }

    private static func joined(_ lines: [[Unicode.Scalar]]) -> String {
        var text = String.UnicodeScalarView()
        for (index, line) in lines.enumerated() {
            if index > 0 {
                text.append("\n")
            }
            text.append(contentsOf: line)
        }
        return String(text)
    }

    private mutating func rename(_ key: String, at mark: Mark, in lines: inout [[Unicode.Scalar]]) -> Bool {
        let line = mark.line - 1
        guard !key.isEmpty, lines.indices.contains(line), self.insertions.count < Self.maximumDuplicates else {
            return false
        }
        var column = mark.column - 1
        if lines[line].indices.contains(column), lines[line][column] == "\"" || lines[line][column] == "'" {
            column += 1
        }
        guard lines[line].dropFirst(column).starts(with: key.unicodeScalars) else { return false }
        let inserted = "\(Self.renamed)\(self.insertions.count)-".unicodeScalars
        lines[line].insert(contentsOf: inserted, at: column)
        self.insertions.append(Insertion(line: mark.line, column: column + 1, length: inserted.count))
        return true
    }

    private func originalName(_ key: String) -> String {
        guard key.hasPrefix(Self.renamed) else { return key }
        let rest = key.dropFirst(Self.renamed.count)
        guard let dash = rest.firstIndex(of: "-"), let number = Int(rest[..<dash]),
            self.insertions.indices.contains(number)
        else { return key }
        return String(rest[rest.index(after: dash)...])
    }

    private func origin(_ mark: Mark?) -> ConfigurationOrigin {
        guard let mark else { return .unknown }
        var column = mark.column
        for insertion in self.insertions.reversed()
        where insertion.line == mark.line && insertion.column + insertion.length <= column {
            column -= insertion.length
        }
        return .position(line: mark.line, column: column)
    }

    private func problem(_ error: any Error) -> (origin: ConfigurationOrigin, message: String) {
        switch error {
        case YamlError.scanner(let context, let problem, let mark, _),
            YamlError.parser(let context, let problem, let mark, _),
            YamlError.composer(let context, let problem, let mark, _):
            let prefix = context.map { "\($0.text), " } ?? ""
            return (self.origin(mark), "not valid YAML: \(prefix)\(problem)")
        case YamlError.reader(let problem, _, _, _):
            return (.unknown, "not valid YAML: \(problem)")
        default:
            return (.unknown, "not valid YAML")
        }
    }

    private mutating func node(_ node: Node, depth: Int) -> ConfigurationNode {
        let origin = self.origin(node.mark)
        guard depth < Self.maximumDepth else {
            self.problems.append((origin, "nested too deeply"))
            return ConfigurationNode(.empty, at: origin)
        }
        switch node {
        case .scalar(let scalar):
            let isQuoted = scalar.style == .singleQuoted || scalar.style == .doubleQuoted
            if !isQuoted, ["", "~", "null", "Null", "NULL"].contains(scalar.string) {
                return ConfigurationNode(.empty, at: origin)
            }
            return ConfigurationNode(.scalar(scalar.string, isQuoted: isQuoted), at: origin)
        case .sequence(let sequence):
            return ConfigurationNode(.list(sequence.map { self.node($0, depth: depth + 1) }), at: origin)
        case .mapping(let mapping):
            return ConfigurationNode(.mapping(self.entries(mapping, depth: depth)), at: origin)
        case .alias:
            self.problems.append((origin, "aliases are not supported"))
            return ConfigurationNode(.empty, at: origin)
        }
    }

    /// The last one of several entries with one name stays.
    private mutating func entries(_ mapping: Node.Mapping, depth: Int) -> [ConfigurationNode.Entry] {
        var entries: [ConfigurationNode.Entry] = []
        var places: [String: Int] = [:]
        for (key, value) in mapping {
            let keyOrigin = self.origin(key.mark)
            guard case .scalar(let scalar) = key else {
                self.problems.append((keyOrigin, "a key must be a single word"))
                continue
            }
            let name = self.originalName(scalar.string)
            let entry = ConfigurationNode.Entry(
                key: name,
                keyOrigin: keyOrigin,
                value: self.node(value, depth: depth + 1)
            )
            if let place = places[name] {
                var first = ""
                if case .position(let line, _) = entries[place].keyOrigin {
                    first = "; before in line \(line)"
                }
                self.problems.append((keyOrigin, "\"\(name)\" is given more than once\(first)"))
                entries[place] = entry
            } else {
                places[name] = entries.count
                entries.append(entry)
            }
        }
        return entries
    }
}
