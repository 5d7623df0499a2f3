package import CGI
package import NIOCore

/// Writes the records of a request in the role of a responder (FastCGI specification §5, §6.2).
///
/// php-fpm parses each PARAMS record by itself, so every record ends on the boundary of a name-value pair.
package enum FastCGIRequestEncoder {
    /// Writes BEGIN_REQUEST and all PARAMS, the empty one that ends them included.
    ///
    /// - Throws: `parameterTooLong` for a pair that does not fit one record: 65,535 bytes with its lengths.
    package static func encodeHead(
        parameters: Parameters,
        keepsConnection: Bool,
        into buffer: inout ByteBuffer
    ) throws(FastCGIError) {
        self.writeHeader(.beginRequest, contentLength: 8, into: &buffer)
        // Role 1 is the responder; bit 0 of the flags is FCGI_KEEP_CONN.
        buffer.writeMultipleIntegers(UInt16(1), UInt8(keepsConnection ? 1 : 0), UInt8(0), UInt32(0))
        try self.writeParameters(parameters, into: &buffer)
        self.writeHeader(.parameters, contentLength: 0, into: &buffer)
    }

    /// Writes a piece of the body as STDIN records. An empty piece writes nothing: an empty record would end the body.
    package static func encodeInput(_ piece: ByteBuffer, into buffer: inout ByteBuffer) {
        var rest = piece
        while let content = self.nextInputContent(&rest) {
            self.writeHeader(.input, contentLength: content.readableBytes, into: &buffer)
            buffer.writeImmutableBuffer(content)
        }
    }

    /// Cuts the next record's content off a piece of the body and writes only its header, so that the content can be
    /// sent without a copy. `nil` when the piece is used up.
    package static func encodeInputHeader(
        cutting piece: inout ByteBuffer,
        into buffer: inout ByteBuffer
    ) -> ByteBuffer? {
        guard let content = self.nextInputContent(&piece) else { return nil }
        self.writeHeader(.input, contentLength: content.readableBytes, into: &buffer)
        return content
    }

    /// Writes the empty STDIN record that ends the body.
    package static func encodeInputEnd(into buffer: inout ByteBuffer) {
        self.writeHeader(.input, contentLength: 0, into: &buffer)
    }

    package static func encodeAbort(into buffer: inout ByteBuffer) {
        self.writeHeader(.abortRequest, contentLength: 0, into: &buffer)
    }

    private static func nextInputContent(_ piece: inout ByteBuffer) -> ByteBuffer? {
        guard piece.readableBytes > 0 else { return nil }
        return piece.readSlice(length: min(piece.readableBytes, maximumContentLength))
    }

    private static func writeHeader(_ type: FastCGIRecordType, contentLength: Int, into buffer: inout ByteBuffer) {
        // Version 1, no padding.
        buffer.writeMultipleIntegers(
            UInt8(1),
            type.rawValue,
            requestID,
            UInt16(contentLength),
            UInt8(0),
            UInt8(0)
        )
    }

    private static func writeParameters(_ parameters: Parameters, into buffer: inout ByteBuffer) throws(FastCGIError) {
        var headerIndex: Int?
        var contentLength = 0
        var isTooLong = false

        func endRecord() {
            guard let index = headerIndex else { return }
            buffer.setInteger(UInt16(contentLength), at: index + 4)
            headerIndex = nil
        }
        parameters.forEachPair { nameLength, valueLength, pair in
            let length = self.lengthOfLength(nameLength) + self.lengthOfLength(valueLength) + nameLength + valueLength
            guard !isTooLong, length <= maximumContentLength else {
                isTooLong = true
                return
            }
            if headerIndex == nil || contentLength + length > maximumContentLength {
                endRecord()
                headerIndex = buffer.writerIndex
                contentLength = 0
                self.writeHeader(.parameters, contentLength: 0, into: &buffer)
            }
            self.writeLength(nameLength, into: &buffer)
            self.writeLength(valueLength, into: &buffer)
            buffer.writeBytes(pair)
            contentLength += length
        }
        guard !isTooLong else { throw .parameterTooLong }
        endRecord()
    }

    private static func lengthOfLength(_ length: Int) -> Int {
        length < 128 ? 1 : 4
    }

    private static func writeLength(_ length: Int, into buffer: inout ByteBuffer) {
        if length < 128 {
            buffer.writeInteger(UInt8(length))
        } else {
            buffer.writeInteger(UInt32(length) | 0x8000_0000)
        }
    }
}
