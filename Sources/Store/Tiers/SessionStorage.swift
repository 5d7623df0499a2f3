package import NIOCore
package import Sessions

/// The sessions of one site as one event loop sees them: the whole contract of a store, wherever it keeps them.
///
/// Load, then save from what was loaded: of several saves from one load at most one is acknowledged. All calls on the
/// event loop that the store was made for.
package protocol SessionStorage: AnyObject, Sendable {
    func key(for id: SessionID) -> SessionKey

    /// Where it is remembered that the session of this id was taken over from another store.
    func adoptionMark(of id: SessionID) -> SessionKey

    /// Slides the idle expiry.
    /// - Parameter client: who asks, for the limit of unknown ids; nil where that is not known.
    func load(_ key: SessionKey, client: ByteBufferView?) async -> SessionLoadOutcome

    /// Writes a new blob from what was loaded.
    /// - Parameters:
    ///   - cookieIssued: when the cookie was sent, where that is to be remembered anew.
    ///   - isDurable: acknowledged only once it is kept as safely as the store can.
    func save(
        _ session: StoredSession,
        key: SessionKey,
        payload: ByteBuffer,
        cookieIssued: SessionRecord.Timestamp?,
        isDurable: Bool
    ) async -> SessionWriteOutcome

    /// - Parameter key: of a fresh id, which nobody else has.
    func create(
        _ key: SessionKey,
        payload: ByteBuffer,
        hasCookieLifetime: Bool,
        isDurable: Bool
    ) async -> SessionWriteOutcome

    /// Takes over a session that another program kept until now, once: under a key that was destroyed, or a mark that is
    /// there, nothing is taken over any more. Of several that try at once all get the session that there is then.
    ///
    /// - Parameter mark: where it is remembered that it was taken over, for as long as tombstones live.
    func adopt(_ key: SessionKey, mark: SessionKey, payload: ByteBuffer) async -> SessionLoadOutcome

    /// Whatever the version is.
    func destroy(_ key: SessionKey) async -> SessionDestroyOutcome

    /// Has the requests of one session go one after the other, over all gateways.
    func takeTurn(_ key: SessionKey, timeout: Duration) async -> TurnLeaseOutcome

    /// Behind the response.
    func maintain(_ session: StoredSession, key: SessionKey)

    var eventLoop: any EventLoop { get }
    func start()
    func close() -> EventLoopFuture<Void>
    /// Whether it can answer, as far as one can tell at once.
    var isReady: Bool { get }
}
