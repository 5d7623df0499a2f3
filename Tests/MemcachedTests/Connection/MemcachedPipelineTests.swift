import DequeModule
import NIOCore
import Testing

@testable import Memcached

@Suite struct MemcachedPipelineTests {
    typealias Pipeline = MemcachedPipeline<Int>

    private func pipeline(commands: Int = 10, bytes: Int = 100) -> Pipeline {
        Pipeline(maximumCommands: commands, maximumBytes: bytes)
    }

    private func at(_ milliseconds: Int64) -> NIODeadline { .uptimeNanoseconds(0) + .milliseconds(milliseconds) }

    private func summary(_ failed: Deque<Pipeline.Failed>) -> [String] {
        failed.map { "\($0.waiter) \($0.error.code.rawValue)" }
    }

    private func summary(_ action: Pipeline.ReplyAction) -> String {
        switch action {
        case .complete(let waiter, let reply): "\(waiter) \(reply)"
        case .completeAndClose(let waiter, let reply, let rest): "\(waiter) \(reply), close \(self.summary(rest))"
        case .close(let error, let failed): "close \(error.code.rawValue) \(self.summary(failed))"
        case .ignore: "ignore"
        }
    }

    @Test func answersMeetTheCommandsInTheirOrder() {
        var pipeline = self.pipeline()
        #expect(pipeline.commandSubmitted(1, expecting: .value, bytes: 0, deadline: self.at(1)) == .write(opaque: 1))
        #expect(pipeline.commandSubmitted(2, expecting: .storage, bytes: 5, deadline: self.at(1)) == .write(opaque: 2))
        #expect(pipeline.commandSubmitted(3, expecting: .noop, bytes: 0, deadline: self.at(1)) == .write(opaque: 3))
        #expect(self.summary(pipeline.replyReceived(.miss(.init(opaque: 1)))) == "1 miss")
        #expect(self.summary(pipeline.replyReceived(.stored(.init(token: 9, opaque: 2)))) == "2 stored(token: 9)")
        #expect(self.summary(pipeline.replyReceived(.noop)) == "3 noop")
        #expect(pipeline.count == 0)
    }

    @Test(arguments: [
        MemcachedWireReply.miss(.init(opaque: 2)), .miss(.init()), .noop, .stored(.init(token: 1, opaque: 1)),
        .value(ByteBuffer(), .init(token: 1, opaque: 1)), .value(ByteBuffer(), .init(secondsToLive: 1, opaque: 1)),
        .value(ByteBuffer(), .init(token: 1, secondsToLive: 1, opaque: 2)), .version("1"), .notFound(.init(opaque: 1)),
        .refusal(.unknownCommand), .report(MemcachedWireReply.Report()),
    ]) func anAnswerToAnotherCommandClosesTheConnection(reply: MemcachedWireReply) {
        var pipeline = self.pipeline()
        _ = pipeline.commandSubmitted(1, expecting: .value, bytes: 0, deadline: self.at(1))
        _ = pipeline.commandSubmitted(2, expecting: .value, bytes: 0, deadline: self.at(1))
        let action = pipeline.replyReceived(reply)
        #expect(self.summary(action) == #"close outOfStep ["1 outOfStep", "2 connectionClosed"]"#)
        #expect(pipeline.isClosed)
        #expect(self.summary(pipeline.replyReceived(.noop)) == "ignore")
        let refused = pipeline.commandSubmitted(3, expecting: .noop, bytes: 0, deadline: self.at(1))
        #expect(refused == .refuse(.connectionClosed))
    }

    @Test func anItemOfAnotherProgramComesWithItsFlags() {
        var pipeline = self.pipeline()
        for waiter in 1...3 {
            _ = pipeline.commandSubmitted(waiter, expecting: .foreignValue, bytes: 0, deadline: self.at(1))
        }
        let value = ByteBuffer(string: "v")
        let fetched = MemcachedReply.fetched(value: value, flags: 768)
        #expect(
            self.summary(pipeline.replyReceived(.value(value, .init(clientFlags: 768, opaque: 1)))) == "1 \(fetched)"
        )
        #expect(self.summary(pipeline.replyReceived(.miss(.init(opaque: 2)))) == "2 miss")
        // A value without flags was not asked for in this way.
        let strange = MemcachedWireReply.value(value, .init(token: 1, secondsToLive: 1, opaque: 3))
        #expect(self.summary(pipeline.replyReceived(strange)) == #"close outOfStep ["3 outOfStep"]"#)
    }

    @Test func anAnswerThatNobodyAskedForClosesTheConnection() {
        var pipeline = self.pipeline()
        #expect(self.summary(pipeline.replyReceived(.noop)) == "close outOfStep []")
    }

    @Test func errorsOfTheServerAnswerTheirCommandOnly() {
        var pipeline = self.pipeline()
        for waiter in 1...3 {
            _ = pipeline.commandSubmitted(waiter, expecting: .storage, bytes: 0, deadline: self.at(1))
        }
        _ = pipeline.commandSubmitted(4, expecting: .value, bytes: 0, deadline: self.at(1))
        #expect(self.summary(pipeline.replyReceived(.serverError(.tooLarge))).hasPrefix("1 serverError"))
        #expect(self.summary(pipeline.replyReceived(.clientError(dataWasSwallowed: true))) == "2 clientError")
        #expect(self.summary(pipeline.replyReceived(.stored(.init(token: 1, opaque: 3)))) == "3 stored(token: 1)")
        // A read has no data that could run as commands.
        #expect(self.summary(pipeline.replyReceived(.clientError(dataWasSwallowed: false))) == "4 clientError")
        #expect(!pipeline.isClosed)
    }

    @Test func aWriteWhoseDataRunsAsCommandsClosesTheConnection() {
        var pipeline = self.pipeline()
        _ = pipeline.commandSubmitted(1, expecting: .storage, bytes: 0, deadline: self.at(1))
        _ = pipeline.commandSubmitted(2, expecting: .value, bytes: 0, deadline: self.at(1))
        let action = pipeline.replyReceived(.clientError(dataWasSwallowed: false))
        #expect(self.summary(action) == #"1 clientError, close ["2 connectionClosed"]"#)
    }

    @Test func aServerThatWantsAuthenticationIsUnusable() {
        var pipeline = self.pipeline()
        _ = pipeline.commandSubmitted(1, expecting: .version, bytes: 0, deadline: self.at(1))
        let action = pipeline.replyReceived(.refusal(.unauthenticated))
        #expect(self.summary(action) == #"close unusableServer ["1 unusableServer"]"#)
    }

    @Test func commandsAndBytesInFlightAreBounded() {
        var pipeline = self.pipeline(commands: 3, bytes: 100)
        func submit(_ bytes: Int) -> Pipeline.SubmitAction {
            pipeline.commandSubmitted(0, expecting: .storage, bytes: bytes, deadline: self.at(1))
        }
        #expect(submit(60) == .write(opaque: 1))
        #expect(submit(41) == .refuse(.queueFull))
        #expect(submit(40) == .write(opaque: 2))
        #expect(submit(0) == .write(opaque: 3))
        #expect(submit(0) == .refuse(.queueFull))
        _ = pipeline.replyReceived(.stored(.init(token: 1, opaque: 1)))
        #expect(submit(61) == .refuse(.queueFull))
        #expect(submit(60) == .write(opaque: 4))
    }

    @Test func aSingleWriteMayBeLargerThanTheLimit() {
        var pipeline = self.pipeline(bytes: 100)
        let large = pipeline.commandSubmitted(1, expecting: .storage, bytes: 1_000, deadline: self.at(1))
        #expect(large == .write(opaque: 1))
        let next = pipeline.commandSubmitted(2, expecting: .storage, bytes: 1, deadline: self.at(1))
        #expect(next == .refuse(.queueFull))
    }

    @Test func theOverdueTimeOutAndTheOthersLearnThatTheConnectionIsClosed() {
        var pipeline = self.pipeline()
        guard case .idle = pipeline.timerFired(at: self.at(0)) else {
            Issue.record("not idle")
            return
        }
        for waiter in 1...3 {
            _ = pipeline.commandSubmitted(waiter, expecting: .noop, bytes: 0, deadline: self.at(Int64(waiter) * 10))
        }
        guard case .wait(until: self.at(10)) = pipeline.timerFired(at: self.at(9)),
            case .lookAgain = pipeline.timerFired(at: self.at(20)),
            case .close(let failed) = pipeline.timerFired(at: self.at(21))
        else {
            Issue.record("wrong action")
            return
        }
        #expect(self.summary(failed) == ["1 timedOut", "2 timedOut", "3 connectionClosed"])
        #expect(failed.allSatisfy { $0.error.mayHaveReachedServer })
        #expect(pipeline.isClosed)
    }

    @Test func anAnswerThatWasInTheSocketWhenTheLoopWasLateStillCounts() {
        var pipeline = self.pipeline()
        _ = pipeline.commandSubmitted(1, expecting: .noop, bytes: 0, deadline: self.at(10))
        _ = pipeline.commandSubmitted(2, expecting: .noop, bytes: 0, deadline: self.at(11))
        // How late it was, since the command may have been sent as late as that.
        guard case .lookAgain(let late) = pipeline.timerFired(at: self.at(50)), late == self.at(50) - self.at(10) else {
            Issue.record("wrong action")
            return
        }
        #expect(self.summary(pipeline.replyReceived(.noop)) == "1 noop")
        // Each oldest one gets its own second look.
        guard case .lookAgain = pipeline.timerFired(at: self.at(51)), case .close = pipeline.timerFired(at: self.at(52))
        else {
            Issue.record("wrong action")
            return
        }
    }

    @Test func closingFailsEverythingOnce() {
        var pipeline = self.pipeline()
        _ = pipeline.commandSubmitted(1, expecting: .noop, bytes: 0, deadline: self.at(10))
        #expect(self.summary(pipeline.connectionClosed()) == ["1 connectionClosed"])
        #expect(pipeline.connectionClosed().isEmpty)
        guard case .idle = pipeline.timerFired(at: self.at(100)) else {
            Issue.record("not idle")
            return
        }
    }
}
