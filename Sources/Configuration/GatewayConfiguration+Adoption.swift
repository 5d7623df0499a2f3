extension GatewayConfiguration {
    /// Where an application's sessions were until now, and for how long they are taken over. Exactly one of `memcache`,
    /// `memcached`, `files` and `redis` is set.
    package struct Adoption: Sendable, Equatable {
        /// Of PHP's memcache extension.
        package var memcache: Servers = .none
        /// Of php-memcached.
        package var memcached: Servers = .none
        /// Of PHP's `files` handler.
        package var files: SessionFiles?
        /// Of phpredis.
        package var redis: RedisServers?
        /// Required: set wherever there is no error.
        package var until: AdoptionEnd?
        /// Nil: the handler's default.
        package var redundancy: Int?
        package var ring: Ring?
        package var prefix: String?
        /// Whose files are sessions; nil: the gateway's own user.
        package var owner: String?
        /// How long a file that nobody writes is a session.
        package var lifetime: Duration = .seconds(1_440)
        package var timeout: Duration = .milliseconds(250)
        package var lockTimeout: Duration = .seconds(5)
        package var whenUnavailable: WhenOldStoreUnavailable = .error

        package init() {}
    }

    /// What becomes of a request whose id may be one of the old store's, which does not say.
    package enum WhenOldStoreUnavailable: String, Sendable, CaseIterable {
        case error, new
    }

    /// A `session.save_path` of PHP's `files` handler: `[depth;[mode;]]/directory`.
    package struct SessionFiles: Sendable, Equatable, CustomStringConvertible {
        package let text: String
        package let depth: Int
        package let directory: String

        package init?(_ text: String) {
            let parts = text.split(separator: ";", maxSplits: 2, omittingEmptySubsequences: false)
            guard let path = parts.last, path.hasPrefix("/"), path.utf8.count <= 4_000,
                !path.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f })
            else { return nil }
            if parts.count > 1 {
                guard let depth = Int(parts[0]), (0...16).contains(depth) else { return nil }
                self.depth = depth
            } else {
                self.depth = 0
            }
            if parts.count > 2, Int(parts[1], radix: 8) == nil { return nil }
            var directory = path
            while directory.count > 1, directory.hasSuffix("/") { directory.removeLast() }
            self.directory = String(directory)
            self.text = text
        }

        package var description: String { self.text }
    }

    /// The moment after which nothing is taken over any more: the end of a day, UTC.
    package struct AdoptionEnd: Sendable, Equatable, CustomStringConvertible {
        package let description: String
        /// Milliseconds since 1970.
        package let milliseconds: UInt64

        /// Years whose seconds memcached can still tell.
        package static let years = 2_000...2_037

        /// - Parameter text: `2026-12-31`.
        package init?(_ text: String) {
            let parts = text.split(separator: "-", omittingEmptySubsequences: false)
            guard parts.map(\.utf8.count) == [4, 2, 2],
                text.utf8.allSatisfy({ $0 == 0x2d || (0x30...0x39).contains($0) }),
                let year = Int(parts[0]), let month = Int(parts[1]), let day = Int(parts[2]),
                Self.years.contains(year), (1...12).contains(month),
                (1...Self.days(of: month, in: year)).contains(day)
            else { return nil }
            // Days since 1970 by the days of the years and months before.
            var days = day
            for year in 1_970..<year { days += Self.days(of: 2, in: year) == 29 ? 366 : 365 }
            for month in 1..<month { days += Self.days(of: month, in: year) }
            self.milliseconds = UInt64(days) * 86_400_000
            self.description = text
        }

        private static func days(of month: Int, in year: Int) -> Int {
            switch month {
            case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
            case 4, 6, 9, 11: 30
            default: 31
            }
        }
    }
}
