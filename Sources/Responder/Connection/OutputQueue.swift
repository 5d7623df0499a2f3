import CLinux
import DequeModule
import Glibc
import NIOCore

/// The part of a response that the peer has not taken yet: pieces in the order in which they were written, which
/// become FCGI_STDOUT and FCGI_STDERR records when they are sent, with one write for many (L26).
struct OutputQueue {
    enum Stream {
        case output
        case errors

        var recordType: UInt8 {
            switch self {
            case .output: RecordHeader.standardOutput
            case .errors: RecordHeader.standardError
            }
        }
    }

    /// The longest content of a record.
    private static let maximumContentLength = 65_535
    private static let maximumVectorCount = 64

    /// Not in records yet.
    private var pieces: Deque<(stream: Stream, bytes: ByteBuffer)> = []
    private var pieceByteCount = 0
    /// Records' headers and contents; the first one may be sent in part.
    private var framed: Deque<ByteBuffer> = []
    private var framedByteCount = 0
    /// Whether there was ever error text, so that the error stream has to be ended.
    private(set) var hasErrorText = false

    /// Bytes that wait, with the headers of the records that have been made.
    var byteCount: Int { self.pieceByteCount + self.framedByteCount }
    /// Whether anything waits that is not in records.
    var hasPieces: Bool { !self.pieces.isEmpty }
    var isEmpty: Bool { self.byteCount == 0 && self.framed.isEmpty && self.pieces.isEmpty }
    /// Whether all of it is ordinary output that fits into libfcgi's buffer.
    var fitsLibrary: Bool {
        !self.hasErrorText && self.framed.isEmpty && self.pieceByteCount <= LibraryWriter.bufferedOutputLimit
    }

    mutating func append(_ bytes: ByteBuffer, to stream: Stream) {
        guard bytes.readableBytes > 0 else { return }
        if case .errors = stream { self.hasErrorText = true }
        self.pieces.append((stream, bytes))
        self.pieceByteCount += bytes.readableBytes
    }

    /// Ends the error stream if there was one: an empty record of its own (FastCGI 1.0 §3.3).
    mutating func endErrorText(requestID: UInt16) {
        guard self.hasErrorText else { return }
        self.frame(requestID: requestID)
        self.appendHeader(type: RecordHeader.standardError, requestID: requestID, contentLength: 0)
        self.hasErrorText = false
    }

    /// Takes everything out that `fitsLibrary`.
    mutating func takeAll(_ body: (ByteBuffer) -> Void) {
        while let piece = self.pieces.popFirst() {
            body(piece.bytes)
        }
        self.pieceByteCount = 0
    }

    /// Puts everything that waits into records, as few as possible.
    mutating func frame(requestID: UInt16) {
        while let first = self.pieces.first {
            var contentLength = 0
            for piece in self.pieces {
                guard piece.stream == first.stream, contentLength < Self.maximumContentLength else { break }
                contentLength += piece.bytes.readableBytes
            }
            contentLength = min(contentLength, Self.maximumContentLength)
            self.appendHeader(type: first.stream.recordType, requestID: requestID, contentLength: contentLength)
            var missing = contentLength
            while missing > 0, var piece = self.pieces.popFirst() {
                if piece.bytes.readableBytes > missing, let part = piece.bytes.readSlice(length: missing) {
                    self.framed.append(part)
                    self.pieces.prepend(piece)
                    missing = 0
                } else {
                    missing -= piece.bytes.readableBytes
                    self.framed.append(piece.bytes)
                }
            }
            self.framedByteCount += contentLength
            self.pieceByteCount -= contentLength
        }
    }

    /// Adds bytes that are records already.
    mutating func append(records: ByteBuffer) {
        self.framedByteCount += records.readableBytes
        self.framed.append(records)
    }

    private mutating func appendHeader(type: UInt8, requestID: UInt16, contentLength: Int) {
        var header = ByteBuffer()
        header.writeInteger(RecordHeader.bits(type: type, requestID: requestID, contentLength: contentLength))
        self.framed.append(header)
        self.framedByteCount += RecordHeader.byteCount
    }

    /// Calls the body with the first records as vectors.
    func withVectors<Result>(_ body: (UnsafeBufferPointer<iovec>) -> Result) -> Result {
        withUnsafeTemporaryAllocation(of: iovec.self, capacity: Self.maximumVectorCount) { vectors in
            var count = 0
            for bytes in self.framed.prefix(Self.maximumVectorCount) {
                // The queue holds the buffer, and with it this memory, until the body has returned.
                bytes.withUnsafeReadableBytes { source in
                    vectors[count] = iovec(
                        iov_base: UnsafeMutableRawPointer(mutating: source.baseAddress),
                        iov_len: source.count
                    )
                }
                count += 1
            }
            return body(UnsafeBufferPointer(rebasing: vectors[..<count]))
        }
    }

    /// Takes bytes from the front of the records.
    mutating func takeFirst(atMost limit: Int) -> ByteBuffer? {
        guard let piece = self.framed.first?.readableBytesView.prefix(limit) else { return nil }
        self.sent(piece.count)
        return ByteBuffer(piece)
    }

    /// Removes so many bytes from the front of the records.
    mutating func sent(_ count: Int) {
        self.framedByteCount -= count
        var rest = count
        while rest > 0, var first = self.framed.popFirst() {
            if first.readableBytes > rest {
                first.moveReaderIndex(forwardBy: rest)
                self.framed.prepend(first)
                rest = 0
            } else {
                rest -= first.readableBytes
            }
        }
    }
}
