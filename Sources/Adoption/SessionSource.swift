package import NIOCore
package import Sessions

/// The store in which an application kept its sessions until now. It is only ever read: nothing is written, touched or
/// locked there.
package protocol SessionSource: AnyObject, Sendable {
    /// Looks once; answers within the source's time-out. A task of this event loop asks.
    func look(for id: SessionID, on eventLoop: any EventLoop) async -> SourceFinding

    /// On its event loop, where it has one.
    func start()
    /// Whether it has an answer to give, as far as one can tell at once.
    var isReady: Bool { get }
    func close(on eventLoop: any EventLoop) -> EventLoopFuture<Void>
}

extension SessionSource {
    package func start() {}
    package var isReady: Bool { true }
    package func close(on eventLoop: any EventLoop) -> EventLoopFuture<Void> { eventLoop.makeSucceededVoidFuture() }
}

/// What a look into the old store has shown. The texts are constant: no ids, keys or data.
package enum SourceFinding: Sendable, Equatable {
    /// The output of the application's serialize handler, as it stands.
    case session(ByteBuffer)
    /// Never was, has expired, or is empty.
    case none
    /// A request of the application works on it.
    case locked
    /// It is there, and it is nothing that the gateway can take over.
    case unreadable(String)
    /// The store does not say.
    case unavailable(String)
}
