import Glibc

/// The configuration file: YAML of at most 1 MiB, without anchors, aliases, tags and block texts.
package enum ConfigurationFile {
    package static let maximumSize = 1_048_576

    /// Reads and checks a text. All that is wrong is told at once.
    ///
    /// - Parameters:
    ///   - name: the file's name for diagnostics.
    ///   - environment: for the defaults that come from it (`$STATE_DIRECTORY`).
    ///   - savePathProblem: says what is wrong with a PHP save path, `nil` if nothing is.
    ///   - databaseProblem: the same for a database's URL, without a part of it.
    package static func parse(
        _ text: String,
        name: String,
        environment: [String: String] = [:],
        savePathProblem: (String) -> String? = { _ in nil },
        databaseProblem: (String) -> String? = { _ in nil }
    ) -> ConfigurationResult {
        var reader = ConfigurationReader(source: name)
        guard text.utf8.count <= self.maximumSize else {
            reader.plainError("larger than 1 MiB", at: .unknown)
            return self.result(nil, reader)
        }
        var yaml = YAMLReader()
        let root = yaml.read(text)
        for problem in yaml.problems {
            reader.plainError(problem.message, at: problem.origin)
        }
        guard let root else { return self.result(nil, reader) }
        return self.read(
            root,
            reader,
            environment: environment,
            savePathProblem: savePathProblem,
            databaseProblem: databaseProblem
        )
    }

    /// Reads and checks a file.
    package static func load(
        path: String,
        environment: [String: String] = [:],
        savePathProblem: (String) -> String? = { _ in nil },
        databaseProblem: (String) -> String? = { _ in nil }
    ) -> ConfigurationResult {
        var reader = ConfigurationReader(source: path)
        do throws(ConfigurationValueProblem) {
            let text = try self.contents(of: path)
            return self.parse(
                text,
                name: path,
                environment: environment,
                savePathProblem: savePathProblem,
                databaseProblem: databaseProblem
            )
        } catch {
            reader.plainError(error.message, at: .unknown)
            return self.result(nil, reader)
        }
    }

    static func read(
        _ root: ConfigurationNode,
        _ reader: consuming ConfigurationReader,
        environment: [String: String],
        savePathProblem: (String) -> String? = { _ in nil },
        databaseProblem: (String) -> String? = { _ in nil }
    ) -> ConfigurationResult {
        var configuration = GatewayConfiguration()
        configuration.stateDirectory = GatewayConfiguration.stateDirectory(environment: environment)
        reader.read(root, into: &configuration)
        self.shareSessions(&configuration, &reader)
        for site in configuration.sites where site.sessionsOf == nil {
            if case .savePath(let text) = site.servers, let problem = savePathProblem(text) {
                reader.plainError("servers: \(problem)", at: reader.origin("sites.\(site.name).servers"))
            }
            if case .savePath(let text) = site.previousServers, let problem = savePathProblem(text) {
                let origin = reader.origin("sites.\(site.name).previous_servers")
                reader.plainError("previous_servers: \(problem)", at: origin)
            }
            if let url = site.database.url, let problem = databaseProblem(url.text) {
                reader.plainError("url: \(problem)", at: reader.origin("sites.\(site.name).database.url"))
            }
            for (key, servers) in [("memcache", site.adoption?.memcache), ("memcached", site.adoption?.memcached)] {
                guard case .savePath(let text) = servers, let problem = savePathProblem(text) else { continue }
                reader.plainError("\(key): \(problem)", at: reader.origin("sites.\(site.name).adopt.\(key)"))
            }
        }
        for index in configuration.sites.indices {
            configuration.sites[index].stateDirectory = configuration.stateDirectory
        }
        ConfigurationRules.check(configuration, &reader)
        return self.result(configuration, reader)
    }

    private static func shareSessions(_ configuration: inout GatewayConfiguration, _ reader: inout ConfigurationReader)
    {
        for index in configuration.sites.indices {
            let site = configuration.sites[index]
            guard let name = site.sessionsOf else { continue }
            let path = "sites.\(site.name)"
            for key in GatewayConfiguration.Site.sharedKeys.sorted() where reader.isGiven("\(path).\(key)") {
                reader.plainError(
                    "\(key): stands in site \(name.quoted), whose sessions this site shares",
                    at: reader.origin("\(path).\(key)")
                )
            }
            guard let other = configuration.sites.first(where: { $0.name == name }) else {
                let known = configuration.sites.map(\.name).filter { $0 != site.name }
                let hint = EditDistance.nearest(to: name, among: known).map { ", did you mean \($0.quoted)?" } ?? ""
                reader.plainError(
                    "sessions_of: there is no site \(name.quoted)\(hint)",
                    at: reader.origin("\(path).sessions_of")
                )
                continue
            }
            guard other.sessionsOf == nil else {
                reader.plainError(
                    "sessions_of: \(name.quoted) \(name == site.name ? "is this site" : "has no sessions of its own")",
                    at: reader.origin("\(path).sessions_of")
                )
                continue
            }
            configuration.sites[index].takeSharedValues(from: other)
        }
    }

    private static func result(_ configuration: GatewayConfiguration?, _ reader: ConfigurationReader)
        -> ConfigurationResult
    {
        var diagnostics = reader.diagnostics.enumerated().sorted { left, right in
            let leftKey = Self.sortKey(left.element.origin, left.offset)
            let rightKey = Self.sortKey(right.element.origin, right.offset)
            return leftKey < rightKey
        }.map(\.element)
        if reader.suppressed > 0 {
            diagnostics.append(
                ConfigurationDiagnostic(
                    severity: .error,
                    source: reader.source,
                    origin: .unknown,
                    message: "\(reader.suppressed) more problems are not shown"
                )
            )
        }
        return ConfigurationResult(
            configuration: reader.hasErrors ? nil : configuration,
            diagnostics: diagnostics
        )
    }

    private static func sortKey(_ origin: ConfigurationOrigin, _ offset: Int) -> (Int, Int, Int) {
        switch origin {
        case .position(let line, let column): (line, column, offset)
        case .argument, .unknown: (0, 0, offset)
        }
    }

    private static func contents(of path: String) throws(ConfigurationValueProblem) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw ConfigurationValueProblem("cannot be opened: \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw ConfigurationValueProblem("is not a file")
        }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while bytes.count <= self.maximumSize {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count > 0 {
                bytes.append(contentsOf: chunk[..<count])
            } else if count == 0 {
                break
            } else if errno != EINTR {
                throw ConfigurationValueProblem("cannot be read: \(String(cString: strerror(errno)))")
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ConfigurationValueProblem("is not UTF-8")
        }
        return text
    }
}
