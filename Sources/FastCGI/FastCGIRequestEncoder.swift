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
        buffer.writeInteger(UInt64(1) << 48 | UInt64(keepsConnection ? 1 : 0) << 40)
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
        buffer.writeInteger(self.header(type, contentLength: contentLength))
    }

    /// The 8 bytes of a record's header: version 1, no padding.
    private static func header(_ type: FastCGIRecordType, contentLength: Int) -> UInt64 {
        UInt64(1) << 56 | UInt64(type.rawValue) << 48 | UInt64(requestID) << 32 | UInt64(contentLength) << 16
    }

    /// One write into the buffer for all records.
    private static func writeParameters(_ parameters: Parameters, into buffer: inout ByteBuffer) throws(FastCGIError) {
        var isTooLong = false
        // Each pair begins at most one record.
        let bound = parameters.maximumEncodedByteCount + parameters.count * headerLength
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: bound) { target in
            var writer = RecordWriter(target: target)
            parameters.forEachEncodedRun(atMost: maximumContentLength) { run in
                isTooLong = isTooLong || !writer.write(run)
            }
            writer.endRecord()
            return isTooLong ? 0 : writer.end
        }
        if isTooLong { throw .parameterTooLong }
    }

    /// Writes name-value pairs into memory that is large enough, in records that end on a pair.
    private struct RecordWriter {
        let target: UnsafeMutableRawBufferPointer
        /// Behind the last byte written.
        private(set) var end = 0
        /// Where the content of the record begins that is being written.
        private var contentStart: Int?

        init(target: UnsafeMutableRawBufferPointer) {
            self.target = target
        }

        /// - Parameter run: whole pairs.
        /// - Returns: false, with nothing written, for what does not fit one record.
        mutating func write(_ run: UnsafeRawBufferPointer) -> Bool {
            guard run.count <= maximumContentLength else { return false }
            if let start = self.contentStart, self.end - start + run.count > maximumContentLength { self.endRecord() }
            if self.contentStart == nil {
                let header = FastCGIRequestEncoder.header(.parameters, contentLength: 0)
                self.target.storeBytes(of: header.bigEndian, toByteOffset: self.end, as: UInt64.self)
                self.end += headerLength
                self.contentStart = self.end
            }
            UnsafeMutableRawBufferPointer(rebasing: self.target[self.end...]).copyMemory(from: run)
            self.end += run.count
            return true
        }

        /// The length, once it is known.
        mutating func endRecord() {
            guard let start = self.contentStart else { return }
            let length = UInt16(self.end - start).bigEndian
            self.target.storeBytes(of: length, toByteOffset: start - headerLength + 4, as: UInt16.self)
            self.contentStart = nil
        }
    }
}
