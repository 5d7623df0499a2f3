import Foundation
import GatewayTesting

/// A store of one of PHP's handlers, and how PHP and the gateway are told of it.
enum OldStore: Sendable {
    case files(TemporaryDirectory, depth: Int)
    case memcache([MemcachedProcess], redundancy: Int, hash: String)
    case memcached([MemcachedProcess], replicas: Int, ring: String)
    case redis([(server: RedisProcess, weight: Int)], query: String)

    /// What a test names it by.
    enum Kind: String, CaseIterable, Sendable {
        case files, deepFiles, memcache, memcacheFNV, memcached, memcachedWeighted, memcachedReplicas, redis, redisPool
    }

    static func make(_ kind: Kind) async throws -> OldStore {
        func memcacheds(_ count: Int, _ more: String...) async throws -> [MemcachedProcess] {
            var servers: [MemcachedProcess] = []
            for _ in 0..<count { servers.append(try await MemcachedProcess(["-m", "64"] + more)) }
            return servers
        }
        switch kind {
        case .files:
            return .files(try TemporaryDirectory(), depth: 0)
        case .deepFiles:
            let directory = try TemporaryDirectory()
            let characters = "0123456789abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZwxyz-,"
            for first in characters {
                for second in characters {
                    try FileManager.default.createDirectory(
                        atPath: directory.path("\(first)/\(second)"),
                        withIntermediateDirectories: true
                    )
                }
            }
            return .files(directory, depth: 2)
        case .memcache: return .memcache(try await memcacheds(3), redundancy: 2, hash: "crc32")
        case .memcacheFNV: return .memcache(try await memcacheds(4), redundancy: 1, hash: "fnv")
        case .memcached: return .memcached(try await memcacheds(3), replicas: 0, ring: "ketama")
        case .memcachedWeighted:
            // Without CAS, as servers for sessions alone may run.
            return .memcached(try await memcacheds(3, "-C"), replicas: 0, ring: "ketama_weighted")
        case .memcachedReplicas: return .memcached(try await memcacheds(3), replicas: 1, ring: "ketama")
        case .redis:
            let server = try await RedisProcess(password: "very secret")
            return .redis([(server, 1)], query: "&auth=very%20secret&database=3&prefix=app:")
        case .redisPool:
            return .redis([(try await RedisProcess(), 1), (try await RedisProcess(), 2)], query: "")
        }
    }

    var savePath: String {
        switch self {
        case .files(let directory, let depth): depth == 0 ? directory.path : "\(depth);\(directory.path)"
        case .memcache(let servers, _, _): servers.map { "tcp://\($0.name)?weight=1" }.joined(separator: ",")
        case .memcached(let servers, _, _): servers.map(\.name).joined(separator: ",")
        case .redis(let servers, let query):
            servers.map { "tcp://127.0.0.1:\($0.server.port)?weight=\($0.weight)\(query)" }.joined(separator: ",")
        }
    }

    /// Lines as of php.ini.
    var settings: [String] {
        let path = "session.save_path=\"\(self.savePath)\""
        switch self {
        case .files:
            return ["session.save_handler=files", path]
        case .memcache(_, let redundancy, let hash):
            return [
                "session.save_handler=memcache", path, "memcache.session_redundancy=\(redundancy)",
                "memcache.hash_function=\(hash)", "memcache.lock_timeout=3600",
            ]
        case .memcached(_, let replicas, let ring):
            return [
                "session.save_handler=memcached", path, "memcached.sess_number_of_replicas=\(replicas)",
                "memcached.sess_consistent_hash_type=\(ring)", "memcached.sess_lock_expire=20",
            ]
        case .redis(let servers, _):
            // With several servers phpredis releases locks on the wrong one.
            return [
                "session.save_handler=redis", path, "redis.session.locking_enabled=\(servers.count == 1 ? 1 : 0)",
                "redis.session.lock_expire=20",
            ]
        }
    }

    /// The inside of the gateway's `adopt`.
    var lines: String {
        switch self {
        case .files: "files: \"\(self.savePath)\""
        case .memcache(_, let redundancy, let hash):
            "memcache: \"\(self.savePath)\", redundancy: \(redundancy), ring: pecl_\(hash)"
        case .memcached(_, let replicas, let ring):
            "memcached: \"\(self.savePath)\", redundancy: \(replicas + 1), ring: \(ring)"
        case .redis: "redis: \"\(self.savePath)\""
        }
    }

    /// Everything that is in it, with what changes where something is written, touched or locked.
    func contents() throws -> [String] {
        switch self {
        case .files(let directory, _):
            let names = FileManager.default.enumerator(atPath: directory.path)?.compactMap { $0 as? String } ?? []
            return names.sorted().compactMap { name in
                var status = stat()
                stat(directory.path(name), &status)
                guard status.st_mode & S_IFMT == S_IFREG else { return nil }
                let times = [status.st_mtim, status.st_ctim].map { "\($0.tv_sec).\($0.tv_nsec)" }
                return "\(name) \(times) \(directory.read(name))"
            }
        case .memcache(let servers, _, _), .memcached(let servers, _, _):
            return try servers.flatMap { server in
                let dump = try server.command("lru_crawler metadump all", until: "END\r\n")
                return dump.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("key=") }.map { line in
                    // All but when it was last read.
                    let words = line.split(separator: " ").filter { !$0.hasPrefix("la=") && !$0.hasPrefix("fetch=") }
                    return "\(server.name) \(words.joined(separator: " "))"
                }
            }.sorted()
        case .redis(let servers, _):
            return try servers.map { "\($0.server.port) \(try $0.server.changes() ?? -1)" }
        }
    }

    /// The lines of `contents` for so many sessions.
    func lines(of sessions: Int) -> Int {
        switch self {
        case .files: sessions
        // With a lock each, which stays.
        case .memcache(_, let redundancy, _): sessions * redundancy * 2
        case .memcached(_, let replicas, _): sessions * (replicas + 1)
        case .redis(let servers, _): servers.count
        }
    }

    private var processes: [ServerProcess] {
        get throws {
            switch self {
            case .files: []
            case .memcache(let servers, _, _), .memcached(let servers, _, _): try servers.map { try $0.process }
            case .redis(let servers, _): try servers.map { try $0.server.process }
            }
        }
    }

    /// Stops all servers. Returns when every thread of theirs has: on a busy machine one may go on for a moment.
    func freeze() async throws {
        let processes = try self.processes
        for process in processes { process.freeze() }
        try await Eventually.holds("the old store to be stopped") {
            try processes.allSatisfy { process in
                let tasks = "/proc/\(process.pid)/task"
                return try FileManager.default.contentsOfDirectory(atPath: tasks).allSatisfy { task in
                    let text = try String(contentsOfFile: "\(tasks)/\(task)/stat", encoding: .utf8)
                    return text.split(separator: ")").last?.hasPrefix(" T") == true
                }
            }
        }
    }

    func thaw() throws {
        for process in try self.processes { process.thaw() }
    }
}
