import HistoryChecker
import NIOCore
import Sessions

/// One request of a visitor at one gateway.
final class Request {
    enum Plan {
        case save, destroy, regenerate
    }

    /// -1 in peace.
    let visitor: Int
    let gateway: Int
    let gatewayLife: Int
    var session: Int
    var loaded: LoadedRecord?
    /// The same where there is a database.
    var stored: StoredSession?
    /// By the payload of what was loaded.
    var base: HistoryChecker.WriteNumber?
    var plan = Plan.save
    var regeneration = Regeneration()
    /// The session under its new id.
    var newSession: Int?
    /// How the last operation ended.
    var ending = Ending.running
    /// Saves so far.
    var saves = 0

    enum Ending {
        case running, live, none, failed, saved, discarded
    }

    init(visitor: Int, gateway: Int, gatewayLife: Int, session: Int) {
        self.visitor = visitor
        self.gateway = gateway
        self.gatewayLife = gatewayLife
        self.session = session
    }
}

extension SessionRecord {
    /// The payload tells of which session it is, and of which write.
    static func payload(session: Int, _ number: HistoryChecker.WriteNumber) -> ByteBuffer {
        var payload = ByteBuffer()
        payload.writeMultipleIntegers(UInt32(session), UInt32(number.index))
        return payload
    }

    var sessionIndex: Int? {
        self.payload.getInteger(at: self.payload.readerIndex, as: UInt32.self).map { Int($0) }
    }

    var writeNumber: HistoryChecker.WriteNumber? {
        self.payload.getInteger(at: self.payload.readerIndex + 4, as: UInt32.self).map { .init(index: Int($0)) }
    }
}
