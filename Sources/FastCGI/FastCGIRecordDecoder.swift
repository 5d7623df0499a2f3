package import NIOCore

/// Reads the records of an application. Content is a slice of what was read; padding is skipped.
///
/// A record that is not part of an answer to request 1 (another version, another request, a management record, a type
/// that only clients send) is an error as soon as its header is there.
package struct FastCGIRecordDecoder: NIOSingleStepByteToMessageDecoder {
    package typealias InboundOut = FastCGIRecord

    package init() {}

    package mutating func decode(buffer: inout ByteBuffer) throws(FastCGIError) -> FastCGIRecord? {
        var rest = buffer
        guard
            let (version, type, id, contentLength, paddingLength, _) = rest.readMultipleIntegers(
                as: (UInt8, UInt8, UInt16, UInt16, UInt8, UInt8).self
            )
        else { return nil }
        guard version == 1 else { throw .unsupportedVersion }
        guard id == requestID else { throw .foreignRequestID }
        let kind = FastCGIRecordType(rawValue: type)
        switch kind {
        case .output, .errorOutput: break
        case .endRequest: guard contentLength == 8 else { throw .malformedEndRequest }
        default: throw .unexpectedType
        }
        let length = Int(contentLength)
        guard rest.readableBytes >= length + Int(paddingLength), var content = rest.readSlice(length: length) else {
            return nil
        }
        rest.moveReaderIndex(forwardBy: Int(paddingLength))
        buffer = rest
        switch kind {
        case .output: return .output(content)
        case .errorOutput: return .errorOutput(content)
        default:
            guard let (applicationStatus, status) = content.readMultipleIntegers(as: (UInt32, UInt8).self),
                let protocolStatus = FastCGIProtocolStatus(rawValue: status)
            else { throw .malformedEndRequest }
            return .endRequest(applicationStatus: applicationStatus, protocolStatus: protocolStatus)
        }
    }

    package mutating func decodeLast(buffer: inout ByteBuffer, seenEOF: Bool) throws(FastCGIError) -> FastCGIRecord? {
        try self.decode(buffer: &buffer)
    }
}
