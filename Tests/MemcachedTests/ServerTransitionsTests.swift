import Testing

@testable import Memcached

struct ServerTransitionsTests {
    private final class Loop {}

    @Test func eachTransitionIsToldOnceForAllLoops() {
        let loops = (Loop(), Loop())
        let (one, other) = (ObjectIdentifier(loops.0), ObjectIdentifier(loops.1))
        var server = ServerTransitions()
        #expect(server.cameUp(one) == true)
        #expect(server.cameUp(other) == false)
        for _ in 0..<2 {
            #expect(server.wentDown(one, reason: nil) == true)
            #expect(server.wentDown(other, reason: nil) == false)
            // There again when all have it.
            #expect(server.cameUp(other) == false)
            #expect(server.wentDown(other, reason: nil) == false)
            #expect(server.cameUp(one) == false)
            #expect(server.cameUp(other) == true)
        }
    }

    @Test func aServerThatWasNeverThereIsToldOnce() {
        let loops = (Loop(), Loop())
        let (one, other) = (ObjectIdentifier(loops.0), ObjectIdentifier(loops.1))
        var server = ServerTransitions()
        #expect(server.wentDown(one, reason: nil) == true)
        #expect(server.wentDown(other, reason: nil) == false)
        #expect(server.cameUp(one) == false)
        #expect(server.cameUp(other) == true)
    }

    @Test func aReasonThatTheOperatorMustMendIsNewsOnce() {
        let loops = (Loop(), Loop())
        let (one, other) = (ObjectIdentifier(loops.0), ObjectIdentifier(loops.1))
        var server = ServerTransitions()
        #expect(server.wentDown(one, reason: nil) == true)
        #expect(server.wentDown(one, reason: "too old") == true)
        #expect(server.wentDown(other, reason: "too old") == false)
        #expect(server.wentDown(one, reason: "without CAS") == true)
        #expect(server.wentDown(one, reason: nil) == false)
    }

    @Test func whoHasClosedIsNotWaitedFor() {
        let loops = (Loop(), Loop())
        let (one, other) = (ObjectIdentifier(loops.0), ObjectIdentifier(loops.1))
        var server = ServerTransitions()
        #expect(server.cameUp(one) == true)
        #expect(server.wentDown(one, reason: nil) == true)
        #expect(server.wentDown(other, reason: nil) == false)
        server.closed(one)
        #expect(server.cameUp(other) == true)
    }
}
