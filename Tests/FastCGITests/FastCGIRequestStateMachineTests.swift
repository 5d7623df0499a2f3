import FastCGI
import NIOCore
import Testing

struct FastCGIRequestStateMachineTests {
    private let bytes = ByteBuffer(string: "x")
    private let end = FastCGIRecord.endRequest(applicationStatus: 0, protocolStatus: .requestComplete)

    @Test func anAnsweredRequestLeavesAReusableConnection() {
        var machine = FastCGIRequestStateMachine(bodyIsComplete: true)
        #expect(machine.recordReceived(.output(self.bytes)) == .deliverOutput(self.bytes))
        #expect(machine.recordReceived(.errorOutput(self.bytes)) == .deliverErrorOutput(self.bytes))
        #expect(machine.recordReceived(.output(ByteBuffer())) == .ignore)
        #expect(machine.recordReceived(self.end) == .end(.requestComplete, connectionIsReusable: true))
        #expect(machine.connectionClosed() == .ignore)
        #expect(machine.aborted() == .ignore)
    }

    @Test func aRequestEndedBeforeItsBodyWasSentSpoilsTheConnection() {
        var machine = FastCGIRequestStateMachine(bodyIsComplete: false)
        #expect(machine.recordReceived(.output(self.bytes)) == .deliverOutput(self.bytes))
        #expect(machine.recordReceived(self.end) == .end(.requestComplete, connectionIsReusable: false))
    }

    @Test func aBodyFinishedInTimeKeepsTheConnection() {
        var machine = FastCGIRequestStateMachine(bodyIsComplete: false)
        machine.bodyFinished()
        #expect(machine.recordReceived(self.end) == .end(.requestComplete, connectionIsReusable: true))
    }

    @Test func outputBehindItsEndIsOutOfTurn() {
        var machine = FastCGIRequestStateMachine(bodyIsComplete: true)
        #expect(machine.recordReceived(.output(ByteBuffer())) == .ignore)
        #expect(machine.recordReceived(.output(self.bytes)) == .fail(.recordOutOfTurn))
        #expect(machine.recordReceived(self.end) == .ignore)
    }

    @Test func anythingBehindTheEndIsOutOfTurn() {
        var machine = FastCGIRequestStateMachine(bodyIsComplete: true)
        #expect(machine.recordReceived(self.end) == .end(.requestComplete, connectionIsReusable: true))
        #expect(machine.recordReceived(self.end) == .fail(.recordOutOfTurn))
    }

    @Test func aClosedConnectionTellsWhetherAnAnswerHadBegun() {
        var silent = FastCGIRequestStateMachine(bodyIsComplete: true)
        #expect(silent.connectionClosed() == .fail(answerHasBegun: false))
        var answering = FastCGIRequestStateMachine(bodyIsComplete: true)
        #expect(answering.recordReceived(.errorOutput(self.bytes)) == .deliverErrorOutput(self.bytes))
        #expect(answering.connectionClosed() == .fail(answerHasBegun: true))
    }

    @Test func anAbortIsSentOnce() {
        var machine = FastCGIRequestStateMachine(bodyIsComplete: false)
        #expect(machine.aborted() == .sendAbortAndClose)
        #expect(machine.aborted() == .ignore)
        #expect(machine.connectionClosed() == .ignore)
    }
}
