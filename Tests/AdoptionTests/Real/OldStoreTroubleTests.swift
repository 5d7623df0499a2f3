import Foundation
import GatewayTesting
import Testing

/// Locks of the application's own requests, stores that do not answer, and ids that somebody made up.
@Suite(.timeLimit(.minutes(3)))
struct OldStoreTroubleTests {
    @Test(arguments: [OldStore.Kind.files, .memcache, .memcached, .redis])
    func aLockedSessionIsWaitedFor(kind: OldStore.Kind) async throws {
        let stack = try await AdoptionStack(try await .make(kind), adopt: "until: 2037-01-01, lock_timeout: 30s")
        let visitor = try await stack.visitors(1)[0]
        let mark = stack.path("mark")
        async let held = Task {
            var tab = visitor
            return try await tab.before("do=hold&us=1500000&mark=\(mark)")
        }.value
        try await Eventually.holds("the application to have the session") {
            FileManager.default.fileExists(atPath: mark)
        }
        var tab = visitor
        let page = try await tab.now()
        #expect(page.status == 200)
        #expect(page.user == "u0")
        // What the request that had it has written.
        #expect(page.number == "7")
        #expect(try await held.number == "7")
    }

    @Test(arguments: [OldStore.Kind.files, .memcache, .memcached, .redis])
    func aLockThatStaysIsNotWaitedForForEver(kind: OldStore.Kind) async throws {
        let stack = try await AdoptionStack(try await .make(kind), adopt: "until: 2037-01-01, lock_timeout: 300ms")
        let visitor = try await stack.visitors(1)[0]
        let mark = stack.path("mark")
        async let held = Task {
            var tab = visitor
            return try await tab.before("do=hold&us=4000000&mark=\(mark)")
        }.value
        try await Eventually.holds("the application to have the session") {
            FileManager.default.fileExists(atPath: mark)
        }
        var tab = visitor
        let page = try await tab.now()
        #expect(page.status == 503)
        #expect(page.retryAfter == "1")
        #expect(page.outcome == "unavailable")
        _ = try await held
        // Not logged out.
        #expect(try await tab.now().user == "u0")
    }

    @Test(arguments: [OldStore.Kind.memcache, .memcached, .redis])
    func whileTheOldStoreDoesNotAnswerNobodyIsLoggedOut(kind: OldStore.Kind) async throws {
        let stack = try await AdoptionStack(try await .make(kind))
        var visitors = try await stack.visitors(2)
        #expect(try await visitors[0].now().user == "u0")
        try await stack.old.freeze()
        let start = ContinuousClock.now
        for _ in 0..<6 {
            let page = try await visitors[1].now()
            #expect(page.status == 503, "\(page)")
            #expect(page.retryAfter == "1")
        }
        // The first ones wait for the time-out, the others for nothing.
        #expect(.now - start < .seconds(6))
        // Who is here already, or new, sees nothing of it.
        #expect(try await visitors[0].now("do=add").number == "1")
        var newcomer = stack.visitor
        #expect(try await newcomer.now("do=login&user=new").outcome == "new")
        try stack.old.thaw()
        try await Eventually.holds(within: .seconds(30), "the old store to be asked again: \(stack.gateway.log)") {
            try await visitors[1].now().user == "u1"
        }
    }

    @Test func theOperatorMayGiveTheOldStoreUp() async throws {
        let stack = try await AdoptionStack(
            try await .make(.redis),
            adopt: "until: 2037-01-01, when_unavailable: new"
        )
        var visitor = try await stack.visitors(1)[0]
        guard case .redis(let servers, _) = stack.old else { return }
        servers[0].server.kill()
        let page = try await visitor.now()
        #expect(page.status == 200)
        #expect(page.user == "nobody")
    }

    @Test func aDirectoryThatIsGoneSaysNothing() async throws {
        let stack = try await AdoptionStack(try await .make(.files))
        var visitor = try await stack.visitors(1)[0]
        guard case .files(let directory, _) = stack.old else { return }
        try FileManager.default.moveItem(atPath: directory.path, toPath: directory.path + ".away")
        #expect(try await visitor.now().status == 503)
        try FileManager.default.moveItem(atPath: directory.path + ".away", toPath: directory.path)
        #expect(try await visitor.now().user == "u0")
    }

    @Test func withSecretsOnlyPHPsIdsGoWithoutATagAndFewAtATime() async throws {
        let stack = try await AdoptionStack(
            try await .make(.files),
            site: "id_secrets: [0123456789abcdef0123456789abcdef]\n    unknown_ids: 1"
        )
        var visitors = try await stack.visitors(2)
        #expect(try await visitors[0].now().user == "u0")
        #expect(try await visitors[0].now("do=add").number == "1")
        // New sessions have a tag: 24 characters and 16.
        var newcomer = stack.visitor
        #expect(try await newcomer.now("do=login&user=new").id.count == 40)
        #expect(try await newcomer.now().user == "new")
        // As fast as they can, since one more is allowed each second.
        var pages = try await withThrowingTaskGroup(of: AdoptionStack.Visitor.Page.self) { group in
            for number in 0..<40 {
                group.addTask {
                    var guesser = stack.visitor
                    guesser.jar["PHPSESSID"] = "guess0123456789abcdefghi\(number)"
                    return try await guesser.now()
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        var guesser = stack.visitor
        for number in 0..<20 {
            // Those that came at once may all have been asked before the first was found to be nobody's.
            guesser.jar["PHPSESSID"] = "again0123456789abcdefghi\(number)"
            pages.append(try await guesser.now())
        }
        #expect(pages.allSatisfy { $0.status == 200 && $0.user == "nobody" || $0.status == 503 })
        #expect(pages.contains { $0.status == 200 })
        #expect(pages.contains { $0.status == 503 })
        // An id with an underscore is none of PHP's: no store is asked, and nobody is charged.
        guesser.jar["PHPSESSID"] = "guess_0123456789abcdefghi"
        #expect(try await guesser.now().status == 200)
        try await Eventually.holds("the address to be forgiven") { try await visitors[1].now().user == "u1" }
    }
}
