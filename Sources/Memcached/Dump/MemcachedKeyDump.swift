package import NIOCore

/// Lists the keys that a memcached holds, with `lru_crawler metadump hash` on a connection of its own.
///
/// **A dump is read as fast as it comes, and nobody is called meanwhile**: while its reader is slow the server's crawler
/// keeps the lock of the bucket that it has reached, and every worker thread that meets this bucket, or another dump,
/// stops serving all of its connections (measured on 1.6.18). So the keys are gathered first, at most `maximumKeys` of
/// them; where there are more, the key space is divided and the server dumped once for each part.
///
/// The list is a snapshot of no single moment: what comes or goes meanwhile may be in it or not; expired items are not.
/// Keys that are no `MemcachedKey` (binary ones of other clients) are left out.
package struct MemcachedKeyDump: Sendable {
    package struct Configuration: Sendable {
        package var connectTimeout: Duration = .milliseconds(250)
        /// The longest silence of the server.
        package var lineTimeout: Duration = .seconds(5)
        /// How often a server is asked that is busy with another dump, before `.busy` is thrown.
        package var attempts = 20
        /// The pause after the first refusal; it doubles up to `longestBusyPause`.
        package var busyPause: Duration = .milliseconds(100)
        package var longestBusyPause: Duration = .seconds(2)
        /// The most keys in memory at once; each takes about its length and 50 bytes.
        package var maximumKeys = 500_000
        /// The most keys that one call of the body gets.
        package var batchSize = 500

        package init() {}
    }

    private let address: MemcachedAddress
    private let eventLoop: any EventLoop
    private let configuration: Configuration

    package init(
        address: MemcachedAddress,
        eventLoop: any EventLoop,
        configuration: Configuration = Configuration()
    ) {
        self.address = address
        self.eventLoop = eventLoop
        self.configuration = configuration
    }

    /// Calls `body` with the keys that begin with `prefix`, in batches, each key once.
    ///
    /// - Parameter body: gets a batch, and the share of all keys, about, that have had their turn when it is done.
    /// - Throws: what `body` throws; else `MemcachedError`: `.connectFailed`, `.connectionClosed` (the list is incomplete),
    ///   `.timedOut`, `.busy`, `.unusableServer` (the server's crawler is off), `.outOfStep`, `.cancelled`, `.queueFull`
    ///   (more keys than 65,536 parts hold).
    package func forEachBatch(
        withPrefix prefix: some Collection<UInt8>,
        _ body: (_ batch: [MemcachedKey], _ share: Double) async throws -> Void
    ) async throws {
        let prefix = Array(prefix)
        var parts = [MemcachedKeyPart.all]
        var share = 0.0
        while let part = parts.popLast() {
            let selection = MemcachedDumpParser(prefix: prefix, part: part, maximumKeys: self.configuration.maximumKeys)
            guard let keys = try await self.keys(selection) else {
                guard let halves = part.halves else {
                    throw MemcachedError(.queueFull, "the server has too many keys")
                }
                parts += [halves.1, halves.0]
                continue
            }
            let size = max(self.configuration.batchSize, 1)
            for start in stride(from: 0, to: keys.count, by: size) {
                let end = min(start + size, keys.count)
                let done = Double(end) / Double(keys.count)
                try await body(Array(keys[start..<end]), share + done / Double(part.modulus))
            }
            share += 1 / Double(part.modulus)
        }
    }

    /// The keys of one part that begin with `prefix`: what several servers know is compared part by part.
    ///
    /// - Returns: `nil` if there are more than `maximumKeys`.
    /// - Throws: as `forEachBatch`.
    package func keys(
        withPrefix prefix: some Collection<UInt8>,
        in part: MemcachedKeyPart
    ) async throws(MemcachedError) -> [MemcachedKey]? {
        let maximum = self.configuration.maximumKeys
        return try await self.keys(MemcachedDumpParser(prefix: Array(prefix), part: part, maximumKeys: maximum))
    }

    /// - Returns: `nil` if there are more than fit.
    private func keys(_ selection: MemcachedDumpParser) async throws(MemcachedError) -> [MemcachedKey]? {
        var pause = self.configuration.busyPause
        for attempt in 1...max(self.configuration.attempts, 1) {
            switch try await self.dump(selection) {
            case .keys(let keys): return keys
            case .tooManyKeys: return nil
            case .busy: break
            }
            guard attempt < self.configuration.attempts else { break }
            do {
                try await Task.sleep(for: pause)
            } catch {
                throw MemcachedError(.cancelled)
            }
            pause = min(pause * 2, self.configuration.longestBusyPause)
        }
        throw MemcachedError(.busy, "another dump is under way on the server")
    }

    private func dump(_ selection: MemcachedDumpParser) async throws(MemcachedError) -> MemcachedDumpHandler.Outcome {
        let promise = self.eventLoop.makePromise(of: MemcachedDumpHandler.Outcome.self)
        let lineTimeout = TimeAmount(self.configuration.lineTimeout)
        let channel: any Channel
        do {
            channel = try await MemcachedBootstrap.connect(
                to: self.address,
                on: self.eventLoop,
                timeout: self.configuration.connectTimeout
            ).flatMapThrowing { channel in
                try channel.pipeline.syncOperations.addHandler(
                    MemcachedDumpHandler(selection: selection, lineTimeout: lineTimeout, outcome: promise)
                )
                return channel
            }.get()
        } catch {
            let failure = MemcachedError(.connectFailed, underlying: error)
            promise.fail(failure)
            throw failure
        }
        do {
            return try await withTaskCancellationHandler {
                try await promise.futureResult.get()
            } onCancel: {
                channel.close(promise: nil)
            }
        } catch {
            if Task.isCancelled { throw MemcachedError(.cancelled) }
            throw (error as? MemcachedError) ?? MemcachedError(.connectionClosed, underlying: error)
        }
    }
}

/// A part of all keys: those whose hash leaves `remainder` when divided by `modulus`. The same on all servers.
package struct MemcachedKeyPart: Sendable, Equatable {
    package static let all = MemcachedKeyPart(modulus: 1, remainder: 0)

    /// The keys are divided into so many parts of this size.
    package let modulus: UInt
    let remainder: UInt

    func contains(_ key: MemcachedKey) -> Bool {
        // The hash is the same for as long as the process lives.
        self.modulus == 1 || UInt(bitPattern: key.hashValue) % self.modulus == self.remainder
    }

    /// - Returns: `nil` for a part that is one of 65,536.
    package var halves: (MemcachedKeyPart, MemcachedKeyPart)? {
        guard self.modulus < 65_536 else { return nil }
        return (
            MemcachedKeyPart(modulus: self.modulus * 2, remainder: self.remainder),
            MemcachedKeyPart(modulus: self.modulus * 2, remainder: self.remainder + self.modulus)
        )
    }
}
