import CFastCGI
import CFastCGIMemory
import NIOCore

/// Has libfcgi put the responses of one event loop into records.
///
/// libfcgi takes a request apart and its response together in one object, of some 12 KB in twenty pieces. A request that
/// waits for its backend need not hold one, and a response need not have one made: this one serves all responses of its
/// loop, and only the number that it writes into the records changes. So it never ends a request, which would close its
/// stream for good: `ByteBuffer.writeRequestEnd` does.
///
/// `@unchecked Sendable`: used on its event loop only.
final class LibraryWriter: @unchecked Sendable {
    /// What fits into libfcgi's output buffer (8,192 bytes) together with a record's header and its padding: so much is
    /// written at once.
    static let bufferedOutputLimit = 8_136
    /// More than the header, the padding and the end of the request.
    private static let recordOverhead = 64

    /// Made when the first response comes, and anew after a failure.
    private var request: LibraryRequest?

    deinit {
        self.request?.discard()
    }

    /// Puts everything that the queue has into a record; it `fitsLibrary`.
    /// - Parameter ends: puts the end of the request behind it.
    /// - Returns: nil where libfcgi has failed.
    func records(of output: inout OutputQueue, requestID: UInt16, ends: Bool) -> ByteBuffer? {
        guard let request = self.request ?? Self.makeRequest() else { return nil }
        self.request = request
        request.raw.pointee.requestId = Int32(requestID)
        let stream = request.raw.pointee.out
        var records = ByteBuffer()
        records.writeWithUnsafeMutableBytes(minimumWritableBytes: output.byteCount + Self.recordOverhead) { target in
            LibraryMemory.writing(to: target) {
                output.takeAll { bytes in
                    bytes.withUnsafeReadableBytes { source in
                        _ = FCGX_PutStr(source.bindMemory(to: CChar.self).baseAddress, Int32(source.count), stream)
                    }
                }
                FCGX_FFlush(stream)
            }
        }
        guard FCGX_GetError(stream) == 0 else {
            request.discard()
            self.request = nil
            return nil
        }
        if ends { records.writeRequestEnd(requestID) }
        return records
    }

    /// A request without parameters.
    private static func makeRequest() -> LibraryRequest? {
        let number: UInt16 = 1
        let role: UInt64 = 1
        let head = (
            RecordHeader.bits(type: RecordHeader.beginRequest, requestID: number, contentLength: 8).bigEndian,
            (role << 48).bigEndian,
            RecordHeader.bits(type: RecordHeader.parameters, requestID: number, contentLength: 0).bigEndian
        )
        return withUnsafeBytes(of: head) { head in
            LibraryMemory.reading(head, UnsafeRawBufferPointer(start: nil, count: 0)) { LibraryRequest.accept() }
        }
    }
}

extension ByteBuffer {
    /// The empty record that ends the output, and FCGI_END_REQUEST: status 0, complete (FastCGI 1.0 §5.5; L24).
    mutating func writeRequestEnd(_ requestID: UInt16) {
        self.writeMultipleIntegers(
            RecordHeader.bits(type: RecordHeader.standardOutput, requestID: requestID, contentLength: 0),
            RecordHeader.bits(type: RecordHeader.endRequest, requestID: requestID, contentLength: 8),
            UInt64(0)
        )
    }
}
