/// What is known while a configuration is read: what was wrong so far, and where each value stands.
struct ConfigurationReader {
    /// More are counted, not kept.
    static let maximumDiagnostics = 200

    let source: String
    private(set) var diagnostics: [ConfigurationDiagnostic] = []
    /// Errors beyond the limit.
    private(set) var suppressed = 0
    private(set) var hasErrors = false

    /// The names of the keys around what is being read.
    private var path: [String] = []
    private var origins: [String: ConfigurationOrigin] = [:]
    private var failed: Set<String> = []

    /// Whether further diagnostics are only counted.
    var isFull: Bool { self.diagnostics.count >= Self.maximumDiagnostics }

    init(source: String) {
        self.source = source
    }

    /// Reads the value of a key; errors inside carry its name and mark it as failed.
    mutating func within<Result>(
        _ name: String,
        at origin: ConfigurationOrigin,
        _ body: (inout ConfigurationReader) -> Result
    ) -> Result {
        self.path.append(name)
        self.origins[self.path.joined(separator: ".")] = origin
        defer { self.path.removeLast() }
        return body(&self)
    }

    /// Reads an element of the list that is being read; its place is known as `KEY.#INDEX`.
    mutating func element<Result>(
        _ index: Int,
        at origin: ConfigurationOrigin,
        _ body: (inout ConfigurationReader) -> Result
    ) -> Result {
        self.within("#\(index)", at: origin, body)
    }

    /// An error about the value being read.
    mutating func error(_ message: String, at origin: ConfigurationOrigin) {
        self.failed.insert(self.path.joined(separator: "."))
        let prefix = self.path.last(where: { !$0.hasPrefix("#") }).map { "\($0): " } ?? ""
        self.add(.error, prefix + message, at: origin)
    }

    /// An error that is not about the value of a key.
    mutating func plainError(_ message: String, at origin: ConfigurationOrigin) {
        self.add(.error, message, at: origin)
    }

    mutating func add(_ severity: ConfigurationDiagnostic.Severity, _ message: String, at origin: ConfigurationOrigin) {
        if severity == .error {
            self.hasErrors = true
        }
        guard !self.isFull else {
            self.suppressed += 1
            return
        }
        let diagnostic = ConfigurationDiagnostic(
            severity: severity,
            source: self.source,
            origin: origin,
            message: message
        )
        if !self.diagnostics.contains(diagnostic) {
            self.diagnostics.append(diagnostic)
        }
    }

    /// Whether the value of a key, or a part of it, could not be read.
    func hasFailed(_ path: String) -> Bool {
        self.failed.contains { $0 == path || $0.hasPrefix(path + ".") }
    }

    func isGiven(_ path: String) -> Bool {
        self.origins[path] != nil
    }

    /// Where a key's value stands, else where the section around it does.
    func origin(_ path: String) -> ConfigurationOrigin {
        var path = path[...]
        while true {
            if let origin = self.origins[String(path)] {
                return origin
            }
            guard let dot = path.lastIndex(of: ".") else { return .unknown }
            path = path[..<dot]
        }
    }
}
