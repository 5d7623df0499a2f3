/// One line of a server, parsed.
enum MemcachedReplyLine {
    case reply(MemcachedWireReply)
    /// `VA <length> <flags>`: the value follows.
    case value(length: Int, MemcachedWireReply.Flags)
    /// `STAT <name> <value>`; `nil` for a name that nobody asked for.
    case statistic(Statistic?)
    /// `END` of the statistics.
    case end

    enum Statistic {
        case itemSizeMaximum(Int)
        case casEnabled(Bool)
        case uptime(Int)
        case items(Int)
        case bytes(Int)
        case byteLimit(Int)
        case evictions(Int)
        case connectionLimitHits(Int)

        func apply(to report: inout MemcachedWireReply.Report) {
            switch self {
            case .itemSizeMaximum(let bytes): report.settings.itemSizeMaximum = bytes
            case .casEnabled(let isEnabled): report.settings.casEnabled = isEnabled
            case .uptime(let seconds): report.statistics.uptime = seconds
            case .items(let count): report.statistics.items = count
            case .bytes(let bytes): report.statistics.bytes = bytes
            case .byteLimit(let bytes): report.statistics.byteLimit = bytes
            case .evictions(let count): report.statistics.evictions = count
            case .connectionLimitHits(let count): report.statistics.connectionLimitHits = count
            }
        }
    }

    /// - Parameter line: without its CRLF.
    /// - Returns: `nil` if it is none of memcached's.
    init?(_ line: UnsafeRawBufferPointer) {
        var words = Words(line)
        guard let first = words.next() else { return nil }
        if first.count == 2 {
            self.init(status: UInt16(first[0]) << 8 | UInt16(first[1]), &words)
        } else {
            self.init(text: first, &words)
        }
    }

    private init?(status: UInt16, _ words: inout Words) {
        switch status {
        case 0x5641:  // VA
            guard let word = words.next(), let length = word.decimal, let length = Int(exactly: length),
                let flags = words.flags()
            else { return nil }
            self = .value(length: length, flags)
        case 0x4844:  // HD
            guard let flags = words.flags() else { return nil }
            self = .reply(.stored(flags))
        case 0x454E:  // EN
            guard let flags = words.flags() else { return nil }
            self = .reply(.miss(flags))
        case 0x4E53:  // NS
            guard let flags = words.flags() else { return nil }
            self = .reply(.notStored(flags))
        case 0x4558:  // EX
            guard let flags = words.flags() else { return nil }
            self = .reply(.exists(flags))
        case 0x4E46:  // NF
            guard let flags = words.flags() else { return nil }
            self = .reply(.notFound(flags))
        case 0x4D4E:  // MN
            self = .reply(.noop)
        default:
            return nil
        }
    }

    private init?(text first: UnsafeRawBufferPointer, _ words: inout Words) {
        if first.equals("STAT") {
            guard let name = words.next() else { return nil }
            if name.equals("cas_enabled") {
                self = .statistic(.casEnabled(words.next()?.equals("no") != true))
                return
            }
            let number = words.next()?.decimal.flatMap { Int(exactly: $0) }
            // Without it nobody knows how large a value may be.
            if number == nil, name.equals("item_size_max") { return nil }
            // Some names have a number in one of the two lists and a word in the other: `evictions`.
            self = .statistic(number.flatMap { number in Self.statistic(name).map { $0(number) } })
        } else if first.equals("END") {
            self = .end
        } else if first.equals("VERSION") {
            let text = words.rest
            guard text.count <= 64, text.allSatisfy({ (0x20..<0x7F).contains($0) }) else { return nil }
            self = .reply(.version(String(decoding: text, as: UTF8.self)))
        } else if first.equals("SERVER_ERROR") {
            self = .reply(.serverError(Self.serverErrorKind(words.rest)))
        } else if first.equals("CLIENT_ERROR") {
            self = .reply(Self.clientError(words.rest))
        } else if first.equals("ERROR") {
            self = .reply(
                .refusal(words.rest.equals("Too many open connections") ? .tooManyConnections : .unknownCommand)
            )
        } else {
            return nil
        }
    }

    private static func statistic(_ name: UnsafeRawBufferPointer) -> ((Int) -> Statistic)? {
        if name.equals("item_size_max") { return Statistic.itemSizeMaximum }
        if name.equals("uptime") { return Statistic.uptime }
        if name.equals("curr_items") { return Statistic.items }
        if name.equals("bytes") { return Statistic.bytes }
        if name.equals("limit_maxbytes") { return Statistic.byteLimit }
        if name.equals("evictions") { return Statistic.evictions }
        if name.equals("listen_disabled_num") { return Statistic.connectionLimitHits }
        return nil
    }

    private static func serverErrorKind(_ text: UnsafeRawBufferPointer) -> MemcachedReply.ServerErrorKind {
        if text.equals("object too large for cache") {
            .tooLarge
        } else if text.starts(with: "out of memory".utf8) || text.starts(with: "Out of memory".utf8) {
            .outOfMemory
        } else {
            .other
        }
    }

    /// The texts are those of `proto_text.c` at 1.6.18, tried on a running server.
    private static func clientError(_ text: UnsafeRawBufferPointer) -> MemcachedWireReply {
        if text.starts(with: "unauthenticated".utf8) { return .refusal(.unauthenticated) }
        return .clientError(
            dataWasSwallowed: text.equals("invalid flag") || text.equals("duplicate flag")
                || text.equals("invalid or duplicate flag") || text.equals("opaque token too long")
                || text.equals("bad token in command line format") || text.equals("error decoding key")
                || text.equals("invalid mode for ms M token")
        )
    }
}

extension MemcachedReplyLine {
    /// The words of a line, separated by single spaces; more of them count as one.
    fileprivate struct Words {
        private(set) var rest: UnsafeRawBufferPointer

        init(_ line: UnsafeRawBufferPointer) {
            self.rest = line
        }

        mutating func next() -> UnsafeRawBufferPointer? {
            var start = 0
            while start < self.rest.count, self.rest[start] == 0x20 { start += 1 }
            guard start < self.rest.count else { return nil }
            var end = start
            while end < self.rest.count, self.rest[end] != 0x20 { end += 1 }
            defer {
                self.rest = UnsafeRawBufferPointer(rebasing: self.rest[min(end + 1, self.rest.count)...])
            }
            return UnsafeRawBufferPointer(rebasing: self.rest[start..<end])
        }

        /// All words that are left.
        ///
        /// - Returns: `nil` if one of the flags that the client asks for is not a number.
        mutating func flags() -> MemcachedWireReply.Flags? {
            var flags = MemcachedWireReply.Flags()
            while let word = self.next() {
                let value = UnsafeRawBufferPointer(rebasing: word[1...])
                switch word[0] {
                case UInt8(ascii: "c"):
                    guard let token = value.decimal else { return nil }
                    flags.token = token
                case UInt8(ascii: "O"):
                    guard let opaque = value.decimal else { return nil }
                    flags.opaque = opaque
                case UInt8(ascii: "f"):
                    guard let number = value.decimal, let number = UInt32(exactly: number) else { return nil }
                    flags.clientFlags = number
                case UInt8(ascii: "t"):
                    if value.equals("-1") {
                        flags.secondsToLive = -1
                    } else {
                        guard let seconds = value.decimal, let seconds = Int64(exactly: seconds) else { return nil }
                        flags.secondsToLive = seconds
                    }
                default:
                    // `W`, `X`, `Z`: another client used memcached's stale items.
                    continue
                }
            }
            return flags
        }
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func equals(_ text: StaticString) -> Bool {
        self.count == text.utf8CodeUnitCount
            && self.elementsEqual(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// An unsigned decimal number without sign or leading spaces; `nil` for anything else and beyond 64 bits.
    fileprivate var decimal: UInt64? {
        guard (1...20).contains(self.count) else { return nil }
        var number: UInt64 = 0
        if self.count < 20 {
            // Nothing overflows.
            for byte in self {
                let digit = byte &- UInt8(ascii: "0")
                guard digit < 10 else { return nil }
                number = number &* 10 &+ UInt64(digit)
            }
            return number
        }
        for byte in self {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            let (product, overflow) = number.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
            guard !overflow, !carry else { return nil }
            number = sum
        }
        return number
    }
}
