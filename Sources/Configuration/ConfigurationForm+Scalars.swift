import Glibc

extension ConfigurationForm where Value == Duration {
    /// `250ms`, `10s`, `30m`, `24h`, `7d`; a bare number is seconds, as in nginx and php.ini.
    static func duration(_ range: ClosedRange<Duration>) -> Self {
        let described = "\(DurationText.render(range.lowerBound)) to \(DurationText.render(range.upperBound))"
        return .scalar("duration", range: described, render: DurationText.render) {
            (text, _) throws(ConfigurationValueProblem) in
            guard let value = DurationText.parse(text) else {
                throw ConfigurationValueProblem("\(text.quoted) is not a duration such as 250ms, 10s, 30m, 24h or 7d")
            }
            guard range.contains(value) else {
                throw ConfigurationValueProblem("\(text) is out of range (\(described))")
            }
            return value
        }
    }
}

enum DurationText {
    private static let units: [(suffix: String, milliseconds: Int64)] = [
        ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]

    static func parse(_ text: String) -> Duration? {
        let digits = text.utf8.prefix { (0x30...0x39).contains($0) }
        let suffix = String(text.utf8.dropFirst(digits.count)) ?? ""
        guard let number = Int64(String(Substring(digits))),
            let unit = suffix.isEmpty ? 1_000 : self.units.first(where: { $0.suffix == suffix })?.milliseconds
        else { return nil }
        let (milliseconds, overflow) = number.multipliedReportingOverflow(by: unit)
        return overflow ? nil : .milliseconds(milliseconds)
    }

    /// Days from a week on, hours where they are whole, minutes from an hour on, else seconds or milliseconds.
    static func render(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        guard attoseconds == 0 else {
            return "\(seconds * 1_000 + attoseconds / 1_000_000_000_000_000)ms"
        }
        if seconds >= 604_800, seconds % 86_400 == 0 { return "\(seconds / 86_400)d" }
        if seconds >= 3_600, seconds % 3_600 == 0 { return "\(seconds / 3_600)h" }
        if seconds > 3_600, seconds % 60 == 0 { return "\(seconds / 60)m" }
        return "\(seconds)s"
    }
}

extension ConfigurationForm where Value == Int {
    /// `64k`, `1m`, or bytes; 1k is 1,024.
    static func size(_ range: ClosedRange<Int>) -> Self {
        let described = "\(Self.renderSize(range.lowerBound)) to \(Self.renderSize(range.upperBound))"
        return .scalar("size", range: described, render: Self.renderSize) {
            (text, _) throws(ConfigurationValueProblem) in
            let digits = text.prefix { $0.isASCII && $0.isNumber }
            let unit: Int? =
                switch text.dropFirst(digits.count).lowercased() {
                case "": 1
                case "k": 1_024
                case "m": 1_024 * 1_024
                default: nil
                }
            guard let number = Int(digits), let unit else {
                throw ConfigurationValueProblem("\(text.quoted) is not a size such as 65536, 64k or 1m")
            }
            let (bytes, overflow) = number.multipliedReportingOverflow(by: unit)
            guard !overflow, range.contains(bytes) else {
                throw ConfigurationValueProblem("\(text) is out of range (\(described))")
            }
            return bytes
        }
    }

    private static func renderSize(_ bytes: Int) -> String {
        if bytes >= 1_048_576, bytes % 1_048_576 == 0 { return "\(bytes / 1_048_576)m" }
        if bytes >= 1_024, bytes % 1_024 == 0 { return "\(bytes / 1_024)k" }
        return "\(bytes)"
    }

    static func integer(_ range: ClosedRange<Int>) -> Self {
        .scalar("number", range: "\(range.lowerBound) to \(range.upperBound)", render: { "\($0)" }) {
            (text, isQuoted) throws(ConfigurationValueProblem) in
            guard !isQuoted, let value = Int(text), !text.hasPrefix("+") else {
                throw ConfigurationValueProblem("\(text.quoted) is not a whole number")
            }
            guard range.contains(value) else {
                throw ConfigurationValueProblem(
                    "\(text) is out of range (\(range.lowerBound) to \(range.upperBound))"
                )
            }
            return value
        }
    }
}

extension ConfigurationForm where Value == Bool {
    static var boolean: Self {
        .scalar("boolean", range: "true or false", render: { $0 ? "true" : "false" }) {
            (text, isQuoted) throws(ConfigurationValueProblem) in
            switch text.lowercased() {
            case "true", "yes", "on": if !isQuoted { return true }
            case "false", "no", "off": if !isQuoted { return false }
            default: break
            }
            throw ConfigurationValueProblem("\(text.quoted) is neither true nor false")
        }
    }
}

extension ConfigurationForm where Value: CaseIterable & RawRepresentable<String> {
    static var choice: Self {
        let names = Value.allCases.map(\.rawValue)
        return .scalar("word", range: names.joined(separator: ", "), render: \.rawValue) {
            (text, _) throws(ConfigurationValueProblem) in
            if let value = Value(rawValue: text) {
                return value
            }
            let hint = EditDistance.nearest(to: text, among: names).map { "did you mean \($0.quoted)? " } ?? ""
            throw ConfigurationValueProblem(
                "\(text.quoted) is not known, \(hint)possible are \(names.joined(separator: ", "))"
            )
        }
    }
}

extension ConfigurationForm where Value == String {
    /// - Parameter problem: what is wrong with a text; it follows the text in quotes.
    static func text(
        _ name: String = "text",
        range: String = "",
        _ problem: @escaping @Sendable (String) -> String?
    ) -> Self {
        .scalar(name, range: range, render: { $0 }) { (text, _) throws(ConfigurationValueProblem) in
            if let problem = problem(text) {
                throw ConfigurationValueProblem("\(text.quoted) \(problem)")
            }
            return text
        }
    }

    /// Loses slashes at its end.
    static var directory: Self {
        .scalar("path", range: "absolute", render: { $0 }) { (text, _) throws(ConfigurationValueProblem) in
            if let problem = Self.pathProblem(text) {
                throw ConfigurationValueProblem("\(text.quoted) \(problem)")
            }
            var path = text[...]
            while path.count > 1, path.hasSuffix("/") {
                path.removeLast()
            }
            return String(path)
        }
    }

    /// The path of a file in a setting of php.ini.
    static var iniPath: Self {
        .text("path", range: "absolute") { text in
            if let problem = Self.pathProblem(text) { return problem }
            return text.contains(where: { "\"\\$".contains($0) }) ? "must not contain \", \\ or $" : nil
        }
    }

    /// The path of the late socket, with or without `unix:`.
    static var lateSocketPath: Self {
        let limit = GatewayConfiguration.maximumLateSocketPathLength
        return .scalar("path", range: "absolute, at most \(limit) bytes", render: { $0 }) {
            (text, _) throws(ConfigurationValueProblem) in
            let address: GatewayConfiguration.Address
            do throws(GatewayConfiguration.Address.Problem) {
                address = try GatewayConfiguration.Address(parsing: text)
            } catch {
                throw ConfigurationValueProblem("\(text.quoted): \(error.message)")
            }
            guard case .unix(let path) = address else {
                throw ConfigurationValueProblem("\(text.quoted) is not an absolute path")
            }
            guard path.utf8.count <= limit else {
                throw ConfigurationValueProblem("\(text.quoted) has more than \(limit) bytes")
            }
            return path
        }
    }

    private static func pathProblem(_ text: String) -> String? {
        if !text.hasPrefix("/") { return "is not an absolute path" }
        if text.utf8.count > 4_000 { return "is too long" }
        if text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) { return "contains control characters" }
        if text.split(separator: "/").contains("..") { return "must not contain .." }
        return nil
    }

    static var group: Self { Self.account("group") }
    static var user: Self { Self.account("user") }

    private static func account(_ kind: String) -> Self {
        .text("name", range: "a \(kind)'s name or number") { text in
            (1...32).contains(text.utf8.count) && GatewayConfiguration.Address.isHostName(text)
                ? nil : "is not the name of a \(kind)"
        }
    }

    /// A POSIX extended regular expression, compiled once to see that it can be.
    static var pattern: Self {
        .text("pattern", range: "a POSIX extended regular expression of at most 1,000 bytes") { text in
            guard (1...1_000).contains(text.utf8.count), !text.utf8.contains(0) else {
                return "must have 1 to 1,000 bytes"
            }
            var expression = regex_t()
            let result = regcomp(&expression, text, REG_EXTENDED | REG_NOSUB)
            guard result != 0 else {
                regfree(&expression)
                return nil
            }
            var message = [CChar](repeating: 0, count: 200)
            regerror(result, &expression, &message, message.count)
            let end = message.firstIndex(of: 0) ?? message.endIndex
            let reason = String(decoding: message[..<end].map(UInt8.init(bitPattern:)), as: UTF8.self)
            return "is not a regular expression: \(reason)"
        }
    }
}

extension ConfigurationForm where Value == GatewayConfiguration.Secret {
    static var secret: Self {
        .scalar("text", range: "16 to 1,000 bytes", render: \.description) {
            (text, _) throws(ConfigurationValueProblem) in
            guard (16...1_000).contains(text.utf8.count) else {
                throw ConfigurationValueProblem("must have 16 to 1,000 bytes")
            }
            return GatewayConfiguration.Secret(text)
        }
    }
}

extension ConfigurationForm where Value == GatewayConfiguration.Address {
    static var address: Self {
        .scalar("address", range: "unix:/path, host:port or [IPv6]:port", render: \.description) {
            (text, _) throws(ConfigurationValueProblem) in
            do throws(GatewayConfiguration.Address.Problem) {
                return try GatewayConfiguration.Address(parsing: text)
            } catch {
                throw ConfigurationValueProblem("\(text.quoted): \(error.message)")
            }
        }
    }
}

extension ConfigurationForm where Value == GatewayConfiguration.IPRange {
    static var addressRange: Self {
        .scalar("address", range: "IP addresses and blocks such as 10.0.0.0/8", render: \.description) {
            (text, _) throws(ConfigurationValueProblem) in
            guard let range = GatewayConfiguration.IPRange(parsing: text) else {
                throw ConfigurationValueProblem(
                    "\(text.quoted) is neither an IP address nor a block such as 10.0.0.0/8"
                )
            }
            return range
        }
    }
}

extension ConfigurationForm where Value == UInt32 {
    /// Permission bits in octal, quoted or not.
    static var mode: Self {
        .scalar("mode", range: "octal, 0600 to 0777", render: { "0" + String($0, radix: 8) }) {
            (text, _) throws(ConfigurationValueProblem) in
            guard (3...5).contains(text.utf8.count), let mode = UInt32(text, radix: 8), mode <= 0o777,
                mode & 0o600 == 0o600
            else {
                throw ConfigurationValueProblem("\(text.quoted) is not a socket's mode such as \"0660\"")
            }
            return mode
        }
    }
}

extension ConfigurationForm where Value == GatewayConfiguration.Threads {
    static var threads: Self {
        .scalar(
            "number",
            range: "auto, or 1 to 256",
            render: { threads in
                switch threads {
                case .automatic: "auto"
                case .count(let count): "\(count)"
                }
            }
        ) { (text, _) throws(ConfigurationValueProblem) in
            if text == "auto" { return .automatic }
            guard let count = Int(text), (1...256).contains(count) else {
                throw ConfigurationValueProblem("\(text.quoted) is neither auto nor a number from 1 to 256")
            }
            return .count(count)
        }
    }
}
