import Foundation
import GatewayTesting
import Testing

/// Bodies far larger than what the gateway may hold.
struct StreamingTests {
    /// The most that the gateway's memory may grow by.
    private static let growth = 30 << 20

    private func stack() async throws -> (FaultStack, BlockTransfer) {
        let stack = try await FaultStack(
            FaultStack.Settings {
                $0.memcacheds = 0
                $0.phpChildren = 4
                $0.fastCGI = ["connections: 3"]
            }
        )
        try BlockTransfer.writeBlock(to: stack.pages)
        // What any request needs once is not growth.
        _ = try await stack.client().get("/page.php")
        _ = try await stack.client().get("/cgi-bin/page.py")
        return (stack, BlockTransfer(client: stack.client()))
    }

    @Test func anUploadOf200MegabytesLeavesTheMemoryFlat() async throws {
        let (stack, transfer) = try await self.stack()
        let before = try stack.gateway.process.peakMemory
        #expect(try await transfer.upload("/upload.php", blocks: 200) == "\(200 << 20) 0")
        #expect(try stack.gateway.process.peakMemory - before < Self.growth)
    }

    @Test func aDownloadOf200MegabytesLeavesTheMemoryFlat() async throws {
        let (stack, transfer) = try await self.stack()
        let before = try stack.gateway.process.peakMemory
        #expect(try await transfer.download("/download.php?blocks=200") == 200 << 20)
        #expect(try stack.gateway.process.peakMemory - before < Self.growth)
    }

    @Test func aSlowReaderHoldsTheBackendUpAndNotTheMemory() async throws {
        let (stack, transfer) = try await self.stack()
        let before = try stack.gateway.process.peakMemory
        // 40 MB: far more than the sockets on the way hold.
        #expect(try await transfer.download("/download.php?blocks=40", pause: .milliseconds(15)) == 40 << 20)
        #expect(try stack.gateway.process.peakMemory - before < Self.growth)
    }

    /// Not through nginx: it stops sending a request's body when the response begins.
    @Test func fiftyMegabytesGoBothWaysAtOnce() async throws {
        let (stack, _) = try await self.stack()
        let before = try stack.gateway.process.peakMemory
        let peer = try FastCGIPeer(stack.gateway.address)
        let length = 50 << 20
        let more = [("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", "\(length)")]
        try peer.send(
            FastCGIPeer.head(
                FastCGIPeer.page("/cgi-bin/echo.py", root: stack.pages.path, site: "scripts", more: more)
            )
        )
        async let sent: Void = Threads.run {
            // 32 KiB a record, as nginx sends them.
            for offset in stride(from: 0, to: length, by: 32_768) {
                let place = offset & (BlockTransfer.block.count - 1)
                try peer.send(FastCGIPeer.record(5, BlockTransfer.block[place..<place + 32_768]))
            }
            try peer.send(FastCGIPeer.record(5))
        }
        let received = try await Threads.run {
            var head: [UInt8]? = []
            var count = 0
            while let (type, content) = try peer.nextRecord(), type != 3 {
                guard type == 6 else { continue }
                if let soFar = head {
                    let all = soFar + content
                    guard let end = all.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound else {
                        head = all
                        continue
                    }
                    head = nil
                    count += BlockTransfer.equalBytes(all[end...], at: count)
                } else {
                    count += BlockTransfer.equalBytes(content, at: count)
                }
            }
            return count
        }
        try await sent
        #expect(received == length)
        #expect(try stack.gateway.process.peakMemory - before < Self.growth)
    }
}
