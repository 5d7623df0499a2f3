import GatewayTesting
import Testing

/// What lies in memcached and is not what the gateway put there is never handed to a page.
struct BadRecordTests {
    private struct Copies {
        var key: String
        /// By memcached.
        var values: [Int: [UInt8]]
    }

    /// The copies of the only session.
    private func copies(_ stack: FaultStack, without known: Set<String> = []) throws -> Copies {
        var copies = Copies(key: "", values: [:])
        for (index, memcached) in stack.memcacheds.enumerated() {
            let raw = RawMemcached(memcached: memcached)
            for key in try raw.keys() where !known.contains(key) {
                copies.key = key
                copies.values[index] = try raw.value(key)
            }
        }
        return copies
    }

    private func plant(_ stack: FaultStack, _ key: String, _ values: [Int: [UInt8]]) throws {
        for (index, value) in values { try RawMemcached(memcached: stack.memcacheds[index]).set(key, value) }
    }

    @Test func copiesThatAreCutOrChangedAreNeverDelivered() async throws {
        let stack = try await FaultStack.ready()
        var visitor = CountingVisitor(stack.client())
        #expect(await visitor.write("truth").outcome == "new")
        let copies = try self.copies(stack)
        #expect(copies.values.count == 2)
        let cookies = visitor.cookies
        var random = SplitMix(seed: 1)
        for attempt in 0..<Campaign.count(60, long: 2_000) {
            visitor.cookies = cookies
            var spoilt: [Int: [UInt8]] = [:]
            let isOneGood = attempt % 3 == 0
            for (rank, (index, value)) in copies.values.sorted(by: { $0.key < $1.key }).enumerated() {
                if isOneGood, rank == attempt / 3 % 2 {
                    spoilt[index] = value
                } else {
                    spoilt[index] = self.spoilt(value, &random)
                }
            }
            try self.plant(stack, copies.key, spoilt)
            let visit = await visitor.read()
            #expect(visit.seen == nil || visit.seen?.nonce == "truth")
            #expect(visit.status == 200 || visit.status == 503)
            if isOneGood { #expect(visit.seen?.nonce == "truth", "one copy is whole") }
            if !isOneGood { #expect(visit.seen == nil, "no copy is whole") }
        }
    }

    private func spoilt(_ value: [UInt8], _ random: inout SplitMix) -> [UInt8] {
        var value = value
        switch random.below(5) {
        case 0:
            value.removeLast(1 + random.below(value.count))
        case 1, 2:
            let place = random.below(value.count)
            value[place] ^= 1 << UInt8(random.below(8))
        case 3:
            value.append(UInt8(random.below(256)))
        default:
            return (0..<random.below(400)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        }
        return value
    }

    @Test func aSpoiltCopyIsRepairedFromTheOther() async throws {
        let stack = try await FaultStack.ready()
        var visitor = CountingVisitor(stack.client())
        #expect(await visitor.write("truth").outcome == "new")
        let copies = try self.copies(stack)
        for (index, value) in copies.values {
            try self.plant(stack, copies.key, [index: Array(value.dropLast(3))])
            #expect(await visitor.read().seen?.nonce == "truth")
            // Behind the response two whole copies are made again, wherever.
            try await Eventually.holds("two whole copies") {
                try self.copies(stack).values.values.count { $0.count == value.count } >= 2
            }
        }
        let holders = try self.copies(stack).values
        let holder = try #require(holders.keys.min())
        stack.memcacheds[holder].kill()
        #expect(await visitor.read().seen?.nonce == "truth")
    }

    @Test func theRecordOfAnotherSessionOrSiteIsNeverDelivered() async throws {
        let stack = try await FaultStack.ready()
        var mine = CountingVisitor(stack.client())
        #expect(await mine.write("mine").outcome == "new")
        let my = try self.copies(stack)
        var other = CountingVisitor(stack.client())
        #expect(await other.write("theirs").outcome == "new")
        let theirs = try self.copies(stack, without: [my.key])
        let value = try #require(theirs.values.values.first)
        // Everywhere, as whoever can write to memcached could.
        try self.plant(stack, my.key, [0: value, 1: value, 2: value])
        let visit = await mine.read()
        #expect(visit.seen == nil)

        // The same id at another site, whose records have the same key hash.
        let elsewhere = try await GatewayProcess { _ in
            FaultStack.configuration(
                FaultStack.Settings(),
                servers: stack.memcacheds.map(\.name),
                pages: stack.pages,
                php: stack.php
            ).replacing("  default:", with: "  elsewhere:").replacing(
                "sessions_of: default",
                with: "sessions_of: elsewhere"
            )
        }
        try await Eventually.holds(within: .seconds(30), "the other site's marker") {
            try stack.memcacheds[0].command("mg sg:elsewhere!life").hasPrefix("HD")
        }
        let answer = try await Threads.run {
            let page = FastCGIPeer.page("/page.php", query: "nonce=foreign", root: stack.pages.path, site: "elsewhere")
            return try FastCGIPeer(elsewhere.address).get(page)
        }
        let id = try #require(answer.text.firstMatch(of: /Set-Cookie: session=([A-Za-z0-9_-]+)/)?.output.1)
        let raw = RawMemcached(memcached: stack.memcacheds[0])
        let all = try (0..<3).flatMap { try RawMemcached(memcached: stack.memcacheds[$0]).keys(site: "elsewhere") }
        let key = try #require(all.first)
        let foreign = try #require(
            try (0..<3).compactMap { try RawMemcached(memcached: stack.memcacheds[$0]).value(key) }.first
        )
        let planted = key.replacing(":elsewhere:", with: ":default:")
        try self.plant(stack, planted, [0: foreign, 1: foreign, 2: foreign])
        #expect(try raw.value(planted) == foreign)
        var thief = CountingVisitor(stack.client())
        thief.cookies["session"] = String(id)
        #expect(await thief.read().seen == nil)
    }

    // MARK: Servers that refuse

    struct Refusal: Sendable {
        var arguments: [String]
        var size: Int
        var sessions: Int
    }

    /// Its items are smaller than the sessions, or its memory is full. (Debian 12's memcached cannot have items of less
    /// than 512 kB, and bytes are slow without optimisation: hence the one session.)
    @Test(arguments: [
        Refusal(arguments: ["-m", "64", "-I", "512k"], size: 530_000, sessions: 1),
        Refusal(arguments: ["-m", "2", "-M", "-I", "1m"], size: 60_000, sessions: 6),
    ])
    func aServerThatRefusesValuesIsAnErrorOfThatReplicaAlone(refusal: Refusal) async throws {
        let stack = try await FaultStack.ready {
            $0.memcachedArguments = [0: refusal.arguments]
            $0.site = ["connect_timeout: 2s", "operation_timeout: 2s", "load_timeout: 2s", "max_size: 1000000"]
        }
        let refusing = RawMemcached(memcached: stack.memcacheds[0])
        let connections = try stack.memcacheds[0].statistics()["curr_connections"]
        if refusal.arguments.contains("-M") {
            for size in [400_000, 60_000, 6_000, 600, 200] {
                for number in 0..<20_000 {
                    do {
                        try refusing.set("filler\(size)-\(number)", [UInt8](repeating: 1, count: size))
                    } catch {
                        break
                    }
                }
            }
        }
        for number in 0..<refusal.sessions {
            var visitor = CountingVisitor(stack.client())
            #expect(await visitor.write("\(number)-a", "pad=\(refusal.size)").outcome == "new")
            for round in 0..<2 {
                let saved = await visitor.write("\(number)-\(round)", "pad=\(refusal.size)")
                #expect(saved.seen?.nonce == (round == 0 ? "\(number)-a" : "\(number)-0"))
                #expect(saved.outcome == "saved")
            }
            #expect(await visitor.read().seen?.nonce == "\(number)-1")
        }
        #expect(!stack.gateway.log.contains("memcached server is down"))
        #expect(try stack.memcacheds[0].statistics()["curr_connections"] == connections)
    }
}
