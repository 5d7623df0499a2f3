import CZlib
package import NIOCore

/// Reads a zlib stream (RFC 1950).
package enum Inflation {
    package enum Failure: Error, Equatable {
        /// More than the limit comes out: the rest was not read.
        case tooLarge
        case damaged
    }

    private static let pieceLength = 65_536

    /// - Parameter limit: bytes that may come out; no more than one piece beyond it is ever held.
    package static func inflate(_ compressed: ByteBuffer, limit: Int) throws(Failure) -> ByteBuffer {
        var stream = z_stream()
        guard inflateInit_(&stream, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            throw .damaged
        }
        defer { inflateEnd(&stream) }
        var input = compressed
        var output = ByteBuffer()
        var status = Z_OK
        input.withUnsafeMutableReadableBytes { bytes in
            stream.next_in = bytes.bindMemory(to: UInt8.self).baseAddress
            stream.avail_in = UInt32(clamping: bytes.count)
            while status == Z_OK, output.readableBytes <= limit {
                output.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.pieceLength) { piece in
                    stream.next_out = piece.bindMemory(to: UInt8.self).baseAddress
                    stream.avail_out = UInt32(clamping: min(piece.count, Self.pieceLength))
                    let available = stream.avail_out
                    status = CZlib.inflate(&stream, Z_NO_FLUSH)
                    return Int(available - stream.avail_out)
                }
            }
        }
        guard output.readableBytes <= limit else { throw .tooLarge }
        guard status == Z_STREAM_END else { throw .damaged }
        return output
    }
}
