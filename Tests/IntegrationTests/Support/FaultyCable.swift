import GatewayTesting
import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// A bad cable: a TCP proxy in front of a server, on a port of its own, that spoils a share of what passes, by a seed.
///
/// What it does to a piece that the client sends, or to the answer to it: swallows it and all that follows on the
/// connection; resets the connection; holds it back for longer than the client waits, and delivers it then, also to a
/// server whose client has gone meanwhile; cuts it in the middle and closes.
final class FaultyCable: Sendable {
    struct Settings: Sendable {
        /// Of the pieces that the client sends: operations, or the several of one write.
        var percent: Int
        var seed: UInt64
        /// How long a piece that is held back waits.
        var delay: ClosedRange<Int64> = 50...900
    }

    enum Fault: Int, CaseIterable {
        case swallow, reset, delay, cut
    }

    let port: Int
    private let chances: Chances
    private let server: any Channel

    init(to target: Int, _ settings: Settings) async throws {
        let chances = Chances(settings)
        self.chances = chances
        self.port = try LoopbackPort.unused()
        self.server = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { client in
                // The client's bytes are read only when this is done.
                ClientBootstrap(group: client.eventLoop)
                    .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                    .connect(host: "127.0.0.1", port: target)
                    .flatMapThrowing { server in
                        let toServer = CableEnd(chances: chances, peer: server, isClient: true)
                        let toClient = CableEnd(chances: chances, peer: client, isClient: false)
                        toServer.other = toClient
                        toClient.other = toServer
                        try client.pipeline.syncOperations.addHandler(toServer)
                        try server.pipeline.syncOperations.addHandler(toClient)
                    }
            }
            .bind(host: "127.0.0.1", port: self.port)
            .get()
    }

    deinit {
        self.server.close(promise: nil)
    }

    /// Pieces that have passed since the faults were set, and how many of them were spoilt.
    var counts: (pieces: Int, faults: Int) { self.chances.counts }

    /// From now on; connections stay as they are.
    func set(percent: Int) { self.chances.set(percent: percent) }
}

/// What happens next, for all connections of a cable.
private final class Chances: Sendable {
    private struct State {
        var settings: FaultyCable.Settings
        var random: SplitMix
        var pieces = 0
        var faults = 0
    }

    private let state: Mutex<State>

    init(_ settings: FaultyCable.Settings) {
        self.state = Mutex(State(settings: settings, random: SplitMix(seed: settings.seed)))
    }

    var counts: (pieces: Int, faults: Int) { self.state.withLock { ($0.pieces, $0.faults) } }

    func set(percent: Int) {
        self.state.withLock {
            $0.settings.percent = percent
            $0.pieces = 0
            $0.faults = 0
        }
    }

    /// What happens to a piece from the client, and whether to the piece itself or to its answer.
    func next() -> (fault: FaultyCable.Fault, isAnswer: Bool)? {
        self.state.withLock { state in
            state.pieces += 1
            guard state.random.isLucky(percent: state.settings.percent) else { return nil }
            state.faults += 1
            let all = FaultyCable.Fault.allCases
            return (all[state.random.below(all.count)], state.random.below(2) == 0)
        }
    }

    func delay() -> TimeAmount {
        self.state.withLock { state in
            let range = state.settings.delay
            return .milliseconds(range.lowerBound + Int64(state.random.below(Int(range.upperBound - range.lowerBound))))
        }
    }

    func part(of length: Int) -> Int { self.state.withLock { $0.random.below(length) } }
}

/// One end: takes what its channel reads, and passes it to the peer, or not. Both ends are on one event loop.
private final class CableEnd: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let chances: Chances
    private let peer: any Channel
    private let isClient: Bool
    /// Broken at the end of either connection.
    var other: CableEnd?
    /// What waits for the next piece that this end reads.
    private var armed: FaultyCable.Fault?
    private var isSwallowing = false
    private var notBefore: NIODeadline = .uptimeNanoseconds(0)

    init(chances: Chances, peer: any Channel, isClient: Bool) {
        self.chances = chances
        self.peer = peer
        self.isClient = isClient
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let piece = self.unwrapInboundIn(data)
        guard !self.isSwallowing else { return }
        var fault = self.armed
        self.armed = nil
        if self.isClient, let chance = self.chances.next() {
            if chance.isAnswer { self.other?.armed = chance.fault } else { fault = chance.fault }
        }
        switch fault {
        case nil:
            self.pass(piece)
        case .swallow:
            self.isSwallowing = true
        case .reset:
            for channel in [context.channel, self.peer] {
                guard let options = channel as? any SocketOptionProvider else { continue }
                options.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { _ in channel.close(promise: nil) }
            }
        case .delay:
            self.notBefore = max(self.notBefore, .now() + self.chances.delay())
            self.pass(piece)
        case .cut:
            self.isSwallowing = true
            self.pass(
                piece.getSlice(at: piece.readerIndex, length: self.chances.part(of: piece.readableBytes)) ?? piece
            )
            self.closePeer()
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.closePeer()
        self.other = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func pass(_ piece: ByteBuffer) {
        let peer = self.peer
        if self.notBefore > .now() {
            peer.eventLoop.scheduleTask(deadline: self.notBefore) { peer.writeAndFlush(piece, promise: nil) }
        } else {
            peer.writeAndFlush(piece, promise: nil)
        }
    }

    /// Behind everything that is held back.
    private func closePeer() {
        let peer = self.peer
        peer.eventLoop.scheduleTask(deadline: max(self.notBefore, .now())) { peer.close(promise: nil) }
    }
}
