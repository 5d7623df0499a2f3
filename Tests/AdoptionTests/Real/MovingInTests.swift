import Foundation
import GatewayTesting
import Testing

/// Sessions that PHP's real handlers have written, taken over by the gateway.
@Suite(.timeLimit(.minutes(3)))
struct MovingInTests {
    @Test(arguments: OldStore.Kind.allCases)
    func visitorsStaySignedInAndTheOldStoreIsUntouched(kind: OldStore.Kind) async throws {
        // Ids with commas, which PHP's cookie has as %2C.
        let stack = try await AdoptionStack(
            try await .make(kind),
            settings: ["session.sid_length=40", "session.sid_bits_per_character=6"]
        )
        var visitors = try await stack.visitors(12)
        #expect(visitors.contains { $0.jar["PHPSESSID"]?.contains("%2C") == true })
        // A dump of memcached may miss an item that is on its way to another list.
        let contents = try await Eventually.value("all of the old store") {
            let contents = try stack.old.contents()
            return contents.count == stack.old.lines(of: visitors.count) ? contents : nil
        }
        #expect(contents.allSatisfy { !$0.hasSuffix(" 0") && !$0.hasSuffix(" -1") }, "\(contents)")
        for number in visitors.indices {
            let cookie = visitors[number].jar["PHPSESSID"]
            let page = try await visitors[number].now()
            #expect(page.status == 200)
            #expect(page.user == "u\(number)", "\(page) \(stack.gateway.log.suffix(1_500))")
            #expect(page.outcome == "loaded")
            #expect(page.id == cookie?.replacing("%2C", with: ","))
            #expect(visitors[number].jar["PHPSESSID"] == cookie)
        }
        // Now they live in the gateway.
        #expect(try await visitors[0].now("do=add").number == "1")
        #expect(try await visitors[0].now("do=add").outcome == "saved")
        #expect(try await visitors[0].now().number == "2")
        // A sign-out is one for good, and so is an id that was left behind.
        var thief = visitors[1]
        #expect(try await visitors[1].now("do=logout").outcome == "destroyed")
        #expect(visitors[1].jar["PHPSESSID"] == nil)
        #expect(try await thief.now().user == "nobody")
        var follower = visitors[2]
        let moved = try await visitors[2].now("do=renew")
        #expect(moved.outcome == "moved")
        #expect(moved.user == "u2")
        #expect(try await visitors[2].now().user == "u2")
        #expect(try await follower.now().user == "nobody")
        try await Eventually.holds("the old store to be as it was: \(contents)") {
            try stack.old.contents() == contents
        }
    }

    @Test(arguments: [OldStore.Kind.files, .redis])
    func alsoWhereTheGatewayHasADatabaseAlone(kind: OldStore.Kind) async throws {
        let stack = try await AdoptionStack(try await .make(kind), isEmbedded: true)
        var visitors = try await stack.visitors(2)
        #expect(try await visitors[0].now("do=add").user == "u0")
        #expect(try await visitors[0].now().number == "1")
        var thief = visitors[1]
        #expect(try await visitors[1].now("do=logout").outcome == "destroyed")
        #expect(try await thief.now().user == "nobody")
    }

    @Test func largeSessionsThatMemcacheHasCompressedAreRead() async throws {
        let stack = try await AdoptionStack(try await .make(.memcache))
        var visitors = try await stack.visitors(3, padding: 100_000)
        guard case .memcache(let servers, _, _) = stack.old else { return }
        let dump = try servers.map { try $0.command("lru_crawler metadump all", until: "END\r\n") }.joined()
        // 200 KB would not fit into what the server says of the item.
        #expect(dump.contains("size="))
        for number in visitors.indices {
            let before = try await visitors[number].before("")
            let page = try await visitors[number].now()
            #expect(page.user == "u\(number)")
            #expect(page.padding == before.padding)
        }
    }

    @Test func aSessionThatIsTooLargeIsNotTakenOver() async throws {
        let stack = try await AdoptionStack(try await .make(.files), site: "max_size: 10k")
        var visitors = try await stack.visitors(1, padding: 20_000)
        #expect(try await visitors[0].now().user == "nobody")
        #expect(stack.gateway.log.contains("it is larger than max_size"))
    }

    @Test func severalRequestsAtOnceSeeOneSession() async throws {
        let stack = try await AdoptionStack(try await .make(.memcached))
        let visitor = try await stack.visitors(1)[0]
        let pages = try await withThrowingTaskGroup(of: AdoptionStack.Visitor.Page.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var tab = visitor
                    return try await tab.now()
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(pages.count == 8)
        #expect(Set(pages.map(\.user)) == ["u0"])
        #expect(Set(pages.map(\.id)) == [visitor.jar["PHPSESSID"]])
    }

    @Test func whatTheApplicationStillWritesToTheOldStoreCountsNoMore() async throws {
        let stack = try await AdoptionStack(try await .make(.files))
        var visitor = try await stack.visitors(1)[0]
        #expect(try await visitor.now("do=add").number == "1")
        #expect(try await visitor.before("do=hold&us=1&mark=\(stack.path("mark"))").number == "7")
        #expect(try await visitor.now().number == "1")
    }

    @Test(arguments: [OldStore.Kind.files, .memcached, .redis])
    func theGatewayReadsItsConfigurationAnewAndEndsMeanwhile(kind: OldStore.Kind) async throws {
        let stack = try await AdoptionStack(try await .make(kind))
        var visitors = try await stack.visitors(3)
        #expect(try await visitors[0].now().user == "u0")
        try stack.gateway.reload()
        try await Eventually.holds(within: .seconds(30), "the reload") {
            stack.gateway.log.contains("the configuration has been read anew and is in force")
        }
        #expect(try await visitors[0].now().user == "u0")
        #expect(try await visitors[1].now().user == "u1")
        #expect(try await stack.gateway.stop() == .status(0))
        try await stack.gateway.restart()
        try await Eventually.holds(within: .seconds(30), "the store to be there") {
            try await visitors[1].now().user == "u1"
        }
        #expect(try await visitors[2].now().user == "u2")
    }

    @Test func afterTheDayNothingIsTakenOver() async throws {
        let stack = try await AdoptionStack(try await .make(.files), adopt: "until: 2026-01-01")
        var visitor = try await stack.visitors(1)[0]
        #expect(try await visitor.now().user == "nobody")
    }

    @Test func oldFilesAreNoSessions() async throws {
        let stack = try await AdoptionStack(try await .make(.files), adopt: "until: 2037-01-01, lifetime: 600s")
        var visitors = try await stack.visitors(2)
        guard case .files(let directory, _) = stack.old else { return }
        for (number, age) in [(0, 590.0), (1, 620.0)] {
            let path = directory.path("sess_\(visitors[number].jar["PHPSESSID"] ?? "")")
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSinceNow: -age)],
                ofItemAtPath: path
            )
        }
        #expect(try await visitors[0].now().user == "u0")
        #expect(try await visitors[1].now().user == "nobody")
    }

    @Test func aSessionIsTakenOverOnce() async throws {
        let stack = try await AdoptionStack(try await .make(.files), site: "idle_lifetime: 1s")
        var visitor = try await stack.visitors(1)[0]
        #expect(try await visitor.now().user == "u0")
        try await Task.sleep(for: .seconds(3))
        #expect(try await visitor.now().user == "nobody")
    }

    /// PHP takes only files of its own user, and never through a link.
    @Test func filesOfOthersAndLinksAreNoSessions() async throws {
        let stack = try await AdoptionStack(try await .make(.files))
        var visitors = try await stack.visitors(3)
        guard case .files(let directory, _) = stack.old else { return }
        let paths = visitors.map { directory.path("sess_\($0.jar["PHPSESSID"] ?? "")") }
        #expect(chown(paths[0], 65_534, 65_534) == 0)
        try FileManager.default.moveItem(atPath: paths[1], toPath: paths[1] + ".moved")
        try FileManager.default.createSymbolicLink(atPath: paths[1], withDestinationPath: paths[1] + ".moved")
        #expect(try await visitors[0].now().user == "nobody")
        #expect(try await visitors[1].now().user == "nobody")
        #expect(try await visitors[2].now().user == "u2")
    }
}
