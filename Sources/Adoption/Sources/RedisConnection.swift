import CRedis
import Glibc
import NIOCore

/// One connection to a Redis, by hiredis, which blocks: for the threads of `BlockingLooks`.
///
/// `@unchecked Sendable`: one thread has it at a time, which takes it from where nobody else finds it.
final class RedisConnection: @unchecked Sendable {
    struct Failure: Error {
        /// Constant: no key, no data, and no password.
        var reason: String
        /// Whether another connection may do better.
        var isConnectionLost = false
    }

    private let context: UnsafeMutablePointer<redisContext>

    init(to server: RedisSource.Server, timeout: Duration) throws(Failure) {
        let limit = timeval(timeout)
        let context: UnsafeMutablePointer<redisContext>? =
            switch server.address {
            case .tcp(let host, let port): redisConnectWithTimeout(host, Int32(clamping: port), limit)
            case .unix(let path): redisConnectUnixWithTimeout(path, limit)
            }
        guard let context else { throw Failure(reason: "there is no memory for a connection to Redis") }
        self.context = context
        guard context.pointee.err == 0, redisSetTimeout(context, limit) == REDIS_OK else {
            throw Failure(reason: "Redis cannot be reached")
        }
        if let password = server.password {
            let words = ["AUTH"] + (server.user.map { [$0] } ?? []) + [password]
            guard case .status = try self.ask([words])[0] else { throw Failure(reason: "Redis refuses the password") }
        }
        if server.database != 0 {
            guard case .status = try self.ask([["SELECT", "\(server.database)"]])[0] else {
                throw Failure(reason: "Redis refuses the database")
            }
        }
    }

    deinit {
        redisFree(self.context)
    }

    enum Reply: Equatable {
        case status
        case number(Int64)
        case bytes(ByteBuffer)
        case none
        case error
    }

    /// Sends all commands, then reads their answers.
    func ask(_ commands: [[String]]) throws(Failure) -> [Reply] {
        for command in commands {
            guard self.append(command) else { throw self.lost }
        }
        var replies: [Reply] = []
        for _ in commands {
            var pointer: UnsafeMutableRawPointer?
            guard redisGetReply(self.context, &pointer) == REDIS_OK, let pointer else { throw self.lost }
            defer { freeReplyObject(pointer) }
            replies.append(Reply(pointer.assumingMemoryBound(to: redisReply.self).pointee))
        }
        return replies
    }

    private var lost: Failure {
        let timedOut = self.context.pointee.err == REDIS_ERR_IO && errno == EAGAIN
        return Failure(reason: "Redis does not answer", isConnectionLost: !timedOut)
    }

    private func append(_ words: [String]) -> Bool {
        let copies = words.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        var pointers: [UnsafePointer<CChar>?] = copies.map { UnsafePointer($0) }
        let lengths = words.map(\.utf8.count)
        return redisAppendCommandArgv(self.context, Int32(words.count), &pointers, lengths) == REDIS_OK
    }
}

extension RedisConnection.Reply {
    fileprivate init(_ reply: redisReply) {
        switch reply.type {
        case REDIS_REPLY_STATUS: self = .status
        case REDIS_REPLY_INTEGER: self = .number(reply.integer)
        case REDIS_REPLY_STRING:
            self = .bytes(ByteBuffer(bytes: UnsafeRawBufferPointer(start: reply.str, count: Int(reply.len))))
        case REDIS_REPLY_NIL: self = .none
        default: self = .error
        }
    }
}

extension timeval {
    fileprivate init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self.init(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
    }
}
